package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/fsm/fsmtest"
)

const compareEvery = 300 * time.Millisecond

func comparing(c *Config) {
	c.CompareEvery = compareEvery
	c.Registerer = prometheus.NewRegistry()
}

// found says how many members this node was told to be odd.
func (r *room) found(t *testing.T) (n float64) {
	t.Helper()
	all, err := r.cfg.Registerer.(*prometheus.Registry).Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		if f.GetName() == "quis_state_divergence_total" {
			n = f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	return n
}

// corrupt changes a byte of a row in the stopped store of node i.
func (h *house) corrupt(i int, text string) {
	h.t.Helper()
	if err := fsmtest.Damage(filepath.Join(h.rooms[i].cfg.DataDir, "store"), text); err != nil {
		h.t.Fatal(err)
	}
}

// healed waits until node i holds the text again and takes part.
func (h *house) healed(i int, id, want string) {
	h.t.Helper()
	r := h.rooms[i]
	eventually(h.t, "the odd node to be healed", func() bool {
		return r.node.Isolated() == nil && text(r.db, id) == want && r.node.Ready() == nil
	})
	if _, err := os.Stat(filepath.Join(r.cfg.DataDir, "diverged.json")); !errors.Is(err, os.ErrNotExist) {
		h.t.Errorf("what it was told is still there: %v", err)
	}
	h.sameState()
	var hashes []string
	for _, r := range h.rooms {
		p, sum, err := r.db.StateHash()
		hashes = append(hashes, fmt.Sprintf("%d %x %v", p, sum, err))
	}
	for _, x := range hashes {
		if x != hashes[0] {
			h.t.Errorf("states differ still: %v", hashes)
		}
	}
}

// TestOddFollowerIsHealed (invariant 5: all replicas have an equal hash chain and equal
// content at an equal index): a byte of a row is changed on one follower. It is found
// out within two intervals, keeps apart, and comes back by itself, while the others
// take every write.
func TestOddFollowerIsHealed(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3, comparing)
	h.start()
	if err := put(h.rooms[0].db, "x", "a text that is long enough to be found"); err != nil {
		t.Fatal(err)
	}
	h.sameState()
	odd := h.followers()[0]
	h.stop(odd)
	h.corrupt(odd, "long enough to be found")
	ctx, cancel := context.WithCancel(context.Background())
	var writer sync.WaitGroup
	good := h.rooms[h.leader()].db
	writer.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			if err := put(good, fmt.Sprint("w", i%50), fmt.Sprint(i)); err != nil {
				t.Errorf("a write at a healthy node: %v", err)
			}
		}
	})
	defer writer.Wait()
	defer cancel()
	h.start(odd)
	begun := time.Now()
	r := h.rooms[odd]
	eventually(t, "the odd node to keep apart", func() bool { return r.node.Isolated() != nil || r.found(t) > 0 })
	t.Logf("found after %v, compared every %v", time.Since(begun), compareEvery)
	h.healed2(odd, "x", "a text that is long enough to be found")
	cancel()
	writer.Wait()
	h.healed(odd, "x", "a text that is long enough to be found")
	if r.found(t) != 1 {
		t.Errorf("the odd node counts %v, want 1", r.found(t))
	}
	if err := put(r.db, "after", "x"); err != nil {
		t.Error(err)
	}
}

// healed2 waits for the healing alone, under load.
func (h *house) healed2(i int, id, want string) {
	h.t.Helper()
	r := h.rooms[i]
	eventually(h.t, "the state to be replaced", func() bool { return r.node.Isolated() == nil && text(r.db, id) == want })
}

// onlyWhenAsked are nodes that compare when the test says so.
func onlyWhenAsked(c *Config) {
	comparing(c)
	c.CompareEvery = time.Hour
}

// oddHouse is a cluster of three that writes nothing by itself, in which the state of
// node i is odd.
func oddHouse(t *testing.T) (h *house, odd int) {
	h = newHouse(t, 3, onlyWhenAsked)
	h.start()
	if err := put(h.rooms[0].db, "x", "a text that is long enough to be found"); err != nil {
		t.Fatal(err)
	}
	h.settled()
	h.sameState()
	odd = h.followers()[0]
	h.stop(odd)
	h.corrupt(odd, "long enough to be found")
	return h, odd
}

// compareNow has the leader compare, until all that run have hashed a common entry and heard
// what was found: on a busy machine one of them may not answer in time, and the others
// alone say nothing of it.
func (h *house) compareNow() {
	h.t.Helper()
	running := 0
	for _, r := range h.rooms {
		if r.node != nil {
			running++
		}
	}
	eventually(h.t, "a comparison", func() bool {
		_, part, err := h.rooms[h.leader()].node.compare.Round(context.Background())
		return err == nil && part >= running
	})
}

// TestOddLeaderStepsAside: it is the leader whose state is odd. It stops leading at
// once, and is healed by those that follow another then.
func TestOddLeaderStepsAside(t *testing.T) {
	t.Parallel()
	h, odd := oddHouse(t)
	h.start(odd)
	h.lead(odd)
	h.compareNow()
	h.healed(odd, "x", "a text that is long enough to be found")
	if r := h.rooms[odd]; r.found(t) != 1 {
		t.Errorf("the odd node counts %v, want 1", r.found(t))
	}
	h.compareNow()
	if r := h.rooms[odd]; r.found(t) != 1 {
		t.Errorf("after it was healed the node counts %v, want 1", r.found(t))
	}
}

// TestNobodyHealsWithoutAMajority: two of three answer and differ. Both call for a
// person, and neither touches anything.
func TestNobodyHealsWithoutAMajority(t *testing.T) {
	t.Parallel()
	h, odd := oddHouse(t)
	h.start(odd)
	gone := -1
	for _, i := range h.followers() {
		if i != odd {
			gone = i
		}
	}
	if gone < 0 {
		gone = h.followers()[0]
	}
	h.stop(gone)
	h.compareNow()
	for i, r := range h.rooms {
		if i != gone && (r.found(t) < 1 || r.node.Isolated() != nil) {
			t.Errorf("%s counts %v and keeps apart: %v; want some, nil", r.cfg.NodeID, r.found(t), r.node.Isolated())
		}
	}
	if err := put(h.rooms[odd].db, "y", "still written"); err != nil {
		t.Error(err)
	}
	h.start(gone) // and now there is one
	h.compareNow()
	h.healed(odd, "x", "a text that is long enough to be found")
}

// TestOddNodeStaysApartOverARestart: what it was told outlives the process. Meanwhile
// it is not ready, writes nothing and proves nothing.
func TestOddNodeStaysApartOverARestart(t *testing.T) {
	t.Parallel()
	h, odd := oddHouse(t)
	others := h.followers()
	others = append(others, h.leader())
	for _, i := range others {
		h.stop(i)
	}
	told := fmt.Sprintf(`{"Index":7,"Mine":"a","Right":"b","Good":[%q]}`, h.rooms[others[0]].cfg.NodeID)
	if err := os.WriteFile(filepath.Join(h.rooms[odd].cfg.DataDir, "diverged.json"), []byte(told), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := h.tryStart(ctx, odd); err != nil {
		t.Fatal(err)
	}
	r := h.rooms[odd]
	if err := r.node.Ready(); !errors.Is(err, fsm.ErrUnavailable) || !strings.Contains(err.Error(), "differs from that of the majority") || strings.Contains(err.Error(), "unavailable") {
		t.Errorf("ready: %v", err)
	}
	if err := put(r.db, "y", "z"); !errors.Is(err, fsm.ErrUnavailable) {
		t.Errorf("write: %v, want ErrUnavailable", err)
	}
	if err := r.node.EnsureFresh(ctx, time.Hour); !errors.Is(err, fsm.ErrUnavailable) {
		t.Errorf("a fresh state: %v, want ErrUnavailable", err)
	}
	h.start(others...)
	h.healed(odd, "x", "a text that is long enough to be found")
}
