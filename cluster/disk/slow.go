package disk

import (
	"sync/atomic"
	"time"
)

// How it is decided that a disk is slow: every pollEvery (a twentieth of the limit for a stall,
// if that is less) it is looked how long the oldest write under way has taken so far. A disk is
// slow when that was too long in half of the looks of the last four seconds: two seconds of
// waiting, so that one hiccup of a second moves nobody, and a disk that needs two seconds for every
// write is known before its second one has ended. It is good again when nearly no look of the last
// four seconds was.
const (
	pollEvery = 250 * time.Millisecond
	pollPart  = 20
	looks     = 16
	slowLooks = 8 // to become slow
	goodLooks = 2 // to be good again
	slowPart  = 2 // of [Limits.Slow] that the oldest write must have taken
)

// A drag is the latest looks at the writes under way, and what follows from them. Only
// slow may be read by others than the one that looks.
type drag struct {
	ages [looks]time.Duration
	at   int
	slow atomic.Int64 // how long the slowest of them took, in nanoseconds; 0: the disk is not slow
}

// look takes in how long the oldest write under way has taken; 0: none is under way.
func (d *drag) look(age, limit time.Duration) {
	d.ages[d.at%looks] = age
	d.at++
	slow, longest := 0, time.Duration(0)
	for _, a := range d.ages {
		if a > limit/slowPart {
			slow++
		}
		longest = max(longest, a)
	}
	switch was := d.slow.Load() > 0; {
	case slow >= slowLooks, was && slow > goodLooks:
		d.slow.Store(int64(longest))
	default:
		d.slow.Store(0)
	}
}

// epoch is the zero of times that must not jump with the wall clock.
var epoch = time.Now()

// oldest returns how long the oldest write under way has taken, given when the canary began.
func (l *Log) oldest(now time.Time, busy bool, canary time.Time) (age time.Duration) {
	if busy {
		age = now.Sub(canary)
	}
	return max(age, l.Writing())
}

// Writing returns for how long the write to the log that is under way has taken; 0: none is.
// Raft's main loop waits for it.
func (l *Log) Writing() time.Duration {
	if at := l.since.Load(); at != 0 {
		return max(time.Since(epoch)-time.Duration(at), 1)
	}
	return 0
}
