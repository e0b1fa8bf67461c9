package notice

import (
	"container/heap"
	"context"
	"fmt"
	"sync"
)

// A Progress lets callers wait until an index has been applied. Waiters sit in a
// heap, so advancing wakes those who are due and nobody else.
type Progress struct {
	mu      sync.Mutex
	index   uint64
	closed  bool
	waiters waiterHeap
}

type waiter struct {
	index uint64
	done  chan struct{}
}

// NewProgress returns one that stands at 0.
func NewProgress() *Progress { return &Progress{} }

// Wait returns once index has been reached; ErrClosed: it never will be.
func (p *Progress) Wait(ctx context.Context, index uint64) error {
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

// Advance notes that index has been reached.
func (p *Progress) Advance(index uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.index = max(p.index, index)
	for len(p.waiters) > 0 && p.waiters[0].index <= p.index {
		close(heap.Pop(&p.waiters).(waiter).done)
	}
}

// Close ends all waiting.
func (p *Progress) Close() {
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
