package cluster

import (
	"context"
	"fmt"
	"time"

	"github.com/quis-idp/quis/cluster/ask"
	"github.com/quis-idp/quis/fsm"
)

var errStopping, errNoLeader = ask.ErrStopping, ask.ErrNoLeader

func (n *Node) newLeader() *ask.Leader {
	return ask.New(ask.Config{
		NodeID: n.cfg.NodeID, DB: n.cfg.DB, Timeout: n.cfg.ProposeTimeout, ProbeEvery: n.cfg.ProbeEvery, CommitTimeout: n.cfg.CommitTimeout,
		Packed: n.metrics.Packed, Fresh: n.fresh, Leader: n.Leader, Leading: n.readyTerm.Load, Leads: n.leading,
		Alone: n.alone, Isolated: n.Isolated, NoRoom: n.noRoom, Stamp: n.stamp,
		Changed: n.changed.wait, Change: n.changed.broadcast, Quit: n.quit,
	})
}

// stamp returns the time for the next entry.
func (n *Node) stamp() time.Time {
	n.roster.AwaitMet()
	state := n.cfg.DB.Position().Time
	return n.clock.Next(n.roster.Time(state), time.Since(n.begun), state)
}

// Now returns what time it is by most of the voters' clocks, as far as this node knows them. It
// is the clock of the node's store; it costs little enough to be asked in every transaction.
func (n *Node) Now() time.Time { return n.roster.Now() }

// Propose gives batch to the log and returns what was decided about it, when this
// node has applied it. It tries again, on this leader or the next, until ctx ends or
// Config.ProposeTimeout has passed; the store gives a batch that arrives twice its
// first outcome. It reports fsm.ErrUnavailable (not applied), fsm.ErrUnknown
// (perhaps applied, perhaps yet to be) or fsm.ErrRefused (too large).
func (n *Node) Propose(ctx context.Context, batch []byte) (fsm.Outcome, error) {
	return n.leader.Propose(ctx, batch)
}

// CatchUp returns when this node has applied everything that was acknowledged
// anywhere before the call. While a leader is being elected it waits; without a
// majority it reports fsm.ErrUnavailable when ctx ends or the time limit has passed.
func (n *Node) CatchUp(ctx context.Context) error {
	if !n.started.Load() {
		return fmt.Errorf("catch up: node is starting: %w", fsm.ErrUnavailable)
	}
	return n.leader.CatchUp(ctx)
}

// EnsureFresh returns nil if everything acknowledged anywhere more than bound ago
// is applied here. Where the freshness probe does not show that already, it asks
// the leader; without one it reports fsm.ErrUnavailable.
func (n *Node) EnsureFresh(ctx context.Context, bound time.Duration) error {
	return n.leader.EnsureFresh(ctx, bound)
}

// staleness returns how old this node's state may be.
func (n *Node) staleness() time.Duration { return n.fresh.Age() }

func (n *Node) stopping() error {
	select {
	case <-n.quit:
		return errStopping
	default:
		return nil
	}
}
