package keys

import (
	"errors"
	"fmt"
	"time"

	"github.com/quis-idp/quis/fsm"
)

var errAlg = errors.New("not an algorithm we have")

// A State is the phase that a signing key is in.
type State uint8

// The four phases, in order. The numbers are stored: they are for ever.
const (
	Published State = 1 // in the JWKS, signs nothing yet
	Active    State = 2 // signs
	Retiring  State = 3 // in the JWKS so that its tokens verify, signs nothing more
	Gone      State = 4 // its private part is destroyed, its tokens are refused
)

// String returns the phase's name in lower case.
func (s State) String() string {
	switch s {
	case Published:
		return "published"
	case Active:
		return "active"
	case Retiring:
		return "retiring"
	case Gone:
		return "gone"
	}
	return fmt.Sprintf("state %d", uint8(s))
}

// live reports whether a key's tokens are good; a phase that a later version may add is not.
func (s State) live() bool { return s == Published || s == Active || s == Retiring }

// MarshalText writes the phase's name.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// remembered is how long a row of a key that is gone stays, for listings.
const remembered = 30 * 24 * time.Hour

// A signingKey is one key as it is stored.
type signingKey struct {
	Tenant   string    `cbor:"1,keyasint,omitempty"`
	KID      string    `cbor:"2,keyasint,omitempty"`
	Alg      Alg       `cbor:"3,keyasint,omitempty"`
	State    State     `cbor:"4,keyasint,omitempty"`
	Public   []byte    `cbor:"5,keyasint,omitempty"` // PKIX
	Sealed   []byte    `cbor:"6,keyasint,omitempty"` // PKCS #8 in a box of the ring; nothing once gone
	SealedBy uint32    `cbor:"7,keyasint,omitempty"` // sealing key of that box
	Created  time.Time `cbor:"8,keyasint,omitempty"`
	Since    time.Time `cbor:"9,keyasint,omitempty"`  // in this State
	Settled  time.Time `cbor:"10,keyasint,omitempty"` // every member is known to have applied this State since
}

var (
	signingKeys = fsm.NewTable(20, "signing_keys", fsm.Spec[signingKey]{
		Scope: func(k *signingKey) fsm.Scope { return fsm.Scope(k.Tenant) },
		Key:   func(k *signingKey) fsm.Key { return fsm.K(k.KID) },
		Expires: func(k *signingKey) time.Time {
			if k.State != Gone {
				return time.Time{}
			}
			return k.Since.Add(remembered)
		},
	})
	// At most one key of an algorithm is published and at most one active: nodes that
	// rotate at once collide here, and one of them finds the work done.
	byPhase = signingKeys.Unique(1, "phase", func(k *signingKey) []fsm.Key {
		if k.State != Published && k.State != Active {
			return nil
		}
		return []fsm.Key{phaseKey(k.Alg, k.State)}
	})
)

// Tables are what this room keeps in the store.
var Tables = []fsm.Definition{signingKeys}

func phaseKey(a Alg, s State) fsm.Key { return fsm.K(string(a)).Uint(uint64(s)) }

// inPhase returns the tenant's key of an algorithm in state Published or Active, or nil.
func inPhase(tx *fsm.Tx, tenant string, a Alg, s State) (*signingKey, error) {
	k, err := byPhase.Get(tx, fsm.Scope(tenant), phaseKey(a, s))
	if errors.Is(err, fsm.ErrNotFound) {
		return nil, nil
	}
	return k, err
}

// UsesSealingKey reports whether any private key is sealed under sealing key id: for seal.Ring.Retire.
func UsesSealingKey(tx *fsm.Tx, id uint32) (bool, error) {
	for k, err := range signingKeys.ListAll(tx) {
		if err != nil {
			return false, err
		}
		if len(k.Sealed) > 0 && k.SealedBy == id {
			return true, nil
		}
	}
	return false, nil
}

// DeleteTenant removes all keys of a tenant that is being deleted.
func DeleteTenant(tx *fsm.Tx, tenant string) error {
	for k, err := range signingKeys.List(tx, fsm.Scope(tenant)) {
		if err != nil {
			return err
		}
		if err := signingKeys.Delete(tx, fsm.Scope(tenant), fsm.K(k.KID)); err != nil {
			return err
		}
	}
	return nil
}
