package cluster

import (
	"context"

	"github.com/hashicorp/raft"

	"github.com/quis-idp/quis/cluster/form"
	"github.com/quis-idp/quis/cluster/roster"
	"github.com/quis-idp/quis/cluster/wire"
)

// The codes of faults between nodes.
const (
	codeNotLeader = form.CodeNotLeader
	codeRefused   = form.CodeRefused
)

const methodRenew = "renew"

// What a node says of itself, and how it is asked.
type positionAnswer = roster.Position

const methodPosition = roster.MethodPosition

// A Member is one node of the cluster, as seen from here.
type Member = roster.Member

// A Status says how a node and its cluster are.
type Status = roster.Status

func (n *Node) newRoster() *roster.Roster {
	return roster.New(roster.Config{
		NodeID: n.cfg.NodeID, Version: n.cfg.Version, DB: n.cfg.DB, Logger: n.log, Heartbeat: n.cfg.Heartbeat,
		Timeout: n.cfg.ProposeTimeout, PromoteAfter: n.cfg.PromoteAfter, DeadAfter: n.cfg.DeadAfter, Now: n.cfg.Now, Changing: &n.admitting,
		Leads: n.leading, Leading: n.readyTerm.Load, Stale: n.staleness, Changed: n.changed.wait, Change: n.changed.broadcast, Quit: n.quit,
		Apart: func() bool { return n.Isolated() != nil }, Gossip: n.gossipAddress,
		Alive:   func(id string) bool { return n.gossiping.Load() && n.gossip.Alive(id) },
		Stand:   n.self.Stand,
		Busy:    func() bool { return n.started.Load() && n.transport.Installing() },
		Fitness: func() roster.Fitness { fit, _ := n.fitness(); return fit },
		Removed: func() { n.die(n.self.Removed()) },
	})
}

// calls are the methods of quis-rpc/1, between nodes that have certificates.
func (n *Node) calls() *wire.Mux {
	m := &wire.Mux{}
	n.leader.Handle(m)
	wire.Handle(m, methodRenew, n.handleRenew)
	n.roster.Handle(m)
	n.compare.Handle(m)
	wire.Handle(m, methodFitness, n.handleFitness)
	wire.Handle(m, methodFeatures, n.handleFeatures)
	wire.Handle(m, methodCheckup, n.handleCheckup)
	return m
}

// servers returns the current configuration, committed or not; nothing before Raft runs.
func (n *Node) servers() []raft.Server { return n.roster.Servers() }

// isMember also holds while an admission, or a removal, is not committed.
func (n *Node) isMember(id string) bool { return n.roster.IsMember(id) }

// leading refuses a call that only the leader can answer, and callers that are not
// members: a removal may not have come to its revocation yet.
func (n *Node) leading(from wire.Peer) error {
	if !n.started.Load() || n.raft.State() != raft.Leader || n.Isolated() != nil {
		return &wire.Fault{Code: codeNotLeader, Detail: "not the leader"}
	}
	if !n.isMember(from.NodeID) {
		return &wire.Fault{Code: codeRefused, Detail: "node " + from.NodeID + " is not a member"}
	}
	return nil
}

// Transfer hands leadership to the voter named to, or if that is empty to the one
// that is furthest. It may be asked of any node. It reports an [autopilot.Refusal] if that voter
// cannot lead, fsm.ErrNotFound if it is no member, and fsm.ErrUnavailable without a leader.
func (n *Node) Transfer(ctx context.Context, to string) error {
	return n.roster.Make(ctx, roster.Transfer, to, false)
}

// Yield hands leadership, if this node has it, to the best voter. It tries once, for a few
// seconds at most: it is for a node that is about to stop.
func (n *Node) Yield(ctx context.Context) error { return n.roster.Yield(ctx) }

// Remove takes a node out of the cluster for good. It may be asked of any node. It reports
// fsm.ErrNotFound for a node that is no member, and without force an [autopilot.Refusal] for a
// removal that would cost the cluster its quorum or, if the node is healthy, the operator's minimum.
// The last voter is never removed. A leader that is to be removed hands over first.
func (n *Node) Remove(ctx context.Context, id string, force bool) error {
	return n.roster.Make(ctx, roster.Remove, id, force)
}

// Demote takes a node's vote away and keeps it as a member that follows, until it is promoted.
// It may be asked of any node. It refuses as [Node.Remove] does.
func (n *Node) Demote(ctx context.Context, id string, force bool) error {
	return n.roster.Make(ctx, roster.Demote, id, force)
}

// Promote lets a member vote, also one that was demoted. It may be asked of any node.
// It reports an [autopilot.Refusal] for a member that is not healthy.
func (n *Node) Promote(ctx context.Context, id string) error {
	return n.roster.Make(ctx, roster.Promote, id, false)
}

// Status says how the cluster is as this node sees it. It needs no quorum, and waits for
// members that do not answer for less than half a second.
func (n *Node) Status(ctx context.Context) Status {
	s := n.roster.Status(ctx)
	s.State = "starting" // until a majority has confirmed it once: it knows nothing of the others before
	if id := n.self.Identity(); id != nil {
		s.ClusterID = id.ClusterID
	}
	if n.started.Load() && n.fresh.Known() {
		s.State = stateName(n.raft.State())
	}
	return s
}

// MinApplied returns the log index up to which every member has applied that may be serving. If a
// voter does not answer, or another member that gave a sign of life just now, that is an error:
// there is no such index that could be relied on.
func (n *Node) MinApplied(ctx context.Context) (uint64, error) { return n.roster.MinApplied(ctx) }
