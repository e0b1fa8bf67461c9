package fsm_test

import (
	"errors"
	"strconv"
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
			if n := name(outer); n != "old" { // what others have read of a newer state is not for it
				t.Errorf("a snapshot from before the commit has %q, once the new is kept", n)
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

// TestRowsAreThoseOfTheSnapshot: a row that is asked for by its key, which may have been kept, is that which a walk finds in the
// same state, whatever others commit, miss and catch up with, or restore meanwhile.
func TestRowsAreThoseOfTheSnapshot(t *testing.T) {
	c := fsmtest.NewCluster(t, 2, schema...)
	const rows = 5
	done := make(chan struct{})
	var wg sync.WaitGroup
	look := func(tx *fsm.Tx) error {
		walked := map[string]string{}
		for l, err := range links.List(tx, fsm.Global) {
			if err != nil {
				return err
			}
			walked[l.ID] = l.Names[0]
		}
		for i := range rows {
			id, name := strconv.Itoa(i), ""
			l, err := links.Get(tx, fsm.Global, fsm.K(id))
			if err == nil {
				name = l.Names[0]
			}
			if name != walked[id] || err != nil && !errors.Is(err, fsm.ErrNotFound) {
				t.Errorf("at %d row %s is %q by its key, %q by a walk: %v", tx.Index(), id, name, walked[id], err)
			}
		}
		return nil
	}
	for i := range 4 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if err := c.DB[i%2].View(t.Context(), func(outer *fsm.Tx) error {
					return errors.Join(look(outer), c.DB[i%2].View(t.Context(), look), look(outer))
				}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for n := range 400 {
		update(t, c.DB[0], func(tx *fsm.Tx) error {
			if n%3 == 0 {
				return links.Delete(tx, fsm.Global, fsm.K(strconv.Itoa(n%rows)))
			}
			return links.Put(tx, &link{ID: strconv.Itoa(n * 7 % rows), Names: []string{strconv.Itoa(n)}})
		})
		switch n % 40 {
		case 10:
			c.Pause(1)
		case 20:
			c.Resume(t, 1) // many entries, one commit
		case 25:
			c.Pause(1)
		case 35:
			c.Install(t, 1, 0)
			c.Resume(t, 1)
		}
	}
	close(done)
	wg.Wait()
}

// hot begins so many views of the present state that what they read is kept.
func hot(t *testing.T, db *fsm.DB) {
	t.Helper()
	for range 2 * fsm.KeepAfter {
		if err := db.View(t.Context(), func(tx *fsm.Tx) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
}

// TestWhatAViewKeepsIsOfItsState: what many read is kept, rows and that there are none,
// and nothing of it outlives the next commit or hides what has expired.
func TestWhatAViewKeepsIsOfItsState(t *testing.T) {
	db := fsmtest.New(t, schema...)
	see := func(want string) {
		t.Helper()
		hot(t, db)
		for range 3 {
			err := db.View(t.Context(), func(tx *fsm.Tx) error {
				got := ""
				if l, err := linkByName.Get(tx, fsm.Global, fsm.K("name")); err == nil {
					got = l.ID
					l.Names[0] = "scribbled on" // a row is its reader's own
				} else if !errors.Is(err, fsm.ErrNotFound) {
					return err
				}
				if got != want {
					t.Errorf("state %d has %q, want %q", tx.Index(), got, want)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	see("")
	update(t, db, func(tx *fsm.Tx) error { return links.Put(tx, &link{ID: "a", Names: []string{"name"}}) })
	see("a")
	update(t, db, func(tx *fsm.Tx) error {
		hot(t, db) // the row that this transaction moves is kept by others meanwhile
		if err := links.Delete(tx, fsm.Global, fsm.K("a")); err != nil {
			return err
		}
		return links.Put(tx, &link{ID: "b", Names: []string{"name"}})
	})
	see("b")
	update(t, db, func(tx *fsm.Tx) error { return links.Delete(tx, fsm.Global, fsm.K("b")) })
	see("")
}

// TestOnce: a value is made once a state, by who reads, and anew by who writes.
func TestOnce(t *testing.T) {
	type key struct{ name string }
	db := fsmtest.New(t, schema...)
	made, fault := 0, error(nil)
	once := func(tx *fsm.Tx) error {
		n, err := fsm.Once(tx, key{"n"}, func() (int, error) { made++; return made, fault })
		if err == nil && n != made {
			t.Errorf("got %d, made %d", n, made)
		}
		return err
	}
	view := func() error { return db.View(t.Context(), once) }
	fault = errors.New("not to be kept")
	hot(t, db)
	if err := view(); !errors.Is(err, fault) {
		t.Errorf("reported %v", err)
	}
	fault = nil
	for range 3 {
		if err := view(); err != nil || made != 2 {
			t.Errorf("made %d times (%v), want 2: one error, one value", made, err)
		}
	}
	update(t, db, once)
	if made != 3 {
		t.Errorf("a transaction that writes was given what others made")
	}
	update(t, db, func(tx *fsm.Tx) error { return links.Put(tx, &link{ID: "a"}) })
	hot(t, db)
	if err := view(); err != nil || made != 4 {
		t.Errorf("made %d times (%v), want 4: the state is another", made, err)
	}
}
