package cluster

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/raft"

	"github.com/quis-idp/quis/cluster/wire"
	"github.com/quis-idp/quis/fsm"
)

const methodMove = "move"

type moveRequest struct {
	Address string `cbor:"1,keyasint"`
}

// move tells the leader when this node has come back under another address than the
// cluster knows it by. It ends once the cluster knows.
func (n *Node) move() {
	wait := time.NewTicker(200 * time.Millisecond)
	defer wait.Stop()
	here := n.port.Advertise()
	for {
		known := ""
		for _, s := range n.servers() {
			if string(s.ID) == n.cfg.NodeID {
				known = string(s.Address)
			}
		}
		switch {
		case known == here:
			return
		case known == "": // not a member yet, or the configuration has not come
		case n.readyTerm.Load() != 0:
			n.moved(n.cfg.NodeID, here)
		default:
			n.askToMove(known, here)
		}
		select {
		case <-wait.C:
		case <-n.quit:
			return
		}
	}
}

// askToMove asks every member, because a node at an address that nobody knows does
// not hear who leads.
func (n *Node) askToMove(known, here string) {
	n.log.Info("this node has moved", "known_address", known, "address", here)
	for _, s := range n.servers() {
		if string(s.ID) == n.cfg.NodeID {
			continue
		}
		ctx, cancel := context.WithTimeout(n.ctx, time.Second)
		err := n.port.Caller().Call(ctx, string(s.ID), string(s.Address), methodMove, &moveRequest{here}, nil)
		cancel()
		if err == nil {
			return
		}
	}
}

func (n *Node) handleMove(_ context.Context, from wire.Peer, q *moveRequest) (any, error) {
	if err := n.leading(from); err != nil {
		return nil, err
	}
	if err := n.moved(from.NodeID, q.Address); err != nil {
		return nil, &wire.Fault{Code: codeNotLeader, Detail: err.Error()}
	}
	return nil, nil
}

// moved changes the address of a member, which keeps its vote if it has one.
func (n *Node) moved(id, address string) error {
	n.admitting.Lock()
	defer n.admitting.Unlock()
	var change func(raft.ServerID, raft.ServerAddress, uint64, time.Duration) raft.IndexFuture
	for _, s := range n.servers() {
		if string(s.ID) != id {
			continue
		}
		change = n.raft.AddNonvoter
		if s.Suffrage == raft.Voter {
			change = n.raft.AddVoter
		}
	}
	if change == nil { // removed since it asked: moving must not bring it back
		return fmt.Errorf("move node %s: %w", id, fsm.ErrNotFound)
	}
	err := change(raft.ServerID(id), raft.ServerAddress(address), 0, n.cfg.ProposeTimeout).Error()
	if err != nil {
		n.log.Warn("address of a member not changed", "member", id, "address", address, "error", err)
	}
	return err
}
