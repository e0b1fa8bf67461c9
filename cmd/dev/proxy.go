package dev

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/http/httputil"
	"sync"
	"sync/atomic"
	"time"
)

// maxReplay bounds the request body that the proxy keeps for a second try, in
// bytes. The nodes refuse larger ones anyway.
const maxReplay = 2 << 20

// A backend is a node as the proxy sees it.
type backend struct {
	address string // host:port of its public listener
	ready   string // URL of its readiness
	up      atomic.Bool
}

// A proxy spreads requests over the nodes that are ready, one after the other.
// It sends a request again to another node only if that cannot do harm: the
// first node never saw it, or the method is safe.
type proxy struct {
	backends  []*backend
	next      atomic.Uint64
	transport *http.Transport
}

func newProxy(backends []*backend) *proxy {
	return &proxy{
		backends: backends,
		transport: &http.Transport{
			DialContext:           (&net.Dialer{Timeout: time.Second}).DialContext,
			MaxIdleConnsPerHost:   256,
			IdleConnTimeout:       30 * time.Second,
			ResponseHeaderTimeout: 60 * time.Second,
		},
	}
}

// handler returns the proxy as it is served: headers say where a request came
// from, and the Host stays what the browser asked for, because nodes compare it
// with the Origin.
func (p *proxy) handler(logger *slog.Logger) http.Handler {
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme = "http"
			r.Out.URL.Host = "quis.invalid" // RoundTrip picks the node
			r.Out.Host = r.In.Host
			r.SetXForwarded()
		},
		Transport: p,
		ErrorLog:  log.New(io.Discard, "", 0),
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if r.Context().Err() != nil {
				return // the browser has gone
			}
			logger.Warn("no node answered", "method", r.Method, "path", r.URL.Path, "error", err)
			w.Header().Set("Retry-After", "1")
			http.Error(w, "No node is ready to answer. Look at `quis dev status`, then try again.", http.StatusServiceUnavailable)
		},
	}
}

// RoundTrip sends r to the next ready node, and on to the others as long as that
// is safe.
func (p *proxy) RoundTrip(r *http.Request) (*http.Response, error) {
	body, whole, err := replayable(r)
	if err != nil {
		return nil, err
	}
	var last error
	for _, b := range p.order() {
		var sent atomic.Bool
		resp, err := p.try(r, b, body, &sent)
		switch {
		case err == nil && safe(r.Method) && retryStatus(resp.StatusCode) && b.up.Load():
			// Between its last health check and now the node stopped being ready.
			b.up.Store(false)
			last = fmt.Errorf("%s answered %d", b.address, resp.StatusCode)
			if p.anyUp() {
				resp.Body.Close()
				continue
			}
			return resp, nil
		case err == nil:
			return resp, nil
		case r.Context().Err() != nil:
			return nil, err
		}
		last = err
		b.up.Store(false) // until its readiness says otherwise
		if !whole || (sent.Load() && !safe(r.Method)) {
			return nil, err
		}
	}
	if last == nil {
		last = errors.New("no nodes")
	}
	return nil, last
}

func (p *proxy) try(r *http.Request, b *backend, body []byte, sent *atomic.Bool) (*http.Response, error) {
	ctx := httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{
		WroteHeaders: func() { sent.Store(true) },
	})
	out := r.Clone(ctx)
	out.URL.Host = b.address
	if body != nil {
		out.Body = io.NopCloser(bytes.NewReader(body))
		out.ContentLength = int64(len(body))
		out.TransferEncoding = nil
	}
	return p.transport.RoundTrip(out)
}

// order returns the nodes to try: those that are ready first, beginning with the
// next in turn; the others after them, since a health check may be out of date.
func (p *proxy) order() []*backend {
	n := uint64(len(p.backends))
	start := p.next.Add(1)
	var up, down []*backend
	for i := range n {
		b := p.backends[(start+i)%n]
		if b.up.Load() {
			up = append(up, b)
		} else {
			down = append(down, b)
		}
	}
	return append(up, down...)
}

func (p *proxy) anyUp() bool {
	for _, b := range p.backends {
		if b.up.Load() {
			return true
		}
	}
	return false
}

// watch keeps every backend's readiness up to date until ctx ends.
func (p *proxy) watch(ctx context.Context, every time.Duration) {
	var wg sync.WaitGroup
	for _, b := range p.backends {
		wg.Go(func() {
			tick := time.NewTicker(every)
			defer tick.Stop()
			for ctx.Err() == nil {
				ok, _ := ready(ctx, b.ready)
				b.up.Store(ok)
				select {
				case <-ctx.Done():
				case <-tick.C:
				}
			}
		})
	}
	wg.Wait()
	p.transport.CloseIdleConnections()
}

// replayable reads r's body so that it can be sent twice. A body over the bound
// is sent once, as a stream.
func replayable(r *http.Request) (body []byte, whole bool, err error) {
	if r.Body == nil || r.Body == http.NoBody {
		return nil, true, nil
	}
	head, err := io.ReadAll(io.LimitReader(r.Body, maxReplay+1))
	if err != nil {
		return nil, false, fmt.Errorf("read request: %w", err)
	}
	if len(head) > maxReplay {
		r.Body = struct {
			io.Reader
			io.Closer
		}{io.MultiReader(bytes.NewReader(head), r.Body), r.Body}
		return nil, false, nil
	}
	r.Body.Close()
	return head, true, nil
}

func safe(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}

func retryStatus(code int) bool {
	return code == http.StatusBadGateway || code == http.StatusServiceUnavailable
}

var probes = &http.Client{Timeout: time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 2}}

// ready asks a node's readiness and returns what it said.
func ready(ctx context.Context, url string) (bool, string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false, err.Error()
	}
	resp, err := probes.Do(req)
	if err != nil {
		return false, "not listening"
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 4096))
	if err != nil {
		return false, err.Error()
	}
	return resp.StatusCode == http.StatusOK, string(bytes.TrimSpace(text))
}
