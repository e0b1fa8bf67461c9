package alarm

import (
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/credential/approval"
	"github.com/quis-idp/quis/identity/credential/device"
	"github.com/quis-idp/quis/identity/credential/factor"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/pending"
	"github.com/quis-idp/quis/identity/regain"
	"github.com/quis-idp/quis/identity/session"
	"github.com/quis-idp/quis/keys/seal"
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

var text = base64.RawURLEncoding.Strict()

// Token returns a token by which a user can say that an event was not their doing; it is
// safe in URLs. now is the store's clock. Tokens for the same event spend each other.
func Token(ring *seal.Ring, now time.Time, tenant, userID, eventID string) (string, error) {
	plain, err := cbor.Marshal(token{userID, eventID, now.Add(Lifetime)})
	if err != nil {
		return "", fmt.Errorf("alarm token: %w", err)
	}
	box, err := ring.Seal(ring.Passing(purpose), plain, []byte(tenant))
	if err != nil {
		return "", fmt.Errorf("alarm token: %w", err)
	}
	return text.EncodeToString(box), nil
}

func dead() error {
	return identity.NotFound("The link has been used, or is too old.")
}

func open(tx *fsm.Tx, ring *seal.Ring, tenant, sealed string) (*token, error) {
	if len(sealed) > maxToken {
		return nil, dead()
	}
	epoch := ring.Epoch()
	box, err := text.DecodeString(sealed)
	if err != nil {
		return nil, dead()
	}
	plain, err := ring.Open(ring.Passing(purpose), box, []byte(tenant))
	if errors.Is(err, fsm.ErrUnavailable) || errors.Is(err, seal.ErrSealed) {
		return nil, fmt.Errorf("alarm token: %w", err)
	}
	var t token
	if err != nil || cbor.Unmarshal(plain, &t) != nil || !tx.Now().Before(t.Expires) {
		return nil, dead()
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
// [Secure]); the ways to sign in that were added since the event are removed. It returns the user's ID. It reports
// fsm.ErrNotFound for a token that is not good. The caller revokes in the same transaction
// what applications hold, and has made sure that every member heeds it all.
func Raise(tx *fsm.Tx, ring *seal.Ring, tenant, sealed string) (userID string, err error) {
	t, err := open(tx, ring, tenant, sealed)
	if err != nil {
		return "", err
	}
	if err := stands(tx, tenant, t.UserID); err != nil {
		return "", err
	}
	since, until, err := span(tx, tenant, t)
	if err != nil {
		return "", err
	}
	if err := spent.Insert(tx, &used{Tenant: tenant, UserID: t.UserID, Event: t.Event, Expires: t.Expires, At: tx.Now()}); err != nil {
		return "", err
	}
	if err := Secure(tx, tenant, t.UserID, "", "this wasn't me", since, true); err != nil {
		return "", err
	}
	if err := factor.RemoveBetween(tx, tenant, t.UserID, since, until); err != nil {
		return "", err
	}
	return t.UserID, event.Append(tx, event.Event{
		Tenant: tenant, Type: event.AlarmRaised, Target: event.Target{Kind: "user", ID: t.UserID}, Data: map[string]string{"event": t.Event},
	})
}

// span says between which times somebody else may have added to an account ways to sign in: from the event of
// a token, or a little before, for the clocks of nodes differ, to the first alarm that was raised after it, from
// which on the person had it again; until is zero if there was none. An event of long ago spans nothing.
func span(tx *fsm.Tx, tenant string, t *token) (since, until time.Time, err error) {
	e, err := event.Mention(tx, tenant, t.UserID, t.Event)
	if errors.Is(err, fsm.ErrNotFound) {
		return tx.Now(), tx.Now(), nil
	}
	if err != nil {
		return since, until, err
	}
	for u, err := range spent.List(tx, fsm.Scope(tenant), fsm.Prefix(fsm.K(t.UserID))) {
		if err != nil {
			return since, until, err
		}
		if u.At.After(e.Time) && (until.IsZero() || u.At.Before(until)) {
			until = u.At
		}
	}
	return e.Time.Add(-skew), until, nil
}

// skew is by how much the clocks of nodes may differ.
const skew = time.Minute

// mailbox returns the address at which whoever has got a letter about something since then reads mail: the
// user's, if it has not been changed since. One that was is confirmed no longer, for it is the intruder's.
func mailbox(tx *fsm.Tx, tenant, userID string, since time.Time) (string, error) {
	u, _, err := directory.GetUser(tx, tenant, userID)
	if err != nil {
		return "", err
	}
	for after := ""; ; {
		page, next, err := event.About(tx, tenant, userID, after, 100)
		if err != nil {
			return "", err
		}
		for _, e := range page {
			if e.Time.Before(since) {
				return u.Email, nil
			}
			if e.Type == event.EmailChanged {
				_, err := directory.UpdateUser(tx, tenant, userID, 0, func(u *directory.User) error { u.EmailVerified = false; return nil })
				return "", err
			}
		}
		if after = next; next == "" {
			return u.Email, nil
		}
	}
}

// Secure shuts out of a user's account whoever else may be in it: every session but keep ends,
// no device is trusted or known and no browser approves sign-ins any more, access tokens are gone, a change
// of the address is given up, a recovery that waits is stopped, and the password must be changed.
// If the person reads the mail of their address, until then nobody comes in without that mailbox (see
// [regain.Locked]): whoever was in, since that time, may know the password as well, or have added a passkey,
// and must not be the first to choose another. why is a few words for the record. What applications hold is the caller's.
func Secure(tx *fsm.Tx, tenant, userID, keep, why string, since time.Time, reads bool) error {
	if _, err := session.EndOthersOf(tx, tenant, userID, keep); err != nil {
		return err
	}
	if _, err := device.RevokeAll(tx, tenant, userID, why); err != nil {
		return err
	}
	if _, err := regain.Stop(tx, tenant, userID, why); err != nil {
		return err
	}
	if err := approval.RemoveAll(tx, tenant, userID, why); err != nil {
		return err
	}
	if err := pending.CancelEmailChange(tx, tenant, userID); err != nil {
		return err
	}
	if err := credential.RevokeTokens(tx, tenant, userID); err != nil {
		return err
	}
	mail := ""
	if reads {
		var err error
		if mail, err = mailbox(tx, tenant, userID, since); err != nil {
			return err
		}
	}
	if err := regain.Lock(tx, tenant, userID, mail); err != nil {
		return err
	}
	set, err := credential.PasswordSet(tx, tenant, userID)
	if err != nil || set.IsZero() {
		return err
	}
	return credential.RequireChange(tx, tenant, userID)
}
