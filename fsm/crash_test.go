package fsm_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/fsm/fsmtest"
)

// history makes a log of n entries that touch everything the store has, and the
// hash of the state after each.
func history(t *testing.T, n int) (log []fsm.Entry, hashes map[uint64][32]byte) {
	t.Helper()
	c := fsmtest.NewCluster(t, 1, schema...)
	db := c.DB[0]
	hashes = map[uint64][32]byte{}
	note := func() {
		index, hash, err := db.StateHash()
		if err != nil {
			t.Fatal(err)
		}
		hashes[index] = hash
	}
	note()
	for i := range n {
		update(t, db, func(tx *fsm.Tx) error {
			l := link{ID: fmt.Sprint(i % 13), Names: []string{fmt.Sprint(i % 13)}, Tags: []string{fmt.Sprint(i % 3)}, Any: bytes.Repeat([]byte{byte(i)}, 700)}
			if i%5 == 0 {
				l.Expires = tx.Now().Add(time.Duration(i) * time.Millisecond)
			}
			text := fmt.Sprint("note ", i)
			if err := notes.Append(tx, "s", &text); err != nil {
				return err
			}
			if err := hits.Add(tx, fsm.Global, fsm.K("n"), 1, time.Time{}); err != nil {
				return err
			}
			return links.Put(tx, &l)
		})
		note()
		c.Advance(3 * time.Millisecond)
	}
	return c.Log(), hashes
}

// reopen opens what a crash left and checks that it is an exact prefix of the log,
// from which the rest leads to the same state.
func reopen(t *testing.T, fs vfs.FS, log []fsm.Entry, hashes map[uint64][32]byte) (index uint64) {
	t.Helper()
	db, err := fsm.Open(fsm.Config{Dir: "/data/store", FS: fs, Schema: schema})
	if err != nil {
		t.Fatalf("after the crash: %v", err)
	}
	defer db.Close()
	index, hash, err := db.StateHash()
	if err != nil {
		t.Fatal(err)
	}
	if hash != hashes[index] || index != db.Position().Index {
		t.Fatalf("after the crash the store at %d is no prefix of the log", index)
	}
	if _, err := db.Apply(log[index:]); err != nil {
		t.Fatal(err)
	}
	if end, hash, err := db.StateHash(); err != nil || end != uint64(len(log)) || hash != hashes[end] {
		t.Fatalf("replay from %d leads elsewhere: %v", index, err)
	}
	return index
}

// A power cut at any operation on the disk leaves an exact prefix of the log that
// goes at least as far as the last Flush had promised.
func TestPowerCutLeavesAPrefix(t *testing.T) {
	t.Parallel()
	log, hashes := history(t, 150)
	for _, unsynced := range []int{0, 50} {
		t.Run(fmt.Sprint(unsynced), func(t *testing.T) {
			t.Parallel()
			disk := vfs.NewCrashableMem()
			rng := rand.New(rand.NewPCG(1, uint64(unsynced)))
			type crash struct {
				fs      vfs.FS
				promise uint64
			}
			var mu sync.Mutex
			var crashes []crash
			var promise atomic.Uint64
			ops := 0
			cut := errorfs.InjectorFunc(func(op errorfs.Op) error {
				mu.Lock()
				defer mu.Unlock()
				if ops++; ops%3 == 0 && op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
					p := promise.Load() // before the clone: it may be kept, must not be broken
					crashes = append(crashes, crash{disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: unsynced, RNG: rng}), p})
				}
				return nil
			})
			db := open(t, fsm.Config{FS: errorfs.Wrap(disk, cut), MemTable: 64 << 10})
			for at := 0; at < len(log); {
				n := min(1+at%4, len(log)-at)
				if _, err := db.Apply(log[at : at+n]); err != nil {
					t.Fatal(err)
				}
				if at += n; at%10 < 4 {
					p, err := db.Flush()
					if err != nil || p.Index != uint64(at) {
						t.Fatalf("flushed up to %d of %d, %v", p.Index, at, err)
					}
					promise.Store(p.Index)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			reached := map[uint64]bool{}
			for _, c := range crashes {
				index := reopen(t, c.fs, log, hashes)
				if index < c.promise {
					t.Fatalf("Flush had promised %d, the crash left %d", c.promise, index)
				}
				reached[index] = true
			}
			if len(crashes) < 50 || len(reached) < 10 {
				t.Errorf("%d crashes left %d different prefixes: the test does not test", len(crashes), len(reached))
			}
		})
	}
}

// flushedAt returns a store on disk that has applied log and made it durable.
func flushedAt(t *testing.T, disk vfs.FS, log []fsm.Entry, inject errorfs.InjectorFunc) *fsm.DB {
	t.Helper()
	db, err := fsm.Open(fsm.Config{Dir: "/data/store", FS: errorfs.Wrap(disk, inject), Schema: schema})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Apply(log); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Flush(); err != nil {
		t.Fatal(err)
	}
	return db
}

// A restore that is cut off, or that the disk fails, at any of its operations
// leaves the old store or the new one.
func TestInterruptedRestoreLeavesOldOrNew(t *testing.T) {
	t.Parallel()
	log, hashes := history(t, 40)
	const old = 10
	target := open(t, fsm.Config{})
	if _, err := target.Apply(log[:30]); err != nil {
		t.Fatal(err)
	}
	snapshot := stream(t, target)
	seen := map[uint64]int{}
	oldOrNew := func(fs vfs.FS) {
		t.Helper()
		index := reopen(t, fs, log, hashes)
		if index != old && index != 30 {
			t.Fatalf("the store stands at %d, neither old nor new", index)
		}
		seen[index]++
	}

	var mu sync.Mutex
	var clones []vfs.FS
	var disk *vfs.MemFS
	restoring := false
	rng := rand.New(rand.NewPCG(2, 3))
	disk = vfs.NewCrashableMem()
	db := flushedAt(t, disk, log[:old], func(op errorfs.Op) error {
		mu.Lock()
		defer mu.Unlock()
		if restoring && op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
			unsynced := []int{0, 50, 100}[len(clones)%3]
			clones = append(clones, disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: unsynced, RNG: rng}))
		}
		return nil
	})
	mu.Lock()
	restoring = true
	mu.Unlock()
	if err := db.Restore(bytes.NewReader(snapshot)); err != nil {
		t.Fatal(err)
	}
	db.Close()
	mu.Lock()
	for _, fs := range clones {
		oldOrNew(fs)
	}
	writes := len(clones)
	mu.Unlock()
	if seen[old] < 5 || seen[30] < 2 {
		t.Errorf("crashes left the old store %d times, the new one %d times", seen[old], seen[30])
	}
	if writes < 10 {
		t.Errorf("only %d operations", writes)
	}
}

// A disk that fails under a restore leaves the old store in use, or a store that
// says it failed; what is on the disk is the old one or the new one.
func TestRestoreOnAFailingDisk(t *testing.T) {
	t.Parallel()
	log, hashes := history(t, 20)
	target := open(t, fsm.Config{})
	if _, err := target.Apply(log[:15]); err != nil {
		t.Fatal(err)
	}
	snapshot := stream(t, target)
	failures := 0
	for n := int64(1); ; n++ {
		disk := vfs.NewCrashableMem()
		var left atomic.Int64
		var armed atomic.Bool
		db := flushedAt(t, disk, log[:5], func(op errorfs.Op) error {
			switch op.Kind {
			case errorfs.OpCreate, errorfs.OpRename, errorfs.OpOpenDir, errorfs.OpMkdirAll:
				// Where its manifest fails, the engine itself ends the process.
				engines := strings.Contains(op.Path, "MANIFEST") || op.Kind == errorfs.OpOpenDir && strings.Contains(op.Path, "gen-")
				if armed.Load() && !engines && left.Add(-1) == 0 {
					return fmt.Errorf("%w: %v", errorfs.ErrInjected, op.Kind)
				}
			}
			return nil
		})
		left.Store(n)
		armed.Store(true)
		err := db.Restore(bytes.NewReader(snapshot))
		armed.Store(false)
		if err != nil {
			failures++
			index, hash, herr := db.StateHash()
			if herr != nil || hash != hashes[index] || index != 5 {
				t.Fatalf("operation %d failed, the store in use stands at %d, %v", n, index, herr)
			}
			select {
			case <-db.Failed():
			default: // the old store goes on
				if _, err := db.Apply(log[5:7]); err != nil {
					t.Fatal(err)
				}
			}
		}
		db.Close()
		if index := reopen(t, disk, log, hashes); index != 5 && index != 7 && index != 15 {
			t.Fatalf("operation %d failed, the disk stands at %d", n, index)
		}
		if err == nil {
			break
		}
	}
	if failures < 5 {
		t.Errorf("only %d operations failed", failures)
	}
}
