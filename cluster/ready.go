package cluster

import (
	"context"
	"fmt"
	"time"

	"github.com/quis-idp/quis/cluster/roster"
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

// An Unready says to a person what a node lacks to be ready, and nothing else. It is an fsm.ErrUnavailable.
type Unready string

func (u Unready) Error() string { return string(u) }
func (u Unready) Unwrap() error { return fsm.ErrUnavailable }

// Ready returns nil when this node has caught up with the leader since it started, knows
// the voters' clocks, and was confirmed not long ago; otherwise an [Unready]. A node that is cut off
// is not ready any more after two to three seconds; one whose cluster changes leaders stays ready.
func (n *Node) Ready() error {
	if n.died.Load() || n.stopping() != nil {
		return Unready("node has stopped")
	}
	if fit, why := n.fitness(); fit == roster.Odd || fit == roster.Refuses {
		return Unready(why)
	}
	without, with := n.cfg.patience()
	old := n.staleness()
	id, _ := n.Leader()
	switch {
	case id == "" && (old > without || !n.fresh.Known()):
		return Unready("no leader")
	case !n.roster.Met():
		return Unready("asking the voters what time it is")
	case !n.fresh.Known():
		return Unready("catching up with the leader")
	case old > with:
		return Unready(fmt.Sprintf("no majority has confirmed this node's state for %s", old.Round(time.Millisecond)))
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
