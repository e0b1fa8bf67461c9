package dev

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/quis-idp/quis/api/inbox"
	"github.com/quis-idp/quis/cmd/demo"
)

// readyWithin is how long all nodes may take to get ready at the first start.
const readyWithin = 60 * time.Second

// Options are what a person may say to `quis dev`.
type Options struct {
	Nodes     int    // 1 to MaxNodes; 0: as many as Dir holds, or 1
	Port      int    // of the issuer, MinPort to MaxPort; 0: that of the house in Dir, or DefaultPort
	Dir       string // data directory; made if it is missing
	DirFlag   string // what commands need to find it, such as " --data-dir house"; "": nothing
	Bootstrap string // bootstrap file, or ""
	Reset     bool   // begin with nothing
	LogLevel  string // of the nodes; "" is info
	Version   string // for the banner
	Program   string // what a person types for this program

	made []string // of the data directory: what this run put there first

	Out io.Writer // what a person reads
	// SetupLink asks a running node, by its data directory, for a fresh setup link,
	// and whether it would make the first administrator.
	SetupLink func(ctx context.Context, dataDir string) (url string, first bool, err error)
	// Cluster asks a running node which node leads, and which have the place that they shall have:
	// a vote, or none by somebody's wish.
	Cluster func(ctx context.Context, dataDir string) (leader string, settled []string, err error)
}

// A house is everything that one `quis dev` runs.
type house struct {
	Options
	nodes   []*process
	proxy   *proxy // nil with one node
	out     sync.Mutex
	running context.Context // ends with the house; starts from other terminals look at it
}

// Run runs the house until ctx ends, then stops everything it started. It
// returns an error if the house could not be set up.
func Run(ctx context.Context, o Options) error {
	if o.Nodes < 0 || o.Nodes > MaxNodes {
		return fmt.Errorf("--nodes %d is out of range: 1 to %d", o.Nodes, MaxNodes)
	}
	if o.Port != 0 && (o.Port < MinPort || o.Port > MaxPort) {
		return fmt.Errorf("--port %d is out of range: %d to %d", o.Port, MinPort, MaxPort)
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return fmt.Errorf("--data-dir: %w", err)
	}
	o.Dir = dir
	unlock, err := prepare(&o)
	if err != nil {
		return err
	}
	defer unlock()
	binary, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program's own file: %w", err)
	}
	h := &house{Options: o}
	for i := range o.Nodes {
		h.nodes = append(h.nodes, &process{place: o.placeOf(i + 1), binary: binary})
	}
	return h.run(ctx)
}

func (h *house) run(parent context.Context) error {
	// Further Ctrl-C must not cut the orderly stop short half way.
	ctx, cancel := context.WithCancel(parent)
	defer cancel()
	h.running = ctx

	listeners, err := h.listen(ctx)
	if err != nil {
		return errors.Join(err, h.unmake())
	}
	var background sync.WaitGroup
	defer background.Wait()
	defer cancel()
	defer h.stopAll()
	for _, n := range h.nodes {
		if err := n.start(); err != nil {
			closeAll(listeners)
			return err
		}
	}
	h.serve(ctx, &background, listeners)
	began := time.Now()
	if err := h.waitReady(ctx); err != nil {
		if parent.Err() != nil {
			return nil // Ctrl-C during the start
		}
		return err
	}
	h.waitVotes(ctx)
	if parent.Err() != nil {
		return nil
	}
	h.banner(ctx, time.Since(began))
	for _, n := range h.nodes {
		background.Go(func() { h.report(ctx, n) })
	}
	background.Go(func() { h.reportMail(ctx) })
	<-ctx.Done()
	h.say("\n  Stopping …\n")
	return nil
}

// serve starts the demo, the proxy and the control socket.
func (h *house) serve(ctx context.Context, background *sync.WaitGroup, listeners map[string]net.Listener) {
	logger := slog.New(slog.NewTextHandler(h.Out, nil))
	for address, ln := range listeners {
		handler := demo.New(demo.Config{Issuer: Issuer(h.Port), ClientID: "demo", URL: demo.URL(Issuer(h.Port)), Logger: logger})
		if address == proxyAddress(h.Port) {
			var backends []*backend
			for _, n := range h.nodes {
				backends = append(backends, &backend{address: n.Public, ready: n.readyURL()})
			}
			h.proxy = newProxy(backends)
			handler = h.proxy.handler(logger)
			background.Go(func() { h.proxy.watch(ctx, 250*time.Millisecond) })
		}
		serveUntil(ctx, background, ln, handler)
	}
	if ln, err := listenControl(h.Dir); err != nil {
		h.say("  Warning: %v; `quis dev status` and its like will not work.\n", err)
	} else {
		serveUntil(ctx, background, ln, h.control())
	}
}

func serveUntil(ctx context.Context, background *sync.WaitGroup, ln net.Listener, handler http.Handler) {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute, ErrorLog: quiet}
	background.Go(func() {
		server.Serve(ln) // it ends with ErrServerClosed, when we say so
	})
	background.Go(func() {
		<-ctx.Done()
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		if server.Shutdown(last) != nil {
			server.Close()
		}
	})
}

// waitReady returns when every node is ready, or an error that shows why one is not.
func (h *house) waitReady(ctx context.Context) error {
	deadline := time.Now().Add(readyWithin)
	for _, n := range h.nodes {
		if err := h.waitNode(ctx, n, deadline); err != nil {
			return err
		}
	}
	return nil
}

// waitNode waits for one node. That somebody ends it meanwhile, from another terminal
// or with a signal, is no failure of the start: the house goes on without it.
func (h *house) waitNode(ctx context.Context, n *process, deadline time.Time) error {
	for {
		ok, reason := ready(ctx, n.readyURL())
		if ok {
			return nil
		}
		_, _, done := n.look()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-done:
			state, _, _ := n.look()
			if state == stateEnded && !n.signalled() {
				return fmt.Errorf("%s did not start (%s). It said:\n%s\nIts log: %s", n.Name, n.how(), n.lastWords(), n.logFile())
			}
			if state != stateRunning {
				return nil
			}
		case <-time.After(50 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s is not ready after %s: %s\nIts log: %s", n.Name, readyWithin, reason, n.logFile())
		}
	}
}

// report tells when a node ends that nobody asked to.
func (h *house) report(ctx context.Context, n *process) {
	for {
		state, _, done := n.look()
		if state == stateRunning {
			select {
			case <-ctx.Done():
				return
			case <-done:
			}
			if state, _, _ = n.look(); state == stateEnded && ctx.Err() == nil {
				h.say("  %s ended (%s). Bring it back: %s dev start %d%s\n", n.Name, n.how(), h.Program, n.Index, h.DirFlag)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// reportMail tells of each message that comes to the inbox.
func (h *house) reportMail(ctx context.Context) {
	box := inbox.Open(filepath.Join(h.Dir, "mail"))
	last := ""
	if old, err := box.List(""); err == nil && len(old) > 0 {
		last = old[0].ID
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(500 * time.Millisecond):
		}
		news, err := box.List(last)
		if err != nil {
			continue // a file that is half there; it is read the next time
		}
		for _, m := range slices.Backward(news) {
			h.say("  Mail to %s: %s  %s/dev/mail/%s\n", m.To, m.Subject, Issuer(h.Port), m.ID)
			last = m.ID
		}
	}
}

// stopAll stops every node that runs, the followers together; each hands over
// what it can.
func (h *house) stopAll() {
	var wg sync.WaitGroup
	for _, n := range h.nodes {
		wg.Go(func() {
			if err := n.stop(); err != nil && !errors.Is(err, errNotRunning) {
				h.say("  %v\n", err)
			}
		})
	}
	wg.Wait()
}

func (h *house) say(format string, args ...any) {
	h.out.Lock()
	defer h.out.Unlock()
	fmt.Fprintf(h.Out, format, args...)
}

// Signals returns a context that ends at the first Ctrl-C, SIGTERM or hang-up.
func Signals(ctx context.Context) (context.Context, context.CancelFunc) {
	return signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
}
