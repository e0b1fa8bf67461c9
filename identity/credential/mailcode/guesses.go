package mailcode

import (
	"sync"
	"time"
)

const (
	maxGuesses = 5       // for one state
	maxStates  = 100_000 // that are remembered: each has cost a mail, whose number is limited
)

// A guessed is how often one state was tried, and when it no longer matters.
type guessed struct {
	count   int
	expires time.Time
}

// guesses counts on this node, in bounded memory: an attempt of a stranger costs no entry.
type guesses struct {
	mu sync.Mutex
	of map[[stateID]byte]guessed // guarded by mu
}

// take counts a guess, or reports that there were enough. When there is no room to
// remember, nobody may guess.
func (g *guesses) take(id [stateID]byte, now, expires time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	was, known := g.of[id]
	if !known && len(g.of) >= maxStates {
		for k, v := range g.of {
			if !now.Before(v.expires) {
				delete(g.of, k)
			}
		}
		if len(g.of) >= maxStates {
			return false
		}
	}
	if was.count >= maxGuesses {
		return false
	}
	g.of[id] = guessed{was.count + 1, expires}
	return true
}
