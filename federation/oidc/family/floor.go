package family

import (
	"fmt"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/keys/seal"
)

// A floor voids every family and code of a user, or of a whole tenant, that is not
// younger: one small row, however many families there are.
type floor struct {
	Tenant string `cbor:"1,keyasint,omitempty"`
	UserID string `cbor:"2,keyasint,omitempty"` // empty: of the whole tenant
	Since  int64  `cbor:"3,keyasint,omitempty"` // Unix milliseconds
}

var floors = fsm.NewTable(121, "family_floors", fsm.Spec[floor]{
	Scope: func(f *floor) fsm.Scope { return fsm.Scope(f.Tenant) },
	Key:   func(f *floor) fsm.Key { return fsm.K(f.UserID) },
})

// RevokeAll revokes everything that applications hold for a user, with and
// without offline_access, and codes on their way to them; for an empty userID,
// everything in the tenant. Refresh tokens are dead, and access tokens are refused
// here, from now on. Sessions stay.
func RevokeAll(tx *fsm.Tx, tenant, userID, reason string) error {
	if err := floors.Put(tx, &floor{Tenant: tenant, UserID: userID, Since: tx.Now().UnixMilli()}); err != nil {
		return err
	}
	target := event.Target{Kind: "user", ID: userID}
	if userID == "" {
		target = event.Target{Kind: "tenant", ID: tenant}
	}
	return event.Append(tx, event.Event{
		Tenant: tenant, Type: event.FamilyRevoked, Target: target, Data: map[string]string{"reason": reason, "families": "all"},
	})
}

// above reports ErrDead for what a user's application was given by a state, at a log
// index, that did not know of a floor yet. Times would not do: a node whose clock is
// ahead would give what outlives a revocation that comes after it.
func above(tx *fsm.Tx, tenant, userID string, given uint64) error {
	_, began, err := seal.EpochOf(tx)
	if err != nil {
		return err
	}
	if given < began {
		return fmt.Errorf("given before a backup was restored: %w", ErrDead)
	}
	for _, who := range []string{userID, ""} {
		since, err := floors.Revision(tx, fsm.Scope(tenant), fsm.K(who))
		if err != nil {
			return err
		}
		if given < since {
			return fmt.Errorf("all of the user's or the tenant's were revoked: %w", ErrDead)
		}
	}
	return nil
}
