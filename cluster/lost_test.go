package cluster

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/quis-idp/quis/fsm"
)

// A voter that has forgotten its log and its vote could elect a leader that lacks what
// a majority had acknowledged, this node among it. It must come back as a new node.
func TestVoterWithoutItsLogIsRefused(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3, nil)
	h.start()
	for i := range h.rooms { // founder or not
		h.stop(i)
		dir := h.rooms[i].cfg.DataDir
		remove(t, filepath.Join(dir, logFile))
		if err := os.RemoveAll(filepath.Join(dir, "store")); err != nil {
			t.Fatal(err)
		}
		h.refused(i, "log is missing", "cluster.join")
		h.refused(i, "log is missing") // and again: the first try has made no log
		h.wipe(i)
		h.start(i)
		eventually(t, "the node to vote again", func() bool { return h.isVoter(i) })
	}
}

// A log without an identity may be of another cluster, where the same index and term
// stand for another entry.
func TestLogWithoutIdentityIsRefused(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, nil)
	h.start()
	h.stop(0)
	dir := h.rooms[0].cfg.DataDir
	remove(t, filepath.Join(dir, identityFile))
	if err := os.RemoveAll(filepath.Join(dir, "store")); err != nil {
		t.Fatal(err)
	}
	h.refused(0, logFile, identityFile, "missing")
}

func TestStartThatDiedMakingTheLogIsRepeated(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, nil)
	write(t, filepath.Join(h.rooms[0].cfg.DataDir, logFile), "")
	h.start()
}

// What a deposed leader still answers must not make others take it for the leader of
// the term it has only heard of.
func TestOnlyALeaderVouchesForCommits(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2, nil)
	h.start()
	h.settled()
	for i, r := range h.rooms {
		c := r.node.leader.Vouch(r.db.Position().Index)
		if leads := i == h.leader(); leads != (c.EntryTerm != 0) {
			t.Errorf("%s leads: %v, vouches: %+v", r.cfg.NodeID, leads, c)
		}
	}
}

// The address of a node that was removed in the meantime must not bring it back.
func TestMovingDoesNotBringBackARemovedNode(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, nil)
	h.start()
	n := h.rooms[0].node
	if err := n.roster.Move("ghost", "127.0.0.1:1"); err == nil || n.isMember("ghost") {
		t.Errorf("moved a node that is no member: %v, member: %v", err, n.isMember("ghost"))
	}
}

// A leader with a fast clock has stamped an hour ahead. While the others' clocks
// get there, time must go on: for deadlines, for expiry, and for forgetting batches.
func TestTimeGoesOnAfterAFastClock(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, nil)
	h.start()
	r := h.rooms[0]
	data := fsm.EncodeEntry(time.Now().Add(time.Hour), nil)
	if err := r.node.raft.ApplyLog(raft.Log{Data: data}, 0).Error(); err != nil {
		t.Fatal(err)
	}
	ahead := r.db.Position().Time
	if time.Until(ahead) < 50*time.Minute {
		t.Fatalf("state's time is %v", ahead)
	}
	eventually(t, "the state's time to go on", func() bool {
		if err := put(r.db, "a", "x"); err != nil {
			t.Fatal(err)
		}
		return r.db.Position().Time.Sub(ahead) > 20*time.Millisecond
	})
}

// What a majority has acknowledged may be on the leader and on the node that lost its
// disk only. Until a majority of those who remember is there, the empty one gets no say.
func TestEmptyNodeIsNoMajority(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3, nil)
	h.start()
	f := h.followers()
	h.crash(f[1])
	if err := put(h.rooms[f[0]].db, "a", "x"); err != nil { // on the leader and f[0]
		t.Fatal(err)
	}
	h.crash(f[0])
	h.wipe(f[0])
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := h.tryStart(ctx, f[0]); err == nil {
		t.Error("taken in without a majority")
	}
	h.start(f[1])
	h.start(f[0])
	h.sameState()
	for _, r := range h.rooms {
		if text(r.db, "a") != "x" {
			t.Errorf("%s: the write is lost", r.cfg.NodeID)
		}
	}
}
