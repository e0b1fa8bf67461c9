package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quis-idp/quis/fsm"
)

func TestAnyNodeWritesAndReadsItsOwnWrite(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3, nil)
	h.start()
	for i, r := range h.rooms {
		for k := range 5 {
			id, want := fmt.Sprintf("%d-%d", i, k), fmt.Sprintf("text %d", k)
			if err := put(r.db, id, want); err != nil {
				t.Fatal(err)
			}
			if got := text(r.db, id); got != want {
				t.Fatalf("node %d reads %q after writing %q", i, got, want)
			}
		}
	}
	h.sameState()
}

func TestWritesShareEntries(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, nil)
	h.start()
	r := h.rooms[0]
	before := r.db.Position().Index
	const writers, each = 64, 8
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for k := range each {
				if err := put(r.db, fmt.Sprintf("%d-%d", w, k), "x"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if took := r.db.Position().Index - before; took > writers*each/2 {
		t.Errorf("%d writes took %d entries", writers*each, took)
	}
}

// A recorder is a log that keeps the batches which pass, or holds them back.
type recorder struct {
	fsm.Log
	hold bool
	seen [][]byte
}

var errHeld = errors.New("held back")

func (r *recorder) Propose(ctx context.Context, batch []byte) (fsm.Outcome, error) {
	r.seen = append(r.seen, batch)
	if r.hold {
		return fsm.Outcome{}, errHeld
	}
	return r.Log.Propose(ctx, batch)
}

// record returns the batch that fn makes, without sending it.
func record(t *testing.T, r *room, ctx context.Context, fn func(tx *fsm.Tx) error) []byte {
	t.Helper()
	rec := &recorder{Log: r.node, hold: true}
	r.db.SetLog(rec)
	defer r.db.SetLog(r.node)
	if err := r.db.Update(ctx, fn); !errors.Is(err, errHeld) {
		t.Fatal(err)
	}
	return rec.seen[len(rec.seen)-1]
}

func TestTheFourAnswers(t *testing.T) {
	t.Parallel()
	// The leader believes in itself for two seconds after the others have gone.
	h := newHouse(t, 3, func(c *Config) { c.ProposeTimeout, c.Heartbeat = 1500*time.Millisecond, 3*time.Second })
	h.start()
	ctx := t.Context()
	follower := h.rooms[h.followers()[0]]
	if err := put(follower.db, "a", "1"); err != nil {
		t.Fatal(err)
	}
	change := func(tx *fsm.Tx) error {
		if _, err := notes.Get(tx, fsm.Global, fsm.K("a")); err != nil {
			return err
		}
		return notes.Put(tx, &note{"a", "mine"})
	}
	conflicting := record(t, follower, ctx, change)
	fenced := record(t, follower, fsm.FencedBy(ctx, 1<<40), change)
	if err := put(follower.db, "a", "2"); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		batch []byte
		want  fsm.Verdict
	}{"conflict": {conflicting, fsm.Conflict}, "fenced": {fenced, fsm.Fenced}, "malformed": {[]byte{1, 2, 3}, fsm.Refused}} {
		if out, err := follower.node.Propose(ctx, c.batch); err != nil || out.Verdict != c.want {
			t.Errorf("%s: %v, %v; want verdict %v", name, out, err, c.want)
		}
	}
	if _, err := follower.node.Propose(ctx, make([]byte, fsm.MaxBatch+1)); !errors.Is(err, fsm.ErrRefused) {
		t.Errorf("oversized: %v", err)
	}

	// The leader, left alone, takes a batch that it can neither commit nor disown.
	leader := h.rooms[h.leader()]
	late := record(t, leader, ctx, func(tx *fsm.Tx) error { return notes.Put(tx, &note{"late", "x"}) })
	var all sync.WaitGroup
	for _, i := range h.followers() {
		all.Go(func() { h.crash(i) })
	}
	all.Wait()
	_, err := leader.node.Propose(ctx, late)
	if !errors.Is(err, fsm.ErrUnknown) || errors.Is(err, fsm.ErrUnavailable) {
		t.Errorf("in the log of a leader without followers: %v; want ErrUnknown", err)
	}
	eventually(t, "the leader to step down", func() bool { return !leader.node.IsLeader() })
	// Without a leader a batch goes nowhere.
	_, err = leader.node.Propose(ctx, late)
	if !errors.Is(err, fsm.ErrUnavailable) || errors.Is(err, fsm.ErrUnknown) {
		t.Errorf("without a leader: %v; want ErrUnavailable", err)
	}
	if err := leader.node.CatchUp(ctx); !errors.Is(err, fsm.ErrUnavailable) {
		t.Errorf("catch up without a leader: %v", err)
	}
	eventually(t, "the node not to be ready without a leader", func() bool { return leader.node.Ready() != nil })
	if err := leader.node.Ready(); !errors.Is(err, fsm.ErrUnavailable) || err.Error() != "no leader" {
		t.Errorf("ready: %v", err)
	}
}

func TestLostAnswersHaveOneEffect(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3, nil)
	h.start()
	f := h.rooms[h.followers()[0]]
	ctx, cancel := context.WithCancel(t.Context())
	var cutter sync.WaitGroup
	var done atomic.Int32
	cutter.Go(func() { // tears the way to the leader, with answers on it, after every few writes
		at := done.Load()
		for tick := time.NewTicker(time.Millisecond); ctx.Err() == nil; <-tick.C {
			if now := done.Load(); now > at+4 {
				f.node.port.Caller().Reset()
				at = now
			}
		}
	})
	const writers, each = 8, 20
	var all sync.WaitGroup
	for range writers {
		all.Go(func() {
			for range each {
				err := f.db.Update(ctx, func(tx *fsm.Tx) error {
					return counts.Add(tx, fsm.Global, fsm.K("n"), 1, time.Time{})
				})
				if err != nil {
					t.Error(err)
				}
				done.Add(1)
			}
		})
	}
	all.Wait()
	cancel()
	cutter.Wait()
	var got int64
	err := f.db.View(t.Context(), func(tx *fsm.Tx) (err error) {
		got, err = counts.Get(tx, fsm.Global, fsm.K("n"))
		return err
	})
	if err != nil || got != writers*each {
		t.Errorf("counted %d, %v; want %d", got, err, writers*each)
	}
}

func TestSameBatchTwiceHasFirstOutcome(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3, nil)
	h.start()
	f := h.rooms[h.followers()[0]]
	b := record(t, f, t.Context(), func(tx *fsm.Tx) error {
		return notes.Insert(tx, &note{"once", "x"})
	})
	for range 3 {
		if out, err := f.node.Propose(t.Context(), b); err != nil || out.Verdict != fsm.Applied {
			t.Fatalf("%v, %v", out, err)
		}
	}
}

func TestLeaderCrashesUnderWrites(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3, nil)
	h.start()
	first := h.leader()
	var wrote sync.Map
	var stop atomic.Bool
	var all sync.WaitGroup
	for i := range h.rooms {
		if i == first {
			continue
		}
		for w := range 4 {
			all.Go(func() {
				for k := 0; !stop.Load(); k++ {
					id := fmt.Sprintf("%d-%d-%d", i, w, k)
					if err := put(h.rooms[i].db, id, "x"); err != nil {
						t.Errorf("write through a survivor: %v", err)
						return
					}
					wrote.Store(id, true)
				}
			})
		}
	}
	count := func() (n int) { wrote.Range(func(any, any) bool { n++; return true }); return n }
	eventually(t, "some writes", func() bool { return count() > 50 })
	h.crash(first)
	at := count()
	begun := time.Now()
	eventually(t, "writes to go on", func() bool { return count() > at+20 })
	t.Logf("writes went on after %v", time.Since(begun).Round(time.Millisecond))
	if h.leader() == first {
		t.Fatal("no new leader")
	}
	h.start(first)
	stop.Store(true)
	all.Wait()
	h.sameState()
	wrote.Range(func(id, _ any) bool {
		if text(h.rooms[first].db, id.(string)) != "x" {
			t.Errorf("acknowledged write %v is lost", id)
		}
		return true
	})
}

func TestStopHandsLeadershipOver(t *testing.T) {
	t.Parallel()
	// Elections would take at least two seconds here: only a transfer is quicker.
	h := newHouse(t, 3, func(c *Config) { c.Heartbeat = 2 * time.Second })
	h.start()
	first := h.leader()
	var failed, done atomic.Int32
	var stop atomic.Bool
	var all sync.WaitGroup
	for i := range h.rooms {
		if i != first {
			all.Go(func() {
				for k := 0; !stop.Load(); k++ {
					if put(h.rooms[i].db, fmt.Sprintf("%d-%d", i, k), "x") != nil {
						failed.Add(1)
					}
					done.Add(1)
				}
			})
		}
	}
	eventually(t, "some writes", func() bool { return done.Load() > 10 })
	begun := time.Now()
	h.stop(first)
	at := done.Load()
	eventually(t, "writes to go on", func() bool { return done.Load() > at+10 })
	if took := time.Since(begun); took > 2*time.Second {
		t.Errorf("writes went on only after %v", took)
	}
	stop.Store(true)
	all.Wait()
	if failed.Load() > 0 {
		t.Errorf("%d writes failed", failed.Load())
	}
}

func TestStoppedNodeTurnsAway(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, nil)
	h.start()
	n := h.rooms[0].node
	if err := n.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Propose(t.Context(), []byte("x")); !errors.Is(err, fsm.ErrUnavailable) {
		t.Errorf("propose on a stopped node: %v", err)
	}
	if err := n.CatchUp(t.Context()); !errors.Is(err, fsm.ErrUnavailable) {
		t.Errorf("catch up on a stopped node: %v", err)
	}
	if n.Ready() == nil {
		t.Error("a stopped node says it is ready")
	}
}
