package dashboard

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quis-idp/quis/cmd/daemon"
	"github.com/quis-idp/quis/e2e/testbed"
	"github.com/quis-idp/quis/keys/seal"
)

const patience = time.Minute

const bootstrap = `
users:
  - {username: tester, email: tester@example.com, password: "correct horse battery", admin: true}
  - {username: forgetful, email: forgetful@example.com, password: "correct horse battery"}
applications:
  - {name: web, type: oidc, client_id: web, client_secret: "0123456789abcdef0123456789abcdef-web", redirect_uris: ["http://localhost:9999/cb"],
     grant_types: [authorization_code, refresh_token], allowed_scopes: [openid, offline_access]}
tokens:
  - {user: tester, token: "quis_pat_0123456789abcdef0123456789abcdef"}
`

var web = testbed.Application{ClientID: "web", Secret: "0123456789abcdef0123456789abcdef-web",
	RedirectURI: "http://localhost:9999/cb", Scope: "openid offline_access"}

// A cluster is three whole nodes in this process, each with a registry of its own.
type cluster struct {
	t     *testing.T
	nodes []*daemon.Node
}

func startCluster(t *testing.T) *cluster {
	t.Helper()
	root := seal.GenerateRootKey()
	file := filepath.Join(t.TempDir(), "bootstrap.yaml")
	if err := os.WriteFile(file, []byte(bootstrap), 0o600); err != nil {
		t.Fatal(err)
	}
	var join []string
	for range 3 {
		join = append(join, freeAddress(t))
	}
	c := &cluster{t: t, nodes: make([]*daemon.Node, 3)}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var all sync.WaitGroup
	errs := make([]error, 3)
	for i := range c.nodes {
		cfg := daemon.Default()
		cfg.NodeID, cfg.DataDir, cfg.PublicURL, cfg.RootKey = fmt.Sprintf("node-%d", i+1), t.TempDir(), testbed.Issuer, root
		cfg.Listen = daemon.Listen{Public: "127.0.0.1:0", Operations: "127.0.0.1:0"}
		cfg.Cluster.Listen, cfg.Cluster.Gossip = join[i], "127.0.0.1:0"
		cfg.Cluster.Join, cfg.Cluster.BootstrapExpect = join, 3
		cfg.BootstrapFile, cfg.Drain, cfg.Logger = file, 0, slog.New(slog.DiscardHandler)
		cfg.Fatal = func(err error) { t.Errorf("a node gave up: %v", err) }
		all.Go(func() { c.nodes[i], errs[i] = daemon.Start(ctx, cfg) })
	}
	all.Wait()
	for i, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.stop(i) })
	}
	for _, n := range c.nodes {
		eventually(t, "a node to be ready", func() bool { return n.Ready(ctx) == nil })
	}
	return c
}

func (c *cluster) stop(i int) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.t.Context()), patience)
	defer cancel()
	if err := c.nodes[i].Stop(ctx); err != nil {
		c.t.Error(err)
	}
}

// freeAddress is one that no outgoing connection is ever given.
func freeAddress(t *testing.T) string {
	t.Helper()
	for range 1000 {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 10000+rand.IntN(20000)))
		if err == nil {
			defer l.Close()
			return l.Addr().String()
		}
	}
	t.Fatal("no free address")
	return ""
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// use has people sign in and applications ask on every node, well and badly, so that
// every metric with labels has samples.
func (c *cluster) use() {
	c.t.Helper()
	for i, n := range c.nodes {
		at, other := "http://"+n.PublicAddr().String(), "http://"+c.nodes[(i+1)%3].PublicAddr().String()
		a, err := testbed.NewPerson("tester", "correct horse battery").Authorize(c.t.Context(), at, web)
		if err != nil {
			c.t.Fatal(err)
		}
		tokens, err := web.Exchange(c.t.Context(), at, a)
		if err != nil {
			c.t.Fatal(err)
		}
		if _, err := web.Refresh(c.t.Context(), at, tokens.RefreshToken); err != nil {
			c.t.Fatal(err)
		}
		if _, err := web.Exchange(c.t.Context(), other, a); err == nil {
			c.t.Fatal("a code was redeemed twice")
		}
	}
	at := "http://" + c.nodes[0].PublicAddr().String()
	for range 12 { // until the limit on failures
		if _, err := testbed.NewPerson("forgetful", "wrong").Authorize(c.t.Context(), at, web); err == nil {
			c.t.Fatal("a wrong password signed in")
		}
	}
}

// backUp has the leader make scheduled backups, from its next look on.
func (c *cluster) backUp() {
	c.t.Helper()
	body := strings.NewReader(`{"every_minutes": 60, "target": "file://` + c.t.TempDir() + `"}`)
	at := "http://" + c.nodes[0].PublicAddr().String() + "/api/v1/cluster/backup-schedule"
	req, err := http.NewRequestWithContext(c.t.Context(), http.MethodPut, at, body)
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer quis_pat_0123456789abcdef0123456789abcdef")
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	if answer, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode >= 300 {
		c.t.Fatalf("schedule backups: %s %s %v", resp.Status, answer, err)
	}
}

func (c *cluster) scrape(n *daemon.Node) string {
	c.t.Helper()
	status, body := get(c.t, "http://"+n.OperationsAddr().String()+"/metrics")
	if status != http.StatusOK {
		c.t.Fatalf("/metrics: %d %.300s", status, body)
	}
	return string(body)
}

func get(t *testing.T, url string) (int, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, nil
	}
	return resp.StatusCode, b
}
