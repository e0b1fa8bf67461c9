package fsm_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/fsm/fsmtest"
)

// TestViewsOfOneState: whoever looks between two commits shares a snapshot, and keeps it
// while others move on; nobody sees what was committed after he began, or misses what was before.
func TestViewsOfOneState(t *testing.T) {
	db := fsmtest.New(t, schema...)
	name := func(tx *fsm.Tx) string {
		l, err := links.Get(tx, fsm.Global, fsm.K("a"))
		if err != nil {
			t.Error(err)
			return ""
		}
		return l.Names[0]
	}
	put := func(n string) {
		update(t, db, func(tx *fsm.Tx) error { return links.Put(tx, &link{ID: "a", Names: []string{n}}) })
	}
	put("old")
	err := db.View(t.Context(), func(outer *fsm.Tx) error {
		put("new")
		if n := name(outer); n != "old" {
			t.Errorf("a snapshot from before the commit has %q", n)
		}
		return db.View(t.Context(), func(inner *fsm.Tx) error {
			if n := name(inner); n != "new" || inner.Index() <= outer.Index() {
				t.Errorf("after the commit at %d: %q at %d", outer.Index(), n, inner.Index())
			}
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestViewsWhileOthersCommit has readers begin and end while the state moves on under them,
// and the store close at the end: a snapshot that is left open would not let it.
func TestViewsWhileOthersCommit(t *testing.T) {
	db := fsmtest.New(t, schema...)
	update(t, db, func(tx *fsm.Tx) error { return hits.Add(tx, fsm.Global, fsm.K("n"), 1, time.Time{}) })
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for last := int64(0); ; {
				select {
				case <-done:
					return
				default:
				}
				err := db.View(t.Context(), func(tx *fsm.Tx) error {
					n, err := hits.Get(tx, fsm.Global, fsm.K("n"))
					if n < last {
						t.Errorf("%d after %d", n, last)
					}
					last = n
					return err
				})
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for want := int64(2); want < 300; want++ {
		update(t, db, func(tx *fsm.Tx) error { return hits.Add(tx, fsm.Global, fsm.K("n"), 1, time.Time{}) })
		err := db.View(t.Context(), func(tx *fsm.Tx) error {
			if n, err := hits.Get(tx, fsm.Global, fsm.K("n")); n != want || err != nil {
				t.Errorf("after my own commit: %d %v, want %d", n, err, want)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	close(done)
	wg.Wait()
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := db.View(t.Context(), func(*fsm.Tx) error { return nil }); !errors.Is(err, fsm.ErrClosed) {
		t.Errorf("a view of a closed store: %v", err)
	}
}
