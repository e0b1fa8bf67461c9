package daemon

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// Stop takes the node down in the reverse order of its start: readiness fails
// first and stays so for the drain time while requests are still answered, leadership is
// handed over, listeners close and requests under way finish, background work
// writes what it holds, and only then the cluster and the store close. It may be
// called on a node whose start failed half way, and again.
func (n *Node) Stop(ctx context.Context) error {
	n.stopOnce.Do(func() { n.stopErr = n.stop(ctx) })
	return n.stopErr
}

func (n *Node) stop(ctx context.Context) error {
	began := time.Now()
	n.draining.Store(true)
	if n.front.Load() != nil && !n.alone(ctx) { // else there is nowhere for a request to go
		n.announce(ctx)
		n.handOver(ctx)
	}
	var errs []error
	n.drain()
	errs = append(errs, waitFor(ctx, &n.servers, "listeners"))
	for _, l := range []interface{ Close() error }{n.public, n.certificates, n.operations, n.socket} {
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

// alone reports whether this node is the only member.
func (n *Node) alone(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, 100*time.Millisecond) // the members are known without asking them
	defer cancel()
	return len(n.cluster.Status(ctx).Members) < 2
}

// announce leaves balancers the time to notice that the node is no longer ready, while it
// serves as before: a request that was already on its way here must be answered.
func (n *Node) announce(ctx context.Context) {
	wait := time.NewTimer(n.cfg.Drain)
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-ctx.Done():
	}
}

// handOverWithin bounds the search for a successor: a transfer takes milliseconds, an election about a second.
const handOverWithin = 2 * time.Second

// handOver gives leadership away and waits until another node has it, so that no
// write meets a cluster without a leader because of this stop.
func (n *Node) handOver(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, handOverWithin)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	var fault error
	began := time.Now()
	for n.cluster.IsLeader() {
		if fault = n.cluster.Yield(ctx); fault == nil {
			break
		}
		select { // a successor that lags may do so no longer in a moment
		case <-tick.C:
			continue
		case <-ctx.Done():
		}
		n.log.Warn("leadership was not handed over", "error", fault)
		return
	}
	for {
		if id, _ := n.cluster.Leader(); id != "" && id != n.cfg.NodeID {
			n.log.Info("another node leads", "leader", id, "took", time.Since(began).Round(time.Millisecond).String())
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			n.log.Warn("no other node leads yet")
			return
		}
	}
}

// leaving tells every client of a node that stops to take another connection for its
// next request, so that none is on its way when the connections close.
func (n *Node) leaving(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n.draining.Load() {
			w.Header().Set("Connection", "close")
		}
		h.ServeHTTP(w, r)
	})
}
