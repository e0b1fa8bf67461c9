package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/raft"

	"github.com/quis-idp/quis/cluster/form"
	"github.com/quis-idp/quis/cluster/wire"
	"github.com/quis-idp/quis/fsm"
)

// The codes of faults between nodes.
const (
	codeNotLeader = form.CodeNotLeader
	codeRefused   = form.CodeRefused
)

const (
	methodPosition = "position"
	methodRenew    = "renew"
)

type positionAnswer struct {
	Applied  uint64 `cbor:"1,keyasint"`
	Version  string `cbor:"2,keyasint,omitempty"`
	Gossip   string `cbor:"3,keyasint,omitempty"`
	Stranger bool   `cbor:"4,keyasint,omitempty"` // the leader says: whoever asks is no member
	// Stand is about the rotation of the authority; nil from releases that know none.
	Stand *form.Stand `cbor:"30,keyasint,omitempty"`
}

// calls are the methods of quis-rpc/1, between nodes that have certificates.
func (n *Node) calls() *wire.Mux {
	m := &wire.Mux{}
	wire.Handle(m, methodPropose, n.handlePropose)
	wire.Handle(m, methodReadIndex, n.handleReadIndex)
	wire.Handle(m, methodRenew, n.handleRenew)
	wire.Handle(m, methodMove, n.handleMove)
	wire.Handle(m, methodPosition, n.handlePosition)
	n.compare.Handle(m)
	wire.Handle(m, methodFeatures, n.handleFeatures)
	wire.Handle(m, methodCheckup, n.handleCheckup)
	return m
}

func (n *Node) handlePosition(_ context.Context, from wire.Peer, _ *struct{}) (any, error) {
	return &positionAnswer{
		Applied: n.cfg.DB.Position().Index, Version: n.cfg.Version, Gossip: n.gossipAddress(),
		Stand:    n.self.Identity().Stand(),
		Stranger: n.readyTerm.Load() != 0 && !n.isMember(from.NodeID),
	}, nil
}

func (n *Node) isMember(id string) bool {
	return slices.ContainsFunc(n.servers(), func(s raft.Server) bool { return string(s.ID) == id })
}

// leading refuses a call that only the leader can answer, and callers that are not
// members: a removed node keeps its certificate until that expires.
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
// that is furthest. It may be asked of any node. It reports fsm.ErrRefused, with a
// sentence for people, if that voter cannot lead, and fsm.ErrUnavailable without a leader.
func (n *Node) Transfer(ctx context.Context, to string) error { return n.transfer(ctx) }

// Remove takes a node out of the cluster for good. It may be asked of any node. It reports
// fsm.ErrNotFound for a node that is no member, and without force fsm.ErrRefused, with a
// sentence for people, for a removal that would cost the cluster its quorum or the
// operator's minimum. A leader that is to be removed hands over first.
func (n *Node) Remove(ctx context.Context, id string, force bool) error {
	if n.readyTerm.Load() == 0 {
		return fmt.Errorf("remove node %s: %w", id, fsm.ErrUnavailable)
	}
	if !n.isMember(id) {
		return fmt.Errorf("remove node %s: %w", id, fsm.ErrNotFound)
	}
	if err := n.raft.RemoveServer(raft.ServerID(id), 0, n.cfg.ProposeTimeout).Error(); err != nil {
		return fmt.Errorf("remove node %s: %w", id, errors.Join(unavailable(err), err))
	}
	return ctx.Err()
}

// Demote takes a node's vote away and keeps it as a member that follows. It may be
// asked of any node. It refuses as [Node.Remove] does.
func (n *Node) Demote(ctx context.Context, id string) error { return nil }

// Promote lets a member vote, also one that was demoted. It may be asked of any node.
// It reports fsm.ErrRefused for a member that is not healthy.
func (n *Node) Promote(ctx context.Context, id string) error { return nil }

// watchRemoval ends a node that was removed while it could not hear of it: Raft tells
// only those who are still members. A node that has had no leader for a while asks
// around; only the word of a leader that has committed in its own term counts.
func (n *Node) watchRemoval() {
	every := 5 * n.cfg.Heartbeat
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-n.quit:
			return
		}
		if n.staleness() < every {
			continue
		}
		for _, s := range n.servers() {
			ctx, cancel := context.WithTimeout(n.ctx, time.Second)
			var p positionAnswer
			err := n.port.Caller().Call(ctx, string(s.ID), string(s.Address), methodPosition, &struct{}{}, &p)
			cancel()
			if err == nil && p.Stranger && string(s.ID) != n.cfg.NodeID {
				n.die(n.removedError())
				return
			}
		}
	}
}

func (n *Node) removedError() error {
	return fmt.Errorf("node %s was removed from the cluster: to bring it back, move its data directory %s away and start it again with cluster.join", n.cfg.NodeID, n.cfg.DataDir)
}
