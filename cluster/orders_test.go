package cluster

import (
	"errors"
	"strings"
	"testing"

	"github.com/quis-idp/quis/cluster/autopilot"
	"github.com/quis-idp/quis/fsm"
)

// With the settings nobody has touched, one of three healthy nodes is not taken without force, and
// a dead one is; a vote that was taken stays away, whoever leads, and however often the node
// comes back.
func TestOrdersInAClusterOfThree(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3, nil)
	h.start()
	h.settled()
	ctx := t.Context()
	f := h.followers()
	lead, gone, stays := h.rooms[h.leader()], f[0], h.rooms[f[1]]
	id := h.rooms[gone].cfg.NodeID
	for what, err := range map[string]error{"remove": lead.node.Remove(ctx, id, false), "demote": stays.node.Demote(ctx, id, false)} {
		if !errors.Is(err, fsm.ErrRefused) || !strings.Contains(err.Error(), "--force") {
			t.Errorf("%s a healthy one of three: %v", what, err)
		}
	}
	if err := stays.node.Demote(ctx, id, true); err != nil {
		t.Fatal(err)
	}
	if h.isVoter(gone) {
		t.Fatal("it still votes")
	}
	if err := stays.node.Promote(ctx, id); err != nil {
		t.Fatal(err)
	}

	h.crash(gone)
	eventually(t, "the dead node to be noticed", func() bool {
		return !memberOf(t, lead.node.Status(ctx), id).Healthy && !memberOf(t, stays.node.Status(ctx), id).Healthy
	})
	if err := stays.node.Remove(ctx, lead.cfg.NodeID, false); !errors.Is(err, fsm.ErrRefused) || strings.Contains(err.Error(), "--force") {
		t.Errorf("remove a healthy one of two that are left: %v", err)
	}
	if err := stays.node.Demote(ctx, id, false); err != nil {
		t.Fatalf("demote a dead one of three: %v", err)
	}
	h.start(gone)
	for range 3 { // leaders, each of whom finds a healthy member without a vote
		if err := h.rooms[h.leader()].node.Transfer(ctx, ""); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the member to be seen by a leader", func() bool {
			m := memberOf(t, h.rooms[h.leader()].node.Status(ctx), id)
			return m.Healthy && m.Role == "non-voter"
		})
		elapse(t, 5*lead.cfg.PromoteAfter)
		if h.isVoter(gone) {
			t.Fatal("a leader gave back a vote that an operator took")
		}
	}
	if err := stays.node.Promote(ctx, id); err != nil || !h.isVoter(gone) {
		t.Fatalf("promote: %v", err)
	}
	h.crash(gone)
	eventually(t, "the dead node to be noticed again", func() bool {
		return !memberOf(t, h.rooms[h.leader()].node.Status(ctx), id).Healthy
	})
	if err := stays.node.Remove(ctx, id, false); err != nil {
		t.Errorf("remove a dead one of three: %v", err)
	}
	if err := put(stays.db, "a", "x"); err != nil {
		t.Error(err)
	}
}

// A leader fell after it had removed a member, and before it forgot that an operator had taken
// that one's vote: another node of the name votes all the same.
func TestWhatWasWantedOfAFormerMember(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, nil)
	h.start()
	i := h.grow()
	name := h.rooms[i].cfg.NodeID
	if err := h.rooms[0].db.Update(t.Context(), func(tx *fsm.Tx) error { return autopilot.SetDemoted(tx, name, true) }); err != nil {
		t.Fatal(err)
	}
	h.start(i)
	eventually(t, "the new node to vote", func() bool { return h.isVoter(i) })
}
