package cluster

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/quis-idp/quis/cluster/disk"
	"github.com/quis-idp/quis/fsm"
)

func TestOneNodeIsReadyAtOnce(t *testing.T) {
	t.Parallel()
	// With these times any election by timeout would take more than five seconds.
	h := newHouse(t, 1, func(c *Config) { c.Heartbeat = 5 * time.Second })
	begun := time.Now()
	h.start()
	first := time.Since(begun)
	if err := put(h.rooms[0].db, "a", "1"); err != nil {
		t.Fatal(err)
	}
	h.crash(0)
	begun = time.Now()
	h.start()
	again := time.Since(begun)
	if text(h.rooms[0].db, "a") != "1" {
		t.Error("write lost in a crash")
	}
	if max(first, again) > 4*time.Second {
		t.Errorf("ready after %v, and after %v with data", first, again)
	}
	t.Logf("ready after %v, and after %v with data", first, again)
}

func TestAllCrashAndComeBack(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3, nil)
	h.start()
	for k := range 30 {
		if err := put(h.rooms[k%3].db, fmt.Sprint(k), "x"); err != nil {
			t.Fatal(err)
		}
	}
	for i := range h.rooms {
		h.crash(i)
	}
	h.start()
	for k := range 30 {
		if text(h.rooms[k%3].db, fmt.Sprint(k)) != "x" {
			t.Errorf("write %d is lost", k)
		}
	}
	h.sameState()
}

// small makes snapshots and truncation happen within a test.
func small(c *Config) {
	c.SnapshotThreshold, c.TrailingLogs, c.SnapshotInterval = 32, 8, 20*time.Millisecond
}

func (h *house) writeUntilTruncated(which ...int) {
	h.t.Helper()
	k := 0
	eventually(h.t, "a truncated log", func() bool {
		for range 20 {
			k++
			if err := put(h.rooms[which[0]].db, fmt.Sprint(k), "x"); err != nil {
				h.t.Fatal(err)
			}
		}
		for _, i := range which {
			if first, err := h.rooms[i].node.logs.FirstIndex(); err != nil || first < 40 {
				return false
			}
		}
		return true
	})
}

func TestRestartAfterSnapshotsAndTruncation(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3, small)
	h.start()
	h.writeUntilTruncated(0, 1, 2)
	for i := range h.rooms {
		h.crash(i)
	}
	h.start()
	if err := put(h.rooms[1].db, "after", "y"); err != nil {
		t.Fatal(err)
	}
	h.sameState()
	for _, r := range h.rooms {
		if text(r.db, "1") != "x" || text(r.db, "after") != "y" {
			t.Errorf("%s has lost something", r.cfg.NodeID)
		}
	}
}

func TestWipedNodeIsInstalled(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3, small)
	h.start()
	gone := h.followers()[0]
	rest := []int{h.leader(), h.followers()[1]}
	h.stop(gone)
	h.wipe(gone)
	h.writeUntilTruncated(rest...)
	h.start(gone)
	eventually(t, "the node to vote again", func() bool { return h.isVoter(gone) })
	if err := put(h.rooms[gone].db, "back", "y"); err != nil {
		t.Fatal(err)
	}
	h.sameState()
	if text(h.rooms[gone].db, "1") != "x" {
		t.Error("installed node lacks what came before its time")
	}
	eventually(t, "received streams to be removed", func() bool { // another may be on its way just now
		left, err := filepath.Glob(filepath.Join(h.rooms[gone].cfg.DataDir, "incoming-*"))
		return err == nil && len(left) == 0
	})
	// What was installed is durable: it survives a crash right away.
	h.crash(gone)
	h.start(gone)
	h.sameState()
}

func TestSlowFollowerIsInstalled(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3, small)
	h.start()
	slow := h.followers()[0]
	rest := []int{h.leader(), h.followers()[1]}
	h.crash(slow)
	h.writeUntilTruncated(rest...)
	h.start(slow)
	h.sameState()
	if text(h.rooms[slow].db, "1") != "x" {
		t.Error("follower lacks what it missed")
	}
}

func TestSnapshotNeverPassesWhatIsDurable(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, nil)
	h.start()
	r := h.rooms[0]
	list := func() uint64 {
		l, err := r.node.snaps.List()
		if err != nil {
			t.Fatal(err)
		}
		if len(l) == 0 {
			return 0
		}
		return l[0].Index
	}
	h.settled()
	before := list()
	if err := put(r.db, "a", "x"); err != nil {
		t.Fatal(err)
	}
	if got := list(); got != before {
		t.Errorf("listed %d after a write that is not flushed, before it %d", got, before)
	}
	if err := r.node.raft.Snapshot().Error(); err != nil {
		t.Fatal(err)
	}
	if got, want := list(), r.db.Position().Index; got != want {
		t.Errorf("listed %d after a snapshot, want %d", got, want)
	}
	meta, stream, err := r.node.snaps.Open("engine")
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	if want := r.db.Position().Index; meta.Index != want || meta.Size == 0 || len(meta.Configuration.Servers) != 1 {
		t.Errorf("opened %+v, want index %d and one server", meta, want)
	}
}

func TestBadStreamLeavesTheStore(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, nil)
	h.start()
	r := h.rooms[0]
	if err := put(r.db, "a", "x"); err != nil {
		t.Fatal(err)
	}
	sink, err := r.node.snaps.Create(raft.SnapshotVersionMax, 99, 9, raft.Configuration{}, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sink.Write([]byte("no stream at all")); err != nil {
		t.Fatal(err)
	}
	if err := sink.Close(); err != nil {
		t.Fatal(err)
	}
	_, stream, err := r.node.snaps.Open(sink.ID())
	if err != nil {
		t.Fatal(err)
	}
	if err := r.node.machine.Restore(stream); !errors.Is(err, fsm.ErrCorrupt) {
		t.Errorf("restore: %v", err)
	}
	if err := stream.Close(); err != nil {
		t.Error(err)
	}
	if r.died() != nil || text(r.db, "a") != "x" {
		t.Errorf("store is gone: %v", r.died())
	}
}

// A message that was long on its way must not take the store back behind what readers
// of this node have been told.
func TestOldStreamIsRefused(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, nil)
	h.start()
	h.settled()
	r := h.rooms[0]
	_, old, err := r.node.snaps.Open("engine")
	if err != nil {
		t.Fatal(err)
	}
	at := r.db.Position()
	if err := put(r.db, "a", "x"); err != nil {
		t.Fatal(err)
	}
	sink, err := r.node.snaps.Create(raft.SnapshotVersionMax, at.Index, at.Term, raft.Configuration{}, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(sink, old); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(old.Close(), sink.Close()); err != nil {
		t.Fatal(err)
	}
	_, stream, err := r.node.snaps.Open(sink.ID())
	if err == nil {
		err = errors.Join(r.node.machine.Restore(stream), stream.Close())
	}
	if !errors.Is(err, fsm.ErrRefused) || text(r.db, "a") != "x" {
		t.Errorf("restored: %v, the row reads %q", err, text(r.db, "a"))
	}
	left, err := filepath.Glob(filepath.Join(r.cfg.DataDir, "incoming-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestStoreThatCannotApplyEndsTheNode(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, func(c *Config) { c.ProposeTimeout = time.Second })
	h.start()
	r := h.rooms[0]
	h.settled()
	applied := r.db.Position().Index
	r.node.raft.Apply([]byte{99}, 0) // an entry of a release to come
	eventually(t, "the node to end", func() bool { return r.died() != nil })
	if err := put(r.db, "a", "x"); !errors.Is(err, fsm.ErrUnknown) && !errors.Is(err, fsm.ErrUnavailable) {
		t.Errorf("write after the end: %v", err)
	}
	if got := r.db.Position().Index; got != applied {
		t.Errorf("applied up to %d after the end, want %d", got, applied)
	}
	if r.node.Ready() == nil {
		t.Error("still ready")
	}
}

func TestStalledDiskEndsTheNode(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3, func(c *Config) { c.StallLimit = 2 * time.Second })
	h.start()
	h.settled()
	first := h.leader()
	r := h.rooms[first]
	// A pipe without a reader: opening it for writing does not return.
	stuck := filepath.Join(r.cfg.DataDir, "canary.new")
	if err := syscall.Mkfifo(stuck, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(stuck, filepath.Join(r.cfg.DataDir, "canary")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		f, err := os.OpenFile(filepath.Join(r.cfg.DataDir, "canary"), os.O_RDWR, 0) // lets the writer go
		if err != nil {
			t.Error(err)
			return
		}
		f.Close()
	})
	eventually(t, "the node to end", func() bool { return errors.Is(r.died(), disk.ErrStall) })
	eventually(t, "another leader", func() bool {
		for i, o := range h.rooms {
			if i != first && o.node.IsLeader() {
				return true
			}
		}
		return false
	})
}

// A lone node elects itself as soon as it can; that is an election like any other.
func TestFirstElectionIsSeen(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	h := newHouse(t, 1, func(c *Config) { c.Registerer = reg })
	h.start()
	eventually(t, "the election to be counted", func() bool {
		families, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			if f.GetName() == "quis_raft_leader_changes_total" {
				return f.GetMetric()[0].GetCounter().GetValue() == 1
			}
		}
		return false
	})
}
