package daemon

import (
	"context"
	"errors"
	"net"
	"net/http"

	"github.com/quis-idp/quis/api"
	"github.com/quis-idp/quis/api/metrics"
	"github.com/quis-idp/quis/cluster/duty"
)

// serve opens the front door and starts what works in the background.
func (n *Node) serve(context.Context) error {
	door, local, err := n.frontDoor()
	if err != nil {
		return err
	}
	n.front.Store(&door.Operations)
	n.metrics.Watch(n.checks()...)
	n.serveOn(n.public, n.leaving(door.Public), n.cert)
	if n.certificates != nil {
		n.servers.Go(func() {
			if err := api.ServePeople(n.serving, n.certificates, n.leaving(door.Public), n.cert, n.cfg.PublicURL+"/", n.log); err != nil {
				n.fail(err)
			}
		})
	}
	n.serveOn(n.socket, local, nil)

	n.background(n.sessions.Run)
	n.background(n.flows.Run)
	n.background(n.refusals.Run)
	n.background(n.uses.Run)
	n.background(n.mail.Run)
	n.background(n.push.Run)
	n.background(n.countRows)
	n.background(n.restoreLeft)
	if n.cert != nil {
		n.metrics.Registry.MustRegister(n.cert)
		n.background(n.cert.Watch)
	}
	n.background(func(ctx context.Context) error { n.setupLoop(ctx); return nil })
	n.background(func(ctx context.Context) error {
		return duty.Run(ctx, n.cluster, n.duties(), n.log, n.metrics.Registry)
	})
	return nil
}

// serveOperations answers with what there is: before the rooms are open the node
// is alive and not ready.
func (n *Node) serveOperations(w http.ResponseWriter, r *http.Request) {
	if h := n.front.Load(); h != nil {
		(*h).ServeHTTP(w, r)
		return
	}
	switch r.URL.Path {
	case "/livez", "/healthz":
		metrics.Live().ServeHTTP(w, r)
	case "/readyz":
		starting := func(context.Context) error { return errors.New("the node is starting, or waits for its peers") }
		metrics.Ready(true, metrics.Check{Name: "started", Run: starting}).ServeHTTP(w, r)
	case "/metrics":
		n.metrics.Handler().ServeHTTP(w, r)
	default:
		http.NotFound(w, r)
	}
}

func (n *Node) serveOn(l net.Listener, h http.Handler, cert *api.Certificate) {
	n.servers.Go(func() {
		if err := api.Serve(n.serving, l, h, cert, n.log); err != nil {
			n.fail(err)
		}
	})
}

func (n *Node) background(run func(ctx context.Context) error) {
	n.work.Go(func() {
		if err := run(n.living); err != nil && n.living.Err() == nil {
			n.fail(err)
		}
	})
}

func (n *Node) fail(err error) {
	select {
	case n.failed <- err:
	default: // one reason is enough
	}
}
