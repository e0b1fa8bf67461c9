package fsm

import (
	"context"
	"iter"
)

// A RowChange tells that a row was written or deleted.
type RowChange[T any] struct {
	Index uint64 // log index of the change; resume a watch from here
	Scope Scope
	Key   Key
	Value *T // the row as it is now, nil if there is none
}

// Watch yields changes of the table that were applied here after log index from,
// and then waits for more until ctx ends. A row that changes quickly may be
// reported with its latest value more than once; one that expires is reported when
// it is purged. If the changes after from are no longer held, from is ahead of this
// replica, or the replica is restored, it yields ErrCompacted and stops: list the
// table and watch from the Index of that transaction. It yields ErrClosed when the
// store is closed.
func (t *Table[T]) Watch(ctx context.Context, db *DB, from uint64) iter.Seq2[RowChange[T], error] {
	db.mustKnow(t.def.num, t.def.name)
	return func(yield func(RowChange[T], error) bool) {
		era := uint64(0)
		for ctx.Err() == nil {
			tail, err := db.hub.Since(from, era)
			if err != nil {
				yield(RowChange[T]{}, err)
				return
			}
			for _, c := range tail.Changes {
				num, scope, key, err := splitDataKey([]byte(c.Key))
				if err != nil || num != t.def.num {
					continue
				}
				rc := RowChange[T]{Index: c.Index, Scope: scope, Key: key}
				rc.Value, err = t.current(ctx, db, c.Key)
				if !yield(rc, err) || err != nil {
					return
				}
			}
			from, era = tail.UpTo, tail.Era
			select {
			case <-tail.Wake:
			case <-ctx.Done():
				return
			}
		}
	}
}

func (t *Table[T]) current(ctx context.Context, db *DB, key string) (v *T, err error) {
	err = db.View(ctx, func(tx *Tx) (err error) {
		v, _, err = t.at(tx, []byte(key))
		return err
	})
	return v, err
}

// Changed returns a channel that closes when this replica has applied anything
// beyond what it had when Changed was called, was restored or is closed: call it,
// look, then wait.
func (db *DB) Changed() <-chan struct{} {
	return db.hub.Changed()
}
