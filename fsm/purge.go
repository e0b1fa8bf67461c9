package fsm

import (
	"context"

	"github.com/cockroachdb/pebble/v2"
)

// purgeLimit bounds the rows that one purge deletes, so that it never stalls the
// log. Apply refuses a purge of more, so it is part of the format.
const purgeLimit = 1000

// Purge deletes rows whose deadline has passed and returns how many it found due,
// at most a thousand: call it again while it returns that many. It writes nothing
// when nothing is due. A duty calls it on the leader.
func (db *DB) Purge(ctx context.Context) (int, error) {
	due := 0
	err := db.Update(ctx, func(tx *Tx) error {
		due = 0
		now := tx.millis()
		o := &pebble.IterOptions{LowerBound: []byte{spaceExpiry}, UpperBound: expiryKey(now+1, nil)}
		err := iterate(tx.snap, o, false, func(_, _ []byte) bool {
			due++
			return due < purgeLimit
		})
		if err == nil && due > 0 {
			tx.addOp(op{kind: opPurge, expires: now, delta: purgeLimit})
		}
		return err
	})
	return due, err
}
