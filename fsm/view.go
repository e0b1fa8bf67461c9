package fsm

import (
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
)

// A view is a snapshot of the engine at one state. All transactions that begin before the
// next commit share it: taking and closing a snapshot costs the engine as much as a few reads.
type view struct {
	eng  *engine
	snap *pebble.Snapshot
	st   state
	refs atomic.Int64 // transactions inside, and one while it is DB.shared; at 0 it is closed for good
}

// hold pins the view, unless it has been closed.
func (v *view) hold() bool {
	for {
		n := v.refs.Load()
		if n == 0 {
			return false
		}
		if v.refs.CompareAndSwap(n, n+1) {
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
