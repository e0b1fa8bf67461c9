package notice

import "sync"

// Held is about how many changes a replica keeps for watchers that come late.
const Held = 1 << 14

// A Change says that the row at a raw data key was written or deleted at index.
type Change struct {
	Index uint64
	Key   string
}

// A Hub keeps the latest changes in memory and wakes watchers. It is no part of the
// replicated state: after a restart it holds nothing.
type Hub struct {
	mu      sync.Mutex
	changes []Change
	era     uint64 // counts resets: what was seen in one era says nothing about the next
	floor   uint64 // changes at and below this index are not held
	index   uint64 // everything up to here has been published
	closed  bool
	wake    chan struct{} // made when somebody waits
}

// NewHub returns a hub that holds nothing.
func NewHub() *Hub { return &Hub{} }

// Reset forgets everything: the store stands at index by other means than its changes.
func (h *Hub) Reset(index uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.changes, h.floor, h.index = nil, index, index
	h.era++
	h.notify()
}

// Publish adds changes, after which they are complete up to index.
func (h *Hub) Publish(index uint64, changes []Change) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.index = index
	h.changes = append(h.changes, changes...)
	if over := len(h.changes) - Held; over > Held/4 {
		h.floor = h.changes[over-1].Index
		for over < len(h.changes) && h.changes[over].Index == h.floor { // an index is held whole or not at all
			over++
		}
		h.changes = append([]Change(nil), h.changes[over:]...)
	}
	h.notify()
}

// Close wakes everybody, for good.
func (h *Hub) Close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	h.notify()
}

func (h *Hub) notify() {
	if h.wake != nil {
		close(h.wake)
		h.wake = nil
	}
}

// Changed returns a channel that closes at the next Publish, Reset or Close.
func (h *Hub) Changed() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		done := make(chan struct{})
		close(done)
		return done
	}
	return h.woken()
}

// woken returns a channel that closes at the next publish, reset or close. h.mu is held.
func (h *Hub) woken() <-chan struct{} {
	if h.wake == nil {
		h.wake = make(chan struct{})
	}
	return h.wake
}

// A Tail is what the hub holds behind an index.
type Tail struct {
	Changes []Change
	UpTo    uint64          // the changes are complete up to here
	Wake    <-chan struct{} // closes when there may be more
	Era     uint64
}

// Since returns the changes behind index. An era other than 0 must still be the hub's.
func (h *Hub) Since(index, era uint64) (Tail, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return Tail{}, ErrClosed
	}
	if index < h.floor || index > h.index || era != 0 && era != h.era {
		return Tail{}, ErrCompacted
	}
	lo, hi := 0, len(h.changes)
	for lo < hi {
		if mid := (lo + hi) / 2; h.changes[mid].Index <= index {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return Tail{Changes: h.changes[lo:len(h.changes):len(h.changes)], UpTo: h.index, Wake: h.woken(), Era: h.era}, nil
}
