package cluster

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/raft"

	"github.com/quis-idp/quis/cluster/wire"
	"github.com/quis-idp/quis/fsm"
)

// readTimeout bounds one question for a read index.
const readTimeout = 2 * time.Second

// confirm is the leader's read index: everything acknowledged anywhere before the
// call is at or below it, because a majority still follows this leader in this term.
// A leader that has not yet committed an entry of its own term does not know how
// far its predecessors came, and refuses.
func (n *Node) confirm(ctx context.Context) (uint64, error) {
	term := n.readyTerm.Load()
	if term == 0 || n.raft.CurrentTerm() != term {
		return 0, errNoLeader
	}
	commit := n.raft.CommitIndex()
	verified := make(chan error, 1)
	go func() { verified <- n.raft.VerifyLeader().Error() }()
	select {
	case err := <-verified:
		if err != nil {
			return 0, err
		}
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	if n.raft.CurrentTerm() != term || n.readyTerm.Load() != term {
		return 0, errMoved
	}
	return n.visible(commit)
}

// visible returns the last entry at or below index that reaches the store: Raft
// keeps its own entries (a new leader's first, barriers) to itself.
func (n *Node) visible(index uint64) (uint64, error) {
	applied := n.cfg.DB.Position().Index
	for ; index > applied; index-- {
		var l raft.Log
		if err := n.cache.GetLog(index, &l); err != nil {
			return 0, fmt.Errorf("read index: %w", err)
		}
		if l.Type == raft.LogCommand || l.Type == raft.LogConfiguration {
			return index, nil
		}
	}
	// Everything that is visible up to the commit index is applied here.
	return min(index, applied), nil
}

// ask gets a read index from whoever leads.
func (n *Node) ask(ctx context.Context) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	if n.raft.State() == raft.Leader {
		return n.confirms.Get(ctx, n.ctx)
	}
	id, address := n.Leader()
	if id == "" || id == n.cfg.NodeID {
		return 0, errNoLeader
	}
	go n.whileLeader(ctx, cancel, id, address)
	var a indexAnswer
	if err := n.port.Caller().Call(ctx, id, address, methodReadIndex, &struct{}{}, &a); err != nil {
		return 0, err
	}
	n.nudge(a.Commit, id, address)
	return a.Index, nil
}

const methodReadIndex = "read-index"

type indexAnswer struct {
	Index  uint64     `cbor:"1,keyasint"`
	Commit commitNote `cbor:"2,keyasint"`
}

func (n *Node) handleReadIndex(ctx context.Context, from wire.Peer, _ *struct{}) (any, error) {
	if err := n.leading(from); err != nil {
		return nil, err
	}
	index, err := n.confirms.Get(ctx, n.ctx)
	if err != nil {
		return nil, &wire.Fault{Code: codeNotLeader, Detail: err.Error()}
	}
	return &indexAnswer{index, n.note(index)}, nil
}

// CatchUp returns when this node has applied everything that was acknowledged
// anywhere before the call. While a leader is being elected it waits; without a
// majority it reports fsm.ErrUnavailable when ctx ends or the time limit has passed.
func (n *Node) CatchUp(ctx context.Context) error {
	if err := n.Isolated(); err != nil {
		return fmt.Errorf("catch up: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, n.cfg.ProposeTimeout)
	defer cancel()
	begun := time.Now()
	for {
		changed := n.changed.wait()
		asked := time.Now()
		index, err := n.asks.Get(ctx, n.ctx)
		if err == nil {
			if err := n.cfg.DB.WaitApplied(ctx, index); err != nil {
				return fmt.Errorf("catch up: %w: %w", fsm.ErrUnavailable, err)
			}
			n.freshAt(asked)
			return nil
		}
		late := time.Since(begun) > time.Duration(giveUpShare*float64(n.cfg.ProposeTimeout))
		if late || !n.pause(ctx, changed) {
			return fmt.Errorf("catch up: %w: %w", fsm.ErrUnavailable, err)
		}
	}
}

// freshAt notes that the local state held everything acknowledged before t.
func (n *Node) freshAt(t time.Time) {
	if n.fresh.Note(t) {
		n.changed.broadcast()
	}
}

// staleness returns how old this node's state may be.
func (n *Node) staleness() time.Duration { return n.fresh.Age() }

// EnsureFresh returns nil if everything acknowledged anywhere more than bound ago
// is applied here. Where the freshness probe does not show that already, it asks
// the leader; without one it reports fsm.ErrUnavailable.
func (n *Node) EnsureFresh(ctx context.Context, bound time.Duration) error {
	if n.Isolated() == nil && n.fresh.Known() && n.staleness() <= bound {
		return nil
	}
	return n.CatchUp(ctx)
}

// probe keeps the state known to be fresh. It runs until the node stops.
func (n *Node) probe() {
	tick := time.NewTicker(n.cfg.ProbeEvery)
	defer tick.Stop()
	for {
		changed := n.changed.wait()
		asked := time.Now()
		if index, err := n.asks.Get(n.ctx, n.ctx); err == nil {
			ctx, cancel := context.WithTimeout(n.ctx, readTimeout)
			if n.cfg.DB.WaitApplied(ctx, index) == nil {
				n.freshAt(asked)
			}
			cancel()
		}
		if n.fresh.Known() {
			changed = nil // no hurry
		}
		select {
		case <-tick.C:
		case <-changed:
		case <-n.quit:
			return
		}
	}
}
