package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/quis-idp/quis/fsm"
)

// For how long nobody may have confirmed this node's state before it is not ready, at the least: in an
// election, and when there is a leader that cannot be reached, or only in one direction. Both are
// longer than elections take, for while leadership moves nodes stay ready. What they are asked then
// waits, and what must be known for certain is refused by EnsureFresh long before; a
// balancer that took all nodes out at once would have nobody to ask.
const (
	leaderless  = 2 * time.Second
	unconfirmed = 3 * time.Second
)

// patience returns these two for this node's heartbeat and probe.
func (c *Config) patience() (without, with time.Duration) {
	return max(leaderless, 5*c.Heartbeat, 15*c.ProbeEvery), max(unconfirmed, 8*c.Heartbeat, 20*c.ProbeEvery)
}

// Ready returns nil when this node has caught up with the leader since it started, knows
// the voters' clocks, and was confirmed not long ago; otherwise the error says what is missing. A node that is cut off
// is not ready any more after two to three seconds; one whose cluster changes leaders stays ready.
func (n *Node) Ready() error {
	if n.died.Load() || n.stopping() != nil {
		return fmt.Errorf("node has stopped: %w", fsm.ErrUnavailable)
	}
	if err := errors.Join(n.Isolated(), n.noRoom()); err != nil {
		return err
	}
	without, with := n.cfg.patience()
	old := n.staleness()
	if id, _ := n.Leader(); id == "" && (old > without || !n.fresh.Known()) {
		return fmt.Errorf("no leader: %w", fsm.ErrUnavailable)
	}
	if !n.roster.Met() {
		return fmt.Errorf("asking the voters what time it is: %w", fsm.ErrUnavailable)
	}
	if !n.fresh.Known() {
		return fmt.Errorf("catching up with the leader: %w", fsm.ErrUnavailable)
	}
	if old > with {
		return fmt.Errorf("no majority has confirmed this node's state for %s: %w", old.Round(time.Millisecond), fsm.ErrUnavailable)
	}
	return nil
}

// WaitReady returns when the node is ready, or what is missing when ctx ends.
func (n *Node) WaitReady(ctx context.Context) error {
	for {
		changed := n.changed.wait()
		err := n.Ready()
		if err == nil {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return err
		}
	}
}
