package fsm

import (
	"container/heap"
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"time"
)

// state is what a replica knows about how far it has come. It is written in the
// same engine batch as the rows, so the two cannot disagree after a crash.
type state struct {
	applied, term uint64
	stamp         int64 // milliseconds; never goes back
	chain         [32]byte
	config        []byte
	configIndex   uint64
}

var (
	keyState  = []byte{spaceSystem, 'a'}
	keyConfig = []byte{spaceSystem, 'c'}
)

func (s *state) encode() []byte {
	b := make([]byte, 0, 1+3*8+32)
	b = append(b, 1)
	b = binary.BigEndian.AppendUint64(b, s.applied)
	b = binary.BigEndian.AppendUint64(b, s.term)
	b = binary.BigEndian.AppendUint64(b, uint64(s.stamp))
	return append(b, s.chain[:]...)
}

func loadState(r reader) (state, error) {
	var s state
	b, err := get(r, keyState)
	if err != nil || b == nil {
		return s, err
	}
	if len(b) != 57 || b[0] != 1 {
		return s, fmt.Errorf("store state: %w", ErrCorrupt)
	}
	s.applied = binary.BigEndian.Uint64(b[1:])
	s.term = binary.BigEndian.Uint64(b[9:])
	s.stamp = int64(binary.BigEndian.Uint64(b[17:]))
	copy(s.chain[:], b[25:])
	c, err := get(r, keyConfig)
	if err != nil || c == nil {
		return s, err
	}
	if len(c) < 8 {
		return s, fmt.Errorf("store state: configuration: %w", ErrCorrupt)
	}
	s.configIndex, s.config = binary.BigEndian.Uint64(c), c[8:]
	return s, nil
}

func (s *state) position() Position {
	return Position{
		Index: s.applied, Term: s.term, Chain: s.chain,
		Time:   time.UnixMilli(s.stamp).UTC(),
		Config: s.config, ConfigIndex: s.configIndex,
	}
}

// progress lets callers wait until an index has been applied. Waiters sit in a
// heap, so advancing wakes those who are due and nobody else.
type progress struct {
	mu      sync.Mutex
	index   uint64
	closed  bool
	waiters waiterHeap
}

type waiter struct {
	index uint64
	done  chan struct{}
}

func newProgress() *progress { return &progress{} }

func (p *progress) wait(ctx context.Context, index uint64) error {
	p.mu.Lock()
	if p.index >= index {
		p.mu.Unlock()
		return nil
	}
	if p.closed {
		p.mu.Unlock()
		return ErrClosed
	}
	w := waiter{index: index, done: make(chan struct{})}
	heap.Push(&p.waiters, w)
	p.mu.Unlock()
	select {
	case <-w.done:
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.index < index {
			return ErrClosed
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for log index %d: %w", index, ctx.Err())
	}
}

func (p *progress) advance(index uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.index = max(p.index, index)
	for len(p.waiters) > 0 && p.waiters[0].index <= p.index {
		close(heap.Pop(&p.waiters).(waiter).done)
	}
}

func (p *progress) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for len(p.waiters) > 0 {
		close(heap.Pop(&p.waiters).(waiter).done)
	}
}

type waiterHeap []waiter

func (h waiterHeap) Len() int           { return len(h) }
func (h waiterHeap) Less(i, j int) bool { return h[i].index < h[j].index }
func (h waiterHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *waiterHeap) Push(x any)        { *h = append(*h, x.(waiter)) }
func (h *waiterHeap) Pop() any {
	old := *h
	w := old[len(old)-1]
	*h = old[:len(old)-1]
	return w
}
