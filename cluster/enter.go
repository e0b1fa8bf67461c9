package cluster

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/raft"

	"github.com/quis-idp/quis/cluster/form"
	"github.com/quis-idp/quis/cluster/wire"
)

// handleEnter takes a new node, which has proved the root key, into the cluster: it
// gets a certificate and becomes a member without a vote. A node that lost its data
// and comes back under its old name is first removed: it has forgotten what it had
// promised, so its old vote must not count.
func (n *Node) handleEnter(ctx context.Context, _ wire.Peer, q *form.EnterRequest) (any, error) {
	if !n.started.Load() {
		return nil, &wire.Fault{Code: codeNotLeader, Detail: "node is starting"}
	}
	if n.readyTerm.Load() == 0 {
		id, address := n.Leader()
		if id == "" || id == n.cfg.NodeID {
			return nil, &wire.Fault{Code: codeNotLeader, Detail: "no leader yet"}
		}
		return &form.EnterAnswer{Leader: address}, nil
	}
	if !wire.ValidNodeID(q.NodeID) {
		return nil, &wire.Fault{Code: codeRefused, Detail: "not a node ID"}
	}
	n.admitting.Lock()
	defer n.admitting.Unlock()
	if err := n.newEnough(ctx, q); err != nil {
		return nil, err
	}
	for _, s := range n.servers() {
		if string(s.ID) != q.NodeID && string(s.Address) != q.Address {
			continue
		}
		if n.answers(ctx, s) {
			return nil, &wire.Fault{Code: codeRefused, Detail: fmt.Sprintf("node %s is a member already and answers at %s: give the new node another ID and address", s.ID, s.Address)}
		}
		if err := n.raft.RemoveServer(s.ID, 0, n.cfg.ProposeTimeout).Error(); err != nil {
			return nil, &wire.Fault{Code: codeNotLeader, Detail: "remove the former " + string(s.ID) + ": " + err.Error()}
		}
		n.log.Info("member that lost its data removed", "member", string(s.ID), "address", string(s.Address))
	}
	row, cert, err := n.issue(ctx, q.Request, q.NodeID)
	if err != nil {
		return nil, err
	}
	if err := n.raft.AddNonvoter(raft.ServerID(q.NodeID), raft.ServerAddress(q.Address), 0, n.cfg.ProposeTimeout).Error(); err != nil {
		return nil, &wire.Fault{Code: codeNotLeader, Detail: "add " + q.NodeID + ": " + err.Error()}
	}
	n.log.Info("node taken in", "member", q.NodeID, "address", q.Address)
	return &form.EnterAnswer{Authority: *row, Cert: cert}, nil
}

// answers says whether the member s is alive with its identity.
func (n *Node) answers(ctx context.Context, s raft.Server) bool {
	if string(s.ID) == n.cfg.NodeID {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	return n.port.Caller().Call(ctx, string(s.ID), string(s.Address), methodPosition, &struct{}{}, nil) == nil
}
