package authn

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential/certificate"
	"github.com/quis-idp/quis/identity/session"
)

const (
	askPurpose   = "certificate wanted"
	foundPurpose = "certificate found"
)

// A wanted certificate is one that somebody who is signed in wants to add.
type wanted struct {
	SessionID string    `cbor:"1,keyasint,omitempty"`
	Until     time.Time `cbor:"2,keyasint,omitempty"`

	Found *certificate.Shown `cbor:"3,keyasint,omitempty"` // what the browser has shown
}

// AskCertificate returns a ticket with which a browser may show a certificate that the
// person of a session wants to add; see ShowTo. It is safe in URLs, and good for five minutes.
func (fs *Flows) AskCertificate(s *session.Session) (string, error) {
	return fs.sealValue(fs.cfg.Ring.Passing(askPurpose), s.Tenant, wanted{SessionID: s.ID, Until: fs.cfg.DB.Now().Add(ticketLifetime)})
}

// ShowTo takes the certificate that a browser has proven to have for who has asked with a
// ticket, and returns what CertificateOf reads. It adds nothing. Errors are those of Show.
func (fs *Flows) ShowTo(ctx context.Context, ticket string, presented []*x509.Certificate) (string, error) {
	tenant := identity.TenantFrom(ctx).ID
	var want wanted
	if err := fs.openValue(fs.cfg.Ring.Passing(askPurpose), tenant, ticket, &want); err != nil || !fs.cfg.DB.Now().Before(want.Until) {
		return "", outdated(err)
	}
	var all []certificate.Authority
	var now time.Time
	err := Settled(ctx, fs.cfg.DB, func(tx *fsm.Tx) (err error) {
		now = tx.Now()
		all, err = certificate.List(tx, tenant)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("show certificate: %w", err)
	}
	if want.Found, err = fs.examine(ctx, all, presented, now); err != nil {
		fs.turnedAway(ctx, &Flow{Need: Need{Tenant: tenant}}, err)
		return "", fmt.Errorf("show certificate: %w", err)
	}
	want.Until = now.Add(ticketLifetime)
	return fs.sealValue(fs.cfg.Ring.Passing(foundPurpose), tenant, want)
}

// CertificateOf returns the certificate that ShowTo has found for the person of a session. It
// reports ErrDeadFlow for what is not theirs, or too old.
func (fs *Flows) CertificateOf(s *session.Session, found string) (*certificate.Shown, error) {
	var w wanted
	if err := fs.openValue(fs.cfg.Ring.Passing(foundPurpose), s.Tenant, found, &w); err != nil {
		return nil, outdated(err)
	}
	if w.SessionID != s.ID || w.Found == nil || !fs.cfg.DB.Now().Before(w.Until) {
		return nil, outdated(nil)
	}
	return w.Found, nil
}

// outdated is what a ticket is that cannot be opened; that this node cannot know now passes.
func outdated(err error) error {
	if err != nil && !errors.Is(err, errBox) {
		return err
	}
	return dead("it is too old, or another browser's")
}
