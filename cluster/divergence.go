package cluster

import (
	"context"
	"io"
	"math"
	"time"

	"github.com/hashicorp/raft"

	"github.com/quis-idp/quis/cluster/compare"
)

// newComparer gives the comparison of states what it needs of this node.
func (n *Node) newComparer() (*compare.Comparer, error) {
	return compare.New(compare.Config{
		NodeID: n.cfg.NodeID, DataDir: n.cfg.DataDir, DB: n.cfg.DB, Logger: n.log, Every: n.cfg.CompareEvery,
		Members: func() (all []compare.Member) {
			for _, s := range n.servers() {
				all = append(all, compare.Member{ID: string(s.ID), Address: string(s.Address), Voter: s.Suffrage == raft.Voter})
			}
			return all
		},
		Leader: func() string {
			if !n.started.Load() {
				return ""
			}
			id, _ := n.Leader()
			return id
		},
		Written: func() int64 { _, bytes := n.logs.Written(); return bytes },
		Call: func(ctx context.Context, m compare.Member, method string, q, a any) error {
			return n.port.Caller().Call(ctx, m.ID, m.Address, method, q, a)
		},
		Aside: n.aside,
		Install: func(ctx context.Context, state io.Reader, index uint64) error {
			if err := n.cfg.DB.WaitApplied(ctx, index); err != nil {
				return err
			}
			return n.machine.Mend(state, index)
		},
		Back: n.changed.broadcast,
	})
}

// Isolated returns why this node keeps apart, or nil: its state was found to differ
// from that of the majority and has not been replaced yet. It wraps fsm.ErrUnavailable.
func (n *Node) Isolated() error { return n.compare.Isolated() }

// aside is what a node does first that has found its state to be odd. That Raft still
// counts it is right: what is wrong is what it made of the log, not the log.
func (n *Node) aside(ctx context.Context) {
	c := n.raft.ReloadableConfig()
	c.TrailingLogs = math.MaxUint64 // the state that comes has to be brought up to date from the log
	if err := n.raft.ReloadConfig(c); err != nil {
		n.log.Warn("log bounds not changed", "error", err)
	}
	n.endTerm()
	n.yieldLead(ctx)
}

// yieldLead hands leadership over, for as long as this node has it and keeps apart.
func (n *Node) yieldLead(ctx context.Context) {
	for n.raft.State() == raft.Leader && n.Isolated() != nil && ctx.Err() == nil {
		if err := n.raft.LeadershipTransfer().Error(); err == nil {
			return
		}
		select {
		case <-time.After(n.cfg.Heartbeat):
		case <-ctx.Done():
		}
	}
}
