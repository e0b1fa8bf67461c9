package consent

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/quis-idp/quis/federation/oidc/family"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/authn"
	"github.com/quis-idp/quis/keys/seal"
	"github.com/quis-idp/quis/keys/seal/note"
)

const (
	questionPurpose = "consent question"
	ticketPurpose   = "consent ticket"

	questionLife = 15 * time.Minute
	ticketLife   = 2 * time.Minute
	maxSealed    = 48 << 10 // bytes of text: it travels in a form
	maxReturn    = 8 << 10

	// TicketParameter is the query parameter that an answer adds to the way back.
	TicketParameter = "consent_done"
)

var (
	// ErrDead is the kind of a question that cannot be answered any more: expired, answered,
	// or none of ours. It is an identity.ErrInvalid.
	ErrDead = fmt.Errorf("consent question is dead: %w", identity.ErrInvalid)
	// ErrOther is the kind of a question that was put to somebody else, or in another session.
	ErrOther = fmt.Errorf("consent question is not this person's: %w", identity.ErrDenied)
)

// A Question is what a person is asked, on its way through the browser.
type Question struct {
	ID          string        `cbor:"1,keyasint,omitempty"`
	Tenant      string        `cbor:"2,keyasint,omitempty"`
	UserID      string        `cbor:"3,keyasint,omitempty"`
	SessionID   string        `cbor:"4,keyasint,omitempty"`
	Application string        `cbor:"5,keyasint,omitempty"`
	ReturnTo    string        `cbor:"6,keyasint,omitempty"` // path and query on our own origin
	Family      family.ID     `cbor:"7,keyasint,omitempty"` // that the code will make
	Scopes      []string      `cbor:"8,keyasint,omitempty"`
	Resources   []string      `cbor:"9,keyasint,omitempty"`
	Details     []byte        `cbor:"10,keyasint,omitempty"` // as resource.Spell writes them
	Claims      []string      `cbor:"11,keyasint,omitempty"`
	Revision    uint64        `cbor:"12,keyasint,omitempty"` // of the consent's row when it was asked
	Until       time.Time     `cbor:"13,keyasint,omitempty"`
	Signin      *authn.Ticket `cbor:"14,keyasint,omitempty"` // of a sign-in that was done for the same request
	Locales     []string      `cbor:"15,keyasint,omitempty"`
	Redirect    string        `cbor:"16,keyasint,omitempty"` // where the application is answered, to be shown

	epoch seal.Epoch
	text  string
}

// Sealed returns the question as the browser carries it in a form.
func (q *Question) Sealed() string { return q.text }

// A Ticket is what an answer proves to the authorization endpoint.
type Ticket struct {
	SessionID string        `cbor:"1,keyasint,omitempty"`
	Query     []byte        `cbor:"2,keyasint,omitempty"` // SHA-256 of the query it is for
	Until     time.Time     `cbor:"3,keyasint,omitempty"`
	Family    family.ID     `cbor:"4,keyasint,omitempty"`
	Scopes    []string      `cbor:"5,keyasint,omitempty"` // that were allowed
	Denied    bool          `cbor:"6,keyasint,omitempty"`
	Signin    *authn.Ticket `cbor:"7,keyasint,omitempty"`
	Index     uint64        `cbor:"8,keyasint,omitempty"` // log entry that remembers the answer; 0: none does
}

// A Desk seals questions, opens them, and takes the answers.
type Desk struct {
	db   *fsm.DB
	ring *seal.Ring
}

// NewDesk returns a Desk. It has no state: any node's takes any other's questions.
func NewDesk(db *fsm.DB, ring *seal.Ring) *Desk { return &Desk{db, ring} }

// Ask completes a question that Decide wants to be put, and seals it. It writes nothing.
// It reports identity.ErrInvalid if it is too large to travel.
func (k *Desk) Ask(ctx context.Context, d Decision, q Question) (*Question, error) {
	q.ID, q.Revision, q.Until = identity.NewID("cns"), d.rev, k.db.Now().Add(questionLife)
	q.Tenant = identity.TenantFrom(ctx).ID
	if len(q.ReturnTo) > maxReturn || !strings.HasPrefix(q.ReturnTo, "/") {
		return nil, identity.Invalid("return_to", "is too long")
	}
	text, err := k.seal(questionPurpose, q.Tenant, &q)
	if err == nil && len(text) > maxSealed {
		err = identity.Invalid("request", "is too long")
	}
	q.text = text
	return &q, err
}

// Open returns a question that was put to this user in this session. It reports ErrDead
// or ErrOther.
func (k *Desk) Open(ctx context.Context, text, userID, sessionID string) (*Question, error) {
	q := &Question{epoch: k.ring.Epoch(), text: text}
	if err := k.open(questionPurpose, identity.TenantFrom(ctx).ID, text, q); err != nil {
		return nil, err
	}
	if q.Tenant != identity.TenantFrom(ctx).ID || !k.db.Now().Before(q.Until) {
		return nil, dead("it has expired")
	}
	if subtle.ConstantTimeCompare([]byte(q.SessionID), []byte(sessionID)) != 1 || q.UserID != userID {
		return nil, &identity.Error{Kind: ErrOther, Detail: "You have signed in anew, or as somebody else, since this page was shown. Go back to the application and start again."}
	}
	return q, nil
}

func dead(why string) error {
	return &identity.Error{Kind: ErrDead, Detail: "This page is no longer valid: " + why + ". Go back to the application and start again."}
}

// back leads to the authorization endpoint with a ticket at the end.
func (k *Desk) back(q *Question, t Ticket) (string, error) {
	path, query, _ := strings.Cut(q.ReturnTo, "?")
	hash := sha256.Sum256([]byte(query))
	t.SessionID, t.Query, t.Until, t.Family, t.Signin = q.SessionID, hash[:], k.db.Now().Add(ticketLife), q.Family, q.Signin
	text, err := k.seal(ticketPurpose, q.Tenant, &t)
	if err != nil {
		return "", err
	}
	return path + "?" + query + "&" + TicketParameter + "=" + text, nil
}

// Finished takes the ticket off the end of a query (url.URL.RawQuery) and returns what is
// before it. The ticket is nil unless it is one of ours for this tenant and for that
// very query: it is of use to the browser with its session, for two minutes.
func (k *Desk) Finished(ctx context.Context, rawQuery string) (before string, t *Ticket) {
	at := strings.LastIndex(rawQuery, "&"+TicketParameter+"=")
	if at < 0 {
		return rawQuery, nil
	}
	before = rawQuery[:at]
	t = &Ticket{}
	hash := sha256.Sum256([]byte(before))
	err := k.open(ticketPurpose, identity.TenantFrom(ctx).ID, rawQuery[at+len(TicketParameter)+2:], t)
	if err != nil || subtle.ConstantTimeCompare(hash[:], t.Query) != 1 || !t.Until.After(k.db.Now()) {
		return before, nil
	}
	return before, t
}

func (k *Desk) seal(purpose, tenant string, v any) (string, error) {
	return note.Seal(k.ring, k.ring.Passing(purpose), tenant, v)
}

// open reports ErrDead for what seal did not make for this tenant; errors of the store pass.
func (k *Desk) open(purpose, tenant, text string, v any) error {
	err := note.Open(k.ring, k.ring.Passing(purpose), tenant, text, maxSealed, v)
	if errors.Is(err, seal.ErrBox) {
		return dead("it is incomplete or was made elsewhere")
	}
	return err
}
