package roster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"

	"github.com/quis-idp/quis/cluster/autopilot"
	"github.com/quis-idp/quis/fsm"
)

// The roles of members.
const (
	RoleVoter    = "voter"
	RoleJoining  = "joining"   // gets a vote once it keeps up
	RoleNonVoter = "non-voter" // an operator took its vote away
	RoleRemoved  = "removed"   // this node itself, when it is no member any more
)

// A Member is one node of the cluster, as seen from here.
type Member struct {
	ID, Address  string
	Voter        bool
	Leader       bool
	Alive        bool // it answers; where it could not be asked yet, gossip has seen it
	Version      string
	AppliedIndex uint64 // 0 if it has not answered

	Role        string        // voter, joining, non-voter or removed
	Healthy     bool          // it answers, keeps up, and has been seen just now
	Reason      string        // why it is not healthy, in words
	Lag         uint64        // entries applied less than by the leader
	LastSeen    time.Time     // when it last answered; zero: not since this node looks
	ClockOffset time.Duration // its wall clock less this node's, ± ClockError
	ClockError  time.Duration // 0: its clock is not known
	CA          string        // fingerprint of the authority that its certificate is from
}

// A Status says how the cluster is.
type Status struct {
	NodeID, ClusterID string
	State             string // leader, follower, candidate, shutdown, or starting: nobody has confirmed it yet
	Term              uint64
	LeaderID          string
	AppliedIndex      uint64
	CommitIndex       uint64
	LastIndex         uint64
	Members           []Member

	Voters    int    // how many there are
	Healthy   int    // how many of them are healthy
	Tolerates int    // how many more may fail before nothing can be written; negative: too many have
	Summary   string // all that in words
}

// What Status allows for asking members that were not asked within the last moments.
const (
	fresh     = 100 * time.Millisecond
	freshness = 400 * time.Millisecond
)

// Status returns the members as this node sees them. It needs no quorum, and waits
// for members that do not answer for less than half a second.
func (r *Roster) Status(ctx context.Context) Status {
	s := Status{NodeID: r.cfg.NodeID}
	if !r.on.Load() {
		s.Summary = autopilot.Summary(0, 0, false)
		return s
	}
	r.refresh(ctx)
	s.Term = r.life.raft.CurrentTerm()
	s.AppliedIndex = r.cfg.DB.Position().Index
	s.CommitIndex = r.life.raft.CommitIndex()
	s.LastIndex = r.life.raft.LastIndex()
	s.LeaderID, _ = r.Leader()
	servers := r.Servers()
	r.mu.Lock()
	for _, m := range servers {
		s.Members = append(s.Members, r.member(m, s.LeaderID))
	}
	r.mu.Unlock()
	here := false
	for _, m := range s.Members {
		here = here || m.ID == r.cfg.NodeID
		if m.Voter {
			s.Voters++
			if m.Healthy {
				s.Healthy++
			}
		}
	}
	if !here && len(s.Members) > 0 {
		s.Members = append(s.Members, Member{ID: r.cfg.NodeID, Address: r.life.port.Advertise(), Alive: true, Version: r.cfg.Version, AppliedIndex: s.AppliedIndex, Role: RoleRemoved, Reason: "is no member any more"})
	}
	s.Tolerates = autopilot.Tolerates(s.Healthy, s.Voters)
	s.Summary = autopilot.Summary(s.Healthy, s.Voters, s.LeaderID != "")
	return s
}

// refresh asks those who were not asked just now, briefly.
func (r *Roster) refresh(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, freshness)
	defer cancel()
	r.askAll(ctx, r.Servers(), func(m raft.Server) bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		s := r.see(string(m.ID))
		old := time.Since(s.tried) > fresh || s.done != nil
		silent := s.err != nil && time.Since(s.tried) < recent // it has had its chance
		return old && (!silent || string(m.ID) == r.cfg.NodeID)
	})
}

// member describes one; r.mu is held.
func (r *Roster) member(m raft.Server, leader string) Member {
	now := time.Now()
	s := r.see(string(m.ID))
	out := Member{
		ID: string(m.ID), Address: string(m.Address), Voter: m.Suffrage == raft.Voter, Leader: string(m.ID) == leader,
		Version: s.Version, AppliedIndex: s.Applied, Lag: s.lag, LastSeen: s.at, Role: RoleVoter,
	}
	switch {
	case out.Voter:
	case r.demoted[out.ID]:
		out.Role = RoleNonVoter
	default:
		out.Role = RoleJoining
	}
	out.Reason = r.ill(s, now)
	out.Healthy = out.Reason == ""
	// Gossip calls the dead alive for some seconds more: it counts only until there is an answer, or none.
	out.Alive = s.err == nil && (!s.at.IsZero() && now.Sub(s.at) <= recent || s.at.IsZero() && r.cfg.Alive(out.ID))
	if s.Stand != nil {
		out.CA = s.Stand.Issuer
	}
	if s.clock.Known() {
		out.ClockOffset, out.ClockError = s.clock.At(now).Sub(r.cfg.Now()), s.clock.Error
	}
	if out.ID == r.cfg.NodeID {
		out.ClockOffset = 0
	}
	return out
}

// goneAfter is for how long a member without a vote must have given no sign of life to serve
// nobody: after a few seconds without a leader's word a node is not ready, and one that comes
// back, or joins, is only ready when it has caught up with what was decided meanwhile.
const goneAfter = 10 * time.Second

// MinApplied returns the log index up to which every member has applied that may be serving: every
// voter, and whoever has no vote and gives signs of life. If one of them does not answer, that is an
// error: there is no such index that could be relied on. A member without a vote that has
// been silent for [goneAfter] does not count; a voter always does.
func (r *Roster) MinApplied(ctx context.Context) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	begun := time.Now()
	r.Survey(ctx)
	least := r.cfg.DB.Position().Index
	servers := r.Servers()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range servers {
		if string(m.ID) == r.cfg.NodeID {
			continue
		}
		s := r.see(string(m.ID))
		if s.err != nil || s.at.IsZero() || begun.Sub(s.at) > recent {
			if m.Suffrage != raft.Voter && time.Since(s.alive) > goneAfter {
				continue
			}
			return 0, fmt.Errorf("applied index of node %s: %w", m.ID, errors.Join(s.err, fsm.ErrUnavailable))
		}
		least = min(least, s.Applied)
	}
	return least, nil
}

// Lags returns, on the leader, how many entries of its log each other member's log lacks.
func (r *Roster) Lags() map[string]uint64 {
	if !r.on.Load() || r.cfg.Leading() == 0 {
		return nil
	}
	last := r.life.raft.LastIndex()
	lags := map[string]uint64{}
	servers := r.Servers()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range servers {
		if s := r.sights[string(m.ID)]; s != nil && string(m.ID) != r.cfg.NodeID {
			at := s.Last
			if at == 0 {
				at = s.Applied // an older release
			}
			lags[string(m.ID)] = last - min(last, at)
		}
	}
	return lags
}

// ClockOffsets returns by how much the wall clocks of the other members are ahead of this node's.
func (r *Roster) ClockOffsets() map[string]time.Duration {
	now, wall := time.Now(), r.cfg.Now()
	offsets := map[string]time.Duration{}
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, s := range r.sights {
		if id != r.cfg.NodeID && s.clock.Known() {
			offsets[id] = s.clock.At(now).Sub(wall)
		}
	}
	return offsets
}

// HealthyVoters returns how many voters were healthy when last looked at, and how many there are.
func (r *Roster) HealthyVoters() (healthy, voters int) {
	servers := r.Servers()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range servers {
		if m.Suffrage != raft.Voter {
			continue
		}
		voters++
		if s := r.sights[string(m.ID)]; s != nil && s.healthy {
			healthy++
		}
	}
	return healthy, voters
}

// HandOvers returns how often this node has given leadership away because of a stuck follower.
func (r *Roster) HandOvers() int64 { return r.handed.Load() }
