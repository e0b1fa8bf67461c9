package seal_test

import (
	"bytes"
	"errors"
	"strings"
	"sync"
	"testing"
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
