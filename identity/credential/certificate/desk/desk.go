// Package desk is where certificates are shown: it says whether one is good, whoever's it is, and
// takes those that somebody who is signed in wants to add.
//
// Browsers are asked for certificates at an address of its own, where no cookie may arrive. So
// who wants to add one brings a sealed ticket there, and takes what was found back, sealed as well and
// for their own session alone. Nothing is stored, and any node takes any step.
//
// Not here: signing in, which identity/authn does with what Examine returns.
package desk

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential/certificate"
	"github.com/quis-idp/quis/keys/seal"
	"github.com/quis-idp/quis/keys/seal/note"
)

const (
	lifetime     = 5 * time.Minute // of a ticket, and of what was found
	maxText      = 6 << 10         // bytes of either
	justNow      = 5 * time.Second // since a certificate was shown: it is not asked about again; pages go on by themselves
	askPurpose   = "certificate wanted"
	foundPurpose = "certificate found"
)

// ErrOutdated is the kind of a ticket that is too old, another browser's, or none of ours.
var ErrOutdated = fmt.Errorf("outdated: %w", identity.ErrInvalid)

// A Desk looks at certificates.
type Desk struct {
	DB         *fsm.DB
	Ring       *seal.Ring
	Revocation certificate.Sources
	Logger     *slog.Logger // nil: nothing is logged

	recent recent
}

// Examine says whether the certificate that a browser has proven to have, the first of those
// presented, is good: that an authority of the tenant has certified it, and that it has not been
// revoked. It looks at a state as new as any acknowledged write, and may ask the authority's
// servers. It reports *certificate.Refused.
func (d *Desk) Examine(ctx context.Context, tenant string, presented []*x509.Certificate) (*certificate.Shown, error) {
	var all []certificate.Authority
	var now time.Time
	caughtUp := false
	err := d.DB.Read(ctx, func(tx *fsm.Tx) (err error) {
		if !caughtUp { // Read catches up on a miss
			caughtUp = true
			return fsm.ErrNotFound
		}
		now = tx.Now()
		all, err = certificate.List(tx, tenant)
		return err
	})
	if err != nil {
		return nil, err
	}
	chain, err := certificate.Verify(all, presented, now)
	if err != nil {
		return nil, err
	}
	names, err := certificate.NamesOf(presented[0])
	if err != nil {
		return nil, err
	}
	unchecked, err := d.check(ctx, tenant, chain, now)
	if err != nil {
		return nil, err
	}
	return chain.Show(names, now, unchecked), nil
}

// Again asks once more whether a certificate has been revoked that was shown a while ago, if its
// authority has issued it: of those between them the flow does not know enough. What this node has been
// told less than five seconds ago is good still. It reports *certificate.Refused.
func (d *Desk) Again(ctx context.Context, tenant string, s *certificate.Shown) error {
	if d.DB.Now().Sub(s.At) < justNow {
		return nil
	}
	var a *certificate.Authority
	var now time.Time
	err := d.DB.View(ctx, func(tx *fsm.Tx) (err error) {
		now = tx.Now()
		a, _, err = certificate.Get(tx, tenant, s.Authority)
		return err
	})
	if err != nil {
		return err
	}
	chain, err := s.Chain(a)
	if err != nil || chain == nil {
		return err
	}
	return d.recent.once(ctx, which{tenant, s.Authority, string(s.Names.Fingerprint)}, d.DB.Now, func() error {
		_, err := d.check(context.WithoutCancel(ctx), tenant, chain, now) // whoever goes away leaves the answer to the next
		return err
	})
}

// check asks whether anything in a chain was revoked.
func (d *Desk) check(ctx context.Context, tenant string, chain *certificate.Chain, now time.Time) (unchecked bool, err error) {
	unchecked, err = d.Revocation.Check(ctx, chain, now, func(number []byte) (list *certificate.Revocations, revoked bool, err error) {
		err = d.DB.View(ctx, func(tx *fsm.Tx) error {
			list, revoked, err = certificate.Listed(tx, tenant, chain.Authority.ID, number)
			return err
		})
		return list, revoked, err
	})
	if err == nil && unchecked && d.Logger != nil {
		d.Logger.WarnContext(ctx, "certificate taken although it is not known whether it was revoked",
			"authority", chain.Authority.ID, "request_id", identity.RequestFrom(ctx).ID)
	}
	return unchecked, err
}

// A wanted certificate is one that somebody who is signed in wants to add.
type wanted struct {
	SessionID string    `cbor:"1,keyasint,omitempty"`
	Until     time.Time `cbor:"2,keyasint,omitempty"`

	Found *certificate.Shown `cbor:"3,keyasint,omitempty"` // what the browser has shown
}

// Ask returns a ticket with which a browser may show a certificate that the person of a
// session wants to add. It is safe in URLs, and good for five minutes.
func (d *Desk) Ask(tenant, sessionID string) (string, error) {
	return d.seal(askPurpose, tenant, wanted{SessionID: sessionID, Until: d.DB.Now().Add(lifetime)})
}

// Take takes the certificate that a browser has proven to have for who has asked with a ticket,
// and returns what Found reads. It adds nothing. It reports ErrOutdated and *certificate.Refused.
func (d *Desk) Take(ctx context.Context, tenant, ticket string, presented []*x509.Certificate) (string, error) {
	w, err := d.open(askPurpose, tenant, ticket)
	if err != nil {
		return "", err
	}
	if w.Found, err = d.Examine(ctx, tenant, presented); err != nil {
		if why, ok := errors.AsType[*certificate.Refused](err); ok && d.Logger != nil {
			d.Logger.InfoContext(ctx, "certificate refused", "reason", string(why.Reason), "cause", why.Cause, "request_id", identity.RequestFrom(ctx).ID)
		}
		return "", err
	}
	w.Found.OCSP, w.Found.CRL, w.Found.Again = nil, nil, false // adding it lets nobody in
	w.Until = d.DB.Now().Add(lifetime)
	return d.seal(foundPurpose, tenant, w)
}

// Found returns the certificate that was taken for the person of a session. It reports
// ErrOutdated for what is not theirs, or too old.
func (d *Desk) Found(tenant, sessionID, found string) (*certificate.Shown, error) {
	w, err := d.open(foundPurpose, tenant, found)
	if err != nil {
		return nil, err
	}
	if w.SessionID != sessionID || w.Found == nil {
		return nil, ErrOutdated
	}
	return w.Found, nil
}

func (d *Desk) seal(purpose, tenant string, w wanted) (string, error) {
	return note.Seal(d.Ring, d.Ring.Passing(purpose), tenant, w)
}

// open reads what seal has written. That this node cannot know now passes.
func (d *Desk) open(purpose, tenant, sealed string) (w wanted, err error) {
	err = note.Open(d.Ring, d.Ring.Passing(purpose), tenant, sealed, maxText, &w)
	if errors.Is(err, seal.ErrBox) || err == nil && !d.DB.Now().Before(w.Until) {
		return wanted{}, ErrOutdated
	}
	if err != nil {
		return wanted{}, err
	}
	return w, nil
}
