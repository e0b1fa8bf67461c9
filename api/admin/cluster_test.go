package admin_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/quis-idp/quis/api/client"
	"github.com/quis-idp/quis/api/problem"
)

// What is done to nodes is done as asked, refused in words, and recorded.
func TestMembersAreChangedAndItIsTold(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx, c := t.Context(), h.client(h.root)
	if p := h.want(409, h.root, "DELETE", "/api/v1/cluster/members/n2", ""); p.Type != problem.TypeState || p.Detail != "Removing node n2 leaves one voter." {
		t.Errorf("a refused removal: %+v", p)
	}
	if p := h.want(404, h.root, "DELETE", "/api/v1/cluster/members/n9", ""); p.Detail != "Remove node n9." && !strings.Contains(p.Detail, "n9") {
		t.Errorf("the removal of nobody: %+v", p)
	}
	if p := h.want(409, h.root, "DELETE", "/api/v1/cluster/members/n1?force=true", ""); !strings.Contains(p.Detail, "cannot remove itself") {
		t.Errorf("a node removes itself: %+v", p)
	}
	h.want(403, h.acme, "DELETE", "/api/v1/cluster/members/n2?force=true", "") // admin of another tenant
	h.must(c.DemoteMember(ctx, "n2", false))
	h.must(c.PromoteMember(ctx, "n2"))
	h.must(c.RemoveMember(ctx, "n2", true))
	events, err := c.Events(ctx, client.EventFilter{Type: "cluster.*"})
	h.must(err)
	var types []string
	for _, e := range events.Data {
		types = append(types, e.Type)
		if e.Target.ID != "n2" || e.Actor.ID != h.rootUser {
			t.Errorf("%s of %+v by %+v", e.Type, e.Target, e.Actor)
		}
	}
	if want := []string{"cluster.member_removed", "cluster.member_promoted", "cluster.member_demoted"}; !slices.Equal(types, want) {
		t.Errorf("events %v, want %v", types, want)
	}
}

func TestAutopilotIsChangedInParts(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx, c := t.Context(), h.client(h.root)
	before, err := c.Autopilot(ctx)
	h.must(err)
	after, err := c.SetAutopilot(ctx, client.AutopilotFields{CleanupDead: ptr(true), DeadAfterSeconds: ptr(120)})
	h.must(err)
	want := *before
	want.CleanupDead, want.DeadAfterSeconds = true, 120
	if *after != want {
		t.Errorf("%+v, want %+v", *after, want)
	}
	again, err := c.Autopilot(ctx)
	h.must(err)
	if *again != want {
		t.Errorf("read again: %+v, want %+v", *again, want)
	}
	if _, err := c.SetAutopilot(ctx, client.AutopilotFields{DeadAfterSeconds: ptr(1)}); client.Status(err) != 400 {
		t.Errorf("a second of silence would be death: %v", err)
	}
	if _, err := c.SetAutopilot(ctx, client.AutopilotFields{CleanupDead: ptr(true)}); err != nil { // changes nothing
		t.Error(err)
	}
	events, err := c.Events(ctx, client.EventFilter{Type: "cluster.autopilot_set"})
	h.must(err)
	if len(events.Data) != 1 || len(events.Data[0].Changes) != 2 {
		t.Errorf("events: %+v", events.Data)
	}
}
