package approval

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/assurance"
	"github.com/quis-idp/quis/identity/credential/device"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/notify/push"
	"github.com/quis-idp/quis/keys/seal"
)

// CookieLifetime is how long a browser keeps what it is known by; each sign-in there begins it anew.
const CookieLifetime = 180 * 24 * time.Hour

const (
	purpose      = "approving browser"
	maxName      = 100 // bytes
	maxApprovers = 5   // of one user: more would be browsers that nobody remembers
	maxCookie    = 512
)

// An Approver is a browser in which its person may approve sign-ins.
type Approver struct {
	ID       string    `cbor:"1,keyasint,omitempty"`
	Name     string    `cbor:"2,keyasint,omitempty"` // as a person knows it
	Session  string    `cbor:"3,keyasint,omitempty"` // the latest that was begun there; it may have ended
	Created  time.Time `cbor:"4,keyasint,omitempty"`
	LastUsed time.Time `cbor:"5,keyasint,omitempty"` // when what it approved last signed somebody in; zero: never
}

// A person is everything that one user has here.
type person struct {
	Tenant    string      `cbor:"1,keyasint,omitempty"`
	UserID    string      `cbor:"2,keyasint,omitempty"`
	Approvers []Approver  `cbor:"3,keyasint,omitempty"` // oldest first
	Request   *Request    `cbor:"4,keyasint,omitempty"` // the latest; nil: none, or it was spent
	Asked     []time.Time `cbor:"5,keyasint,omitempty"` // when requests of the last hour were begun
}

var people = fsm.NewTable(85, "approvals", fsm.Spec[person]{
	Scope: func(p *person) fsm.Scope { return fsm.Scope(p.Tenant) },
	Key:   func(p *person) fsm.Key { return fsm.K(p.UserID) },
})

// Tables are the definitions that a store needs for approvals.
var Tables = []fsm.Definition{people}

// load returns what a user has, which may be nothing.
func load(tx *fsm.Tx, tenant, userID string) (*person, error) {
	p, err := people.Get(tx, fsm.Scope(tenant), fsm.K(userID))
	if errors.Is(err, fsm.ErrNotFound) {
		return &person{Tenant: tenant, UserID: userID}, nil
	}
	return p, err
}

func (p *person) find(id string) int {
	return slices.IndexFunc(p.Approvers, func(a Approver) bool { return a.ID == id })
}

// at returns the approver of a session, nil if it is none.
func (p *person) at(session string) *Approver {
	i := slices.IndexFunc(p.Approvers, func(a Approver) bool { return a.Session == session })
	if i < 0 || session == "" {
		return nil
	}
	return &p.Approvers[i]
}

// Strong reports whether who has proved this may approve, and have a browser approve: two
// factors, none of which came by an approval. Else one stolen session could beget others
// for ever.
func Strong(factors []assurance.Factor) bool {
	own := slices.DeleteFunc(slices.Clone(factors), func(f assurance.Factor) bool { return f.Method == assurance.Approval })
	return assurance.Of(own) >= 2
}

// Allow makes the browser of a session an approver of its user, and returns it with the
// value of its cookie: at most 512 bytes, safe in cookies. One that is an approver already
// stays what it is. It reports identity.ErrInvalid: field name for none, and none if there
// are too many. The caller has seen that the session is Strong.
func Allow(tx *fsm.Tx, ring *seal.Ring, tenant, userID, session, name string) (*Approver, string, error) {
	if userID == "" || session == "" {
		return nil, "", fmt.Errorf("allow %q of %q to approve: %w", session, userID, identity.ErrInvalid)
	}
	p, err := load(tx, tenant, userID)
	if err != nil {
		return nil, "", err
	}
	a := p.at(session)
	if a == nil {
		if name, err = named(name); err != nil {
			return nil, "", err
		}
		if len(p.Approvers) >= maxApprovers {
			return nil, "", identity.Invalid("", "As many browsers may approve as are allowed. Remove one first.")
		}
		a = &Approver{ID: identity.NewID(identity.PrefixApprover), Name: name, Session: session, Created: tx.Now()}
		p.Approvers = append(p.Approvers, *a)
		if err := people.Put(tx, p); err != nil {
			return nil, "", err
		}
		if err := p.tell(tx, event.FactorAdded, a); err != nil {
			return nil, "", err
		}
	}
	box, err := ring.Seal(ring.Passing(purpose), []byte(a.ID), p.owner())
	if err != nil {
		return nil, "", fmt.Errorf("approving browser: %w", err)
	}
	return a, cookieText.EncodeToString(box), nil
}

var cookieText = base64.RawURLEncoding.Strict() // one value, one spelling

func (p *person) owner() []byte { return []byte(p.Tenant + "\x00" + p.UserID) }

func named(name string) (string, error) {
	if name = strings.TrimSpace(identity.Printable(name, maxName)); name == "" {
		return "", identity.Invalid("name", "Give the browser a name, such as the device that it is on.")
	}
	return name, nil
}

// Known returns the ID of the approver that a cookie stands for; empty if it is not one of
// this user's. Errors say that this node cannot know.
func Known(tx *fsm.Tx, ring *seal.Ring, tenant, userID, cookie string) (string, error) {
	if userID == "" || cookie == "" || len(cookie) > maxCookie {
		return "", nil
	}
	box, err := cookieText.DecodeString(cookie)
	if err != nil {
		return "", nil
	}
	p, err := load(tx, tenant, userID)
	if err != nil {
		return "", err
	}
	id, err := ring.Open(ring.Passing(purpose), box, p.owner())
	if errors.Is(err, seal.ErrBox) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("approving browser: %w", err)
	}
	if p.find(string(id)) < 0 {
		return "", nil
	}
	return string(id), nil
}

// SignedIn notes that a session was begun, in the transaction that begins it, in the browser
// with this cookie: if that is an approver of the user, it may approve in this session.
func SignedIn(tx *fsm.Tx, ring *seal.Ring, tenant, userID, cookie, session string) error {
	id, err := Known(tx, ring, tenant, userID, cookie)
	if err != nil || id == "" {
		return err
	}
	p, err := load(tx, tenant, userID)
	if err != nil {
		return err
	}
	a := &p.Approvers[p.find(id)]
	if a.Session == session {
		return nil
	}
	a.Session = session
	return people.Put(tx, p)
}

// List returns the approvers of a user, the oldest first.
func List(tx *fsm.Tx, tenant, userID string) ([]Approver, error) {
	p, err := load(tx, tenant, userID)
	if err != nil {
		return nil, err
	}
	return p.Approvers, nil
}

// Rename gives an approver another name. It reports fsm.ErrNotFound, and identity.ErrInvalid
// for an empty name.
func Rename(tx *fsm.Tx, tenant, userID, id, name string) error {
	p, i, err := get(tx, tenant, userID, id)
	if err != nil {
		return err
	}
	a := &p.Approvers[i]
	before := a.Name
	if a.Name, err = named(name); err != nil || a.Name == before {
		return err
	}
	if err := people.Put(tx, p); err != nil {
		return err
	}
	return p.tell(tx, event.FactorRenamed, a, event.Change{Field: "name", Before: before, After: a.Name})
}

func get(tx *fsm.Tx, tenant, userID, id string) (*person, int, error) {
	p, err := load(tx, tenant, userID)
	if err != nil {
		return nil, 0, err
	}
	i := p.find(id)
	if i < 0 {
		return nil, 0, identity.NotFound("This user has no such approving browser.")
	}
	return p, i, nil
}

// Remove takes an approver away from a user, with what it has approved and nobody has spent,
// with the messages that it is sent, and with it all trust in devices; it reports fsm.ErrNotFound.
func Remove(tx *fsm.Tx, tenant, userID, id string) error {
	p, i, err := get(tx, tenant, userID, id)
	if err != nil {
		return err
	}
	return p.remove(tx, i, "approving browser removed")
}

// RemoveAll takes all approvers away from a user, and ends what is being asked. why is a few
// words for the record, such as "this wasn't me".
func RemoveAll(tx *fsm.Tx, tenant, userID, why string) error {
	p, err := load(tx, tenant, userID)
	if err != nil {
		return err
	}
	p.Request = nil
	for len(p.Approvers) > 0 {
		if err := p.remove(tx, 0, why); err != nil {
			return err
		}
	}
	return nil
}

func (p *person) remove(tx *fsm.Tx, i int, why string) error {
	a := p.Approvers[i]
	p.Approvers = slices.Delete(p.Approvers, i, i+1)
	if p.Request != nil && p.Request.By == a.ID {
		p.Request = nil
	}
	if err := people.Put(tx, p); err != nil {
		return err
	}
	if err := push.Forget(tx, p.Tenant, p.UserID, a.Session); err != nil {
		return err
	}
	if err := p.tell(tx, event.FactorRemoved, &a); err != nil {
		return err
	}
	return device.Forfeit(tx, p.Tenant, p.UserID, why, assurance.Approval, "")
}

// DeleteAllOf removes what a user has who is being deleted, without events.
func DeleteAllOf(tx *fsm.Tx, tenant, userID string) error {
	return people.Delete(tx, fsm.Scope(tenant), fsm.K(userID))
}

// DeleteTenant removes what the users of a tenant have that is being deleted, without events.
func DeleteTenant(tx *fsm.Tx, tenant string) error {
	for p, err := range people.List(tx, fsm.Scope(tenant)) {
		if err != nil {
			return err
		}
		if err := DeleteAllOf(tx, tenant, p.UserID); err != nil {
			return err
		}
	}
	return nil
}

func (p *person) tell(tx *fsm.Tx, what event.Type, a *Approver, changes ...event.Change) error {
	return event.Append(tx, event.Event{
		Tenant: p.Tenant, Type: what, Target: event.Target{Kind: "approver", ID: a.ID, Name: a.Name},
		Data: map[string]string{"user_id": p.UserID}, Changes: changes,
	})
}
