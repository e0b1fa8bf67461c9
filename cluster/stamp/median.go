// Package stamp says what time the leader stamps its entries with: the median of the
// voters' clocks, and never earlier than it has said before.
//
// A reading of another node's clock comes with the answer to a call; when exactly it was
// taken is known to half of the call's duration. Readings are carried on by this
// node's monotonic clock, which nobody sets: the node's own wall clock is one voice among
// the others, and a step of it moves the median no more than theirs would.
//
// Invariants: stamps of one leader do not go back; with most clocks right, a stamp is
// right to the errors of the readings, whoever leads; a lone voter stamps its own clock.
//
// Not here: asking (roster), expiry (fsm).
package stamp

import (
	"slices"
	"time"
)

// A Reading is another node's wall clock, read at a moment of this node's monotonic clock.
type Reading struct {
	wall  time.Time
	at    time.Time     // by this node, with its monotonic part
	Error time.Duration // half the time in which it may have been read; 0: no reading
}

// Read makes a reading of the clock wall in an answer to a call that lasted from begun to ended.
func Read(wall, begun, ended time.Time) Reading {
	half := ended.Sub(begun) / 2
	return Reading{wall: wall.Round(0), at: begun.Add(half), Error: max(half, time.Microsecond)}
}

// Known says whether there is a reading at all.
func (r Reading) Known() bool { return r.Error > 0 }

// At returns what that clock shows at the moment now of this node's monotonic clock.
func (r Reading) At(now time.Time) time.Time { return r.wall.Add(now.Sub(r.at)) }

// Better chooses between two readings of one clock: the later one, unless it is much less exact,
// the earlier one still recent, and the clock was not set in between.
func (r Reading) Better(later Reading) Reading {
	if r.Known() && later.Error > 4*r.Error+20*time.Millisecond && later.at.Sub(r.at) < 5*time.Second && !r.SetBefore(later) {
		return r
	}
	return later
}

// SetBefore says whether the clock must have been set between two readings of it: they
// contradict each other by more than their errors.
func (r Reading) SetBefore(later Reading) bool {
	return r.Known() && later.wall.Sub(r.At(later.at)).Abs() > r.Error+later.Error+50*time.Millisecond
}

// Median returns what time it is by most of the clocks: own is this node's wall clock, now
// the same moment by its monotonic clock, and others are readings of the other voters'. Of an
// even number of clocks it takes the one of the two in the middle that is nearer to the state's
// time, so that one lone wrong clock is not believed by half. While the median is within the error of its
// reading, own stands.
func Median(own, now time.Time, others []Reading, state time.Time) time.Time {
	type voice struct {
		wall time.Time
		err  time.Duration
	}
	own = own.Round(0)
	voices := []voice{{own, 0}}
	for _, r := range others {
		if r.Known() {
			voices = append(voices, voice{r.At(now), r.Error})
		}
	}
	slices.SortFunc(voices, func(a, b voice) int { return a.wall.Compare(b.wall) })
	at := (len(voices) - 1) / 2
	if len(voices)%2 == 0 && voices[at+1].wall.Sub(state).Abs() < voices[at].wall.Sub(state).Abs() {
		at++
	}
	m := voices[at]
	if m.wall.Sub(own).Abs() <= m.err {
		return own
	}
	return m.wall
}
