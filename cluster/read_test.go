package cluster

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/quis-idp/quis/fsm"
)

func TestCatchUpSeesWhatWasAcknowledgedElsewhere(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3, nil)
	h.start()
	leader := h.rooms[h.leader()]
	for k := range 20 {
		id := fmt.Sprint(k)
		if err := put(leader.db, id, "x"); err != nil {
			t.Fatal(err)
		}
		for _, i := range h.followers() {
			if err := h.rooms[i].node.CatchUp(t.Context()); err != nil {
				t.Fatal(err)
			}
			if text(h.rooms[i].db, id) != "x" {
				t.Fatalf("node %d caught up and does not see write %d", i, k)
			}
		}
	}
}

func TestCatchUpWithoutAnyWrite(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3, nil)
	h.start()
	for _, r := range h.rooms { // the last entries of the log are Raft's own and never reach the store
		if err := r.node.CatchUp(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func TestFreshness(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3, func(c *Config) { c.ProposeTimeout = time.Second })
	h.start()
	f := h.followers()
	n := h.rooms[f[0]].node
	if err := n.EnsureFresh(t.Context(), 500*time.Millisecond); err != nil {
		t.Error(err)
	}
	eventually(t, "a follower to be fresh by the probe alone", func() bool { return n.staleness() < 100*time.Millisecond })
	h.crash(h.leader())
	h.crash(f[1])
	// Whatever it last heard is soon too old, and nobody can confirm more.
	const bound = 200 * time.Millisecond
	eventually(t, "the bound to pass", func() bool { return n.staleness() > bound })
	if err := n.EnsureFresh(t.Context(), bound); !errors.Is(err, fsm.ErrUnavailable) {
		t.Errorf("stale and alone: %v", err)
	}
	if err := n.EnsureFresh(t.Context(), time.Hour); err != nil {
		t.Errorf("within the bound: %v", err)
	}
}

func TestMinAppliedNeedsEveryVoter(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3, nil)
	h.start()
	leader := h.rooms[h.leader()]
	if err := put(leader.db, "a", "x"); err != nil {
		t.Fatal(err)
	}
	want := leader.db.Position().Index
	eventually(t, "all voters to have applied", func() bool {
		got, err := leader.node.MinApplied(t.Context())
		return err == nil && got >= want
	})
	h.stop(h.followers()[0])
	if _, err := leader.node.MinApplied(t.Context()); !errors.Is(err, fsm.ErrUnavailable) {
		t.Errorf("with a voter away: %v", err)
	}
}

// TestMinAppliedCountsWhoServes (invariant 9): a member without a vote serves, too, so it holds up
// what all must have applied, for as long as it may be serving.
func TestMinAppliedCountsWhoServes(t *testing.T) {
	t.Parallel()
	l := newLinks()
	h := l.wired(newHouse(t, 3, nil))
	h.start()
	h.settled()
	leader, mute := h.rooms[h.leader()], h.followers()[0]
	id := h.rooms[mute].cfg.NodeID
	if err := leader.node.Demote(t.Context(), id, true); err != nil {
		t.Fatal(err)
	}
	eventually(t, "everybody to have applied", func() bool {
		want := leader.db.Position().Index
		got, err := leader.node.MinApplied(t.Context())
		return err == nil && got >= want
	})
	l.apart(h, mute, true)
	if err := put(leader.db, "a", "x"); err != nil {
		t.Fatal(err)
	}
	if at, err := leader.node.MinApplied(t.Context()); err == nil {
		t.Errorf("all have applied up to %d though one that just served does not answer", at)
	}
	n := h.rooms[mute].node
	eventually(t, "the silent one not to count", func() bool {
		_, err := leader.node.MinApplied(t.Context())
		return err == nil
	})
	if err := n.Ready(); err == nil {
		t.Error("a node that does not count any more is ready")
	}
	l.apart(h, mute, false)
	eventually(t, "it to count again", func() bool {
		at, err := leader.node.MinApplied(t.Context())
		return err == nil && at >= leader.db.Position().Index && text(h.rooms[mute].db, "a") == "x"
	})
}
