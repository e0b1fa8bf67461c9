package approval

import (
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/keys/seal"
)

const (
	// Lifetime is how long a request waits for its answer.
	Lifetime = 2 * time.Minute
	// MaxWrong is how many wrong numbers end a request.
	MaxWrong = 3
	// PerHour is how many requests may be begun for one user in an hour.
	PerHour = 5

	spendable     = 10 * time.Minute // from the begin of a request: the flow may have more to ask
	numberPurpose = "approval number"
	lowest        = 10 // numbers have two digits
	highest       = 99
	maxTyped      = 16
	maxIP         = 64
	maxAgent      = 512
	maxApp        = 64
)

// A State is how far a request has come.
type State uint8

// The states. What is too late, spent or unknown is Gone.
const (
	Gone State = iota
	Pending
	Approved
	Refused
)

// A Request is a sign-in that waits for an approval. The number is not in it, but its MAC.
type Request struct {
	ID          string           `cbor:"1,keyasint,omitempty"`
	Flow        string           `cbor:"2,keyasint,omitempty"` // that asks, and may spend the answer
	Application string           `cbor:"3,keyasint,omitempty"` // that is signed in to, by its name; empty: none
	From        identity.Request `cbor:"4,keyasint,omitempty"` // of the browser that asks
	Begun       time.Time        `cbor:"5,keyasint,omitempty"`
	State       State            `cbor:"6,keyasint,omitempty"`
	Wrong       int              `cbor:"7,keyasint,omitempty"` // numbers that were typed
	By          string           `cbor:"8,keyasint,omitempty"` // the approver that answered
	Key         uint32           `cbor:"9,keyasint,omitempty"` // of the ring, that made the MAC
	MAC         []byte           `cbor:"10,keyasint,omitempty" json:"-"`
	Own         string           `cbor:"11,keyasint,omitempty"` // the approver that the asking browser is itself: it cannot answer; empty: none
}

// A Question is a sign-in that asks for an approval.
type Question struct {
	Tenant, UserID string
	Flow           string
	Application    string // by its name; empty: none
	Own            string // ID of the approver that the asking browser is itself; empty: it is none
}

// state is what the request has come to at a time.
func (q *Request) state(now time.Time) State {
	switch {
	case q == nil:
		return Gone
	case q.State == Pending && !now.Before(q.Begun.Add(Lifetime)), !now.Before(q.Begun.Add(spendable)):
		return Gone
	}
	return q.State
}

// mac is that of a number. Of a hundred numbers the right one is found at once by who has the
// key: it is to keep it out of backups and logs, not to stand against the cluster itself.
func (p *person) mac(ring *seal.Ring, q *Request, number string) ([]byte, error) {
	sum, err := ring.MAC(numberPurpose, q.Key, []byte(p.Tenant+"\x00"+p.UserID+"\x00"+q.ID+"\x00"+number))
	if err != nil {
		return nil, fmt.Errorf("approval: %w", err)
	}
	return sum[:], nil
}

// Ask begins a request, from where the context says, and returns its ID and the number to
// show. The flow may ask again, which ends what it has asked before. It reports
// identity.ErrLimited while another flow's request is open, and for more than PerHour. One
// log entry: the caller has seen the first factor, and that there is somebody to answer.
func Ask(tx *fsm.Tx, ring *seal.Ring, question Question) (id, number string, err error) {
	p, err := load(tx, question.Tenant, question.UserID)
	if err != nil {
		return "", "", err
	}
	now := tx.Now()
	if q := p.Request; q.state(now) == Pending && q.Flow != question.Flow {
		return "", "", identity.Limited("Another sign-in waits for an approval. Answer that, or wait until it is over.", q.Begun.Add(Lifetime).Sub(now))
	}
	p.Asked = slices.DeleteFunc(p.Asked, func(at time.Time) bool { return now.Sub(at) >= time.Hour })
	if len(p.Asked) >= PerHour {
		return "", "", identity.Limited("Approvals were asked for too often. Use another way to sign in.", p.Asked[0].Add(time.Hour).Sub(now))
	}
	n, err := rand.Int(rand.Reader, big.NewInt(highest-lowest+1))
	if err != nil {
		return "", "", fmt.Errorf("approval: %w", err)
	}
	number = strconv.FormatInt(lowest+n.Int64(), 10)
	r := identity.RequestFrom(tx.Context())
	q := &Request{
		ID: identity.NewID(identity.PrefixApproval), Flow: question.Flow, Application: identity.Printable(question.Application, maxApp), Own: question.Own,
		Begun: now, State: Pending, Key: ring.CurrentKey(),
		From: identity.Request{ID: r.ID, IP: identity.Printable(r.IP, maxIP), UserAgent: identity.Printable(r.UserAgent, maxAgent)},
	}
	if q.MAC, err = p.mac(ring, q, number); err != nil {
		return "", "", err
	}
	p.Request, p.Asked = q, append(p.Asked, now)
	if err := people.Put(tx, p); err != nil {
		return "", "", err
	}
	return q.ID, number, p.report(tx, event.ApprovalAsked, q, identity.Actor{Kind: identity.ActorAnonymous}, "application", q.Application)
}

// Waiting returns the request to a user that has not been answered, nil if there is none.
func Waiting(tx *fsm.Tx, tenant, userID string) (*Request, error) {
	p, err := load(tx, tenant, userID)
	if err != nil || p.Request.state(tx.Now()) != Pending {
		return nil, err
	}
	return p.Request, nil
}

// At returns the approver that the browser of a session is, nil if it is none.
func At(tx *fsm.Tx, tenant, userID, session string) (*Approver, error) {
	p, err := load(tx, tenant, userID)
	if err != nil {
		return nil, err
	}
	return p.at(session), nil
}

// Answer approves a request, if number is the one that the other browser shows, for the
// approver of a session. It returns how many wrong numbers may still be typed, 0 if it was
// ended by this one, and whether this one was right. It reports identity.ErrDenied if the
// session is no approver's, or that of the browser that asks, and fsm.ErrNotFound if the request waits no longer. The caller
// has seen, in this transaction, that the session stands and is Strong.
func Answer(tx *fsm.Tx, ring *seal.Ring, tenant, userID, session, id, number string) (left int, right bool, err error) {
	p, err := open(tx, tenant, userID, id)
	if err != nil {
		return 0, false, err
	}
	a := p.at(session)
	if a == nil || a.ID == p.Request.Own {
		return 0, false, identity.Denied("This browser may not approve sign-ins.")
	}
	q := p.Request
	mac, err := p.mac(ring, q, typed(number))
	if err != nil {
		return 0, false, err
	}
	if subtle.ConstantTimeCompare(mac, q.MAC) == 1 {
		q.State, q.By = Approved, a.ID
		if err := people.Put(tx, p); err != nil {
			return 0, false, err
		}
		return MaxWrong - q.Wrong, true, p.report(tx, event.ApprovalGiven, q, identity.Actor{}, "approver", a.ID)
	}
	if q.Wrong++; q.Wrong >= MaxWrong {
		return 0, false, p.refuse(tx, "wrong numbers")
	}
	return MaxWrong - q.Wrong, false, people.Put(tx, p)
}

// typed takes out what people put around digits.
func typed(number string) string {
	if len(number) > maxTyped {
		return ""
	}
	return strings.Join(strings.Fields(number), "")
}

// open loads a person whose request id waits for its answer.
func open(tx *fsm.Tx, tenant, userID, id string) (*person, error) {
	p, err := load(tx, tenant, userID)
	if err != nil {
		return nil, err
	}
	if p.Request.state(tx.Now()) != Pending || p.Request.ID != id {
		return nil, identity.NotFound("This sign-in waits no longer.")
	}
	return p, nil
}

// Refuse ends a request without an approval. It reports fsm.ErrNotFound if it waits no longer.
// why is a word or two for the record.
func Refuse(tx *fsm.Tx, tenant, userID, id, why string) error {
	p, err := open(tx, tenant, userID, id)
	if err != nil {
		return err
	}
	return p.refuse(tx, why)
}

func (p *person) refuse(tx *fsm.Tx, why string) error {
	p.Request.State = Refused
	if err := people.Put(tx, p); err != nil {
		return err
	}
	return p.report(tx, event.ApprovalRefused, p.Request, identity.Actor{}, "reason", why)
}

// Look returns what a request of a flow has come to. It only reads; see Accept.
func Look(tx *fsm.Tx, tenant, userID, flow, id string) (State, error) {
	p, err := load(tx, tenant, userID)
	if err != nil || p.Request == nil || p.Request.ID != id || p.Request.Flow != flow {
		return Gone, err
	}
	return p.Request.state(tx.Now()), nil
}

// Accept spends an approval, in the transaction that finishes the sign-in: it is of no use
// from then on. It reports identity.ErrUnauthenticated if it was spent, was not given, or
// its approver is gone.
func Accept(tx *fsm.Tx, tenant, userID, flow, id string) error {
	state, err := Look(tx, tenant, userID, flow, id)
	if err != nil {
		return err
	}
	if state != Approved {
		return identity.Unauthenticated("This sign-in is not approved, or no longer.")
	}
	p, err := load(tx, tenant, userID)
	if err != nil {
		return err
	}
	i := p.find(p.Request.By)
	if i < 0 {
		return errors.New("an approval outlives its approver")
	}
	p.Approvers[i].LastUsed, p.Request = tx.Now(), nil
	return people.Put(tx, p)
}

// report tells what became of a request. No actor: the context's.
func (p *person) report(tx *fsm.Tx, what event.Type, q *Request, by identity.Actor, key, value string) error {
	e := event.Event{
		Tenant: p.Tenant, Type: what, Actor: by, Target: event.Target{Kind: "approval", ID: q.ID},
		Data: map[string]string{"user_id": p.UserID},
	}
	if value != "" {
		e.Data[key] = value
	}
	return event.Append(tx, e)
}
