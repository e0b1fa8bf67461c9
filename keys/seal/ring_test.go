package seal_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/fsm/fsmtest"
	"github.com/quis-idp/quis/keys/seal"
)

const purpose = "test"

// rings returns a cluster whose ring is initialised, and one Ring per replica.
func rings(t testing.TB, n int) (*fsmtest.Cluster, []*seal.Ring, *seal.RootKey) {
	t.Helper()
	c := fsmtest.NewCluster(t, n, seal.Tables...)
	root := seal.GenerateRootKey()
	initRing(t, c.DB[0], root)
	var rs []*seal.Ring
	for _, db := range c.DB {
		r, err := seal.OpenRing(t.Context(), db, root)
		if err != nil {
			t.Fatal(err)
		}
		rs = append(rs, r)
	}
	return c, rs, root
}

func initRing(t testing.TB, db *fsm.DB, root *seal.RootKey) {
	t.Helper()
	if err := db.Update(t.Context(), func(tx *fsm.Tx) error { return seal.Init(tx, root) }); err != nil {
		t.Fatal(err)
	}
}

func mustSeal(t testing.TB, r *seal.Ring, text string) []byte {
	t.Helper()
	box, err := r.Seal(purpose, []byte(text), []byte("aad"))
	if err != nil {
		t.Fatal(err)
	}
	return box
}

func later(d time.Duration) func() time.Time {
	return func() time.Time { return time.Now().Add(d) }
}

func TestSealHereOpenThere(t *testing.T) {
	t.Parallel()
	_, rs, _ := rings(t, 3)
	box := mustSeal(t, rs[0], "hello")
	for i, r := range rs {
		got, err := r.Open(purpose, box, []byte("aad"))
		if err != nil || string(got) != "hello" {
			t.Errorf("node %d: %q, %v", i, got, err)
		}
	}
	if other := mustSeal(t, rs[0], "hello"); bytes.Equal(box, other) {
		t.Error("two boxes of the same text are equal")
	}
	if id := seal.SealedBy(box); id != rs[0].CurrentKey() || id != 1 {
		t.Errorf("sealed by %d", id)
	}
}

func TestBoxIsBoundToPurposeContextAndItself(t *testing.T) {
	t.Parallel()
	_, rs, _ := rings(t, 1)
	box := mustSeal(t, rs[0], "hello")
	check := func(what, purpose string, box, aad []byte) {
		if _, err := rs[0].Open(purpose, box, aad); !errors.Is(err, seal.ErrBox) {
			t.Errorf("%s: got %v, want ErrBox", what, err)
		}
	}
	check("purpose", "tes", box, []byte("taad"))
	check("aad", purpose, box, []byte("aae"))
	check("no aad", purpose, box, nil)
	check("empty", purpose, nil, nil)
	for i := range box {
		bad := bytes.Clone(box)
		bad[i] ^= 0x40
		check("changed byte", purpose, bad, []byte("aad"))
		check("cut", purpose, box[:i], []byte("aad"))
	}
	check("longer", purpose, append(bytes.Clone(box), 0), []byte("aad"))
}

func TestInitTwiceMakesOneKey(t *testing.T) {
	t.Parallel()
	c, rs, root := rings(t, 1)
	before := c.Entries()
	initRing(t, c.DB[0], root)
	if c.Entries() != before {
		t.Error("the second Init wrote")
	}
	mustSeal(t, rs[0], "x")
}

func TestEmptyRingFillsLater(t *testing.T) {
	t.Parallel()
	c := fsmtest.NewCluster(t, 1, seal.Tables...)
	root := seal.GenerateRootKey()
	r, err := seal.OpenRing(t.Context(), c.DB[0], root)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Seal(purpose, nil, nil); !errors.Is(err, fsm.ErrUnavailable) {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
	if id := r.CurrentKey(); id != 0 {
		t.Errorf("current key %d of an empty ring", id)
	}
	initRing(t, c.DB[0], root)
	mustSeal(t, r, "x")
}

func TestWrongRootKeyNamesBoth(t *testing.T) {
	t.Parallel()
	c, _, root := rings(t, 1)
	other := seal.GenerateRootKey()
	_, err := seal.OpenRing(t.Context(), c.DB[0], other)
	if !errors.Is(err, seal.ErrSealed) {
		t.Fatalf("got %v, want ErrSealed", err)
	}
	for _, want := range []string{root.ID(), other.ID(), "root_key_file"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
}

func TestMAC(t *testing.T) {
	t.Parallel()
	_, rs, _ := rings(t, 2)
	id := rs[0].CurrentKey()
	a, err := rs[0].MAC(purpose, id, []byte("data"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := rs[1].MAC(purpose, id, []byte("data"))
	if err != nil || a != b {
		t.Errorf("nodes disagree: %v", err)
	}
	if o, _ := rs[0].MAC("other", id, []byte("data")); o == a {
		t.Error("purposes share a key")
	}
	if _, err := rs[0].MAC(purpose, 99, nil); !errors.Is(err, seal.ErrBox) {
		t.Errorf("unknown key: %v", err)
	}
}

func TestRotateIsUsedOnlyWhenSettled(t *testing.T) {
	t.Parallel()
	_, rs, _ := rings(t, 3)
	old := mustSeal(t, rs[1], "old")
	if err := rs[0].Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i, r := range rs {
		if id := r.CurrentKey(); id != 1 {
			t.Errorf("node %d seals with key %d at once", i, id)
		}
		r.SetClock(later(time.Minute))
		if id := r.CurrentKey(); id != 2 {
			t.Errorf("node %d seals with key %d a minute later", i, id)
		}
	}
	box := mustSeal(t, rs[2], "new")
	for i, r := range rs {
		for _, b := range [][]byte{old, box} {
			if _, err := r.Open(purpose, b, []byte("aad")); err != nil {
				t.Errorf("node %d: %v", i, err)
			}
		}
	}
}

func TestTwoNodesRotateAtOnce(t *testing.T) {
	t.Parallel()
	_, rs, _ := rings(t, 3)
	var wg sync.WaitGroup
	for _, r := range rs {
		wg.Go(func() {
			if err := r.Rotate(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	rs[0].SetClock(later(time.Minute))
	// The three began together or one after the other; never more keys than calls, and all agree.
	want := rs[0].CurrentKey()
	if want < 2 || want > 4 {
		t.Errorf("current key %d", want)
	}
	for _, r := range rs {
		r.SetClock(later(time.Minute))
		if got := r.CurrentKey(); got != want {
			t.Errorf("nodes use keys %d and %d", got, want)
		}
	}
}

func TestLaggingNodeCatchesUpForAnUnknownKey(t *testing.T) {
	t.Parallel()
	c, rs, _ := rings(t, 2)
	c.Pause(1)
	if err := rs[0].Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	rs[0].SetClock(later(time.Minute))
	box := mustSeal(t, rs[0], "new")
	if seal.SealedBy(box) != 2 {
		t.Fatal("not sealed with the new key")
	}
	c.SetLeader(false)
	if _, err := rs[1].Open(purpose, box, []byte("aad")); !errors.Is(err, fsm.ErrUnavailable) {
		t.Errorf("without a leader: %v, want ErrUnavailable", err)
	}
	c.SetLeader(true)
	if got, err := rs[1].Open(purpose, box, []byte("aad")); err != nil || string(got) != "new" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestGarbageKeyIDsDoNotFloodTheLeader(t *testing.T) {
	t.Parallel()
	_, rs, _ := rings(t, 1)
	var asked atomic.Int32
	rs[0].CountCatchUps(time.Hour, func() { asked.Add(1) }) // the first is free, another would take an hour
	box := mustSeal(t, rs[0], "x")
	for _, id := range []uint32{0, 100, 1 << 31} {
		binary.BigEndian.PutUint32(box[1:], id)
		if _, err := rs[0].Open(purpose, box, nil); !errors.Is(err, seal.ErrBox) {
			t.Errorf("key %d: %v", id, err)
		}
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("implausible ids asked the leader %d times", n)
	}
	binary.BigEndian.PutUint32(box[1:], 2)
	if _, err := rs[0].Open(purpose, box, nil); !errors.Is(err, seal.ErrBox) {
		t.Errorf("plausible id: %v", err)
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("a plausible id asked the leader %d times", n)
	}
}

func TestThrottle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		runs := 0
		th := seal.NewThrottle(time.Second, func(context.Context) error { runs++; return nil })
		if err := th.Do(t.Context()); err != nil { // the first waits for nobody
			t.Error(err)
		}
		begin := time.Now()
		for range 3 {
			var wg sync.WaitGroup
			for range 500 {
				wg.Go(func() {
					if err := th.Do(t.Context()); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
		}
		if took := time.Since(begin); took != 3*time.Second {
			t.Errorf("took %v, want 3s", took)
		}
		if runs != 4 {
			t.Errorf("%d runs for 1501 calls, want 4", runs)
		}
		full := 0
		var wg sync.WaitGroup
		var mu sync.Mutex
		for range 2000 {
			wg.Go(func() {
				if err := th.Do(t.Context()); errors.Is(err, fsm.ErrUnavailable) {
					mu.Lock()
					full++
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if full != 2000-1024 {
			t.Errorf("%d were turned away, want %d", full, 2000-1024)
		}
	})
}

func TestRetireKeepsWhatIsInUse(t *testing.T) {
	t.Parallel()
	c, rs, _ := rings(t, 1)
	r := rs[0]
	for range 2 {
		if err := r.Rotate(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	none := func(*fsm.Tx, uint32) (bool, error) { return false, nil }
	gone, err := r.Retire(t.Context(), time.Hour, none)
	if err != nil || len(gone) != 0 {
		t.Fatalf("retired %v early, %v", gone, err)
	}
	c.Advance(2 * time.Hour)
	if err := r.Rotate(t.Context()); err != nil { // brings the new time into the state
		t.Fatal(err)
	}
	gone, err = r.Retire(t.Context(), time.Hour, func(_ *fsm.Tx, id uint32) (bool, error) { return id == 1, nil })
	if err != nil || len(gone) != 1 || gone[0] != 2 {
		t.Fatalf("retired %v, want [2], %v", gone, err)
	}
	if _, err := r.MAC(purpose, 1, nil); err != nil {
		t.Errorf("a key in use was removed: %v", err)
	}
	if _, err := r.MAC(purpose, 2, nil); !errors.Is(err, seal.ErrBox) {
		t.Errorf("a retired key still works: %v", err)
	}
	if _, err := r.Retire(t.Context(), time.Hour, nil); err == nil {
		t.Error("retired without asking who uses the keys")
	}
}

func TestRotateOlder(t *testing.T) {
	t.Parallel()
	c, rs, _ := rings(t, 1)
	before := c.Entries()
	if err := rs[0].RotateOlder(t.Context(), time.Hour); err != nil || c.Entries() != before {
		t.Errorf("rotated a young key, %v", err)
	}
	if err := rs[0].RotateOlder(t.Context(), -time.Hour); err != nil || c.Entries() != before+1 {
		t.Errorf("did not rotate an old key, %v", err)
	}
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	_, rs, _ := rings(t, 2)
	for _, r := range rs {
		r.SetClock(later(time.Minute))
	}
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for range 200 {
				box, err := rs[i%2].Seal(purpose, []byte("x"), nil)
				if err == nil {
					_, err = rs[(i+1)%2].Open(purpose, box, nil)
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 3 {
		if err := rs[0].Rotate(t.Context()); err != nil {
			t.Error(err)
		}
	}
	wg.Wait()
}

func FuzzOpen(f *testing.F) {
	_, rs, _ := rings(f, 1)
	box := mustSeal(f, rs[0], "x")
	f.Add(box)
	f.Add([]byte{})
	f.Add(box[:20])
	f.Fuzz(func(t *testing.T, b []byte) {
		_, err := rs[0].Open(purpose, b, []byte("aad"))
		if bytes.Equal(b, box) != (err == nil) {
			t.Errorf("opened %x: %v", b, err)
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	_, rs, _ := rings(b, 1)
	text := make([]byte, 256)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := rs[0].Seal(purpose, text, nil); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	_, rs, _ := rings(b, 1)
	box, err := rs[0].Seal(purpose, make([]byte, 256), nil)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := rs[0].Open(purpose, box, nil); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMAC(b *testing.B) {
	_, rs, _ := rings(b, 1)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := rs[0].MAC(purpose, 1, []byte("data")); err != nil {
			b.Fatal(err)
		}
	}
}
