package cluster

import (
	"context"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// A Member is one node of the cluster, as seen from here.
type Member struct {
	ID, Address  string
	Voter        bool
	Leader       bool
	Alive        bool // it answers, or gossip has seen it within the last seconds
	Version      string
	AppliedIndex uint64 // 0 if it does not answer

	Role        string        // voter, joining (being let in), non-voter (by an operator's wish) or removed
	Healthy     bool          // it answers, keeps up, and has been seen just now
	Reason      string        // why it is not healthy, in words
	Lag         uint64        // entries applied less than by the leader
	LastSeen    time.Time     // when it last answered; zero: not since this node looks
	ClockOffset time.Duration // its wall clock less this node's, ± ClockError
	ClockError  time.Duration // 0: its clock is not known
	CA          string        // fingerprint of the authority that its certificate is from

	err error
}

// A Status says how a node and its cluster are.
type Status struct {
	NodeID, ClusterID string
	State             string // leader, follower, candidate, shutdown or starting
	Term              uint64
	LeaderID          string
	AppliedIndex      uint64
	CommitIndex       uint64
	LastIndex         uint64
	Members           []Member

	Voters    int    // how many there are
	Healthy   int    // how many of them are healthy
	Tolerates int    // how many more may fail before nothing can be written
	Summary   string // all that in words
}

// Status asks every member how far it is, for at most a second.
func (n *Node) Status(ctx context.Context) Status {
	s := Status{NodeID: n.cfg.NodeID, State: "starting"}
	if id := n.self.Identity(); id != nil {
		s.ClusterID = id.ClusterID
	}
	if !n.started.Load() {
		return s
	}
	s.State = stateName(n.raft.State())
	s.Term = n.raft.CurrentTerm()
	s.LeaderID, _ = n.Leader()
	s.AppliedIndex = n.cfg.DB.Position().Index
	s.CommitIndex = n.raft.CommitIndex()
	s.LastIndex = n.raft.LastIndex()
	s.Members = n.members(ctx)
	return s
}

func (n *Node) members(ctx context.Context) []Member {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	leader, _ := n.Leader()
	servers := n.servers()
	members := make([]Member, len(servers))
	var all sync.WaitGroup
	for i, s := range servers {
		m := &members[i]
		*m = Member{ID: string(s.ID), Address: string(s.Address), Voter: s.Suffrage == raft.Voter, Leader: string(s.ID) == leader}
		if m.ID == n.cfg.NodeID {
			m.Alive, m.Version, m.AppliedIndex = true, n.cfg.Version, n.cfg.DB.Position().Index
			continue
		}
		all.Go(func() {
			var p positionAnswer
			m.err = n.port.Caller().Call(ctx, m.ID, m.Address, methodPosition, &struct{}{}, &p)
			m.Version, m.AppliedIndex = p.Version, p.Applied
			m.Alive = m.err == nil || n.gossiping.Load() && n.gossip.Alive(m.ID)
		})
	}
	all.Wait()
	return members
}
