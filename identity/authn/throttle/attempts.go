package throttle

import (
	"sync"
	"time"
)

// Attempts are the failures of this node that are not in the store yet, and the
// attempts under way, which count as failures until they are not: else a hundred
// guesses at once would each see none before it.
type Attempts struct {
	mu      sync.Mutex // guards everything below
	tallies map[tallyKey]*tally
	failed  map[Kind]*Failure
	waiting int           // failures since the last flush
	wake    chan struct{} // a flush is due before its time

	strangers     int // attempts under way of browsers that are not known
	mostStrangers int
}

// An Attempt is one under way.
type Attempt struct {
	keys     []tallyKey
	Stranger bool // of a browser in which its user has not signed in before
}

type tallyKey struct{ tenant, name, from string }

type tally struct {
	failed   int64 // not in the store yet
	underWay int64
	last     time.Time
}

// New returns Attempts, of which strangers may have so many under way.
func New(strangers int) *Attempts {
	return &Attempts{mostStrangers: strangers, tallies: map[tallyKey]*tally{}, failed: map[Kind]*Failure{}, wake: make(chan struct{}, 1)}
}

func (s *Source) tallyKey() tallyKey { return tallyKey{s.Tenant, s.Name, s.From} }

// Admit lets an attempt begin, or says how long to wait. What is refused here is
// not counted: the delay ends whether or not someone keeps knocking. Strangers have room for so
// many only: what they cause must not keep out those who are known.
func (a *Attempts) Admit(sources []Source, now time.Time) (Attempt, time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var wait time.Duration
	for i := range sources {
		s := &sources[i]
		n, last := s.count, s.last
		if t := a.tallies[s.tallyKey()]; t != nil {
			n += t.failed + t.underWay
			if t.last.After(last) {
				last = t.last
			}
		}
		wait = max(wait, min(s.delay(n), last.Add(s.delay(n)).Sub(now)))
	}
	if wait > 0 {
		return Attempt{}, wait
	}
	one := Attempt{keys: make([]tallyKey, 0, len(sources)), Stranger: !Known(sources)}
	if one.Stranger && a.crowded() {
		return Attempt{}, time.Second
	}
	if one.Stranger {
		a.strangers++
	}
	for i := range sources {
		k := sources[i].tallyKey()
		t := a.tallies[k]
		if t == nil {
			t = &tally{}
			a.tallies[k] = t
		}
		t.underWay++
		t.last = now
		one.keys = append(one.keys, k)
	}
	return one, 0
}

// Full reports whether there is no room for one more stranger.
func (a *Attempts) Full() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.crowded()
}

// crowded is Full for whoever holds the lock.
func (a *Attempts) crowded() bool {
	return a.strangers >= a.mostStrangers || len(a.tallies) > maxTallies
}

// Release ends an attempt that was no failure.
func (a *Attempts) Release(one Attempt) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.end(one, 0)
}

// end is Release for whoever holds the lock.
func (a *Attempts) end(one Attempt, failed int64) {
	if one.Stranger {
		a.strangers--
	}
	for _, k := range one.keys {
		t := a.tallies[k]
		t.underWay--
		t.failed += failed
		if t.underWay == 0 && t.failed == 0 {
			delete(a.tallies, k)
		}
	}
}

// InMemory returns how many sources and kinds of failure are remembered that the store does not know.
func (a *Attempts) InMemory() (sources, kinds int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.tallies), len(a.failed)
}

// Age moves every failure in memory into the past, for tests of what is slowed down.
func (a *Attempts) Age(d time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, t := range a.tallies {
		t.last = t.last.Add(-d)
	}
}
