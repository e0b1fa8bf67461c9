package fsm_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/fsm/fsmtest"
)

func open(t *testing.T, cfg fsm.Config) *fsm.DB {
	t.Helper()
	cfg.Dir, cfg.Schema = "/data/store", schema
	if cfg.FS == nil {
		cfg.FS = vfs.NewMem()
	}
	db, err := fsm.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func stream(t *testing.T, db *fsm.DB) []byte {
	t.Helper()
	s, err := db.OpenStream()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var b bytes.Buffer
	if n, err := s.WriteTo(&b); err != nil || n != int64(b.Len()) {
		t.Fatalf("wrote %d of %d, %v", n, b.Len(), err)
	}
	return b.Bytes()
}

func TestResendHasOneEffect(t *testing.T) {
	t.Parallel()
	c := fsmtest.NewCluster(t, 3, schema...)
	effects := func(tx *fsm.Tx) error {
		note := "note"
		return errors.Join(
			hits.Add(tx, fsm.Global, fsm.K("k"), 1, time.Time{}),
			notes.Append(tx, fsm.Global, &note),
			links.Insert(tx, &link{ID: "once"}),
		)
	}
	c.Repeat(1)
	if err := c.DB[0].Update(t.Context(), effects); err != nil {
		t.Fatalf("the resend conflicts with the first: %v", err)
	}
	// A replica that was installed from a snapshot remembers too, and one that replays.
	e := c.Log()[0]
	c.Install(t, 1, 0)
	c.Join(t)
	for i, db := range c.DB {
		e.Index = db.Position().Index + 1
		v, err := db.Apply([]fsm.Entry{e})
		if err != nil || v[0][0] != fsm.Applied {
			t.Errorf("replica %d: %v, %v", i, v, err)
		}
		view(t, db, func(tx *fsm.Tx) error {
			n, err := hits.Get(tx, fsm.Global, fsm.K("k"))
			head, err2 := notes.Head(tx)
			if n != 1 || head.Count != 1 {
				t.Errorf("replica %d: counted %d, noted %d, want 1, 1", i, n, head.Count)
			}
			return errors.Join(err, err2)
		})
	}
}

func TestLostAnswerIsUnknown(t *testing.T) {
	t.Parallel()
	c := fsmtest.NewCluster(t, 1, schema...)
	c.LoseAnswers(1)
	if err := c.DB[0].Update(t.Context(), put(&link{ID: "a"})); !errors.Is(err, fsm.ErrUnknown) {
		t.Errorf("got %v, want ErrUnknown", err)
	}
	c.SetLeader(false)
	if err := c.DB[0].Update(t.Context(), put(&link{ID: "b"})); !errors.Is(err, fsm.ErrUnavailable) {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
}

func TestFence(t *testing.T) {
	t.Parallel()
	c := fsmtest.NewCluster(t, 1, schema...)
	old := fsm.FencedBy(t.Context(), c.Term())
	now := fsm.FencedBy(t.Context(), c.NewTerm())
	if err := c.DB[0].Update(old, put(&link{ID: "late"})); !errors.Is(err, fsm.ErrFenced) {
		t.Errorf("deposed leader: got %v, want ErrFenced", err)
	}
	if err := c.DB[0].Update(now, put(&link{ID: "now"})); err != nil {
		t.Error(err)
	}
}

// What was alive when it was read must still be when the batch is applied.
func TestRowThatExpiresOnTheWayIsAConflict(t *testing.T) {
	t.Parallel()
	c := fsmtest.NewCluster(t, 1, schema...)
	code := link{ID: "code", Expires: time.Now().Add(5 * time.Second)}
	update(t, c.DB[0], put(&code))
	redeem := func(tx *fsm.Tx) error {
		_, err := links.Get(tx, fsm.Global, fsm.K("code"))
		c.Advance(6 * time.Second)
		return errors.Join(err, put(&link{ID: "spent"})(tx))
	}
	if err := c.DB[0].Update(t.Context(), redeem); !errors.Is(err, fsm.ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
}

// A node whose clock is far off still gets its writes through, by the log's time.
func TestWritesOfANodeWithAWrongClock(t *testing.T) {
	t.Parallel()
	for name, skew := range map[string]time.Duration{"ahead": time.Hour, "behind": -time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := open(t, fsm.Config{Now: func() time.Time { return time.Now().Add(skew) }})
			db.SetLog(&localLog{db: db})
			expires := time.Now().Add(time.Minute) // past for one, future for the other
			update(t, db, put(&link{ID: "a", Expires: expires}))
			var seen time.Time
			update(t, db, func(tx *fsm.Tx) error {
				seen = tx.Now()
				return links.Put(tx, &link{ID: "a", Names: []string{"again"}, Expires: expires})
			})
			if d := time.Since(seen).Abs(); d > 30*time.Second {
				t.Errorf("the transaction that was applied ran %v off the log's time", d)
			}
		})
	}
}

func TestPanicInATransactionLeavesTheStoreClosable(t *testing.T) {
	t.Parallel()
	db := fsmtest.New(t, schema...) // closed by the cleanup, which would hang
	for _, run := range []func(context.Context, func(*fsm.Tx) error) error{db.View, db.Update, db.Read} {
		func() {
			defer func() { _ = recover() }()
			_ = run(t.Context(), func(*fsm.Tx) error { panic("domain code") })
			t.Error("the panic was lost")
		}()
	}
}

func TestTransactionAfterItsEnd(t *testing.T) {
	t.Parallel()
	db := fsmtest.New(t, schema...)
	var kept *fsm.Tx
	view(t, db, func(tx *fsm.Tx) error { kept = tx; return nil })
	if _, err := links.Get(kept, fsm.Global, fsm.K("a")); err == nil || errors.Is(err, fsm.ErrNotFound) {
		t.Errorf("got %v", err)
	}
	for _, err := range links.List(kept, fsm.Global) {
		if err == nil {
			t.Error("listed something")
		}
	}
}

// A reader inside must not hold up a restore: it may itself be waiting for the log.
func TestRestoreDoesNotWaitForReaders(t *testing.T) {
	t.Parallel()
	c := fsmtest.NewCluster(t, 1, schema...)
	update(t, c.DB[0], put(&link{ID: "new"}))
	fs := vfs.NewMem()
	db := open(t, fsm.Config{FS: fs})
	db.SetLog(&localLog{db: db})
	update(t, db, put(&link{ID: "old"}))
	watch := make(chan error, 1)
	inside := db.Changed()
	go func() {
		for _, err := range links.Watch(t.Context(), db, 0) {
			if err != nil {
				watch <- err
				return
			}
		}
	}()
	view(t, db, func(tx *fsm.Tx) error {
		if err := db.Restore(bytes.NewReader(stream(t, c.DB[0]))); err != nil {
			return err
		}
		if got := ids(t, links.List(tx, fsm.Global), 9); !cmp.Equal(got, []string{"old"}) {
			t.Errorf("inside: got %v", got)
		}
		view(t, db, func(tx *fsm.Tx) error {
			if got := ids(t, links.List(tx, fsm.Global), 9); !cmp.Equal(got, []string{"new"}) {
				t.Errorf("outside: got %v", got)
			}
			return nil
		})
		return nil
	})
	update(t, db, put(&link{ID: "next"})) // until then, the old generation could be needed again
	<-inside
	if err := <-watch; !errors.Is(err, fsm.ErrCompacted) {
		t.Errorf("watcher got %v, want ErrCompacted", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	names, err := fs.List("/data/store")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		if n == "gen-000001" {
			t.Error("the old generation is still there")
		}
	}
}

func TestDamagedStreamLeavesTheStoreAsItWas(t *testing.T) {
	t.Parallel()
	db := fsmtest.New(t, schema...)
	update(t, db, put(&link{ID: "a"}))
	whole := stream(t, db)
	update(t, db, put(&link{ID: "b"}))
	want := db.Position()
	_, hash, err := db.StateHash()
	if err != nil {
		t.Fatal(err)
	}
	for cut := range whole {
		damaged := bytes.Clone(whole)
		damaged[cut] ^= 0x10
		for what, s := range map[string][]byte{"cut": whole[:cut], "damaged": damaged} {
			if err := db.Restore(bytes.NewReader(s)); !errors.Is(err, fsm.ErrCorrupt) {
				t.Fatalf("%s at %d: got %v, want ErrCorrupt", what, cut, err)
			}
		}
	}
	if _, got, err := db.StateHash(); err != nil || got != hash || !cmp.Equal(db.Position(), want) {
		t.Errorf("the store has changed: %v", err)
	}
}

func TestRestoreAsEntersTheLogAtItsIndex(t *testing.T) {
	t.Parallel()
	db := fsmtest.New(t, schema...)
	update(t, db, put(&link{ID: "a"}))
	backup := stream(t, db)
	update(t, db, put(&link{ID: "b"}))
	if err := db.RestoreAs(bytes.NewReader(backup), 100, 7); err != nil {
		t.Fatal(err)
	}
	p := db.Position()
	if p.Index != 100 || p.Term != 7 {
		t.Errorf("stands at %d in term %d", p.Index, p.Term)
	}
	if err := db.WaitApplied(t.Context(), 100); err != nil {
		t.Error(err)
	}
	v, err := db.Apply([]fsm.Entry{{Index: 99, Term: 7, Data: []byte("what came between")}})
	if err != nil || v[0] != nil {
		t.Errorf("applied an entry of the time between: %v, %v", v, err)
	}
	if err := db.RestoreAs(bytes.NewReader(stream(t, db)), 5, 7); !errors.Is(err, fsm.ErrRefused) {
		t.Errorf("back in the log: got %v, want ErrRefused", err)
	}
}

func TestCloseAndReopen(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	db := open(t, fsm.Config{FS: fs})
	db.SetLog(&localLog{db: db})
	update(t, db, put(&link{ID: "a"}))
	want := db.Position()
	if _, err := fsm.Open(fsm.Config{Dir: "/data/store", FS: fs, Schema: schema}); err == nil {
		t.Fatal("opened twice")
	}
	waiting := make(chan error, 1)
	go func() { waiting <- db.WaitApplied(context.Background(), 1<<40) }()
	changed := db.Changed()
	if err := errors.Join(db.Close(), db.Close()); err != nil {
		t.Fatal(err)
	}
	if err := <-waiting; !errors.Is(err, fsm.ErrClosed) {
		t.Errorf("waiter got %v, want ErrClosed", err)
	}
	<-changed
	<-db.Changed()
	_, applyErr := db.Apply(nil)
	_, flushErr := db.Flush()
	for _, err := range []error{applyErr, flushErr, db.Restore(nil), db.View(t.Context(), nil)} {
		if !errors.Is(err, fsm.ErrClosed) {
			t.Errorf("got %v, want ErrClosed", err)
		}
	}
	again := open(t, fsm.Config{FS: fs})
	if got := again.Position(); !cmp.Equal(got, want) {
		t.Errorf("reopened at %+v, want %+v", got, want)
	}
}

func TestCheckpointsAgreeWhateverTheGrouping(t *testing.T) {
	t.Parallel()
	c := fsmtest.NewCluster(t, 1, schema...)
	for i := range 35 {
		update(t, c.DB[0], put(&link{ID: string(rune('A' + i%7)), Tags: []string{"t"}}))
	}
	log := c.Log()
	var want []fsm.Checkpoint
	for _, group := range []int{1, 3, 35} {
		db := open(t, fsm.Config{HashEvery: 10})
		var got []fsm.Checkpoint
		seen := uint64(0)
		for at := 0; at < len(log); at += group {
			if _, err := db.Apply(log[at:min(at+group, len(log))]); err != nil {
				t.Fatal(err)
			}
			for group < 10 { // one that is not busy makes all
				cp, ok := db.LastCheckpoint()
				if applied := db.Position().Index; applied/10 == 0 || ok && cp.Index/10 == applied/10 {
					if ok && cp.Index != seen {
						got, seen = append(got, cp), cp.Index
					}
					break
				}
			}
		}
		if group == 1 {
			want = got
		}
		db.Close()
		if _, ok := db.LastCheckpoint(); !ok {
			t.Errorf("groups of %d: no checkpoint", group)
		}
		for _, w := range want {
			cp, ok := db.CheckpointAt(w.Index)
			if ok && (cp.Hash != w.Hash || cp.Chain != w.Chain) {
				t.Errorf("groups of %d: checkpoint at %d differs", group, w.Index)
			}
			if !ok && group < 10 {
				t.Errorf("groups of %d: no checkpoint at %d", group, w.Index)
			}
		}
	}
	if len(want) != 3 {
		t.Fatalf("%d checkpoints, want 3", len(want))
	}
	_, hash, err := c.DB[0].StateHash()
	if err != nil || hash == want[2].Hash {
		t.Errorf("the state at 35 hashes as at 30: %v", err)
	}
}
