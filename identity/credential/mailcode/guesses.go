package mailcode

import "sync"

const (
	maxGuesses = 5       // for one state
	maxStates  = 100_000 // that are remembered: about 6 MB
)

// guesses counts on this node, in bounded memory. States cost nothing, since one can be had for a name
// that nobody has; so when there is no room the oldest is forgotten: whoever fills it keeps nobody from
// guessing. What they get for a hundred thousand guesses is five more at a code, for which one letter more would
// have done. Each call is as cheap as the first.
type guesses struct {
	mu    sync.Mutex
	of    map[[stateID]byte]int // guarded by mu
	order [][stateID]byte       // of: a ring, once it is full; guarded by mu
	next  int                   // the oldest of it; guarded by mu
}

// take counts a guess, or reports that there were enough.
func (g *guesses) take(id [stateID]byte) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	n, known := g.of[id]
	switch {
	case n >= maxGuesses:
		return false
	case known:
	case len(g.order) < maxStates:
		g.order = append(g.order, id)
	default:
		delete(g.of, g.order[g.next])
		g.order[g.next] = id
		g.next = (g.next + 1) % maxStates
	}
	g.of[id] = n + 1
	return true
}
