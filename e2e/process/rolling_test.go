package process

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/http/httputil"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/quis-idp/quis/e2e/testbed"
)

// How the balancer of the rolling restart looks at the nodes. A node that stops must go on
// serving for longer than a balancer takes to notice: the drain time has to exceed the
// interval of the checks and the time that one may take.
const (
	checkEvery  = 100 * time.Millisecond
	checkWithin = 2 * time.Second // much more than a check takes, also on a machine with much else to do
	drainFor    = "3s"            // which is the default
)

// TestRollingRestart stops and starts three nodes one after the other, again and again, while
// people sign in and applications exchange, refresh and ask through a balancer that
// honours /readyz and never sends a request twice. Not one may fail.
func TestRollingRestart(t *testing.T) {
	rounds := 1
	if s := os.Getenv("QUIS_ROLLS"); s != "" {
		var err error
		if rounds, err = strconv.Atoi(s); err != nil {
			t.Fatalf("QUIS_ROLLS: %v", err)
		}
		t.Setenv("QUIS_ROLLS", "") // nodes refuse variables that they do not know
	}
	b := newBalancer(t)
	nodes := threeServers(t, b.front.URL)
	for _, s := range nodes {
		s.run()
	}
	for _, s := range nodes {
		s.waitReady()
		b.add(t, s.public())
	}
	b.watch(t)

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	u := &users{base: b.front.URL}
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() { u.run(ctx) })
	}
	for range 4 {
		wg.Go(func() { u.refresh(ctx) })
	}
	var outages, others []time.Duration // while a leader stopped, and another node
	for round := range rounds {
		for _, s := range nodes {
			led := leads(ctx, s)
			told := time.Now()
			s.cmd.Process.Signal(syscall.SIGTERM)
			if code := s.ended(); code != 0 {
				t.Errorf("exit code %d after SIGTERM:\n%s", code, s.stderr.String())
			}
			if gap := u.longestGap(told, time.Now()); led {
				outages = append(outages, gap)
			} else {
				others = append(others, gap)
			}
			s.clean()
			s.run()
			s.waitReady()
			b.await(t, s.public())
		}
		if t.Failed() || b.failures() != nil || u.failures() != nil {
			t.Errorf("round %d", round)
			break
		}
	}
	cancel()
	wg.Wait()
	for _, f := range slices.Concat(b.failures(), u.failures()) {
		t.Error(f)
	}
	if t.Failed() {
		t.Logf("readiness:\n%s", b.history())
	}
	slices.Sort(outages)
	slices.Sort(others)
	t.Logf("%d rounds; %d requests through the balancer, %d failed; %d sign-ins, %d refreshes; longest time without a write while the leader stopped: %v, and another node: %v",
		rounds, b.served.Load(), len(b.failures()), u.signins.Load(), u.refreshes.Load(), outages, others)
	// How quick a hand-over is, is measured, not tested; that it is one, and not the election
	// that follows a loss, shows on however busy a machine.
	if n := len(outages); n > 0 && outages[n/2] > recovery {
		t.Errorf("half of the graceful hand-overs took longer than %v", recovery)
	}
	if u.signins.Load() == 0 || u.refreshes.Load() == 0 {
		t.Error("nobody signed in, or nothing was refreshed: this proves nothing")
	}
}

// startAll runs nodes that stop without a drain, and waits until all are ready.
func startAll(nodes []*server) {
	for _, s := range nodes {
		s.keys["drain"] = "0s"
		s.run()
	}
	for _, s := range nodes {
		s.waitReady()
	}
}

// threeServers prepares three nodes that found a cluster together.
func threeServers(t *testing.T, publicURL string) []*server {
	t.Helper()
	nodes := make([]*server, 3)
	var join []string
	for i := range nodes {
		nodes[i] = newServer(t)
		join = append(join, nodes[i].keys["cluster.listen"])
	}
	for i, s := range nodes {
		s.keys["node_id"] = fmt.Sprintf("node-%d", i+1)
		s.keys["public_url"] = publicURL
		s.keys["drain"] = drainFor
		s.keys["cluster.join"] = strings.Join(join, ",")
		s.keys["cluster.bootstrap_expect"] = "3"
	}
	return nodes
}

func leads(ctx context.Context, s *server) bool {
	v, err := testbed.Sample(ctx, s.operations(), `quis_raft_state{state="leader"}`)
	return err == nil && v == 1
}

// A balancer spreads requests over the nodes that are ready, in turn. It sends no request
// twice, and remembers every one that no node answered as it should.
type balancer struct {
	front  *httptest.Server
	nodes  []*balanced
	turn   atomic.Uint64
	served atomic.Int64

	mu     sync.Mutex
	failed []string
	seen   []string // how the readiness of nodes changed, and why
}

type balanced struct {
	url *url.URL
	up  atomic.Bool
	why string // of the latest check, nothing if it went well
}

func newBalancer(t *testing.T) *balancer {
	b := &balancer{}
	b.front = httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetXForwarded()
			r.Out.Host = r.In.Host
			r.Out.URL.Scheme, r.Out.URL.Host = "http", b.next()
			var connections atomic.Int32
			at := r.Out.URL.Host + " " + r.In.Method + " " + r.In.URL.Path
			r.Out = r.Out.WithContext(httptrace.WithClientTrace(r.Out.Context(), &httptrace.ClientTrace{
				GotConn: func(httptrace.GotConnInfo) {
					if connections.Add(1) == 2 { // net/http took another connection by itself
						b.fail("%s: the node closed a connection that was in use", at)
					}
				},
			}))
		},
		Transport: readyOnly{&http.Transport{MaxIdleConnsPerHost: 64, IdleConnTimeout: time.Minute}},
		ModifyResponse: func(r *http.Response) error {
			b.served.Add(1)
			if r.StatusCode < 500 {
				return nil
			}
			said, err := io.ReadAll(r.Body)
			r.Body = io.NopCloser(bytes.NewReader(said))
			b.fail("%s %s %s: status %d: %.400s", r.Request.URL.Host, r.Request.Method, r.Request.URL.Path, r.StatusCode, said)
			return err
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if r.Context().Err() == nil { // else whoever asked has gone
				b.fail("%s %s: %v", r.Method, r.URL.Path, err)
			}
			w.WriteHeader(http.StatusBadGateway)
		},
	})
	t.Cleanup(b.front.Close)
	return b
}

func (b *balancer) add(t *testing.T, node string) {
	t.Helper()
	u, err := url.Parse(node)
	if err != nil {
		t.Fatal(err)
	}
	n := &balanced{url: u}
	n.up.Store(true)
	b.nodes = append(b.nodes, n)
}

// next returns the host of the node whose turn it is, or nobody.
func (b *balancer) next() string {
	first := b.turn.Add(1)
	for i := range uint64(len(b.nodes)) {
		if n := b.nodes[(first+i)%uint64(len(b.nodes))]; n.up.Load() {
			return n.url.Host
		}
	}
	return nobody
}

const nobody = "nobody"

// readyOnly does not send what is for nobody.
type readyOnly struct{ *http.Transport }

func (t readyOnly) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host == nobody {
		return nil, errors.New("no node is ready")
	}
	return t.Transport.RoundTrip(r)
}

// watch keeps an eye on the readiness of every node for the length of the test.
func (b *balancer) watch(t *testing.T) {
	check := &http.Client{Timeout: checkWithin, Transport: &http.Transport{DisableKeepAlives: true}}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for _, n := range b.nodes {
		wg.Go(func() {
			tick := time.NewTicker(checkEvery)
			defer tick.Stop()
			for ctx.Err() == nil {
				b.note(n, whyUnready(check, n.url.String()))
				select {
				case <-tick.C:
				case <-ctx.Done():
				}
			}
		})
	}
	t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
}

// whyUnready says why a node is not ready, or nothing.
func whyUnready(check *http.Client, node string) string {
	resp, err := check.Get(node + "/readyz")
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusOK {
		return ""
	}
	said, err := io.ReadAll(resp.Body)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("status %d: %s", resp.StatusCode, said)
}

// note takes a node in or out of the rotation; why is why it is not ready.
func (b *balancer) note(n *balanced, why string) {
	n.up.Store(why == "")
	if why != n.why {
		n.why = why
		b.mu.Lock()
		b.seen = append(b.seen, fmt.Sprintf("%s %s: %s", time.Now().Format("15:04:05.000"), n.url.Host, cmp.Or(why, "ready")))
		b.mu.Unlock()
	}
}

// history is how the readiness of nodes changed, for the report of a failure.
func (b *balancer) history() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Join(b.seen, "\n")
}

// await waits until the balancer has seen that a node is ready.
func (b *balancer) await(t *testing.T, node string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	i := slices.IndexFunc(b.nodes, func(n *balanced) bool { return n.url.String() == node })
	for !b.nodes[i].up.Load() {
		select {
		case <-ctx.Done():
			t.Fatalf("the balancer does not see that %s is ready", node)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func (b *balancer) fail(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failed = append(b.failed, time.Now().Format("15:04:05.000 ")+fmt.Sprintf(format, args...))
}

func (b *balancer) failures() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.failed)
}

// users are people and applications that know one address.
type users struct {
	base               string
	signins, refreshes atomic.Int64

	mu     sync.Mutex
	failed []string
	wrote  []time.Time // when each write was answered
}

// run signs one person in after the other and uses what came of it.
func (u *users) run(ctx context.Context) {
	for ctx.Err() == nil {
		tokens, ok := u.signIn(ctx)
		for i := 0; ok && i < 5 && ctx.Err() == nil; i++ {
			if tokens, ok = u.renew(ctx, tokens); ok {
				_, err := testbed.UserInfo(ctx, u.base, tokens.AccessToken)
				ok = u.fine(ctx, "userinfo", err)
			}
		}
	}
}

// refresh writes without a pause, so that it shows for how long nobody can.
func (u *users) refresh(ctx context.Context) {
	tokens, ok := u.signIn(ctx)
	for ok && ctx.Err() == nil {
		tokens, ok = u.renew(ctx, tokens)
	}
}

func (u *users) signIn(ctx context.Context) (*testbed.Tokens, bool) {
	a, err := tester().Authorize(ctx, u.base, web)
	if !u.fine(ctx, "sign-in", err) {
		return nil, false
	}
	tokens, err := web.Exchange(ctx, u.base, a)
	if !u.fine(ctx, "exchange", err) {
		return nil, false
	}
	u.signins.Add(1)
	return tokens, true
}

func (u *users) renew(ctx context.Context, old *testbed.Tokens) (*testbed.Tokens, bool) {
	next, err := web.Refresh(ctx, u.base, old.RefreshToken)
	if !u.fine(ctx, "refresh", err) {
		return nil, false
	}
	u.refreshes.Add(1)
	u.mu.Lock()
	u.wrote = append(u.wrote, time.Now())
	u.mu.Unlock()
	return next, true
}

// fine notes a fault, unless the test has ended meanwhile.
func (u *users) fine(ctx context.Context, what string, err error) bool {
	if err != nil && ctx.Err() == nil {
		u.mu.Lock()
		u.failed = append(u.failed, fmt.Sprintf("%s %s: %v", time.Now().Format("15:04:05.000"), what, err))
		u.mu.Unlock()
	}
	return err == nil
}

func (u *users) failures() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.failed)
}

// longestGap returns the longest time between two answered writes from one moment to another.
func (u *users) longestGap(from, to time.Time) time.Duration {
	u.mu.Lock()
	defer u.mu.Unlock()
	last, longest := from, time.Duration(0)
	for _, at := range append(slices.Clone(u.wrote), to) {
		if at.Before(from) || at.After(to) {
			continue
		}
		longest = max(longest, at.Sub(last))
		last = at
	}
	return longest
}
