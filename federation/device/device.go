package device

import (
	"errors"
	"fmt"
	"time"

	"github.com/quis-idp/quis/federation/oidc/family"
	"github.com/quis-idp/quis/federation/poll"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/event"
)

// Lifetime is how long a person has for typing the code in and deciding.
const Lifetime = 10 * time.Minute

// Limit bounds what may be pending. The address is the device's, so a household or an
// office shares it.
var Limit = poll.Limit{Kind: poll.Device, PerApplication: 3000, PerFrom: 100}

// A State is how far an authorization has come. One that was exchanged has no row.
type State uint8

// The states.
const (
	Pending State = iota + 1
	Approved
	Denied
)

// ErrDecided: somebody has approved or denied it already.
var ErrDecided = fmt.Errorf("device authorization was decided: %w", fsm.ErrExists)

// An Authorization is what a device waits for. Scope, Resources and Details in its Grant
// are what was asked for, and from its approval what was given. Times are Unix milliseconds.
type Authorization struct {
	family.Grant

	Tenant      string           `cbor:"30,keyasint,omitempty"`
	Application string           `cbor:"31,keyasint,omitempty"`
	ClientID    string           `cbor:"32,keyasint,omitempty"`
	UserCode    string           `cbor:"33,keyasint,omitempty"` // without the dash
	State       State            `cbor:"34,keyasint,omitempty"`
	Key         uint32           `cbor:"35,keyasint,omitempty"` // sealing key of the device code's MAC
	From        identity.Request `cbor:"36,keyasint,omitempty"` // of the device
	Created     int64            `cbor:"37,keyasint,omitempty"`
	Expires     int64            `cbor:"38,keyasint,omitempty"`
}

var (
	authorizations = fsm.NewTable(123, "device_authorizations", fsm.Spec[Authorization]{
		Scope:     func(a *Authorization) fsm.Scope { return fsm.Scope(a.Tenant) },
		Key:       func(a *Authorization) fsm.Key { return keyOf(a.Family) },
		Expires:   func(a *Authorization) time.Time { return time.UnixMilli(a.Expires) },
		Transient: true,
	})
	byUserCode = authorizations.Unique(1, "user_code", func(a *Authorization) []fsm.Key {
		return []fsm.Key{fsm.K(a.UserCode)}
	})
)

// Tables are the tables of this room.
var Tables = []fsm.Definition{authorizations}

func keyOf(id family.ID) fsm.Key { return fsm.K(string(id[:])) }

// Start begins an authorization for an application that was looked at before; a, of which
// Tenant, Application, ClientID, Key and what is asked for are set, is completed. It is one
// log entry. See Limit for what to check first.
func Start(tx *fsm.Tx, a *Authorization) error {
	a.Family, a.State = family.NewID(), Pending
	a.From = identity.RequestFrom(tx.Context())
	a.Created, a.Expires = tx.Now().UnixMilli(), tx.Now().Add(Lifetime).UnixMilli()
	if err := a.drawUserCode(tx); err != nil {
		return err
	}
	if err := authorizations.Insert(tx, a); err != nil {
		return err
	}
	s := poll.Starter{Tenant: a.Tenant, Application: a.Application, Network: a.From.Network()}
	if err := Limit.Note(tx, s); err != nil {
		return err
	}
	return a.tell(tx, event.DeviceRequested, identity.Actor{Kind: identity.ActorApplication, ID: a.Application})
}

// drawUserCode draws until the code is nobody's. With ten thousand of them pending one in
// two and a half million is somebody's.
func (a *Authorization) drawUserCode(tx *fsm.Tx) error {
	for range 8 {
		a.UserCode = newUserCode()
		_, err := byUserCode.Get(tx, fsm.Scope(a.Tenant), fsm.K(a.UserCode))
		if errors.Is(err, fsm.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return errors.New("device authorization: no user code is free")
}

// Get returns an authorization that has not been exchanged and has not expired, or fsm.ErrNotFound.
func Get(tx *fsm.Tx, tenant string, id family.ID) (*Authorization, error) {
	return authorizations.Get(tx, fsm.Scope(tenant), keyOf(id))
}

// ByUserCode returns the authorization of a code as ParseUserCode returned it. What was
// decided already is not found either: who types the code again has nothing to do with it.
func ByUserCode(tx *fsm.Tx, tenant, code string) (*Authorization, error) {
	a, err := byUserCode.Get(tx, fsm.Scope(tenant), fsm.K(code))
	if err == nil && a.State != Pending {
		return nil, fmt.Errorf("device authorization was decided: %w", fsm.ErrNotFound)
	}
	return a, err
}

// Spend ends an authorization whose grant is made a family in the same transaction. It
// reports fsm.ErrNotFound if it is gone, and identity.ErrDenied unless it is approved.
func Spend(tx *fsm.Tx, tenant string, id family.ID) error {
	a, err := Get(tx, tenant, id)
	if err != nil {
		return err
	}
	if a.State != Approved {
		return fmt.Errorf("device authorization is not approved: %w", identity.ErrDenied)
	}
	return authorizations.Delete(tx, fsm.Scope(tenant), keyOf(id))
}

func (a *Authorization) tell(tx *fsm.Tx, what event.Type, by identity.Actor) error {
	return event.Append(tx, event.Event{
		Tenant: a.Tenant, Type: what, Actor: by, Target: event.Target{Kind: "family", ID: a.Family.String()},
		Data: map[string]string{"application": a.Application, "client_id": a.ClientID, "from": a.From.IP},
	})
}
