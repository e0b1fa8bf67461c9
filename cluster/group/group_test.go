package group

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

var errEnded = errors.New("ended")

func TestGivenUpWhileWaitingIsNotSent(t *testing.T) {
	t.Parallel()
	begin := make(chan struct{})
	var sentBatches atomic.Int32
	ctx, cancel := context.WithCancel(context.Background())
	busyNow := make(chan struct{}, atOnce)
	c := New(ctx, func(batches []*Batch) {
		busyNow <- struct{}{}
		<-begin
		for _, p := range batches {
			sentBatches.Add(1)
			p.Answer(Result{})
		}
	})
	busy := make([]*Batch, atOnce)
	for i := range busy { // occupy the workers, one group each
		busy[i] = NewBatch(nil, false)
		c.Add(busy[i])
		<-busyNow
	}
	gone, give := context.WithCancel(ctx)
	give()
	late := NewBatch([]byte("x"), false)
	c.Add(late)
	if r := late.Wait(gone, nil, errEnded); r.Fate != NotApplied || !errors.Is(r.Err, context.Canceled) {
		t.Errorf("fate %v, %v; want NotApplied", r.Fate, r.Err)
	}
	if r := busy[0].Wait(gone, nil, errEnded); r.Fate != Maybe {
		t.Errorf("fate %v of a batch that was sent, want Maybe", r.Fate)
	}
	close(begin)
	for _, p := range busy[1:] {
		if r := p.Wait(ctx, nil, errEnded); r.Fate != Decided {
			t.Errorf("fate %v of an answered batch", r.Fate)
		}
	}
	cancel()
	c.Drain(errEnded)
	if got := sentBatches.Load(); got != int32(len(busy)) {
		t.Errorf("%d batches sent, want %d", got, len(busy))
	}
}

func TestDrainAnswersWhatWaits(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c := New(ctx, func(batches []*Batch) {
		for _, p := range batches {
			p.Answer(Result{Fate: NotApplied, Err: errEnded})
		}
	})
	c.workers.Wait()
	left := NewBatch(nil, false)
	c.Add(left)
	if c.Waiting() != 1 {
		t.Errorf("%d wait, want 1", c.Waiting())
	}
	c.Drain(errEnded)
	if r := left.Wait(t.Context(), nil, nil); r.Fate != NotApplied || !errors.Is(r.Err, errEnded) {
		t.Errorf("%v, %v", r.Fate, r.Err)
	}
}

// TestCrowdGoesTogether: of a crowd that can run, the first does not go alone, whom Go would let run on to the end.
func TestCrowdGoesTogether(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // one after the other
	var groups atomic.Int32
	ctx, cancel := context.WithCancel(t.Context())
	c := New(ctx, func(batches []*Batch) {
		groups.Add(1)
		for _, p := range batches {
			p.Answer(Result{})
		}
	})
	const crowd = 32
	var all sync.WaitGroup
	for range crowd {
		all.Go(func() {
			p := NewBatch(nil, false)
			c.Add(p)
			p.Wait(ctx, nil, errEnded)
		})
	}
	all.Wait()
	cancel()
	c.Drain(errEnded)
	if got := groups.Load(); got > crowd/4 {
		t.Errorf("%d groups of %d who came at once", got, crowd)
	}
}
