package ask

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/quis-idp/quis/cluster/group"
	"github.com/quis-idp/quis/fsm"
)

func TestFullQueueTurnsAway(t *testing.T) {
	t.Parallel()
	stuck := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	c := group.New(ctx, func(batches []*group.Batch) {
		<-stuck
		for _, p := range batches {
			p.Answer(group.Result{})
		}
	})
	l := New(Config{Timeout: time.Minute, Quit: make(chan struct{}), Changed: func() <-chan struct{} { return nil }, Isolated: func() error { return nil }})
	l.life.queue = c
	for c.Add(group.NewBatch(nil, false)) {
	}
	_, err := l.Propose(ctx, []byte("one more"))
	if !errors.Is(err, fsm.ErrUnavailable) {
		t.Errorf("full queue: %v", err)
	}
	close(stuck)
	cancel()
	l.Drain()
}
