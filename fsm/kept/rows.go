package kept

import (
	"fmt"
	"sync"

	"github.com/cockroachdb/pebble/v2"
)

// Rows are rows of a store that were read, whatever state they were read in: a commit takes out what it writes, and
// nothing else, so what most requests ask for (settings, applications, keys) is read once and not once a commit.
//
// Each is good for the states from the one that it was read in to the newest, which is all that is known of it: whoever
// reads in an older state asks the store, and keeps nothing. The zero value keeps nothing before it is told of a
// commit. It is safe for concurrent use; who takes something out changes nothing of it.
type Rows struct {
	mu         sync.RWMutex
	newest     uint64         // state that the rows are good for, or are about to be
	young, old map[string]row // those of old that nobody asks for go next
	used       int            // bytes that were put into young
}

// A row holds what stands at its key since some state at the latest.
type row struct {
	since uint64
	value []byte // nil: there is none
}

// half of the room, in bytes with what a row costs besides: what is read again and again is a few KiB.
const half, rowCosts = 512 << 10, 96

// Get returns what key holds in a state, nil if nothing, and whether that is known.
func (r *Rows) Get(state uint64, key []byte) (value []byte, known bool) {
	r.mu.RLock()
	found, known := r.young[string(key)]
	young := known
	if !known {
		found, known = r.old[string(key)]
	}
	r.mu.RUnlock()
	if !known || found.since > state {
		return nil, false
	}
	if !young {
		r.stay(key)
	}
	return found.value, true
}

// stay has an old row live on.
func (r *Rows) stay(key []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if found, there := r.old[string(key)]; there {
		delete(r.old, string(key))
		r.put(string(key), found)
	}
}

// Keep keeps what key holds in a state, nil for nothing, which nobody changes from then on.
func (r *Rows) Keep(state uint64, key, value []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if state == r.newest && state > 0 {
		r.put(string(key), row{state, value})
	}
}

func (r *Rows) put(key string, v row) {
	need := len(key) + len(v.value) + rowCosts
	if need > half {
		return
	}
	if r.used+need > half || r.young == nil {
		r.young, r.old, r.used = map[string]row{}, r.young, 0
	}
	r.young[key] = v
	r.used += need
}

// Written is told what a commit is about to write and the state that it leads to, before anybody can read that. What it
// writes the batch says itself, so nothing gets past it.
func (r *Rows) Written(state uint64, b *pebble.Batch) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.newest = state
	for written := b.Reader(); ; {
		kind, key, _, more, err := written.Next()
		if err != nil || !more {
			return err
		}
		if kind != pebble.InternalKeyKindSet && kind != pebble.InternalKeyKindDelete {
			return fmt.Errorf("a commit has a %s, which may write more than one key", kind)
		}
		delete(r.young, string(key))
		delete(r.old, string(key))
	}
}
