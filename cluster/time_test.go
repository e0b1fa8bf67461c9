package cluster

import (
	"sync/atomic"
	"testing"
	"time"
)

// skewed is a house of three whose clocks the test sets.
func skewed(t *testing.T) (*house, []*atomic.Int64) {
	skews := make([]*atomic.Int64, 3)
	h := newHouse(t, 3, nil)
	for i, r := range h.rooms {
		s := &atomic.Int64{}
		skews[i] = s
		r.cfg.Now = func() time.Time { return time.Now().Add(time.Duration(s.Load())) }
	}
	return h, skews
}

// rightTime writes through node i and fails unless the state's time is about right, and did not go back.
func (h *house) rightTime(i int, what string, last time.Time) time.Time {
	h.t.Helper()
	if err := put(h.rooms[i].db, "t", what); err != nil {
		h.t.Fatalf("%s: %v", what, err)
	}
	got := h.rooms[i].db.Position().Time
	if off := time.Since(got); off.Abs() > 10*time.Second {
		h.t.Errorf("%s: the state's time is off by %v", what, off)
	}
	if got.Before(last) {
		h.t.Errorf("%s: the state's time went back from %v to %v", what, last, got)
	}
	return got
}

// to hands leadership to node i.
func (h *house) to(i int) {
	h.t.Helper()
	eventually(h.t, "the leader that the test wants", func() bool {
		if h.rooms[i].node.IsLeader() {
			return true
		}
		_ = h.rooms[h.leader()].node.Transfer(h.t.Context(), h.rooms[i].cfg.NodeID) // again, if it was refused
		return false
	})
}

// Invariant 7: the state's time goes on and is right, whoever's clock jumps and whoever leads.
func TestWrongClocksAreOutvoted(t *testing.T) {
	t.Parallel()
	h, skews := skewed(t)
	h.start()
	h.settled()
	last := time.Time{}
	for _, by := range []time.Duration{5 * time.Minute, -5 * time.Minute, time.Hour, -time.Hour} {
		leads := h.leader()
		skews[leads].Store(int64(by))
		last = h.rightTime(leads, "leader's clock jumps by "+by.String(), last)
		last = h.rightTime(h.followers()[0], "a follower writes", last)
		next := h.followers()[0]
		h.to(next)
		last = h.rightTime(next, "another leads", last)
		eventually(t, "the jump to be seen", func() bool {
			m := memberOf(t, h.rooms[next].node.Status(t.Context()), h.rooms[leads].cfg.NodeID)
			return m.ClockError > 0 && (m.ClockOffset-by).Abs() < 5*time.Second
		})
		h.to(leads)
		last = h.rightTime(leads, "the one that is wrong by "+by.String()+" leads again", last)
		skews[leads].Store(0)
		last = h.rightTime(leads, "its clock is set right", last)
	}
	if off := h.rooms[h.leader()].node.roster.ClockOffsets(); len(off) != 2 {
		t.Errorf("offsets %v", off)
	}
}

// A cluster that comes up with a leader whose clock is wrong asks the others before it
// stamps anything.
func TestWrongClockAtTheStart(t *testing.T) {
	t.Parallel()
	h, skews := skewed(t)
	for _, r := range h.rooms[1:] { // so that the first one leads
		r.cfg.Heartbeat = 2 * time.Second
	}
	skews[0].Store(int64(time.Hour))
	h.start()
	h.to(0)
	h.rightTime(0, "the first to lead is an hour ahead", time.Time{})
}

// Transactions have the voters' time on every node that is ready, be it one whose clock is wrong.
func TestTransactionsHaveTheVotersTime(t *testing.T) {
	t.Parallel()
	h, skews := skewed(t)
	skews[1].Store(int64(10 * time.Minute))
	skews[2].Store(int64(-10 * time.Minute))
	h.start()
	right := func(what string) {
		t.Helper()
		for i, r := range h.rooms {
			if off := time.Since(r.db.Now()); off.Abs() > 5*time.Second {
				t.Errorf("%s: transactions on node %d are off by %v", what, i, off)
			}
		}
	}
	right("at the start")
	for i := range h.rooms {
		h.stop(i)
		h.start(i) // which waits until it is ready
		right("after a restart")
	}
	skews[0].Store(int64(time.Minute)) // now all are wrong, and the median moves to this one
	eventually(t, "all nodes to go by the same clock again", func() bool {
		for _, r := range h.rooms {
			if off := r.db.Now().Sub(time.Now().Add(time.Minute)); off.Abs() > 5*time.Second {
				return false
			}
		}
		return true
	})
}

func TestLoneVoterGoesByItsOwnClock(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, func(c *Config) { c.Now = func() time.Time { return time.Now().Add(time.Hour) } })
	h.start()
	if err := put(h.rooms[0].db, "a", "x"); err != nil {
		t.Fatal(err)
	}
	if ahead := time.Until(h.rooms[0].db.Position().Time); ahead < 50*time.Minute {
		t.Errorf("stamped %v ahead, want an hour", ahead)
	}
}
