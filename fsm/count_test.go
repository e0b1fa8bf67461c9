package fsm_test

import (
	"testing"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/fsm/fsmtest"
)

type lease struct {
	Tenant string    `cbor:"1,keyasint"`
	ID     string    `cbor:"2,keyasint"`
	Until  time.Time `cbor:"3,keyasint"`
}

var leases = fsm.NewTable(7, "leases", fsm.Spec[lease]{
	Scope:   func(l *lease) fsm.Scope { return fsm.Scope(l.Tenant) },
	Key:     func(l *lease) fsm.Key { return fsm.K(l.ID) },
	Expires: func(l *lease) time.Time { return l.Until },
})

func TestCountAllCountsWhatStands(t *testing.T) {
	t.Parallel()
	db := fsmtest.New(t, leases)
	err := db.Update(t.Context(), func(tx *fsm.Tx) error {
		for _, l := range []lease{
			{"a", "1", time.Time{}}, {"a", "2", tx.Now().Add(time.Hour)}, {"b", "1", time.Time{}},
			{"b", "2", tx.Now().Add(-time.Hour)}, // has expired, awaits its purge
		} {
			if err := leases.Put(tx, &l); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	err = db.View(t.Context(), func(tx *fsm.Tx) error {
		n, err := leases.CountAll(tx)
		if n != 3 {
			t.Errorf("counted %d rows, want 3", n)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
