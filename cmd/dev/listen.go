package dev

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"syscall"
	"time"
)

// listen opens the ports that this process serves itself, and tries those of the
// nodes, so that a port in use is said at once and by name.
func (h *house) listen(ctx context.Context) (map[string]net.Listener, error) {
	out := map[string]net.Listener{}
	open := map[string]string{"the demo application": demoAddress(h.Port)}
	if h.Nodes > 1 {
		open["the proxy"] = proxyAddress(h.Port)
	}
	deadline := time.Now().Add(time.Second)
	var taken []string
	var errs []error
	try := func(what, address string) net.Listener {
		ln, err := listenSoon(ctx, address, deadline)
		switch {
		case errors.Is(err, syscall.EADDRINUSE):
			taken = append(taken, address)
		case err != nil:
			errs = append(errs, fmt.Errorf("%s: %w", what, err))
		}
		return ln
	}
	// A browser that is sent to localhost may try ::1 first, and reach whoever listens there.
	browsed := func(address string) {
		six := strings.Replace(address, "127.0.0.1", "[::1]", 1)
		ln, err := listenSoon(ctx, six, deadline)
		if errors.Is(err, syscall.EADDRINUSE) {
			taken = append(taken, six+" (localhost, too)")
		} else if err == nil { // whatever else went wrong: there is no ::1 here
			ln.Close()
		}
	}
	for what, address := range open {
		browsed(address)
		if ln := try(what, address); ln != nil {
			out[address] = ln
		}
	}
	for _, n := range h.nodes {
		browsed(n.Public)
		browsed(n.Operations)
		for _, address := range []string{n.Public, n.Operations, n.Cluster, n.Gossip} {
			if ln := try(n.Name, address); ln != nil {
				ln.Close()
			}
		}
	}
	if len(taken) > 0 {
		slices.Sort(taken)
		instead := "or take other ports with --port"
		if portIn(h.Dir) != 0 {
			instead = fmt.Sprintf("for what is in %s stays at port %d; --data-dir and --port begin another", h.Dir, h.Port)
		}
		errs = append(errs, fmt.Errorf("in use by another program, perhaps another `quis dev`: %s: stop that one (`ss -ltnp` shows it), %s",
			strings.Join(taken, ", "), instead))
	}
	if len(errs) > 0 {
		closeAll(out)
		return nil, errors.Join(errs...)
	}
	return out, nil
}

// listenSoon listens on address, waiting a moment for nodes of a run that was
// killed a second ago and are still on their way down.
func listenSoon(ctx context.Context, address string, deadline time.Time) (net.Listener, error) {
	ln, err := net.Listen("tcp", address)
	for errors.Is(err, syscall.EADDRINUSE) && time.Now().Before(deadline) {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
		ln, err = net.Listen("tcp", address)
	}
	return ln, err
}

func closeAll(listeners map[string]net.Listener) {
	for _, ln := range listeners {
		ln.Close()
	}
}
