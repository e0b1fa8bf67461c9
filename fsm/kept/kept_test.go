package kept_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2"

	"github.com/quis-idp/quis/fsm/kept"
)

// written tells rows that a commit wrote, or deleted, these keys.
func written(t *testing.T, r *kept.Rows, state uint64, keys ...string) {
	t.Helper()
	var b pebble.Batch
	for i, k := range keys {
		var err error
		if i%2 == 0 {
			err = b.Set([]byte(k), []byte("written"), nil)
		} else {
			err = b.Delete([]byte(k), nil)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Written(state, &b); err != nil {
		t.Fatal(err)
	}
}

func want(t *testing.T, r *kept.Rows, state uint64, key, value string) {
	t.Helper()
	if got, known := r.Get(state, []byte(key)); !known || string(got) != value {
		t.Errorf("%s in state %d: %q, known: %v; want %q", key, state, got, known, value)
	}
}

func unknown(t *testing.T, r *kept.Rows, state uint64, key string) {
	t.Helper()
	if got, known := r.Get(state, []byte(key)); known {
		t.Errorf("%s in state %d: %q", key, state, got)
	}
}

// TestRowsOutliveCommits of others, and are good for no state before the one that they were read in.
func TestRowsOutliveCommits(t *testing.T) {
	var r kept.Rows
	r.Keep(1, []byte("early"), []byte("x"))
	unknown(t, &r, 1, "early") // what may have been written meanwhile nobody has said
	written(t, &r, 5)
	r.Keep(5, []byte("a"), []byte("1"))
	r.Keep(5, []byte("none"), nil)
	written(t, &r, 6, "b")
	for _, state := range []uint64{5, 6} {
		want(t, &r, state, "a", "1")
		want(t, &r, state, "none", "")
	}
	unknown(t, &r, 4, "a")
	if got, known := r.Get(6, []byte("none")); !known || got != nil {
		t.Errorf("what is not there: %q %v", got, known)
	}
}

// TestRowsGoWhenTheyAreWritten: whoever reads in a state from before asks the store, and keeps nothing.
func TestRowsGoWhenTheyAreWritten(t *testing.T) {
	var r kept.Rows
	written(t, &r, 5)
	r.Keep(5, []byte("a"), []byte("1"))
	written(t, &r, 7, "a")
	unknown(t, &r, 5, "a")
	unknown(t, &r, 7, "a")
	r.Keep(5, []byte("a"), []byte("1")) // read before the commit
	unknown(t, &r, 7, "a")
	r.Keep(7, []byte("a"), []byte("2"))
	want(t, &r, 7, "a", "2")
	unknown(t, &r, 5, "a")
	written(t, &r, 8, "a", "none") // also one that is old by then
	unknown(t, &r, 8, "a")
}

// TestOnlyKeysAreWritten: what may write more than it says ends the store, not the truth of what is kept.
func TestOnlyKeysAreWritten(t *testing.T) {
	var r kept.Rows
	var b pebble.Batch
	if err := b.DeleteRange([]byte("a"), []byte("b"), nil); err != nil {
		t.Fatal(err)
	}
	if err := r.Written(1, &b); err == nil {
		t.Error("a range was taken for a key")
	}
}

// TestRowsThatAreAskedForStay, however many others come, and those are bounded.
func TestRowsThatAreAskedForStay(t *testing.T) {
	var r kept.Rows
	written(t, &r, 1)
	key := func(i int) []byte { return fmt.Appendf(nil, "%05d", i) }
	r.Keep(1, []byte("hot"), []byte("1"))
	for i := range 10_000 {
		r.Keep(1, key(i), make([]byte, 1024-101))
		want(t, &r, 1, "hot", "1")
	}
	there := 0
	for i := range 10_000 {
		if _, known := r.Get(1, key(i)); known {
			there++
		}
	}
	if there < 400 || there > 1024 {
		t.Errorf("%d rows of 1 KiB are kept", there)
	}
	r.Keep(1, []byte("large"), make([]byte, 600<<10))
	unknown(t, &r, 1, "large")
	r.Keep(1, []byte("hot"), []byte("1"))
	written(t, &r, 2, slices.Collect(func(yield func(string) bool) {
		for i := range 10_000 {
			if !yield(string(key(i))) {
				return
			}
		}
	})...)
	for i := range 10_000 {
		unknown(t, &r, 2, string(key(i)))
	}
	want(t, &r, 2, "hot", "1")
}

// TestBounds: strangers who ask for many different things fill it, and no more.
func TestBounds(t *testing.T) {
	var s kept.State
	values := 0
	for i := range 3000 {
		s.Keep(i, "value")
		if s.Value(i) != nil {
			values++
		}
	}
	if values != 1024 {
		t.Errorf("kept %d values, want 1024", values)
	}
}
