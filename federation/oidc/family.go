package oidc

import (
	"crypto/rand"
	"fmt"
	"iter"
	"log/slog"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/event"
)

// familyID names one authorization. It is drawn when the code is made, long
// before there is a row, so it must not be guessable.
type familyID [16]byte

func newFamilyID() (id familyID) {
	rand.Read(id[:])
	return id
}

// String returns the ID as events, claims and the API spell it.
func (id familyID) String() string { return identity.FormatID(identity.PrefixFamily, id) }

// A Family is one authorization that an application holds for a user: the spent
// mark of its code, and the state of its refresh tokens. Times are Unix milliseconds.
type Family struct {
	ID          familyID `cbor:"1,keyasint,omitempty"`
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

func (id familyID) key() fsm.Key { return fsm.K(string(id[:])) }

// Families yields what applications hold for a user.
func Families(tx *fsm.Tx, tenant, userID string) iter.Seq2[*Family, error] {
	return familiesByUser.List(tx, fsm.Scope(tenant), fsm.Prefix(fsm.K(userID)))
}

// RevokeFamily revokes one family by its ID, or reports fsm.ErrNotFound.
func RevokeFamily(tx *fsm.Tx, tenant, id, reason string) error {
	raw, err := identity.ParseID(identity.PrefixFamily, id)
	if err != nil {
		return fmt.Errorf("family: %w", fsm.ErrNotFound)
	}
	f, err := families.Get(tx, fsm.Scope(tenant), familyID(raw).key())
	if err != nil {
		return err
	}
	return revoke(tx, f, reason)
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

// revoke marks f. Doing it again writes nothing, so a dead token costs no log entry.
func revoke(tx *fsm.Tx, f *Family, reason string) error {
	if f.RevokedAt != 0 {
		return nil
	}
	f.RevokedAt = tx.Now().UnixMilli()
	if err := families.Put(tx, f); err != nil {
		return err
	}
	return tellFamily(tx, f, event.FamilyRevoked, reason)
}

// reused is revoke for a code or token that came a second time.
func reused(tx *fsm.Tx, f *Family, what string) error {
	if f.RevokedAt != 0 {
		return nil
	}
	if err := tellFamily(tx, f, event.TokenReused, what); err != nil {
		return err
	}
	return revoke(tx, f, what+" used twice")
}

func tellFamily(tx *fsm.Tx, f *Family, what event.Type, reason string) error {
	e := event.Event{
		Tenant: f.Tenant, Type: what, Target: event.Target{Kind: "family", ID: f.ID.String()},
		Data: map[string]string{"application": f.Application, "client_id": f.ClientID, "user": f.UserID},
	}
	if reason != "" {
		e.Data["reason"] = reason
	}
	if what == event.FamilyStarted {
		e.Actor = identity.Actor{Kind: identity.ActorUser, ID: f.UserID, SessionID: f.SessionID}
	}
	return event.Append(tx, e)
}
