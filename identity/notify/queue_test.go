package notify

import (
	"context"
	"sync/atomic"
	"testing"
	"time"
)

func TestOneTenantLeavesRoomForOthers(t *testing.T) {
	t.Parallel()
	q, sent := newQueue(), 0
	done := func(context.Context, *job) time.Duration { return 0 }
	for range 2 * maxWaiting {
		if q.add(job{tenant: "flooded"}, done) {
			sent++
		}
	}
	if sent != laneWaiting || !q.add(job{tenant: "other"}, done) {
		t.Errorf("%d of one tenant wait, want %d, and others still find room", sent, laneWaiting)
	}
	q.open(t.Context(), done)
	q.close()
	if q.waiting != 0 || len(q.lanes) != 0 {
		t.Errorf("%d wait in %d lanes for ever", q.waiting, len(q.lanes))
	}
}

// People are told that a letter was sent when it was handed over: a node that stops sends it.
func TestLettersOfTheLastMomentAreSent(t *testing.T) {
	t.Parallel()
	q := newQueue()
	var sent atomic.Int64
	work := func(ctx context.Context, _ *job) time.Duration {
		if ctx.Err() == nil {
			sent.Add(1)
		}
		return 0
	}
	ctx, stop := context.WithCancel(t.Context())
	q.open(ctx, work)
	for range 3 * laneWidth {
		q.add(job{tenant: "one"}, work)
	}
	stop()
	q.close()
	if n := sent.Load(); n != 3*laneWidth {
		t.Errorf("%d were sent, want %d", n, 3*laneWidth)
	}
}
