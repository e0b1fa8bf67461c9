package fsm_test

import (
	"errors"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/fsm/fsmtest"
)

// A link has optional, repeated and expiring parts, all keyed by the test.
type link struct {
	ID      string    `cbor:"1,keyasint"`
	Names   []string  `cbor:"2,keyasint,omitempty"`
	Tags    []string  `cbor:"3,keyasint,omitempty"`
	Expires time.Time `cbor:"4,keyasint,omitempty"`
	Any     any       `cbor:"5,keyasint,omitempty"`
}

var (
	links = fsm.NewTable(2, "links", fsm.Spec[link]{
		Key:     func(l *link) fsm.Key { return fsm.K(strings.Split(l.ID, "/")...) },
		Expires: func(l *link) time.Time { return l.Expires },
	})
	linkByName = links.Unique(1, "name", func(l *link) []fsm.Key { return keys(l.Names) })
	linkByTag  = links.Index(2, "tag", func(l *link) []fsm.Key { return keys(l.Tags) })
	hits       = fsm.NewCounter(3, "hits")
	notes      = fsm.NewJournal[string](4, "notes")
	schema     = []fsm.Definition{people, links, hits, notes}
)

// keys makes one key of each value; a slash separates its parts.
func keys(values []string) (ks []fsm.Key) {
	for _, v := range values {
		ks = append(ks, fsm.K(strings.Split(v, "/")...))
	}
	return ks
}

func update(t *testing.T, db *fsm.DB, fn func(tx *fsm.Tx) error) {
	t.Helper()
	if err := db.Update(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

func view(t *testing.T, db *fsm.DB, fn func(tx *fsm.Tx) error) {
	t.Helper()
	if err := db.View(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

// ids collects at most limit rows.
func ids(t *testing.T, rows iter.Seq2[*link, error], limit int) (got []string) {
	t.Helper()
	for l, err := range rows {
		if err != nil {
			t.Fatal(err)
		}
		if got = append(got, l.ID); len(got) == limit {
			break
		}
	}
	return got
}

func put(ls ...*link) func(tx *fsm.Tx) error {
	return func(tx *fsm.Tx) error {
		for _, l := range ls {
			if err := links.Put(tx, l); err != nil {
				return err
			}
		}
		return nil
	}
}

// A walk that stops at one of the transaction's own writes has seen that nothing
// stands between it and what came before.
func TestPhantomBeforeOwnWriteIsAConflict(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]fsm.ListOption{"forward": nil, "reverse": {fsm.Reverse()}} {
		for _, before := range []string{"", "a", "z"} {
			t.Run(name+before, func(t *testing.T) {
				t.Parallel()
				c := fsmtest.NewCluster(t, 2, schema...)
				if before != "" {
					update(t, c.DB[0], put(&link{ID: before}))
				}
				var runs [][]string
				update(t, c.DB[0], func(tx *fsm.Tx) error {
					if err := links.Put(tx, &link{ID: "m"}); err != nil {
						return err
					}
					var got []string
					for l, err := range links.List(tx, fsm.Global, opts...) {
						if err != nil {
							return err
						}
						if got = append(got, l.ID); l.ID == "m" {
							break
						}
					}
					if runs = append(runs, got); len(runs) == 1 {
						return c.DB[1].Update(t.Context(), put(&link{ID: "l"}, &link{ID: "n"}))
					}
					return nil
				})
				if len(runs) != 2 {
					t.Fatalf("closure ran %d times, want 2: %v", len(runs), runs)
				}
			})
		}
	}
}

func TestChangeBehindWhereTheWalkStoppedIsNoConflict(t *testing.T) {
	t.Parallel()
	c := fsmtest.NewCluster(t, 2, schema...)
	update(t, c.DB[0], put(&link{ID: "a"}, &link{ID: "b"}))
	runs := 0
	update(t, c.DB[0], func(tx *fsm.Tx) error {
		runs++
		if got := ids(t, links.List(tx, fsm.Global), 2); !cmp.Equal(got, []string{"a", "b"}) {
			t.Errorf("got %v", got)
		}
		if err := c.DB[1].Update(t.Context(), put(&link{ID: "c"})); err != nil {
			return err
		}
		return links.Put(tx, &link{ID: "d"})
	})
	if runs != 1 {
		t.Errorf("closure ran %d times, want 1", runs)
	}
}

func TestOwnWritesAreSeen(t *testing.T) {
	t.Parallel()
	db := fsmtest.New(t, schema...)
	update(t, db, put(
		&link{ID: "a", Names: []string{"A"}, Tags: []string{"red"}},
		&link{ID: "b", Names: []string{"B"}, Tags: []string{"red"}},
		&link{ID: "old", Names: []string{"OLD", "OTHER"}, Tags: []string{"red"}, Expires: time.Now().Add(time.Hour)},
	))
	err := db.Update(t.Context(), func(tx *fsm.Tx) error {
		// Values swap owners, a row moves to another tag, one is deleted.
		for _, l := range []*link{{ID: "a"}, {ID: "b", Names: []string{"A"}, Tags: []string{"blue"}}, {ID: "a", Names: []string{"B"}, Tags: []string{"red"}}} {
			if err := links.Put(tx, l); err != nil {
				return err
			}
		}
		if err := links.Put(tx, &link{ID: "past", Tags: []string{"red"}, Expires: tx.Now().Add(-time.Second)}); err != nil {
			return err
		}
		if err := links.Delete(tx, fsm.Global, fsm.K("old")); err != nil {
			return err
		}
		if got := ids(t, linkByTag.List(tx, fsm.Global, fsm.Prefix(fsm.K("red"))), 9); !cmp.Equal(got, []string{"a"}) {
			t.Errorf("red: got %v", got)
		}
		if got := ids(t, links.List(tx, fsm.Global, fsm.Reverse()), 9); !cmp.Equal(got, []string{"b", "a"}) {
			t.Errorf("all: got %v", got)
		}
		if l, err := linkByName.Get(tx, fsm.Global, fsm.K("A")); err != nil || l.ID != "b" {
			t.Errorf("A: got %v, %v", l, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	view(t, db, func(tx *fsm.Tx) error {
		if got := ids(t, linkByName.List(tx, fsm.Global), 9); !cmp.Equal(got, []string{"b", "a"}) {
			t.Errorf("by name: got %v", got)
		}
		return nil
	})
}

// The index entries of an expired row must not lead to the row that replaces it,
// neither within the transaction nor after.
func TestExpiredRowLeavesNoTrace(t *testing.T) {
	t.Parallel()
	c := fsmtest.NewCluster(t, 2, schema...)
	db := c.DB[0]
	update(t, db, put(&link{ID: "x", Names: []string{"X", "Y"}, Tags: []string{"red"}, Expires: time.Now().Add(time.Minute)}))
	c.Advance(time.Hour)
	update(t, db, put(&link{ID: "tick"})) // the log's time passes
	check := func(tx *fsm.Tx) error {
		if got := ids(t, linkByTag.List(tx, fsm.Global, fsm.Prefix(fsm.K("red"))), 9); got != nil {
			t.Errorf("red: got %v", got)
		}
		for _, name := range []string{"X", "Y"} {
			if l, err := linkByName.Get(tx, fsm.Global, fsm.K(name)); !errors.Is(err, fsm.ErrNotFound) {
				t.Errorf("%s: got %v, %v", name, l, err)
			}
		}
		return nil
	}
	view(t, db, check)
	update(t, db, func(tx *fsm.Tx) error {
		if err := links.Insert(tx, &link{ID: "x", Tags: []string{"blue"}}); err != nil {
			return err
		}
		return check(tx)
	})
	view(t, db, check)

	// And the value it held can be taken by another.
	update(t, db, put(&link{ID: "p", Names: []string{"P", "Q"}, Expires: time.Now().Add(2 * time.Hour)}))
	c.Advance(2 * time.Hour)
	update(t, db, put(&link{ID: "tick"}))
	update(t, db, func(tx *fsm.Tx) error {
		if err := links.Put(tx, &link{ID: "r", Names: []string{"P"}}); err != nil {
			return err
		}
		_, err := linkByName.Get(tx, fsm.Global, fsm.K("Q"))
		if !errors.Is(err, fsm.ErrNotFound) {
			t.Errorf("Q: got %v", err)
		}
		return nil
	})
	n, err := db.Purge(t.Context())
	if err != nil || n != 0 {
		t.Errorf("purge found %d, %v; the expired row was replaced", n, err)
	}
}

// The parts of a value and a key must not flow into each other.
func TestIndexEntriesOfDifferentRowsNeverCollide(t *testing.T) {
	t.Parallel()
	db := fsmtest.New(t, schema...)
	update(t, db, put(&link{ID: "b/c", Tags: []string{"a"}}, &link{ID: "c", Tags: []string{"a/b"}}))
	view(t, db, func(tx *fsm.Tx) error {
		got := ids(t, linkByTag.List(tx, fsm.Global, fsm.Prefix(fsm.K("a"))), 9)
		if slices.Sort(got); !cmp.Equal(got, []string{"b/c", "c"}) {
			t.Errorf("got %v", got)
		}
		return nil
	})
}

func TestCursorsContinue(t *testing.T) {
	t.Parallel()
	db := fsmtest.New(t, schema...)
	want := []string{"a", "b", "c", "d", "e"}
	for _, id := range want {
		update(t, db, put(&link{ID: id, Names: []string{id}, Tags: []string{"t"}}))
	}
	lists := map[string]struct {
		list   func(*fsm.Tx, fsm.Scope, ...fsm.ListOption) iter.Seq2[*link, error]
		cursor func(*link) string
	}{
		"table":  {links.List, links.Cursor},
		"unique": {linkByName.List, linkByName.Cursor},
		"index":  {linkByTag.List, linkByTag.Cursor},
	}
	for name, l := range lists {
		for _, opts := range [][]fsm.ListOption{nil, {fsm.Reverse()}} {
			view(t, db, func(tx *fsm.Tx) error {
				all := ids(t, l.list(tx, fsm.Global, opts...), 9)
				var got []string
				after := ""
				for range all {
					for row, err := range l.list(tx, fsm.Global, append(opts, fsm.After(after))...) {
						if err != nil {
							return err
						}
						got, after = append(got, row.ID), l.cursor(row)
						break
					}
				}
				if !cmp.Equal(got, all) || len(all) != len(want) {
					t.Errorf("%s page by page: got %v, want %v", name, got, all)
				}
				return nil
			})
		}
	}
	view(t, db, func(tx *fsm.Tx) error {
		for _, opts := range [][]fsm.ListOption{
			{fsm.After("not a cursor!")}, {fsm.From(fsm.K("z"))}, {fsm.Prefix(fsm.K("a")), fsm.From(fsm.K("b"))},
			{fsm.After(strings.Repeat("_", 1<<16))}, {fsm.Prefix(fsm.K(strings.Repeat("x", 1<<16)))},
		} {
			if got := ids(t, links.List(tx, fsm.Global, opts...), 9); got != nil {
				t.Errorf("got %v, want nothing", got)
			}
		}
		return nil
	})
}

// What a stranger can put into a key or row must neither break a transaction nor a later reader.
func TestStrangersBytes(t *testing.T) {
	t.Parallel()
	db := fsmtest.New(t, schema...)
	long := strings.Repeat("x", 1<<16)
	update(t, db, func(tx *fsm.Tx) error {
		if _, err := links.Get(tx, fsm.Global, fsm.K(long)); !errors.Is(err, fsm.ErrNotFound) {
			t.Errorf("long key: got %v, want ErrNotFound", err)
		}
		if _, err := linkByName.Get(tx, fsm.Global, fsm.K(long)); !errors.Is(err, fsm.ErrNotFound) {
			t.Errorf("long value: got %v, want ErrNotFound", err)
		}
		ids(t, links.List(tx, fsm.Global, fsm.From(fsm.K(long))), 9)
		for _, l := range []*link{{ID: long}, {ID: "n", Names: []string{long}}, {ID: "t", Tags: []string{long}}} {
			if err := links.Put(tx, l); !errors.Is(err, fsm.ErrRefused) {
				t.Errorf("got %v, want ErrRefused", err)
			}
		}
		return links.Put(tx, &link{ID: "\xff\x00\xfe", Tags: []string{"\xc3\x28"}})
	})
	deep := any("bottom")
	for range 100 {
		deep = []any{deep}
	}
	if err := db.Update(t.Context(), put(&link{ID: "deep", Any: deep})); !errors.Is(err, fsm.ErrRefused) {
		t.Errorf("row that could not be read back: got %v, want ErrRefused", err)
	}
	update(t, db, put(&link{ID: "1970", Expires: time.UnixMilli(0)}))
	view(t, db, func(tx *fsm.Tx) error {
		if got := ids(t, links.List(tx, fsm.Global), 9); !cmp.Equal(got, []string{"\xff\x00\xfe"}) {
			t.Errorf("got %q", got)
		}
		return nil
	})
	if n, err := db.Purge(t.Context()); n != 1 || err != nil {
		t.Errorf("purged %d, %v, want the row that expired in 1970", n, err)
	}
}

func TestCounterOpsKeepTheirOrder(t *testing.T) {
	t.Parallel()
	db := fsmtest.New(t, schema...)
	k := fsm.K("k")
	add := func(n int64) func(*fsm.Tx) error {
		return func(tx *fsm.Tx) error { return hits.Add(tx, fsm.Global, k, n, time.Time{}) }
	}
	del := func(tx *fsm.Tx) error { return hits.Delete(tx, fsm.Global, k) }
	steps := []struct {
		ops  []func(*fsm.Tx) error
		want int64
	}{
		{[]func(*fsm.Tx) error{add(1), del}, 0},
		{[]func(*fsm.Tx) error{add(1), add(2)}, 3},
		{[]func(*fsm.Tx) error{del, add(5), del}, 0},
		{[]func(*fsm.Tx) error{add(1), del, add(7)}, 7},
		{[]func(*fsm.Tx) error{add(1 << 62), add(1 << 62), add(1 << 62)}, 1<<63 - 1},
	}
	for i, s := range steps {
		update(t, db, func(tx *fsm.Tx) error {
			for _, op := range s.ops {
				if err := op(tx); err != nil {
					return err
				}
			}
			return nil
		})
		view(t, db, func(tx *fsm.Tx) error {
			if got, err := hits.Get(tx, fsm.Global, k); err != nil || got != s.want {
				t.Errorf("step %d: got %d, %v, want %d", i, got, err, s.want)
			}
			return nil
		})
	}
}
