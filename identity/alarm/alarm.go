package alarm

import (
	"errors"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/keys/seal"
	"github.com/quis-idp/quis/keys/seal/note"
)

// Lifetime is how long a link works.
const Lifetime = 14 * 24 * time.Hour

const (
	purpose  = "this wasn't me"
	maxToken = 512 // bytes
)

// A token is what a link holds.
type token struct {
	UserID  string    `cbor:"1,keyasint,omitempty"`
	Event   string    `cbor:"2,keyasint,omitempty"`
	Expires time.Time `cbor:"3,keyasint,omitempty"`
}

// A used row is a token that was acted upon. It is what makes it single-use.
type used struct {
	Tenant  string    `cbor:"1,keyasint,omitempty"`
	UserID  string    `cbor:"2,keyasint,omitempty"`
	Event   string    `cbor:"3,keyasint,omitempty"`
	Expires time.Time `cbor:"4,keyasint,omitempty"`
	At      time.Time `cbor:"5,keyasint,omitempty"` // when
}

var spent = fsm.NewTable(94, "alarms", fsm.Spec[used]{
	Scope:   func(u *used) fsm.Scope { return fsm.Scope(u.Tenant) },
	Key:     func(u *used) fsm.Key { return fsm.K(u.UserID, u.Event) },
	Expires: func(u *used) time.Time { return u.Expires },
})

// Tables are the tables of this room.
var Tables = []fsm.Definition{spent}

// Token returns a token by which a user can say that an event was not their doing; it is
// safe in URLs. now is the store's clock. Tokens for the same event spend each other.
func Token(ring *seal.Ring, now time.Time, tenant, userID, eventID string) (string, error) {
	return note.Seal(ring, ring.Passing(purpose), tenant, token{userID, eventID, now.Add(Lifetime)})
}

func dead() error {
	return identity.NotFound("The link has been used, or is too old.")
}

func open(tx *fsm.Tx, ring *seal.Ring, tenant, sealed string) (*token, error) {
	epoch := ring.Epoch()
	var t token
	err := note.Open(ring, ring.Passing(purpose), tenant, sealed, maxToken, &t)
	if errors.Is(err, seal.ErrBox) || err == nil && !tx.Now().Before(t.Expires) {
		return nil, dead()
	}
	if err != nil {
		return nil, err
	}
	if err := seal.Check(tx, epoch); errors.Is(err, seal.ErrBox) {
		return nil, dead()
	} else if err != nil {
		return nil, err
	}
	has, err := spent.Has(tx, fsm.Scope(tenant), fsm.K(t.UserID, t.Event))
	if err != nil {
		return nil, err
	}
	if has {
		return nil, dead()
	}
	return &t, nil
}

// Look returns nil if a token could be acted upon now, or fsm.ErrNotFound with a sentence
// for the person. It changes nothing: mail programs look at links before people do.
func Look(tx *fsm.Tx, ring *seal.Ring, tenant, sealed string) error {
	t, err := open(tx, ring, tenant, sealed)
	if err == nil {
		err = stands(tx, tenant, t.UserID)
	}
	return err
}

func stands(tx *fsm.Tx, tenant, userID string) error {
	_, _, err := directory.GetUser(tx, tenant, userID)
	if errors.Is(err, fsm.ErrNotFound) {
		return dead()
	}
	return err
}

// Raise spends a token: everybody is signed out of the user's account, and it is secured (see
// [Secure]) as of the event. mails says whether mail is sent: else the account would wait for a code that does not
// come. It returns the user's ID. It reports fsm.ErrNotFound for a token that is not good. The caller revokes in the same transaction
// what applications hold, and has made sure that every member heeds it all.
func Raise(tx *fsm.Tx, ring *seal.Ring, tenant, sealed string, mails bool) (userID string, err error) {
	t, err := open(tx, ring, tenant, sealed)
	if err != nil {
		return "", err
	}
	if err := stands(tx, tenant, t.UserID); err != nil {
		return "", err
	}
	span, err := about(tx, tenant, t)
	if err != nil {
		return "", err
	}
	if err := spent.Insert(tx, &used{Tenant: tenant, UserID: t.UserID, Event: t.Event, Expires: t.Expires, At: tx.Now()}); err != nil {
		return "", err
	}
	if err := Secure(tx, tenant, t.UserID, "", "this wasn't me", span, mails); err != nil {
		return "", err
	}
	return t.UserID, event.Append(tx, event.Event{
		Tenant: tenant, Type: event.AlarmRaised, Target: event.Target{Kind: "user", ID: t.UserID}, Data: map[string]string{"event": t.Event},
	})
}
