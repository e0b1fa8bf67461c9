package seal_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/keys/seal"
)

func later(d time.Duration) func() time.Time {
	return func() time.Time { return time.Now().Add(d) }
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
