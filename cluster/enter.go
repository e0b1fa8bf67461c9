package cluster

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/raft"

	"github.com/quis-idp/quis/cluster/form"
	"github.com/quis-idp/quis/cluster/wire"
)

// handleEnter takes a new node in that has proved the root key.
func (n *Node) handleEnter(ctx context.Context, _ wire.Peer, q *form.EnterRequest) (any, error) {
	return n.takeIn(ctx, q, func() error { return nil })
}

// handleTokenEnter takes a new node in that has proved to know a join token, which is
// used up by that. Everything that may be refused is looked at before.
func (n *Node) handleTokenEnter(ctx context.Context, from wire.Peer, q *form.EnterRequest) (any, error) {
	if answer, err := n.elsewhere(); answer != nil || err != nil {
		return answer, err
	}
	use, handOver := form.Use{ID: from.Token, Secret: q.Secret, Node: q.NodeID, Request: q.Request}, false
	// Whoever has a token that is worth nothing must not hold up those who wait to change the membership.
	if err := form.CheckToken(ctx, n.cfg.DB, use); err != nil {
		return nil, err
	}
	a, err := n.takeIn(ctx, q, func() (err error) {
		handOver, err = form.UseToken(ctx, n.cfg.DB, use, n.cfg.Told)
		return err
	})
	if err != nil {
		return nil, err
	}
	if handOver && len(a.Cert) > 0 {
		one, others, _ := strings.Cut(n.cfg.Root.Encode(), "\n")
		a.RootKey, a.Others = []byte(one), []byte(others)
		n.log.Info("root key handed to a node that joins", "member", q.NodeID, "token", from.Token)
	}
	return a, nil
}

// takeIn gives a new node a certificate and makes it a member without a vote, once it is
// allowed. A node that lost its data and comes back under its old name is first removed:
// it has forgotten what it had promised, so its old vote must not count. A node that asks
// again because the answer was lost finds itself a member that does not answer, too.
func (n *Node) takeIn(ctx context.Context, q *form.EnterRequest, allow func() error) (*form.EnterAnswer, error) {
	if answer, err := n.elsewhere(); answer != nil || err != nil {
		return answer, err
	}
	if !wire.ValidNodeID(q.NodeID) {
		return nil, &wire.Fault{Code: codeRefused, Detail: "not a node ID"}
	}
	n.admitting.Lock()
	defer n.admitting.Unlock()
	if err := n.newEnough(ctx, q); err != nil {
		return nil, err
	}
	if err := n.sameRoots(q); err != nil {
		return nil, err
	}
	former, err := n.former(ctx, q)
	if err != nil {
		return nil, err
	}
	if err := allow(); err != nil {
		return nil, err
	}
	if _, is := n.roster.Find(q.NodeID); !is {
		if err := n.roster.Welcome(ctx, q.NodeID); err != nil {
			return nil, err
		}
	}
	for _, s := range former {
		if err := n.roster.Dismiss(ctx, string(s.ID)); err != nil {
			return nil, &wire.Fault{Code: codeNotLeader, Detail: err.Error()}
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

// former returns the members whose name or address the new node claims, none of which may answer.
func (n *Node) former(ctx context.Context, q *form.EnterRequest) ([]raft.Server, error) {
	var out []raft.Server
	for _, s := range n.servers() {
		if string(s.ID) != q.NodeID && string(s.Address) != q.Address {
			continue
		}
		if n.answers(ctx, s) {
			return nil, &wire.Fault{Code: codeRefused, Detail: fmt.Sprintf("node %s is a member already and answers at %s: give the new node another ID and address", s.ID, s.Address)}
		}
		out = append(out, s)
	}
	return out, nil
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
