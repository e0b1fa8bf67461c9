// Package limit holds back whoever comes too often: a burst at once, then one more
// for each interval, for each key (an address, a token).
//
// Strangers choose the keys, so memory is bounded, and a flood of new keys cannot free
// one that is being held back. A limiter belongs to one node; behind a balancer a
// cluster of three so allows up to three times the rate. What must hold across the
// cluster (guesses of one person's password) is counted by identity/authn. A [Gate] bounds
// how many strangers are at work at once.
package limit

import (
	"sync"
	"time"
)

// A Rate allows a burst at once, and after that one more for each interval.
type Rate struct {
	Burst int
	Every time.Duration
}

// maxKeys bounds the memory of a limiter.
const maxKeys = 100_000

// A Limiter holds back keys that come too often (GCRA: for each key one time, at which
// its burst will be whole again).
type Limiter struct {
	rate Rate
	now  func() time.Time

	mu    sync.Mutex
	full  map[string]time.Time // guarded by mu
	swept time.Time            // guarded by mu
}

// New returns a limiter at which nobody has been yet.
func New(rate Rate) *Limiter {
	return &Limiter{rate: rate, now: time.Now, full: map[string]time.Time{}}
}

// Take counts an attempt of key, or says how long it must wait for the next one. Giving
// back what turned out to be no attack keeps many people behind one address apart from one
// who guesses.
func (l *Limiter) Take(key string) (wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	at := later(l.full[key], now).Add(l.rate.Every)
	if wait = at.Sub(now) - time.Duration(l.rate.Burst)*l.rate.Every; wait > 0 {
		return wait
	}
	if _, known := l.full[key]; !known && len(l.full) >= maxKeys {
		l.makeRoom(now)
	}
	l.full[key] = at
	return 0
}

// GiveBack undoes one Take.
func (l *Limiter) GiveBack(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at, ok := l.full[key]
	if !ok {
		return
	}
	if at = at.Add(-l.rate.Every); at.After(l.now()) {
		l.full[key] = at
	} else {
		delete(l.full, key)
	}
}

// makeRoom forgets the keys whose burst is whole, and if that is not enough, the one among
// some that would be first to be: those that are held back stay. l.mu is held.
func (l *Limiter) makeRoom(now time.Time) {
	if now.Sub(l.swept) >= time.Second { // a flood must not buy a walk through the map with each key
		l.swept = now
		for key, at := range l.full {
			if !at.After(now) {
				delete(l.full, key)
			}
		}
	}
	if len(l.full) < maxKeys {
		return
	}
	const sample = 64 // map order is random enough
	var first string
	var firstAt time.Time
	seen := 0
	for key, at := range l.full {
		if first == "" || at.Before(firstAt) {
			first, firstAt = key, at
		}
		if seen++; seen == sample {
			break
		}
	}
	delete(l.full, first)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
