package stamp

import (
	"sync"
	"time"
)

// A Clock says what time a leader stamps its entries with: the voters' time, or while the
// state's time is ahead of that (a clock was set back, or that of an earlier leader
// was fast) half as fast as time passes. If the state's time stood still instead,
// nothing would expire meanwhile, and no outcome of a batch could be forgotten.
type Clock struct {
	mu   sync.Mutex
	last time.Time     // the latest stamp
	at   time.Duration // when it was given, by a clock that nobody sets
}

// Next returns a stamp, never before the last one; wall is what time it is, passed a
// monotonic clock, and state the latest stamp that is applied here.
func (c *Clock) Next(wall time.Time, passed time.Duration, state time.Time) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := wall.Round(0)
	if !c.last.IsZero() {
		if slow := c.last.Add((passed - c.at) / 2); slow.After(t) {
			t = slow
		}
	}
	if state.After(t) {
		t = state
	}
	c.last, c.at = t, passed
	return t
}
