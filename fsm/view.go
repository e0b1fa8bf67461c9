package fsm

import (
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"github.com/quis-idp/quis/fsm/kept"
)

// A view is a snapshot of the engine at one state. All transactions that begin before the
// next commit share it: taking and closing a snapshot costs the engine as much as a few reads.
type view struct {
	eng  *engine
	snap *pebble.Snapshot
	st   state
	refs atomic.Int64 // transactions inside, and one while it is DB.shared; at 0 it is closed for good

	held atomic.Int64 // how often it was pinned
	kept kept.State
}

// keepAfter is how many transactions a view has served before what they make of it is kept: while
// every second one commits, keeping costs more than it saves.
const keepAfter = 16

func (v *view) keeps() bool { return v.held.Load() >= keepAfter }

// get returns what key holds in this state, nil for nothing; it is shared, and stays as it is. Nobody asks the engine
// twice for what nobody has written meanwhile.
func (v *view) get(key []byte) ([]byte, error) {
	if row, known := v.eng.rows.Get(v.st.applied, key); known {
		return row, nil
	}
	row, err := get(v.snap, key)
	if err == nil {
		v.eng.rows.Keep(v.st.applied, key, row)
	}
	return row, err
}

// Once returns what f makes of the state that tx reads. While that state stays, all
// transactions that only read share one value for a key, whose type should be the caller's
// own: none may change it, and f may depend on nothing but the state and the key. Errors are
// not kept, and a transaction that writes asks f, whose reads are then verified.
func Once[T any](tx *Tx, key any, f func() (T, error)) (T, error) {
	if tx.write || !tx.view.keeps() {
		return f()
	}
	if made, ok := tx.view.kept.Value(key).(T); ok {
		return made, nil
	}
	made, err := f()
	if err == nil {
		tx.view.kept.Keep(key, made)
	}
	return made, err
}

// hold pins the view, unless it has been closed.
func (v *view) hold() bool {
	for {
		n := v.refs.Load()
		if n == 0 {
			return false
		}
		if v.refs.CompareAndSwap(n, n+1) {
			v.held.Add(1)
			return true
		}
	}
}

func (v *view) release() {
	if v.refs.Add(-1) == 0 {
		v.snap.Close()
		v.eng.release()
	}
}

// view returns a held view of the present state.
func (db *DB) view() (*view, error) {
	db.mu.RLock()
	v := db.shared
	held := v != nil && v.hold()
	db.mu.RUnlock()
	if held {
		return v, nil
	}
	eng, snap, st, err := db.snapshot()
	if err != nil {
		return nil, err
	}
	v = &view{eng: eng, snap: snap, st: st}
	v.refs.Store(1)
	db.share(v)
	return v, nil
}

// share lets others use v, if it is still of the present state.
func (db *DB) share(v *view) {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.shared == nil && !db.closed && !db.committing && db.eng == v.eng && db.st.applied == v.st.applied {
		v.refs.Add(1)
		db.shared = v
	}
}

// unshare is called with db.mu held whenever the state moves on: who comes later takes a new
// snapshot. What it returns must be called once the lock is free.
func (db *DB) unshare() (release func()) {
	v := db.shared
	if v == nil {
		return func() {}
	}
	db.shared = nil
	return v.release
}
