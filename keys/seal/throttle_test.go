package seal_test

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/keys/seal"
)

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
