package dev

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A fake node: it counts what reaches it and answers as told.
type fake struct {
	*httptest.Server
	requests atomic.Int64
	notReady atomic.Bool
	status   atomic.Int64
	hangUp   atomic.Bool // accept the request, then cut the connection
}

func newFake(t *testing.T, name string) *fake {
	f := &fake{}
	f.status.Store(http.StatusOK)
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/readyz" {
			if f.notReady.Load() {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
			return
		}
		f.requests.Add(1)
		if f.hangUp.Load() {
			panic(http.ErrAbortHandler)
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("X-Node", name)
		w.Header().Set("X-Saw", r.Host+" "+r.Header.Get("X-Forwarded-For")+" "+string(body))
		w.WriteHeader(int(f.status.Load()))
	}))
	t.Cleanup(f.Close)
	return f
}

func newHouse(t *testing.T, nodes ...*fake) (*proxy, *httptest.Server) {
	var backends []*backend
	for _, n := range nodes {
		b := &backend{address: n.Listener.Addr().String(), ready: n.URL + "/readyz"}
		b.up.Store(true)
		backends = append(backends, b)
	}
	p := newProxy(backends)
	front := httptest.NewServer(p.handler(slog.New(slog.DiscardHandler)))
	t.Cleanup(front.Close)
	return p, front
}

func send(t *testing.T, method, url, body string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "localhost:8080"
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp
}

func TestProxyGoesRoundAndKeepsTheHost(t *testing.T) {
	t.Parallel()
	a, b, c := newFake(t, "a"), newFake(t, "b"), newFake(t, "c")
	_, front := newHouse(t, a, b, c)
	for range 9 {
		resp := send(t, http.MethodPost, front.URL+"/x", "hello")
		if got := resp.Header.Get("X-Saw"); got != "localhost:8080 127.0.0.1 hello" {
			t.Fatalf("the node saw %q", got)
		}
	}
	for _, n := range []*fake{a, b, c} {
		if got := n.requests.Load(); got != 3 {
			t.Errorf("a node got %d of 9 requests", got)
		}
	}
}

func TestProxySkipsNodesThatAreNotReady(t *testing.T) {
	t.Parallel()
	a, b := newFake(t, "a"), newFake(t, "b")
	p, front := newHouse(t, a, b)
	a.notReady.Store(true)
	go p.watch(t.Context(), 5*time.Millisecond)
	waitUntil(t, func() bool { return !p.backends[0].up.Load() })
	for range 4 {
		if got := send(t, http.MethodPost, front.URL, "").Header.Get("X-Node"); got != "b" {
			t.Fatalf("answered by %q", got)
		}
	}
	a.notReady.Store(false)
	waitUntil(t, p.backends[0].up.Load)
}

func waitUntil(t *testing.T, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(10 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("it does not happen")
		}
	}
}

// A request that no node has seen may go to another; one that a node has seen
// may only if its method is safe.
func TestProxyTriesAgainOnlyWhereItIsSafe(t *testing.T) {
	t.Parallel()
	t.Run("unsent", func(t *testing.T) {
		t.Parallel()
		a, b := newFake(t, "a"), newFake(t, "b")
		_, front := newHouse(t, a, b)
		a.Close()
		for range 4 {
			if resp := send(t, http.MethodPost, front.URL, "body"); resp.Header.Get("X-Node") != "b" || !strings.HasSuffix(resp.Header.Get("X-Saw"), "body") {
				t.Fatalf("got %d from %q, saw %q", resp.StatusCode, resp.Header.Get("X-Node"), resp.Header.Get("X-Saw"))
			}
		}
	})
	t.Run("sent", func(t *testing.T) {
		t.Parallel()
		a, b := newFake(t, "a"), newFake(t, "b")
		_, front := newHouse(t, a, b)
		a.hangUp.Store(true)
		b.hangUp.Store(true)
		if resp := send(t, http.MethodPost, front.URL, "body"); resp.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("a request whose fate is unknown got %d", resp.StatusCode)
		}
		if got := a.requests.Load() + b.requests.Load(); got != 1 {
			t.Errorf("a POST was sent %d times", got)
		}
	})
	t.Run("safe", func(t *testing.T) {
		t.Parallel()
		a, b := newFake(t, "a"), newFake(t, "b")
		_, front := newHouse(t, a, b)
		a.hangUp.Store(true)
		for range 4 {
			if resp := send(t, http.MethodGet, front.URL, ""); resp.Header.Get("X-Node") != "b" {
				t.Fatalf("got %d from %q", resp.StatusCode, resp.Header.Get("X-Node"))
			}
		}
	})
	t.Run("503 to a safe one", func(t *testing.T) {
		t.Parallel()
		a, b := newFake(t, "a"), newFake(t, "b")
		_, front := newHouse(t, a, b)
		a.status.Store(http.StatusServiceUnavailable)
		for range 3 {
			if resp := send(t, http.MethodGet, front.URL, ""); resp.StatusCode != http.StatusOK {
				t.Errorf("got %d", resp.StatusCode)
			}
		}
		b.status.Store(http.StatusServiceUnavailable)
		if resp := send(t, http.MethodGet, front.URL, ""); resp.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("got %d when all are unavailable", resp.StatusCode)
		}
	})
	t.Run("too large to keep", func(t *testing.T) {
		t.Parallel()
		a, b := newFake(t, "a"), newFake(t, "b")
		_, front := newHouse(t, a, b)
		large := strings.Repeat("x", maxReplay+100)
		if resp := send(t, http.MethodPost, front.URL, large[:maxReplay]); resp.StatusCode != http.StatusOK {
			t.Errorf("at the bound: %d", resp.StatusCode)
		}
		body := strings.NewReader(large)
		resp, err := http.Post(front.URL, "text/plain", body)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode == http.StatusServiceUnavailable {
			t.Errorf("over the bound: %d", resp.StatusCode)
		}
	})
}

func TestPlaces(t *testing.T) {
	t.Parallel()
	if p := (Options{Dir: "d", Nodes: 1, Port: DefaultPort}).placeOf(1); p.Public != "127.0.0.1:8080" || p.Operations != "127.0.0.1:9080" {
		t.Errorf("one node: %+v", p)
	}
	seen := map[string]string{}
	for _, a := range []string{proxyAddress(DefaultPort), demoAddress(DefaultPort)} {
		seen[a] = "house"
	}
	for i := 1; i <= MaxNodes; i++ {
		p := (Options{Dir: "d", Nodes: MaxNodes, Port: DefaultPort}).placeOf(i)
		for _, a := range []string{p.Public, p.Operations, p.Cluster, p.Gossip} {
			if other, taken := seen[a]; taken {
				t.Errorf("%s and %s both want %s", p.Name, other, a)
			}
			seen[a] = p.Name
			if _, _, err := net.SplitHostPort(a); err != nil {
				t.Error(err)
			}
		}
	}
	if p := (Options{Dir: "d", Nodes: 3, Port: 9000}).placeOf(2); p.URL != "http://localhost:9002" || p.Operations != "127.0.0.1:10002" || p.Cluster != "127.0.0.1:9232" {
		t.Errorf("node 2 of 3 at another port: %+v", p)
	}
	if p := (Options{Dir: "d", Nodes: 3, Port: DefaultPort}).placeOf(2); p.URL != "http://localhost:8082" || p.Operations != "127.0.0.1:9082" {
		t.Errorf("node 2 of 3: %+v", p)
	}
}
