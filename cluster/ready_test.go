package cluster

import (
	"context"
	"sync"
	"testing"
	"time"
)

// unready looks at the readiness of nodes for as long as ctx lasts and keeps what was wrong. What a node says
// after nobody has confirmed it for as long as it may wait is right, on however slow a machine.
func (h *house) unready(ctx context.Context, which ...int) (wrong func() []error) {
	var errs []error
	var looking sync.WaitGroup
	looking.Go(func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
			for _, i := range which {
				n := h.rooms[i].node
				err := n.Ready()
				if without, _ := n.cfg.patience(); err != nil && n.staleness() < without {
					errs = append(errs, err)
				}
			}
		}
	})
	return func() []error {
		looking.Wait()
		return errs
	}
}

// Nobody becomes unready because leadership moves, in order or because the leader is gone.
func TestNodesStayReadyWhileLeadershipMoves(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3, nil)
	h.start()
	h.settled()
	ctx, cancel := context.WithCancel(t.Context())
	wrong := h.unready(ctx, 0, 1, 2)
	for range 4 {
		h.to(h.followers()[0])
	}
	cancel()
	for _, err := range wrong() {
		t.Errorf("during a hand-over: %v", err)
	}
	gone, left := h.leader(), h.followers()
	ctx, cancel = context.WithCancel(t.Context())
	wrong = h.unready(ctx, left...)
	h.crash(gone)
	if err := put(h.rooms[left[0]].db, "after", "it"); err != nil {
		t.Error(err)
	}
	cancel()
	for _, err := range wrong() {
		t.Errorf("while the others elect a leader: %v", err)
	}
}

// A node that is cut off, leader or not, becomes unready in time, and whoever waits hears that it is ready again.
func TestNodeThatIsCutOffBecomesUnready(t *testing.T) {
	t.Parallel()
	l := newLinks()
	h := l.wired(newHouse(t, 3, nil))
	h.start()
	h.settled()
	for _, i := range []int{h.leader(), h.followers()[0]} {
		n := h.rooms[i].node
		without, with := n.cfg.patience()
		l.apart(h, i, true)
		cut := time.Now()
		eventually(t, "the node to be unready", func() bool { return n.Ready() != nil })
		if took := time.Since(cut); took < without-time.Second || n.staleness() > with+10*time.Second {
			t.Errorf("unready after %v", took)
		} else {
			t.Logf("unready after %v", took)
		}
		l.apart(h, i, false)
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		if err := n.WaitReady(ctx); err != nil {
			t.Error(err)
		}
		cancel()
	}
}
