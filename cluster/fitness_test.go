package cluster

import (
	"errors"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/quis-idp/quis/cluster/roster"
	"github.com/quis-idp/quis/fsm"
)

// more than any disk has
const endless = 1 << 60

// knows waits until node i has heard that all others are as fit as given.
func (h *house) knows(i int, want map[int]roster.Fitness) {
	h.t.Helper()
	for k, fit := range want {
		eventually(h.t, "the nodes to know of each other's disks", func() bool {
			return h.rooms[i].node.roster.FitnessOf(h.rooms[k].cfg.NodeID) == fit
		})
	}
}

// TestSlownessDoesNotDelayElections: all disks are poor, so nobody is waited for when a leader is
// lost, and nobody hands over.
func TestSlownessDoesNotDelayElections(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3, func(c *Config) { c.Disk.Low = endless })
	h.start()
	h.settled()
	best := time.Hour
	for range 4 { // the machine may be busy; waiting for a better leader took 3 s each time
		for i := range h.rooms {
			for k := range h.rooms {
				h.knows(i, map[int]roster.Fitness{k: roster.Poor})
			}
		}
		leads := h.leader()
		h.crash(leads)
		begun := time.Now()
		h.leader()
		best = min(best, time.Since(begun))
		h.start(leads)
	}
	t.Logf("another led after %v at best", best)
	if best > standAfter/2 {
		t.Errorf("another led after %v, however poor the disks are", best)
	}
	leads := h.leader()
	if to := h.rooms[leads].node.fitter(t.Context(), roster.Poor); to != nil {
		t.Errorf("a poor leader would hand over to %s, which is no better", to.ID)
	}
	if _, why := h.rooms[leads].node.fitness(); why == "" {
		t.Error("the leader's disk is good")
	}
}

// TestWhoIsWaitedFor: a poor node waits for one known to be better for as long as that one could
// need, and one that takes no writes for some seconds; for nobody else, and never for ever.
func TestWhoIsWaitedFor(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3, func(c *Config) {
		calm(c)
		c.Disk.Slow = time.Hour // a disk that others keep busy is not what this is about
	})
	h.start()
	h.settled()
	leads, f := h.leader(), h.followers()
	poor, other := h.rooms[f[0]], h.rooms[f[1]]
	held := func(n *Node) func() bool { // a busy machine may leave a follower without its leader for a moment
		return func() bool { return errors.Is(n.letPass(), fsm.ErrUnavailable) }
	}
	again := func(i int, tune func(*Config)) {
		h.stop(i)
		tune(&h.rooms[i].cfg)
		if err := h.tryStart(t.Context(), i); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the node to follow", func() bool { id, _ := h.rooms[i].node.Leader(); return id != "" })
	}
	again(f[0], func(c *Config) { c.Disk.Low = endless })
	h.knows(f[0], map[int]roster.Fitness{f[0]: roster.Poor, f[1]: roster.Fit, leads: roster.Fit})
	eventually(t, "a poor follower of a healthy leader to let others go first", held(poor.node))
	if !poor.node.roster.Better(roster.Poor, other.cfg.NodeID) {
		t.Error("the leader is not known to be better")
	}
	if err := other.node.letPass(); err != nil {
		t.Errorf("a healthy one does not stand: %v", err)
	}

	again(f[1], func(c *Config) { c.Disk.Full = endless })
	h.knows(f[0], map[int]roster.Fitness{f[1]: roster.Refuses})
	h.knows(f[1], map[int]roster.Fitness{f[0]: roster.Poor, f[1]: roster.Refuses})
	eventually(t, "one that takes no writes to let one go first that does", held(other.node))
	eventually(t, "everybody to know who leads", func() bool { return poor.node.lastLeader.Load() == h.rooms[leads].cfg.NodeID })
	h.crash(leads)
	if err := poor.node.letPass(); err != nil {
		t.Errorf("the best that is left does not stand: %v", err)
	}
	if at := h.leader(); at != f[0] {
		t.Errorf("node %d leads, which takes no writes", at)
	}
	h.crash(f[0]) // now the one that takes none is the best that there is, though it cannot win
	eventually(t, "the last one to ask for votes", func() bool {
		return other.node.raft.State() == raft.Candidate && other.node.letPass() == nil
	})
}
