package cluster

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/quis-idp/quis/cluster/recovery"
)

// recovered loses all nodes of a house, makes the first the whole cluster and starts it.
func recovered(t *testing.T, h *house) {
	t.Helper()
	dir := h.rooms[0].cfg.DataDir
	db := open(t, dir)
	n, err := recovery.Open(dir, db)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.Recover("me"); err != nil {
		t.Fatal(err)
	}
	if err := n.Close(); err != nil {
		t.Error(err)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

// Nodes that were lost come back with all they had: they are a majority of the cluster that
// was, and must neither be followed by the one that was recovered nor serve beside it.
func TestLostNodesComeBackAfterARecovery(t *testing.T) {
	t.Parallel()
	for name, known := range map[string]bool{"who know it": true, "who know nobody": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, 3, nil)
			h.start()
			h.settled()
			if err := put(h.rooms[0].db, "before", "x"); err != nil {
				t.Fatal(err)
			}
			h.sameState()
			was := h.rooms[0].node.ClusterID()
			for i := range h.rooms {
				h.crash(i)
			}
			recovered(t, h)
			h.start(0)
			if h.rooms[0].node.ClusterID() == was {
				t.Error("the cluster is still the same")
			}
			if err := put(h.rooms[0].db, "after", "acknowledged"); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			for i := 1; i < 3; i++ {
				if !known {
					h.rooms[i].cfg.Join = nil // only their old log says where the others are
				}
				err := h.tryStart(ctx, i)
				if known && (err == nil || !strings.Contains(err.Error(), "was recovered without this node")) {
					t.Errorf("%s was started: %v", h.rooms[i].cfg.NodeID, err)
				} else if !known && err != nil {
					t.Fatal(err)
				}
			}
			for i := 1; i < 3 && !known; i++ {
				eventually(t, "the old node to end", func() bool { return h.rooms[i].died() != nil })
				if err := h.rooms[i].died().Error(); !strings.Contains(err, "was recovered without this node") {
					t.Error(err)
				}
				h.crash(i)
			}
			h.crash(0) // who it is, it is still after a restart
			h.start(0)
			r := h.rooms[0]
			if err := put(r.db, "more", "y"); err != nil || text(r.db, "after") != "acknowledged" || text(r.db, "before") != "x" || r.died() != nil {
				t.Errorf("disturbed: %v, %v, %q", err, r.died(), text(r.db, "after"))
			}
			for i := 1; i < 3; i++ {
				h.wipe(i)
				h.rooms[i].cfg.Join, h.rooms[i].cfg.BootstrapExpect = h.addrs, 0
				h.start(i)
			}
			h.sameState()
			if text(h.rooms[2].db, "after") != "acknowledged" {
				t.Error("a new node lacks what was written")
			}
		})
	}
}
