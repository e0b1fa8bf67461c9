package family

import (
	"fmt"
	"iter"
	"log/slog"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/event"
)

// A Family is one authorization that an application holds for a user: the spent
// mark of its code, and the state of its refresh tokens. Times are Unix milliseconds.
type Family struct {
	ID          ID       `cbor:"1,keyasint,omitempty"`
	Tenant      string   `cbor:"2,keyasint,omitempty"`
	Application string   `cbor:"3,keyasint,omitempty"`
	ClientID    string   `cbor:"4,keyasint,omitempty"`
	UserID      string   `cbor:"5,keyasint,omitempty"`
	SessionID   string   `cbor:"6,keyasint,omitempty"`
	Scope       []string `cbor:"7,keyasint,omitempty"`
	Offline     bool     `cbor:"8,keyasint,omitempty"` // offline_access: outlives its session
	AuthTime    int64    `cbor:"9,keyasint,omitempty"` // Unix seconds
	AMR         []string `cbor:"10,keyasint,omitempty"`
	ACR         string   `cbor:"11,keyasint,omitempty"`

	Salt      []byte `cbor:"12,keyasint,omitempty"` // of the inner MAC; empty: no refresh tokens
	Gen       uint32 `cbor:"13,keyasint,omitempty"` // generation of the refresh token that is good
	Key       uint32 `cbor:"14,keyasint,omitempty"` // sealing key of that token's outer MAC
	Rotated   int64  `cbor:"15,keyasint,omitempty"` // when Gen was made
	Created   int64  `cbor:"16,keyasint,omitempty"`
	IdleEnd   int64  `cbor:"17,keyasint,omitempty"` // no refresh after this; moves with every refresh
	End       int64  `cbor:"18,keyasint,omitempty"` // nor after this, ever
	Expires   int64  `cbor:"19,keyasint,omitempty"` // the row is needed until then
	RevokedAt int64  `cbor:"20,keyasint,omitempty"`
	Given     uint64 `cbor:"21,keyasint,omitempty"` // log index of the state that gave the code

	Resources []string     `cbor:"22,keyasint,omitempty"` // as in Grant, like the two below
	Details   []byte       `cbor:"23,keyasint,omitempty"`
	Claims    []byte       `cbor:"24,keyasint,omitempty"`
	Confirm   Confirmation `cbor:"25,keyasint,omitzero"` // key that refresh tokens are bound to; none: they are not

	Impersonator string `cbor:"26,keyasint,omitempty"` // as in Grant
}

// LogValue keeps the salt out of logs.
func (f *Family) LogValue() slog.Value {
	return slog.GroupValue(slog.String("id", f.ID.String()), slog.String("application", f.Application), slog.String("user", f.UserID))
}

var (
	families = fsm.NewTable(120, "families", fsm.Spec[Family]{
		Scope:     func(f *Family) fsm.Scope { return fsm.Scope(f.Tenant) },
		Key:       func(f *Family) fsm.Key { return f.ID.key() },
		Expires:   func(f *Family) time.Time { return time.UnixMilli(f.Expires) },
		Transient: true,
	})
	familiesByUser = families.Index(1, "user", func(f *Family) []fsm.Key { return []fsm.Key{fsm.K(f.UserID)} })
)

// Tables are the tables of this room.
var Tables = []fsm.Definition{families, floors}

// Get returns a family, dead or alive, or fsm.ErrNotFound.
func Get(tx *fsm.Tx, tenant string, id ID) (*Family, error) {
	return families.Get(tx, fsm.Scope(tenant), id.key())
}

// Of yields what applications hold for a user.
func Of(tx *fsm.Tx, tenant, userID string) iter.Seq2[*Family, error] {
	return familiesByUser.List(tx, fsm.Scope(tenant), fsm.Prefix(fsm.K(userID)))
}

// RevokeByID revokes one family by its ID, or reports fsm.ErrNotFound.
func RevokeByID(tx *fsm.Tx, tenant, id, reason string) error {
	raw, err := ParseID(id)
	if err != nil {
		return fmt.Errorf("family: %w", fsm.ErrNotFound)
	}
	f, err := Get(tx, tenant, raw)
	if err != nil {
		return err
	}
	return Revoke(tx, f, reason)
}

// RevokeHeldBy revokes what one application holds for a user, and returns how many that were.
func RevokeHeldBy(tx *fsm.Tx, tenant, userID, application, reason string) (int, error) {
	var held []*Family
	for f, err := range Of(tx, tenant, userID) {
		if err != nil {
			return 0, err
		}
		if f.Application == application && f.RevokedAt == 0 {
			held = append(held, f)
		}
	}
	for _, f := range held {
		if err := Revoke(tx, f, reason); err != nil {
			return 0, err
		}
	}
	return len(held), nil
}

// UsesSealingKey reports whether a live refresh token of any tenant depends on the sealing key.
func UsesSealingKey(tx *fsm.Tx, key uint32) (bool, error) {
	for f, err := range families.ListAll(tx) {
		if err != nil {
			return false, err
		}
		if f.Key == key && f.RevokedAt == 0 {
			return true, nil
		}
	}
	return false, nil
}

// Revoke marks f. Doing it again writes nothing, so a dead token costs no log entry.
func Revoke(tx *fsm.Tx, f *Family, reason string) error {
	if f.RevokedAt != 0 {
		return nil
	}
	f.RevokedAt = tx.Now().UnixMilli()
	if err := families.Put(tx, f); err != nil {
		return err
	}
	return tell(tx, f, event.FamilyRevoked, reason)
}

// Reused is Revoke for a code or token that came a second time.
func Reused(tx *fsm.Tx, f *Family, what string) error {
	if f.RevokedAt != 0 {
		return nil
	}
	if err := tell(tx, f, event.TokenReused, what); err != nil {
		return err
	}
	return Revoke(tx, f, what+" used twice")
}

func tell(tx *fsm.Tx, f *Family, what event.Type, reason string) error {
	e := event.Event{
		Tenant: f.Tenant, Type: what, Target: event.Target{Kind: "family", ID: f.ID.String()},
		Data: map[string]string{"application": f.Application, "client_id": f.ClientID, "user": f.UserID},
	}
	if reason != "" {
		e.Data["reason"] = reason
	}
	if what == event.FamilyStarted {
		e.Actor = identity.Actor{Kind: identity.ActorUser, ID: f.UserID, SessionID: f.SessionID, Impersonator: f.Impersonator}
	}
	return event.Append(tx, e)
}
