package fsm

import "sync"

// changesHeld is how many changes a replica keeps for watchers that come late.
const changesHeld = 1 << 14

// A change says that the row at a raw data key was written or deleted at index.
type change struct {
	index uint64
	key   string
}

// hub keeps the latest changes in memory and wakes watchers. It is no part of the
// replicated state: after a restart it holds nothing.
type hub struct {
	mu      sync.Mutex
	changes []change
	era     uint64 // counts resets: what was seen in one era says nothing about the next
	floor   uint64 // changes at and below this index are not held
	index   uint64 // everything up to here has been published
	closed  bool
	wake    chan struct{} // made when somebody waits
}

func newHub() *hub { return &hub{} }

// reset forgets everything: the store stands at index by other means than its changes.
func (h *hub) reset(index uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.changes, h.floor, h.index = nil, index, index
	h.era++
	h.notify()
}

func (h *hub) publish(index uint64, changes []change) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.index = index
	h.changes = append(h.changes, changes...)
	if over := len(h.changes) - changesHeld; over > changesHeld/4 {
		h.floor = h.changes[over-1].index
		for over < len(h.changes) && h.changes[over].index == h.floor { // an index is held whole or not at all
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
	if h.wake != nil {
		close(h.wake)
		h.wake = nil
	}
}

// woken returns a channel that closes at the next publish, reset or close. h.mu is held.
func (h *hub) woken() <-chan struct{} {
	if h.wake == nil {
		h.wake = make(chan struct{})
	}
	return h.wake
}

// A tail is what the hub holds behind an index.
type tail struct {
	changes []change
	upTo    uint64          // the changes are complete up to here
	wake    <-chan struct{} // closes when there may be more
	era     uint64
}

// since returns the changes behind index. An era other than 0 must still be the hub's.
func (h *hub) since(index, era uint64) (tail, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return tail{}, ErrClosed
	}
	if index < h.floor || index > h.index || era != 0 && era != h.era {
		return tail{}, ErrCompacted
	}
	lo, hi := 0, len(h.changes)
	for lo < hi {
		if mid := (lo + hi) / 2; h.changes[mid].index <= index {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return tail{changes: h.changes[lo:len(h.changes):len(h.changes)], upTo: h.index, wake: h.woken(), era: h.era}, nil
}
