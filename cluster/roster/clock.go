package roster

import (
	"context"
	"time"

	"github.com/hashicorp/raft"

	"github.com/quis-idp/quis/cluster/stamp"
)

// noteClock takes a reading of a member's clock. If that was set, the others are asked anew at once: what
// sets one clock often sets all of them, and until all are read nobody knows. r.mu is held.
func (r *Roster) noteClock(s *sight, reading stamp.Reading) {
	if s.clock.SetBefore(reading) {
		for _, o := range r.sights {
			if o != s && time.Since(o.tried) > lookEvery/2 {
				o.tried = time.Time{}
			}
		}
	}
	s.clock = s.clock.Better(reading)
}

// acquaintTime is how long a new leader waits for the clocks of voters that it never met.
const acquaintTime = 300 * time.Millisecond

// Met says whether every voter was asked once what time it is.
func (r *Roster) Met() bool { return r.met.Load() }

// AwaitMet waits for that, but not for long: a leader needs the clocks before it stamps anything.
func (r *Roster) AwaitMet() {
	if r.Met() {
		return
	}
	ctx, cancel := context.WithTimeout(r.life.ctx, acquaintTime)
	defer cancel()
	r.Survey(ctx)
}

// greet asks all voters until each was asked once.
func (r *Roster) greet() {
	for !r.acquainted() {
		ctx, cancel := context.WithTimeout(r.life.ctx, askTimeout)
		r.Survey(ctx)
		cancel()
		t := time.NewTimer(10 * time.Millisecond)
		select {
		case <-t.C:
		case <-r.cfg.Quit:
			t.Stop()
			return
		}
	}
	r.moment.Store(nil)
	r.met.Store(true)
	r.cfg.Change()
}

// A moment is what time it was at a moment of the monotonic clock.
type moment struct{ mono, now time.Time }

// momentLasts is for how long the voters' time is carried on instead of being computed again.
const momentLasts = 10 * time.Millisecond

// Now returns what time it is by most of the voters' clocks, as far as this node knows them.
func (r *Roster) Now() time.Time {
	if m := r.moment.Load(); m != nil {
		if passed := time.Since(m.mono); passed < momentLasts {
			return m.now.Add(passed)
		}
	}
	mono := time.Now()
	now := r.Time(r.cfg.DB.Position().Time)
	r.moment.Store(&moment{mono, now})
	return now
}

func (r *Roster) acquainted() bool {
	servers := r.Servers()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range servers {
		s := r.sights[string(m.ID)]
		if m.Suffrage == raft.Voter && (s == nil || s.at.IsZero() && s.err == nil) {
			return false
		}
	}
	return len(servers) > 0
}

// Time returns what time it is by most of the voters' clocks; state is the latest stamp.
func (r *Roster) Time(state time.Time) time.Time {
	now := time.Now()
	var others []stamp.Reading
	r.mu.Lock()
	for _, m := range r.Servers() {
		if s := r.sights[string(m.ID)]; s != nil && m.Suffrage == raft.Voter && string(m.ID) != r.cfg.NodeID {
			others = append(others, s.clock)
		}
	}
	r.mu.Unlock()
	return stamp.Median(r.cfg.Now(), now, others, state)
}
