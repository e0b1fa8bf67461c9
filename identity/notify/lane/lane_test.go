package lane

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func config(work func(context.Context, *int) time.Duration) Config[int] {
	return Config[int]{Waiting: 40, WaitingEach: 10, Width: 6, WidthEach: 2, Delay: func() time.Duration { return time.Second }, Grace: time.Second, Work: work}
}

func TestOneTenantLeavesRoomForOthers(t *testing.T) {
	t.Parallel()
	q, taken := New(config(func(context.Context, *int) time.Duration { return 0 })), 0
	for i := range 100 {
		if q.Add("flooded", i) {
			taken++
		}
	}
	if taken != 10 || !q.Add("other", 0) {
		t.Errorf("%d of one tenant wait, want 10, and others still find room", taken)
	}
	for _, tenant := range []string{"other", "third", "fourth", "fifth"} {
		for i := range 10 {
			q.Add(tenant, i)
		}
	}
	if q.waiting != 40 {
		t.Errorf("%d wait in all", q.waiting)
	}
	q.open(t.Context())
	q.close()
	if q.waiting != 0 || len(q.lanes) != 0 {
		t.Errorf("%d wait in %d lanes for ever", q.waiting, len(q.lanes))
	}
}

// However slow the server of one tenant is, and however much waits for it, others' jobs are done.
func TestSlowTenantsHoldUpNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var slow, most, done atomic.Int64
		c := config(func(ctx context.Context, j *int) time.Duration {
			if *j == 0 { // never answers
				most.Store(max(most.Load(), slow.Add(1)))
				<-ctx.Done()
				slow.Add(-1)
				return 0
			}
			done.Add(1)
			return 0
		})
		c.Delay = nil
		q := New(c)
		ctx, stop := context.WithCancel(t.Context())
		go q.Run(ctx)
		for range 10 {
			q.Add("slow", 0)
			q.Add("slow as well", 0)
		}
		synctest.Wait()
		for range 10 {
			q.Add("other", 1)
		}
		synctest.Wait()
		if done.Load() != 10 || most.Load() != 4 {
			t.Errorf("%d of 10 are done beside %d that never end", done.Load(), most.Load())
		}
		stop()
		synctest.Wait()
		time.Sleep(2 * c.Grace) // synthetic
		synctest.Wait()
		if slow.Load() != 0 {
			t.Error("what never ends outlives the queue")
		}
	})
}

// Jobs of one person, slow as they are, wait for each other, and those of others in the same lane do not.
func TestOneOfEach(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var flying, most, done, others atomic.Int64
		c := config(func(_ context.Context, j *int) time.Duration {
			if *j > 0 {
				others.Add(1)
				return 0
			}
			most.Store(max(most.Load(), flying.Add(1)))
			time.Sleep(time.Minute) // synthetic
			flying.Add(-1)
			done.Add(1)
			return 0
		})
		c.Delay, c.Of = nil, func(j *int) string { return []string{"slow", "quick"}[min(*j, 1)] }
		q := New(c)
		ctx, stop := context.WithCancel(t.Context())
		go q.Run(ctx)
		for range 4 {
			q.Add("one", 0)
		}
		q.Add("another", 0) // whoever has that name there
		for i := range 4 {
			q.Add("one", 1+i)
		}
		synctest.Wait()
		if others.Load() != 4 || flying.Load() != 2 {
			t.Errorf("%d of 4 are done beside %d that are slow", others.Load(), flying.Load())
		}
		time.Sleep(4*time.Minute + time.Second)
		synctest.Wait()
		if done.Load() != 5 || most.Load() != 2 || q.waiting != 0 || len(q.lanes) != 0 {
			t.Errorf("%d of 5 are done, %d at once; %d wait in %d lanes", done.Load(), most.Load(), q.waiting, len(q.lanes))
		}
		stop()
	})
}

// A job that is to be tried again holds up no other, and is.
func TestAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var tried [3]atomic.Int64
		q := New(config(func(_ context.Context, j *int) time.Duration {
			if n := tried[*j].Add(1); *j == 0 && n < 3 {
				return time.Minute
			}
			return 0
		}))
		ctx, stop := context.WithCancel(t.Context())
		go q.Run(ctx)
		for i := range tried {
			q.Add("one", i)
		}
		time.Sleep(3 * time.Second) // synthetic
		synctest.Wait()
		if tried[0].Load() != 1 || tried[1].Load() != 1 || tried[2].Load() != 1 {
			t.Errorf("at first tried %d, %d, %d times", tried[0].Load(), tried[1].Load(), tried[2].Load())
		}
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		if tried[0].Load() != 3 {
			t.Errorf("tried %d times", tried[0].Load())
		}
		stop()
	})
}

// People are told that a letter was sent when it was handed over: a node that stops sends it.
func TestJobsOfTheLastMomentAreDone(t *testing.T) {
	t.Parallel()
	var sent atomic.Int64
	q := New(config(func(ctx context.Context, _ *int) time.Duration {
		if ctx.Err() == nil {
			sent.Add(1)
		}
		return 0
	}))
	ctx, stop := context.WithCancel(t.Context())
	q.open(ctx)
	for i := range 6 {
		q.Add("one", i)
	}
	stop()
	q.close()
	if n := sent.Load(); n != 6 {
		t.Errorf("%d were sent, want 6", n)
	}
}
