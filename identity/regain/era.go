package regain

import (
	"errors"

	"github.com/quis-idp/quis/fsm"
)

// An era is how often a user's account has been locked: what knew their browsers before counts no more.
// It outlives the lock, and goes with the user.
type era struct {
	Tenant string `cbor:"1,keyasint,omitempty"`
	UserID string `cbor:"2,keyasint,omitempty"`
	Number uint64 `cbor:"3,keyasint,omitempty"`
}

var eras = fsm.NewTable(79, "account_eras", fsm.Spec[era]{
	Scope: func(e *era) fsm.Scope { return fsm.Scope(e.Tenant) },
	Key:   func(e *era) fsm.Key { return fsm.K(e.UserID) },
})

// Era returns a number that is another one after each [Lock] of a user's account; 0 before the first.
func Era(tx *fsm.Tx, tenant, userID string) (uint64, error) {
	e, err := eras.Get(tx, fsm.Scope(tenant), fsm.K(userID))
	if errors.Is(err, fsm.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return e.Number, nil
}

func endEra(tx *fsm.Tx, tenant, userID string) error {
	n, err := Era(tx, tenant, userID)
	if err != nil {
		return err
	}
	return eras.Put(tx, &era{tenant, userID, n + 1})
}
