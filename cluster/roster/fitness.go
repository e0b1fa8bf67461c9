package roster

import (
	"time"

	"github.com/hashicorp/raft"
)

// A Fitness is how well a member could lead: the less the better.
type Fitness uint8

// The fitnesses, as they also stand in calls between nodes.
const (
	Unknown Fitness = iota // not heard of, or of an older release
	Fit
	Poor    // its disk is slow, or has little room left
	Refuses // its disk takes no writes
	Odd     // its state is not that of the others
)

// BetterThan says whether one that is f is known to lead better than one that is o.
func (f Fitness) BetterThan(o Fitness) bool { return f != Unknown && f < o }

// near is how old an answer may be that shows a member to live: it is asked every [askEvery].
const near = 2 * askEvery

// Better says whether a living voter other than this node and than is known that would
// lead better than one that is as fit as this.
func (r *Roster) Better(fit Fitness, than string) bool {
	servers := r.Servers()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range servers {
		id := string(m.ID)
		s := r.sights[id]
		if s == nil || m.Suffrage != raft.Voter || id == r.cfg.NodeID || id == than {
			continue
		}
		if s.err == nil && time.Since(s.at) < near && s.Fit.BetterThan(fit) {
			return true
		}
	}
	return false
}

// FitnessOf returns how well a member could lead, as far as it has told.
func (r *Roster) FitnessOf(id string) Fitness {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.sights[id]; s != nil && s.err == nil {
		return s.Fit
	}
	return Unknown
}

// NewestTerm returns the newest term that a member has told of.
func (r *Roster) NewestTerm() (term uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.sights {
		term = max(term, s.Term)
	}
	return term
}
