package credential

import (
	"errors"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/event"
)

// SetupLifetime is how long a setup link works.
const SetupLifetime = time.Hour

const setupSize = 32 // random bytes of a setup secret

// A setup is a link that lets whoever holds it create an administrator, once.
type setup struct {
	Hash    []byte    `cbor:"1,keyasint,omitempty"` // SHA-256 of the secret
	Created time.Time `cbor:"2,keyasint,omitempty"`

	By identity.Actor `cbor:"3,keyasint,omitempty"` // who vouches for whoever follows it
}

var setups = fsm.NewTable(62, "setup_links", fsm.Spec[setup]{
	Key:       func(s *setup) fsm.Key { return fsm.K(string(s.Hash)) },
	Expires:   func(s *setup) time.Time { return s.Created.Add(SetupLifetime) },
	Transient: true,
})

// CreateSetup makes a setup link's secret, safe in a URL, and voids all earlier ones: it reports
// whether one of them still worked.
func CreateSetup(tx *fsm.Tx) (secret string, replaced bool, err error) {
	for s, err := range setups.List(tx, fsm.Global) {
		if err != nil {
			return "", false, err
		}
		if err := setups.Delete(tx, fsm.Global, fsm.K(string(s.Hash))); err != nil {
			return "", false, err
		}
		replaced = replaced || tx.Now().Before(s.Created.Add(SetupLifetime))
	}
	secret = randomText(setupSize)
	if err := setups.Insert(tx, &setup{Hash: hashOf(secret), Created: tx.Now(), By: identity.ActorFrom(tx.Context())}); err != nil {
		return "", false, err
	}
	return secret, replaced, event.Append(tx, event.Event{Tenant: identity.DefaultTenant, Type: event.SetupCreated, Target: setupTarget})
}

var setupTarget = event.Target{Kind: "tenant", ID: identity.DefaultTenant}

// FindSetup returns who made the link, if its secret could be used now, else fsm.ErrNotFound
// with a sentence for the person.
func FindSetup(tx *fsm.Tx, secret string) (by identity.Actor, err error) {
	gone := identity.NotFound("This setup link has been used, has expired, or was replaced by a newer one. Make a new one with: quis setup-link")
	if len(secret) != (setupSize*8+5)/6 {
		return by, gone
	}
	s, err := setups.Get(tx, fsm.Global, fsm.K(string(hashOf(secret))))
	if errors.Is(err, fsm.ErrNotFound) {
		return by, gone
	}
	if err != nil {
		return by, err
	}
	return s.By, nil
}

// UseSetup spends a setup secret; what it allows is done in the same transaction. It
// reports what FindSetup reports.
func UseSetup(tx *fsm.Tx, secret string) error {
	if _, err := FindSetup(tx, secret); err != nil {
		return err
	}
	if err := setups.Delete(tx, fsm.Global, fsm.K(string(hashOf(secret)))); err != nil {
		return err
	}
	return event.Append(tx, event.Event{Tenant: identity.DefaultTenant, Type: event.SetupUsed, Target: setupTarget})
}
