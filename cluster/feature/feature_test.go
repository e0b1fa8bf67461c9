package feature

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/fsm/fsmtest"
)

const trial = "row/2"

// view gives what a reading transaction finds.
func view[T any](t *testing.T, db *fsm.DB, fn func(*fsm.Tx) (T, error)) T {
	t.Helper()
	var v T
	if err := db.View(t.Context(), func(tx *fsm.Tx) (err error) { v, err = fn(tx); return err }); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestAll(t *testing.T) {
	t.Parallel()
	db := fsmtest.New(t, Tables...)
	say := func(node string, reads ...string) {
		t.Helper()
		if err := Announce(t.Context(), db, node, "1.0", reads); err != nil {
			t.Fatal(err)
		}
	}
	say("a", trial, "row/1")
	say("b", "row/1")
	all := func(members ...string) bool {
		return view(t, db, func(tx *fsm.Tx) (bool, error) { return All(tx, members, trial) })
	}
	if !all("a") || all("a", "b") || all("a", "c") || all() {
		t.Error("All is true for a node that does not announce it, or for nobody")
	}
	missing := view(t, db, func(tx *fsm.Tx) ([]string, error) { return Missing(tx, []string{"a", "b", "c"}, trial) })
	if d := cmp.Diff([]string{"b", "c"}, missing); d != "" {
		t.Error(d)
	}
	say("b", "row/1", trial)
	if !all("a", "b") {
		t.Error("b has announced it, too")
	}
	newest := func() uint64 {
		return view(t, db, func(tx *fsm.Tx) (uint64, error) { return Newest(tx, []string{"a", "b", "x"}) })
	}
	was := newest()
	say("b", "row/1", trial) // as before
	if newest() != was {
		t.Error("nobody has said anything new")
	}
	say("b", "row/1") // an older release
	if newest() <= was {
		t.Error("b has gone back, and nobody would know")
	}
	if all("a", "b") {
		t.Error("b has gone back")
	}
}

// TestAnnounceOnce: what stands there already is no entry in the log.
func TestAnnounceOnce(t *testing.T) {
	t.Parallel()
	c := fsmtest.NewCluster(t, 1, Tables...)
	for range 3 {
		if err := Announce(t.Context(), c.DB[0], "a", "1.0", []string{"y", "x"}); err != nil {
			t.Fatal(err)
		}
	}
	if n := c.Entries(); n != 1 {
		t.Errorf("%d entries, want 1", n)
	}
}

// A world is members that answer, for keepers of one store.
type world struct {
	mu      sync.Mutex
	members []string
	answers map[string][]string // no entry: does not answer
	fatal   error
}

var errSilent = errors.New("no answer")

func (w *world) keeper(db *fsm.DB, id string, features ...Feature) *Keeper {
	return NewKeeper(Config{
		NodeID: id, Version: "1.0", Features: features, DB: db, Admission: &sync.Mutex{},
		Members: func() []string { w.mu.Lock(); defer w.mu.Unlock(); return slices.Clone(w.members) },
		Ask: func(_ context.Context, id string) ([]string, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			if reads, ok := w.answers[id]; ok {
				return reads, nil
			}
			return nil, errSilent
		},
		Fatal: func(err error) { w.mu.Lock(); defer w.mu.Unlock(); w.fatal = err },
	})
}

func (w *world) set(id string, reads ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answers[id] = reads
}

var both = []Feature{{Name: "row/1", Base: true}, {Name: trial}}

// TestActivation: only when all members announce it, in the store and when asked, and
// then for ever; rows of nodes that went, or went back, go.
func TestActivation(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		db := fsmtest.New(t, Tables...)
		w := &world{members: []string{"a", "b"}, answers: map[string][]string{}}
		k := w.keeper(db, "a", both...)
		ctx, end := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() { k.Run(ctx) })
		all.Go(func() { k.Lead(ctx) })
		defer all.Wait()
		defer end()
		active := func(want bool, when string) {
			t.Helper()
			time.Sleep(10 * time.Second)
			synctest.Wait()
			got := view(t, db, func(tx *fsm.Tx) (bool, error) { return Active(tx, trial) })
			if got != want || k.Active(trial) != want {
				t.Fatalf("active %v (as known %v) %s", got, k.Active(trial), when)
			}
		}
		active(false, "while b says nothing")
		w.set("b")
		active(false, "while b runs a release that announces nothing")
		if err := Announce(ctx, db, "b", "1.0", Names(both)); err != nil {
			t.Fatal(err)
		}
		active(false, "though b went back to the older release: its row lies")
		missing := view(t, db, func(tx *fsm.Tx) ([]string, error) { return Missing(tx, []string{"a", "b"}, "row/1") })
		if d := cmp.Diff([]string{"b"}, missing); d != "" {
			t.Errorf("the row that lies is still there: %s", d)
		}
		w.set("b", Names(both)...)
		active(false, "before b has announced it")
		w.mu.Lock()
		delete(w.answers, "b")
		w.mu.Unlock()
		if err := Announce(ctx, db, "b", "1.0", Names(both)); err != nil {
			t.Fatal(err)
		}
		active(false, "while b cannot be asked")
		w.set("b", Names(both)...)
		active(true, "when all read it")
		w.mu.Lock()
		w.members = []string{"a"}
		w.mu.Unlock()
		active(true, "after b was removed")
		missing = view(t, db, func(tx *fsm.Tx) ([]string, error) { return Missing(tx, []string{"b"}, trial) })
		if len(missing) == 0 {
			t.Error("the row of a removed node is still there")
		}
	})
}

// TestTooOld: an older binary neither starts nor goes on, and says why.
func TestTooOld(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := fsmtest.NewCluster(t, 2, Tables...)
		w := &world{members: []string{"a"}, answers: map[string][]string{}}
		old := w.keeper(c.DB[1], "old", both[0])
		if err := old.Check(t.Context()); err != nil {
			t.Fatalf("refused before anything is active: %v", err)
		}
		ctx, end := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() { old.Run(ctx) })
		k := w.keeper(c.DB[0], "a", both...)
		all.Go(func() { k.Run(ctx) })
		all.Go(func() { k.Lead(ctx) })
		time.Sleep(10 * time.Second)
		end()
		all.Wait()
		for what, err := range map[string]error{"at the start": old.Check(t.Context()), "while running": w.fatal} {
			if !errors.Is(err, ErrTooOld) || !strings.Contains(err.Error(), trial) || !strings.Contains(err.Error(), "release 1.0") {
				t.Errorf("%s: %v", what, err)
			}
		}
		if err := k.Check(t.Context()); err != nil {
			t.Errorf("one that reads it: %v", err)
		}
	})
}

// TestFencedActivation: a leader that was deposed while it asked activates nothing.
func TestFencedActivation(t *testing.T) {
	t.Parallel()
	c := fsmtest.NewCluster(t, 1, Tables...)
	w := &world{members: []string{"a"}, answers: map[string][]string{}}
	k := w.keeper(c.DB[0], "a", both...)
	if err := Announce(t.Context(), c.DB[0], "a", "1.0", Names(both)); err != nil {
		t.Fatal(err)
	}
	term := fsm.FencedBy(t.Context(), c.Term())
	c.NewTerm()
	if err := k.activate(term, trial); !errors.Is(err, fsm.ErrFenced) {
		t.Errorf("activation under a term that has passed: %v", err)
	}
	if err := k.activate(fsm.FencedBy(t.Context(), c.Term()), trial); err != nil {
		t.Error(err)
	}
}

func TestLook(t *testing.T) {
	t.Parallel()
	db := fsmtest.New(t, Tables...)
	for _, n := range []Node{{"a", "1.1", Names(both)}, {"b", "1.0", []string{"row/1"}}} {
		if err := Announce(t.Context(), db, n.ID, n.Version, n.Reads); err != nil {
			t.Fatal(err)
		}
	}
	look := func(members ...string) Report {
		return view(t, db, func(tx *fsm.Tx) (Report, error) { return Look(tx, members, both) })
	}
	want := Report{
		Nodes:   []Node{{"a", "1.1", Names(both)}, {"b", "1.0", []string{"row/1"}}, {ID: "c"}},
		Waiting: map[string][]string{trial: {"b", "c"}},
		Skew:    "no release announced yet on c; release 1.0 on b; release 1.1 on a",
	}
	if d := cmp.Diff(want, look("a", "b", "c")); d != "" {
		t.Error(d)
	}
	if s := look("a").Skew; s != "" {
		t.Errorf("one node alone differs from nobody, but: %s", s)
	}
}

func TestNamesAreUnique(t *testing.T) {
	t.Parallel()
	names := Names(Known())
	if len(slices.Compact(slices.Clone(names))) != len(names) || !slices.Contains(names, "batch/1") {
		t.Errorf("known features: %v", names)
	}
}

// TestOnDemand: what waits for somebody to need it can be taken back until then, and
// a wish that comes while a member does not read it is granted when it does.
func TestOnDemand(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		db := fsmtest.New(t, Tables...)
		w := &world{members: []string{"a", "b"}, answers: map[string][]string{}}
		w.set("b", trial)
		k := w.keeper(db, "a", Feature{Name: trial, OnDemand: true})
		ctx, end := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() { k.Run(ctx) })
		all.Go(func() { k.Lead(ctx) })
		defer all.Wait()
		defer end()
		active := func(want bool, when string) {
			t.Helper()
			time.Sleep(10 * time.Second)
			synctest.Wait()
			if k.Active(trial) != want {
				t.Fatalf("active %v %s", !want, when)
			}
		}
		announce := func(id string) {
			if err := Announce(ctx, db, id, "1.0", []string{trial}); err != nil {
				t.Fatal(err)
			}
		}
		announce("b")
		active(false, "though nobody needs it")
		w.mu.Lock()
		w.members = append(w.members, "c")
		w.mu.Unlock()
		w.set("c", trial)
		if err := k.Use(ctx, trial); !errors.Is(err, fsm.ErrUnavailable) || !strings.Contains(err.Error(), `"c"`) {
			t.Errorf("a member does not read it: %v", err)
		}
		if err := db.Update(ctx, func(tx *fsm.Tx) error { return Want(tx, trial) }); err != nil {
			t.Fatal(err)
		}
		active(false, "while c says nothing")
		announce("c")
		active(true, "once it is wanted and all read it")
		if err := k.Use(ctx, trial); err != nil {
			t.Error(err)
		}
	})
}
