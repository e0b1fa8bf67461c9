package fsm

import (
	"context"
	"iter"
	"sync"
)

// changesHeld is how many changes a replica keeps for watchers that come late.
const changesHeld = 1 << 14

// A change says that the row at a raw key was written or deleted at index.
type change struct {
	index uint64
	key   []byte
}

// hub keeps the latest changes in memory and wakes watchers. It is no part of the
// replicated state: after a restart it holds nothing.
type hub struct {
	mu      sync.Mutex
	changes []change
	floor   uint64 // changes at and below this index are not held
	index   uint64 // everything up to here has been published
	closed  bool
	wake    chan struct{}
}

func newHub() *hub { return &hub{wake: make(chan struct{})} }

func (h *hub) reset(index uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.changes, h.floor, h.index = nil, index, index
	h.notify()
}

func (h *hub) publish(index uint64, changes []change) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.index = index
	h.changes = append(h.changes, changes...)
	if over := len(h.changes) - changesHeld; over > changesHeld/4 {
		h.floor = h.changes[over-1].index
		for over < len(h.changes) && h.changes[over].index == h.floor {
			over++
		}
		h.changes = append([]change(nil), h.changes[over:]...)
	}
	h.notify()
}

func (h *hub) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	h.notify()
}

func (h *hub) notify() {
	close(h.wake)
	h.wake = make(chan struct{})
}

// since returns the changes after index, and a channel that closes when there may be more.
func (h *hub) since(index uint64) (changes []change, upTo uint64, wake <-chan struct{}, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, 0, nil, ErrClosed
	}
	if index < h.floor {
		return nil, 0, nil, ErrCompacted
	}
	lo, hi := 0, len(h.changes)
	for lo < hi {
		if mid := (lo + hi) / 2; h.changes[mid].index <= index {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return h.changes[lo:len(h.changes):len(h.changes)], h.index, h.wake, nil
}

// A RowChange tells that a row was written or deleted.
type RowChange[T any] struct {
	Index uint64 // log index of the change; resume a watch from here
	Scope Scope
	Key   Key
	Value *T // the row as it is now, nil if there is none
}

// Watch yields changes of the table that were applied here after log index from,
// and then waits for more until ctx ends. A row that changes quickly may be
// reported with its latest value more than once. If the changes after from are no
// longer held (or the replica was restored), it yields ErrCompacted and stops:
// list the table and watch from the index of that transaction.
func (t *Table[T]) Watch(ctx context.Context, db *DB, from uint64) iter.Seq2[RowChange[T], error] {
	return func(yield func(RowChange[T], error) bool) {
		for {
			changes, upTo, wake, err := db.hub.since(from)
			if err != nil {
				yield(RowChange[T]{}, err)
				return
			}
			for _, c := range changes {
				num, scope, key, err := splitDataKey(c.key)
				if err != nil || num != t.def.num {
					continue
				}
				rc := RowChange[T]{Index: c.index, Scope: scope, Key: key}
				rc.Value, err = t.current(ctx, db, scope, key)
				if !yield(rc, err) || err != nil {
					return
				}
			}
			from = upTo
			select {
			case <-wake:
			case <-ctx.Done():
				return
			}
		}
	}
}

func (t *Table[T]) current(ctx context.Context, db *DB, scope Scope, key Key) (v *T, err error) {
	err = db.View(ctx, func(tx *Tx) error {
		has, err := t.Has(tx, scope, key)
		if err != nil || !has {
			return err
		}
		v, err = t.Get(tx, scope, key)
		return err
	})
	return v, err
}

// Changed returns a channel that closes when this replica has applied anything
// beyond what it had when Changed was called: call it, look, then wait.
func (db *DB) Changed() <-chan struct{} {
	db.hub.mu.Lock()
	defer db.hub.mu.Unlock()
	return db.hub.wake
}
