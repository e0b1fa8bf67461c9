package daemon

import (
	"context"
	"errors"
)

// Crash ends the node as kill -9 would, as far as one process can, for tests: nobody
// hears a word from it, and nothing more gets into its log. Closing the store then
// writes what it holds, so dead is called before: a test whose file system forgets
// takes what it had at that moment.
func (n *Node) Crash(ctx context.Context, dead func()) error {
	n.stopOnce.Do(func() {
		n.draining.Store(true)
		errs := []error{n.cluster.Crash()}
		dead()
		n.drain()
		for _, l := range []interface{ Close() error }{n.public, n.operations, n.socket} {
			_ = l.Close() // what was being answered is lost
		}
		n.end()
		errs = append(errs, waitFor(ctx, &n.work, "background work"), n.db.Close(), waitFor(ctx, &n.servers, "listeners"), n.dir.close())
		n.stopErr = errors.Join(errs...)
	})
	return n.stopErr
}
