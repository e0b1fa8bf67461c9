package cluster

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/quis-idp/quis/fsm"
)

// adopted returns the present state of a store as a backup to be restored into it.
func adopted(t *testing.T, db *fsm.DB) func() ([]byte, uint64) {
	t.Helper()
	s, err := db.OpenStream()
	if err != nil {
		t.Fatal(err)
	}
	var whole bytes.Buffer
	if _, err := s.WriteTo(&whole); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return func() ([]byte, uint64) {
		var b bytes.Buffer
		p, err := db.Adopt(&b, &whole)
		if err != nil {
			t.Fatal(err)
		}
		return b.Bytes(), p.Index
	}
}

// TestRestoreReachesEveryNode restores through a follower while another one is away.
func TestRestoreReachesEveryNode(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3, nil)
	h.start()
	h.settled()
	if err := put(h.rooms[0].db, "a", "kept"); err != nil {
		t.Fatal(err)
	}
	at := h.followers()
	if err := h.rooms[at[0]].node.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	backup := adopted(t, h.rooms[at[0]].db)
	if err := put(h.rooms[at[0]].db, "b", "lost"); err != nil {
		t.Fatal(err)
	}
	h.crash(at[1])
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	stream, index := backup()
	before := h.rooms[at[0]].db.Position()
	if err := h.rooms[at[0]].node.Restore(ctx, bytes.NewReader(stream), int64(len(stream)), index); err != nil {
		t.Fatal(err)
	}
	if p := h.rooms[at[0]].db.Position(); p.Index <= before.Index || p.Time.Before(before.Time) {
		t.Errorf("restored at %d %v, stood at %d %v", p.Index, p.Time, before.Index, before.Time)
	}
	h.start(at[1])
	if err := put(h.rooms[at[1]].db, "c", "new"); err != nil {
		t.Fatal(err)
	}
	h.sameState()
	for i, r := range h.rooms {
		if text(r.db, "a") != "kept" || text(r.db, "b") != "" || text(r.db, "c") != "new" {
			t.Errorf("node %d: a %q, b %q, c %q", i+1, text(r.db, "a"), text(r.db, "b"), text(r.db, "c"))
		}
		if _, _, open := r.db.Unsettled(); open {
			t.Errorf("node %d still keeps the state of before", i+1)
		}
		if len(r.node.servers()) != 3 {
			t.Errorf("node %d: %v", i+1, r.node.servers())
		}
	}
}

// TestRestoreWithoutAMajorityIsUndone has a leader fall when it alone had installed a
// backup: the others go on with an entry of their own at that index.
func TestRestoreWithoutAMajorityIsUndone(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3, nil)
	h.start()
	h.settled()
	fallen := h.leader()
	r := h.rooms[fallen]
	backup := adopted(t, r.db)
	if err := put(r.db, "b", "stays"); err != nil {
		t.Fatal(err)
	}
	stream, index := backup()
	h.sameState()
	last, term := r.node.raft.LastIndex(), r.node.raft.CurrentTerm()
	h.crash(fallen)

	// What it would have on its disk had it fallen right after its own part of the restore.
	db := open(t, r.cfg.DataDir)
	if err := db.RestoreAs(bytes.NewReader(stream), max(index, last+1), term); err != nil {
		t.Fatal(err)
	}
	if text(db, "b") != "" {
		t.Fatal("not restored")
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := put(h.rooms[h.leader()].db, "c", "new"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := h.tryStart(ctx, fallen); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the node to go back", func() bool { return r.died() != nil })
	if err := r.died(); !strings.Contains(err.Error(), "gone back") {
		t.Errorf("died of %v", err)
	}
	h.stop(fallen)
	r.mu.Lock()
	r.deaths = nil
	r.mu.Unlock()
	h.start(fallen)
	h.sameState()
	for i, r := range h.rooms {
		if text(r.db, "b") != "stays" || text(r.db, "c") != "new" {
			t.Errorf("node %d: b %q, c %q", i+1, text(r.db, "b"), text(r.db, "c"))
		}
	}
}

// TestRestoreNeedsReaders: a backup that uses what a member does not read is refused,
// with a sentence that says which, and where.
func TestRestoreNeedsReaders(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3, func(c *Config) {
		c.Features = nextOne
		if c.NodeID == "n3" {
			c.Features = thisOne
		}
	})
	h.start()
	h.lacking("n3")
	uses := []string{"trial/2"}
	err := h.rooms[2].node.CanRestore(t.Context(), uses)
	if !errors.Is(err, fsm.ErrRefused) || !strings.Contains(err.Error(), "uses trial/2, which this release does not read") {
		t.Errorf("on the node that does not read it: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	err = h.rooms[0].node.CanRestore(ctx, uses)
	if !errors.Is(err, fsm.ErrRefused) || !strings.Contains(err.Error(), "n3 (trial/2)") {
		t.Errorf("on another node: %v", err)
	}
	if err := h.rooms[0].node.CanRestore(t.Context(), nil); err != nil {
		t.Errorf("a backup that uses nothing new: %v", err)
	}
}
