package autopilot

import (
	"time"
)

// A Follower is how far the log of a follower has come.
type Follower struct {
	ID      string
	Last    uint64 // its last entry
	Pending bool   // the leader's log is longer
	Answers bool   // to calls; what does not answer is a matter of health
	Busy    bool   // being installed from a snapshot
}

// StuckAfter is how long a follower that answers may make no progress. Raft itself
// waits up to 10.24 s before it tries again with a follower that was away.
const StuckAfter = 12 * time.Second

// The pauses between two hand-overs for the sake of a stuck follower.
const (
	firstPause = time.Minute
	mostPause  = time.Hour
)

// Stuck finds followers to whom replication has stopped although they answer: Raft's
// heartbeats go another way and look healthy. A new leader begins replication anew.
//
// It cannot storm: leadership is given away only for a follower that did follow under this leader,
// so a follower that no leader can bring forward moves nobody; and the pause between two
// hand-overs of one node doubles up to an hour, until a day has been calm.
type Stuck struct {
	members map[string]*progress
	handed  time.Time
	pause   time.Duration
}

type progress struct {
	last  uint64
	since time.Time
	moved bool // under this leader
	told  bool
}

// Begin forgets what was seen under an earlier leadership of this node.
func (s *Stuck) Begin() { s.members = map[string]*progress{} }

// Look takes in how far the followers are. It returns those newly found stuck, and whether to
// hand leadership over now because of one.
func (s *Stuck) Look(now time.Time, followers []Follower) (found []string, handOver bool) {
	if s.members == nil {
		s.Begin()
	}
	for _, f := range followers {
		p := s.members[f.ID]
		if p == nil {
			p = &progress{last: f.Last, since: now}
			s.members[f.ID] = p
		}
		if f.Answers && f.Last > p.last {
			p.moved = true
		}
		if f.Last != p.last || !f.Answers || !f.Pending || f.Busy {
			p.last, p.since, p.told = f.Last, now, false
			continue
		}
		if now.Sub(p.since) < StuckAfter {
			continue
		}
		if !p.told {
			found = append(found, f.ID)
			p.told = true
		}
		handOver = handOver || p.moved
	}
	return found, handOver && s.mayHand(now)
}

func (s *Stuck) mayHand(now time.Time) bool {
	switch {
	case s.handed.IsZero() || now.Sub(s.handed) > 24*time.Hour:
		s.pause = firstPause
	case now.Sub(s.handed) < s.pause:
		return false
	default:
		s.pause = min(2*s.pause, mostPause)
	}
	s.handed = now
	return true
}
