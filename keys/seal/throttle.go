package seal

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/quis-idp/quis/fsm"
)

// maxWaiting is how many callers one round of a Throttle takes.
const maxWaiting = 1024

// A Throttle runs a function for many callers at once, one run at a time and at most
// one per interval. It stands where a stranger's garbage would otherwise make this
// node ask the leader once per request, without ever answering from a guess: every
// caller gets the outcome of a run that began after it came.
type Throttle struct {
	interval time.Duration
	run      func(ctx context.Context) error

	mu   sync.Mutex
	next *round    // takes callers, has not begun
	last time.Time // when a run began
	busy sync.Mutex
}

type round struct {
	callers int
	done    chan struct{}
	err     error
}

// NewThrottle returns a Throttle of run. Each run has 5 seconds.
func NewThrottle(interval time.Duration, run func(ctx context.Context) error) *Throttle {
	return &Throttle{interval: interval, run: run}
}

// Do waits for a run that begins after this call and returns its error, or that of
// ctx. It reports fsm.ErrUnavailable when too many wait already.
func (t *Throttle) Do(ctx context.Context) error {
	t.mu.Lock()
	r := t.next
	if r == nil {
		r = &round{done: make(chan struct{})}
		t.next = r
		go t.begin(r)
	}
	if r.callers >= maxWaiting {
		t.mu.Unlock()
		return fmt.Errorf("too many wait for a look at the leader: %w", fsm.ErrUnavailable)
	}
	r.callers++
	t.mu.Unlock()
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// CatchUp returns a function for a Throttle: it brings db up to what the leader has.
func CatchUp(db *fsm.DB) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		first := true
		return db.Read(ctx, func(*fsm.Tx) error {
			if first { // a reported miss is what makes Read catch up
				first = false
				return fsm.ErrNotFound
			}
			return nil
		})
	}
}

func (t *Throttle) begin(r *round) {
	t.busy.Lock()
	defer t.busy.Unlock()
	t.mu.Lock()
	pause := t.interval - time.Since(t.last)
	t.mu.Unlock()
	if pause > 0 {
		time.Sleep(pause)
	}
	t.mu.Lock()
	t.next, t.last = nil, time.Now()
	t.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	r.err = t.run(ctx)
	close(r.done)
}
