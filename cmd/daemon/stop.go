package daemon

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Stop takes the node down in the reverse order of its start: readiness fails
// first, leadership is handed over, requests under way finish, background work
// writes what it holds, and only then the cluster and the store close. It may be
// called on a node whose start failed half way, and again.
func (n *Node) Stop(ctx context.Context) error {
	n.stopOnce.Do(func() { n.stopErr = n.stop(ctx) })
	return n.stopErr
}

func (n *Node) stop(ctx context.Context) error {
	began := time.Now()
	n.draining.Store(true)
	if n.front.Load() != nil {
		n.handOver(ctx)
	}
	var errs []error
	n.drain()
	errs = append(errs, waitFor(ctx, &n.servers, "listeners"))
	for _, l := range []interface{ Close() error }{n.public, n.operations, n.socket} {
		if l != nil {
			_ = l.Close() // closed already if it was served
		}
	}
	n.end()
	errs = append(errs, waitFor(ctx, &n.work, "background work"))
	if n.cluster != nil {
		errs = append(errs, n.cluster.Stop(ctx))
	}
	if n.db != nil {
		errs = append(errs, n.db.Close())
	}
	if n.dir != nil {
		errs = append(errs, n.dir.close())
	}
	if n.front.Load() != nil {
		n.log.Info("node stopped", "took", time.Since(began).Round(time.Millisecond).String())
	}
	return errors.Join(errs...)
}

// waitFor waits for wg, but no longer than ctx: a node that hangs must still end.
func waitFor(ctx context.Context, wg *sync.WaitGroup, what string) error {
	done := make(chan struct{})
	go func() {
		wg.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stop: %s did not end in time", what)
	}
}

// handOver gives leadership away while the node still serves, and leaves load
// balancers the time to notice that it is no longer ready.
func (n *Node) handOver(ctx context.Context) {
	wait := time.NewTimer(n.cfg.Drain)
	defer wait.Stop()
	if len(n.cluster.Status(ctx).Members) < 2 {
		return // nobody to hand over to, and nowhere else for a request to go
	}
	if n.cluster.IsLeader() {
		if err := n.cluster.Transfer(ctx); err != nil {
			n.log.Warn("leadership was not handed over", "error", err)
		}
	}
	select {
	case <-wait.C:
	case <-ctx.Done():
	}
}
