package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"

	"github.com/quis-idp/quis/cluster/wire"
)

// enter asks the cluster of the node at address to take this node in.
func (n *Node) enter(ctx context.Context, address string) error {
	key, request, err := wire.NewKey()
	if err != nil {
		return err
	}
	q := enterRequest{NodeID: n.cfg.NodeID, Address: n.port.Advertise(), Request: request}
	var a enterAnswer
	for range 3 { // leaders may change while we ask
		if a, err = n.askToEnter(ctx, address, &q); err != nil || a.Leader == "" {
			break
		}
		address = a.Leader
	}
	if n.id.Load() != nil {
		return nil // made a founder meanwhile
	}
	var fault *wire.Fault
	if errors.As(err, &fault) && fault.Code == codeRefused {
		return fmt.Errorf("join the cluster through %s: %w", address, err)
	}
	if err != nil || len(a.Cert) == 0 {
		return fmt.Errorf("%w: the cluster at %s has not taken this node in yet: %v", errWait, address, err)
	}
	n.forming.mu.Lock()
	defer n.forming.mu.Unlock()
	if n.id.Load() != nil {
		return nil
	}
	id, err := newIdentity(n.cfg.NodeID, &a.Authority, a.Cert, key)
	if err != nil {
		return err
	}
	if _, err := a.Authority.unwrap(n.cfg.Root); err != nil {
		return err
	}
	if err := id.save(n.cfg.DataDir, n.cfg.Root); err != nil {
		return err
	}
	n.forming.open = false
	n.adopt(id)
	n.log.Info("taken into the cluster", "cluster", id.clusterID, "through", address)
	return nil
}

func (n *Node) askToEnter(ctx context.Context, address string, q *enterRequest) (enterAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var a enterAnswer
	c, err := n.port.DialJoin(ctx, address)
	if err != nil {
		return a, err
	}
	defer c.Close()
	return a, c.Call(ctx, methodEnter, q, &a)
}

// handleEnter takes a new node, which has proved the root key, into the cluster: it
// gets a certificate and becomes a member without a vote. A node that lost its data
// and comes back under its old name is first removed: it has forgotten what it had
// promised, so its old vote must not count.
func (n *Node) handleEnter(ctx context.Context, _ wire.Peer, q *enterRequest) (any, error) {
	if !n.started.Load() {
		return nil, &wire.Fault{Code: codeNotLeader, Detail: "node is starting"}
	}
	if n.readyTerm.Load() == 0 {
		id, address := n.Leader()
		if id == "" || id == n.cfg.NodeID {
			return nil, &wire.Fault{Code: codeNotLeader, Detail: "no leader yet"}
		}
		return &enterAnswer{Leader: address}, nil
	}
	if !wire.ValidNodeID(q.NodeID) {
		return nil, &wire.Fault{Code: codeRefused, Detail: "not a node ID"}
	}
	n.admitting.Lock()
	defer n.admitting.Unlock()
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
	return &enterAnswer{Authority: *row, Cert: cert}, nil
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
