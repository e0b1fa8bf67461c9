package cluster

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/quis-idp/quis/cluster/feature"
	"github.com/quis-idp/quis/fsm"
)

var (
	oldRelease = []feature.Feature{} // announces nothing
	thisOne    = feature.Known()
	nextOne    = append(feature.Known(), feature.Feature{Name: "trial/2", Does: "a trial"})
)

// releases starts node i with the binary of a release, after stopping it if it runs.
func (h *house) upgrade(i int, to []feature.Feature) {
	h.t.Helper()
	h.stop(i)
	h.rooms[i].cfg.Features = to
	h.start(i)
}

// inUse reports whether the trial is active, as node i knows.
func (h *house) inUse(i int) bool {
	var yes bool
	err := h.rooms[i].db.View(context.Background(), func(tx *fsm.Tx) (err error) {
		yes, err = feature.Active(tx, "trial/2")
		return err
	})
	return err == nil && yes
}

// lacking waits until exactly these members are known to lack the trial.
func (h *house) lacking(want ...string) {
	h.t.Helper()
	i := h.leader()
	eventually(h.t, "the members that lack it to be "+strings.Join(want, " "), func() bool {
		var got []string
		err := h.rooms[i].db.View(context.Background(), func(tx *fsm.Tx) (err error) {
			got, err = feature.Missing(tx, h.rooms[i].node.memberIDs(), "trial/2")
			return err
		})
		slices.Sort(got)
		return err == nil && slices.Equal(got, want)
	})
}

// TestFeatureGate upgrades three nodes one by one, takes one back, and goes on: the new
// format is not used before all read it, and afterwards nothing older gets in.
func TestFeatureGate(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3, func(c *Config) { c.Features = oldRelease })
	h.start()
	h.upgrade(0, nextOne)
	h.lacking("n2", "n3")
	h.upgrade(1, nextOne)
	h.lacking("n3")
	h.upgrade(1, oldRelease) // back: its row must not speak for it
	h.lead(0)                // an old leader would leave it there
	h.lacking("n2", "n3")
	if h.inUse(0) {
		t.Fatal("in use while two members do not read it")
	}
	h.upgrade(1, thisOne)
	h.upgrade(2, nextOne)
	h.lacking("n2")
	if h.inUse(0) || h.inUse(2) {
		t.Fatal("in use while one member does not read it")
	}
	h.upgrade(1, nextOne)
	h.lead(0)
	for i := range 3 {
		eventually(t, "the trial to be in use", func() bool { return h.inUse(i) && h.rooms[i].node.Uses("trial/2") })
	}
	r, err := h.rooms[1].node.Features(t.Context())
	if err != nil || len(r.Active) != 1 || len(r.Waiting) != 0 || r.Skew != "" || len(r.Nodes) != 3 {
		t.Errorf("report %+v, %v", r, err)
	}

	h.stop(2) // an older binary does not start any more
	h.rooms[2].cfg.Features = thisOne
	if err := h.tryStart(t.Context(), 2); err == nil || !strings.Contains(err.Error(), "trial/2") {
		t.Errorf("an older binary started: %v", err)
	}
	h.wipe(2) // nor does it get in as a new node
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := h.tryStart(ctx, 2); err == nil || !strings.Contains(err.Error(), "trial/2") {
		t.Errorf("an older binary was let in: %v", err)
	}
	h.rooms[2].cfg.Features = nextOne
	h.start(2)
	eventually(t, "the new node to vote", func() bool { return h.isVoter(2) })
}

// TestRemovedNodeIsNotWaitedFor: what a node that left did not read holds nobody up,
// and its announcement goes with it.
func TestRemovedNodeIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3, func(c *Config) {
		c.Features = nextOne
		if c.NodeID == "n3" {
			c.Features = thisOne
		}
	})
	h.start()
	h.lacking("n3")
	if h.leader() == 2 {
		h.lead(0)
	}
	l := h.leader()
	h.stop(2)
	eventually(t, "n3 to be removed", func() bool {
		return h.rooms[l].node.raft.RemoveServer("n3", 0, time.Second).Error() == nil
	})
	eventually(t, "the trial to be in use", func() bool { return h.inUse(l) })
	eventually(t, "the announcement of n3 to go", func() bool {
		var missing []string
		err := h.rooms[l].db.View(context.Background(), func(tx *fsm.Tx) (err error) {
			missing, err = feature.Missing(tx, []string{"n3"}, "row/1")
			return err
		})
		return err == nil && len(missing) == 1
	})
}

// lead has node i lead.
func (h *house) lead(i int) {
	h.t.Helper()
	eventually(h.t, h.rooms[i].cfg.NodeID+" to lead", func() bool {
		l := h.leader()
		if l == i {
			return true
		}
		_ = h.rooms[l].node.raft.LeadershipTransferToServer(
			raft.ServerID(h.rooms[i].cfg.NodeID), raft.ServerAddress(h.rooms[i].cfg.Listen)).Error() // tried again
		return h.rooms[i].node.IsLeader()
	})
}
