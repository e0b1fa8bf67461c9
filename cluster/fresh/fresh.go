// Package fresh holds what strict reads rest upon: answers that callers share without
// getting one older than their question, and how old this node's state may be.
//
// Invariants: an answer of [Shared] was asked for after every Get that returns it began; a
// [Mark] moves on only, and by the monotonic clock, so that no clock of another node enters.
//
// Not here: whom to ask, and what an answer means (cluster).
package fresh

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quis-idp/quis/fsm"
)

// A Shared lets callers who ask the same question at the same time share an answer
// that is younger than each of their questions: whoever asks while a round is under
// way gets the next one.
type Shared struct {
	Ask  func(ctx context.Context) (uint64, error)
	mu   sync.Mutex
	now  *round // under way
	next *round // begins when now has ended
}

type round struct {
	done  chan struct{}
	index uint64
	err   error
}

// Get returns an answer to a question asked after the call of Get. It reports
// fsm.ErrUnavailable if ctx ends before; the question itself lives as long as life.
func (b *Shared) Get(ctx, life context.Context) (uint64, error) {
	b.mu.Lock()
	r := b.next
	if r == nil {
		r = &round{done: make(chan struct{})}
		if b.now == nil {
			b.now = r
			go b.run(life)
		} else {
			b.next = r
		}
	}
	b.mu.Unlock()
	select {
	case <-r.done:
		return r.index, r.err
	case <-ctx.Done():
		return 0, fmt.Errorf("read index: %w: %w", fsm.ErrUnavailable, ctx.Err())
	}
}

func (b *Shared) run(ctx context.Context) {
	for {
		b.mu.Lock()
		r := b.now
		b.mu.Unlock()
		r.index, r.err = b.Ask(ctx)
		close(r.done)
		b.mu.Lock()
		b.now, b.next = b.next, nil
		over := b.now == nil
		b.mu.Unlock()
		if over {
			return
		}
	}
}

// A Mark is the latest moment of which everything acknowledged is known to be here.
type Mark struct {
	begun time.Time // monotonic zero
	at    atomic.Int64
	known atomic.Bool
}

// NewMark returns a mark that nothing is known of yet; begun is when the node began.
func NewMark(begun time.Time) *Mark { return &Mark{begun: begun} }

// Note moves the mark to t, unless it is further already. It reports whether it is the
// first that moved it.
func (m *Mark) Note(t time.Time) (first bool) {
	since := int64(t.Sub(m.begun)) // monotonic
	for {
		old := m.at.Load()
		if since <= old {
			return false
		}
		if m.at.CompareAndSwap(old, since) {
			return m.known.CompareAndSwap(false, true)
		}
	}
}

// Known says whether the mark was ever moved.
func (m *Mark) Known() bool { return m.known.Load() }

// Age returns how old the state may be; before the mark is known, how long the node has run.
func (m *Mark) Age() time.Duration { return time.Since(m.begun) - time.Duration(m.at.Load()) }
