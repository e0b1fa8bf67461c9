package cluster

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/quis-idp/quis/fsm"
)

// TestCutOffNodeIsNotStaleForLong: a node that is cut off from all others proves freshness no longer
// than the bound after the last write that it can have seen, however often it is asked; and
// once the way is mended it is fresh again.
func TestCutOffNodeIsNotStaleForLong(t *testing.T) {
	t.Parallel()
	const bound = 500 * time.Millisecond
	l := newLinks()
	h := l.wired(newHouse(t, 3, nil))
	h.start()
	h.settled()
	away := h.followers()[0]
	r := h.rooms[away]
	other := h.rooms[h.followers()[1]]
	strict := func() error { // what a read does, without the patience
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		return r.node.EnsureFresh(ctx, bound)
	}
	var after []time.Duration
	for range 10 {
		eventually(t, "the node to be fresh", func() bool { return strict() == nil })
		l.apart(h, away, true)
		cut := time.Now()
		if err := put(other.db, "a", cut.String()); err != nil {
			t.Fatal(err)
		}
		acked := time.Now() // unseen by the one that is cut off
		var last time.Time
		eventually(t, "the node to prove nothing", func() bool {
			begun := time.Now()
			err := strict()
			if err == nil {
				last = begun
				if over := begun.Sub(acked); over > bound {
					t.Errorf("fresh %v after a write that it has not seen, bound %v", over, bound)
				}
			} else if !errors.Is(err, fsm.ErrUnavailable) {
				t.Errorf("cut off: %v", err)
			}
			return err != nil && time.Since(acked) > bound
		})
		if text(r.db, "a") == cut.String() {
			t.Fatal("it was not cut off")
		}
		if !last.IsZero() {
			after = append(after, last.Sub(cut))
		}
		l.apart(h, away, false)
		eventually(t, "the write to come", func() bool { return text(r.db, "a") == cut.String() })
	}
	slices.Sort(after)
	if len(after) > 0 {
		t.Logf("proved fresh for the last time after the cut: p50 %v, worst %v of %d", after[len(after)/2], after[len(after)-1], len(after))
	}
}
