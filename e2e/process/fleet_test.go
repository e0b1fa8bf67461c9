package process

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/quis-idp/quis/e2e/testbed"
)

// A fleet is three nodes behind a balancer, each of one of two releases, with people at work.
type fleet struct {
	t            *testing.T
	ours, theirs string // binaries
	b            *balancer
	nodes        []*server
	u            *users
	cancel       context.CancelFunc
	work         sync.WaitGroup
	led          map[string]int // who led while the nodes were mixed: release to steps
	moves        int
}

func newFleet(t *testing.T, theirs string) *fleet {
	t.Helper()
	if _, err := testbed.Binary(); err != nil { // not while a node is down
		t.Fatal(err)
	}
	f := &fleet{t: t, ours: "", theirs: theirs, b: newBalancer(t), led: map[string]int{}}
	f.nodes = threeServers(t, f.b.front.URL)
	for _, s := range f.nodes {
		s.bin = theirs
		said := &telling{}
		s.log = said
		t.Cleanup(func() {
			if t.Failed() {
				t.Logf("%s told of leaders:\n%s", s.keys["node_id"], said.lines())
			}
		})
		s.run()
	}
	for _, s := range f.nodes {
		s.waitReady()
		f.b.add(t, s.public())
	}
	f.watch()
	f.u = &users{base: f.b.front.URL}
	ctx, cancel := context.WithCancel(t.Context())
	f.cancel = cancel
	for range 2 {
		f.work.Go(func() { f.u.run(ctx) })
	}
	for range 3 {
		f.work.Go(func() { f.u.refresh(ctx) })
	}
	t.Cleanup(func() {
		cancel()
		f.work.Wait()
	})
	return f
}

// fall is how many checks in a row must fail before a node gets no more requests, as with
// the usual proxies. This release needs no such patience (see TestRollingRestart), but while
// leadership changes no node of the previous one is ready, for a moment, and requests wait.
const fall = 3

// watch has the balancer look at the readiness of every node for the length of the test.
func (f *fleet) watch() {
	check := &http.Client{Timeout: checkWithin, Transport: &http.Transport{DisableKeepAlives: true}}
	ctx, cancel := context.WithCancel(f.t.Context())
	var wg sync.WaitGroup
	for _, n := range f.b.nodes {
		wg.Go(func() {
			tick := time.NewTicker(checkEvery)
			defer tick.Stop()
			for failed := 0; ctx.Err() == nil; {
				why := whyUnready(check, n.url.String())
				if failed++; why == "" {
					failed = 0
				}
				if failed == 0 || failed == fall {
					f.b.note(n, why)
				}
				select {
				case <-tick.C:
				case <-ctx.Done():
				}
			}
		})
	}
	f.t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
}

// telling keeps what a node prints of leaders, of stopping and of trouble.
type telling struct {
	mu  sync.Mutex
	all []byte
}

func (l *telling) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, p...)
	return len(p), nil
}

func (l *telling) lines() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out strings.Builder
	for line := range strings.Lines(string(l.all)) {
		if strings.Contains(line, "leader") || strings.Contains(line, "node st") || strings.Contains(line, "ERROR") {
			out.WriteString(line)
		}
	}
	return out.String()
}

// The orders in which nodes can be moved: each pick chooses when its turn has come.
func (f *fleet) leaderFirst() []func() *server { return f.picks(true) }
func (f *fleet) leaderLast() []func() *server  { return f.picks(false) }

func (f *fleet) picks(leader bool) []func() *server {
	var picks []func() *server
	moved := map[*server]bool{}
	for i := range f.nodes {
		picks = append(picks, func() *server {
			now := f.leader()
			var others []*server
			for _, s := range f.nodes {
				if !moved[s] && s != now {
					others = append(others, s)
				}
			}
			pick := now
			if moved[now] || !(leader && i == 0) && len(others) > 0 {
				pick = others[0]
			}
			moved[pick] = true
			return pick
		})
	}
	return picks
}

func (f *fleet) order(of []int) []func() *server {
	var picks []func() *server
	for _, i := range of {
		picks = append(picks, func() *server { return f.nodes[i] })
	}
	return picks
}

// leader waits until exactly one node leads.
func (f *fleet) leader() *server {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), patience)
	defer cancel()
	for {
		var lead []*server
		for _, s := range f.nodes {
			if leads(ctx, s) {
				lead = append(lead, s)
			}
		}
		if len(lead) == 1 {
			return lead[0]
		}
		select {
		case <-ctx.Done():
			f.t.Fatalf("%d nodes lead", len(lead))
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// move stops a node as an operator does, and starts it with another binary.
func (f *fleet) move(s *server, bin string) {
	f.t.Helper()
	if s.bin == bin {
		return
	}
	s.cmd.Process.Signal(syscall.SIGTERM)
	if code := s.ended(); code != 0 {
		f.t.Errorf("%s (%s): exit code %d after SIGTERM:\n%s", s.keys["node_id"], f.name(s.bin), code, s.stderr.String())
	}
	s.clean()
	s.bin = bin
	s.run()
	s.waitReady()
	f.b.await(f.t, s.public())
	f.moves++
}

func (f *fleet) name(bin string) string {
	if bin == f.ours {
		return "this release"
	}
	return "the previous release"
}

// leadBy hands leadership around until a node of that release has it.
func (f *fleet) leadBy(bin string) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), patience)
	defer cancel()
	for ctx.Err() == nil {
		l := f.leader()
		if l.bin == bin {
			f.led[f.name(bin)]++
			return
		}
		var body io.Reader // the previous release takes none, and chooses by itself
		if l.bin == f.ours {
			to := f.nodes[slices.IndexFunc(f.nodes, func(s *server) bool { return s.bin == bin })]
			body = strings.NewReader(`{"to": "` + to.keys["node_id"] + `"}`)
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, l.public()+"/api/v1/cluster/transfer", body)
		if err != nil {
			f.t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Authorization", "Bearer "+personalToken)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			f.t.Fatal(err)
		}
		answer, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode >= 400 && resp.StatusCode != http.StatusConflict && resp.StatusCode != http.StatusServiceUnavailable {
			f.t.Fatalf("hand leadership over: %s: %s", resp.Status, answer)
		}
	}
	f.t.Fatalf("no node of %s came to lead", f.name(bin))
}

// works has a person sign in at each node by itself, and has two nodes take turns with
// what came of it.
func (f *fleet) works() {
	f.t.Helper()
	for i, s := range f.nodes {
		tokens := s.signIn()
		if _, err := web.Refresh(f.t.Context(), f.nodes[(i+1)%3].public(), tokens.RefreshToken); err != nil {
			f.t.Errorf("a token of %s is refused by its neighbour: %v", s.keys["node_id"], err)
		}
	}
}

// tellsOfSkew waits until a node of this release says which members announce nothing.
func (f *fleet) tellsOfSkew() {
	f.t.Helper()
	i := slices.IndexFunc(f.nodes, func(s *server) bool { return s.bin == f.ours })
	last := ""
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); <-time.After(50 * time.Millisecond) {
		if last = f.nodes[i].features(); strings.Contains(last, "noreleaseannouncedyet") {
			return
		}
	}
	f.t.Errorf("nothing is said of the older release: %s", last)
}

// end checks what people met.
func (f *fleet) end() {
	f.t.Helper()
	f.cancel()
	f.work.Wait()
	for _, s := range slices.Concat(f.b.failures(), f.u.failures()) {
		f.t.Error(s)
	}
	if f.t.Failed() {
		f.t.Logf("readiness:\n%s", f.b.history())
	}
	f.t.Logf("%d nodes changed their release; mixed nodes were led %v; %d requests through the balancer, %d failed; %d sign-ins, %d refreshes",
		f.moves, fmt.Sprint(f.led), f.b.served.Load(), len(f.b.failures()), f.u.signins.Load(), f.u.refreshes.Load())
	if f.u.signins.Load() == 0 || f.u.refreshes.Load() == 0 || len(f.led) != 2 {
		f.t.Error("nobody signed in, or one release never led the other: this proves nothing")
	}
}
