package authn

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"strings"
	"time"

	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/session"
	"github.com/quis-idp/quis/keys/seal/note"
)

const (
	// TicketParameter is the query parameter that a finished flow adds to its ReturnTo.
	TicketParameter = "flow_done"

	ticketPurpose  = "flow done"
	ticketLifetime = 5 * time.Minute
)

// A Ticket tells the protocol that began a flow that it is done, so that
// prompt=login or max_age are known to be satisfied and nobody is sent in circles.
type Ticket struct {
	FlowID    string    `cbor:"1,keyasint,omitempty"`
	Begun     time.Time `cbor:"2,keyasint,omitempty"` // when the protocol had asked
	SessionID string    `cbor:"3,keyasint,omitempty"` // the session that it made: compare with the browser's
	Query     []byte    `cbor:"4,keyasint,omitempty"` // SHA-256 of the query it is for
	Until     time.Time `cbor:"5,keyasint,omitempty"`
	Kept      bool      `cbor:"6,keyasint,omitempty"` // nothing was proved: the person chose to go on with the session they had
}

// returnTo adds a ticket at the end of the need's ReturnTo.
func (fs *Flows) returnTo(f *Flow, s *session.Session, kept bool) (string, error) {
	path, query, _ := strings.Cut(f.Need.ReturnTo, "?")
	hash := sha256.Sum256([]byte(query))
	text, err := note.Seal(fs.cfg.Ring, fs.cfg.Ring.Passing(ticketPurpose), f.Need.Tenant, Ticket{
		FlowID: f.ID, Begun: f.Begun, SessionID: s.ID, Query: hash[:], Until: fs.cfg.DB.Now().Add(ticketLifetime), Kept: kept,
	})
	if err != nil {
		return "", err
	}
	if query != "" {
		query += "&"
	}
	return path + "?" + query + TicketParameter + "=" + text, nil
}

// Keep ends a flow that asks for a choice of account (Need.Select) with the session that
// the browser has: nothing is proved, and nothing is written. It returns where to go on,
// with a ticket that is Kept, or ErrDeadFlow for a flow that wants more than that.
func (fs *Flows) Keep(f *Flow, s *session.Session) (string, error) {
	if !f.Bound() || !f.Need.Select || f.Need.Login || s.Tenant != f.Need.Tenant {
		return "", dead("it is not at this step")
	}
	return fs.returnTo(f, s, true)
}

// Finished returns the ticket at the end of a query (url.URL.RawQuery), if it is
// one of ours for this tenant and for the very query before it. It proves only that
// SessionID was signed in after Begun, or less if it is Kept: it is of use to the browser
// with that session, for five minutes.
func (fs *Flows) Finished(ctx context.Context, rawQuery string) (Ticket, bool) {
	var t Ticket
	at := strings.LastIndex(rawQuery, TicketParameter+"=")
	if at < 0 || at > 0 && rawQuery[at-1] != '&' {
		return t, false
	}
	text := rawQuery[at+len(TicketParameter)+1:]
	hash := sha256.Sum256([]byte(rawQuery[:max(at-1, 0)]))
	if err := note.Open(fs.cfg.Ring, fs.cfg.Ring.Passing(ticketPurpose), identity.TenantFrom(ctx).ID, text, maxSealed, &t); err != nil {
		return Ticket{}, false
	}
	if subtle.ConstantTimeCompare(hash[:], t.Query) != 1 || !t.Until.After(fs.cfg.DB.Now()) {
		return Ticket{}, false
	}
	t.Begun = exact(t.Begun)
	return t, true
}
