package daemon_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/quis-idp/quis/api/client"
	"github.com/quis-idp/quis/cmd/daemon"
	"github.com/quis-idp/quis/keys/seal"
)

// alone is the configuration of a single node on free ports.
func alone(t *testing.T, dir string, root *seal.RootKey) daemon.Config {
	c := daemon.Default()
	c.NodeID, c.DataDir, c.PublicURL, c.RootKey = "one", dir, "http://localhost:8080", root
	c.Listen = daemon.Listen{Public: "127.0.0.1:0", Operations: "127.0.0.1:0"}
	c.Cluster.Listen, c.Cluster.Gossip = "127.0.0.1:0", "127.0.0.1:0"
	c.Drain = 0
	c.Logger = slog.New(slog.DiscardHandler)
	c.Fatal = func(err error) { t.Errorf("the node gave up: %v", err) }
	return c
}

// start starts a node and waits until it is ready. It is stopped with the test.
func start(t *testing.T, c daemon.Config) *daemon.Node {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	n, err := daemon.Start(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, n) })
	waitReady(t, n)
	return n
}

func waitReady(t *testing.T, n *daemon.Node) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := n.Ready(ctx)
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("not ready: %v", err)
		}
	}
}

func stop(t *testing.T, n *daemon.Node) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
	defer cancel()
	if err := n.Stop(ctx); err != nil {
		t.Error(err)
	}
}

func get(t *testing.T, addr net.Addr, path string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr.String()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func TestNodeServesAndStops(t *testing.T) {
	t.Parallel()
	c := alone(t, t.TempDir(), seal.GenerateRootKey())
	c.Dev = true
	c.BootstrapFile = filepath.Join(t.TempDir(), "bootstrap.yaml")
	text := "users: [{username: tester, email: t@example.com, password: correct horse battery, admin: true}]\ntokens: [{user: tester, token: quis_pat_0123456789abcdef0123}]\n"
	if err := os.WriteFile(c.BootstrapFile, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	n := start(t, c)

	for path, want := range map[string]string{
		"/.well-known/openid-configuration": `"issuer": "http://localhost:8080"`,
		"/.well-known/jwks.json":            `"ES256"`,
	} {
		if code, body := get(t, n.PublicAddr(), path); code != 200 || !strings.Contains(body, want) {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
	if code, body := get(t, n.PublicAddr(), "/setup/guess"); code != http.StatusGone || !strings.Contains(body, "quis setup-link") {
		t.Errorf("/setup: %d %s", code, body)
	}
	if code, body := get(t, n.OperationsAddr(), "/readyz?verbose"); code != 200 || !strings.Contains(body, `"setup"`) {
		t.Errorf("/readyz: %d %s", code, body)
	}
	if _, body := get(t, n.OperationsAddr(), "/metrics"); !strings.Contains(body, `quis_raft_state{state="leader"} 1`) {
		t.Error("no metrics of the cluster")
	}
	if b, err := os.ReadFile(filepath.Join(c.DataDir, "quis.pid")); err != nil || strings.TrimSpace(string(b)) != strconv.Itoa(os.Getpid()) {
		t.Errorf("pid file: %q, %v", b, err)
	}

	var before *client.Verification
	// Bearer token over HTTP, and none over the socket.
	for addr, token := range map[string]string{
		"http://" + n.PublicAddr().String(): "quis_pat_0123456789abcdef0123",
		"unix://" + socketOf(t, c.DataDir):  "",
	} {
		api, err := client.New(addr, token)
		if err != nil {
			t.Fatal(err)
		}
		if u, err := api.Users.Find(t.Context(), "tester"); err != nil || !u.Admin {
			t.Errorf("%s: user %v, %v", addr, u, err)
		}
		if before, err = api.VerifyAudit(t.Context()); err != nil {
			t.Error(err)
		}
		apps, err := api.Applications.List(t.Context(), client.List{})
		if err != nil || len(apps.Data) != 1 || apps.Data[0].ClientID != "demo" {
			t.Errorf("%s: applications %+v, %v", addr, apps, err)
		}
	}

	stop(t, n)
	for _, name := range []string{"quis.pid", "quis.sock"} {
		if _, err := os.Stat(filepath.Join(c.DataDir, name)); err == nil {
			t.Errorf("%s is left behind", name)
		}
	}
	if _, err := net.Dial("tcp", n.PublicAddr().String()); err == nil {
		t.Error("still listening")
	}

	// It comes back with what it had, and the bootstrap file changes nothing.
	start(t, c)
	api, err := client.New("unix://"+socketOf(t, c.DataDir), "")
	if err != nil {
		t.Fatal(err)
	}
	if users, err := api.Users.List(t.Context(), client.List{}); err != nil || len(users.Data) != 1 {
		t.Errorf("users after a restart: %+v, %v", users, err)
	}
	if after, err := api.VerifyAudit(t.Context()); err != nil || !after.Intact || after.Entries != before.Entries {
		t.Errorf("events: %+v before the restart, %+v after it, %v", before, after, err)
	}
}

// socketOf returns a path to the node's socket that is short enough for the system.
func socketOf(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "quis.sock")
	fi, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if fi.Mode().Perm() != 0o600 {
		t.Errorf("the socket has mode %o", fi.Mode().Perm())
	}
	short, done, err := daemon.ShortSocketPath(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(done)
	if !filepath.IsAbs(short) {
		if short, err = filepath.Abs(short); err != nil {
			t.Fatal(err)
		}
	}
	return short
}

func TestThreeNodesFormOneHouse(t *testing.T) {
	t.Parallel()
	root := seal.GenerateRootKey()
	addresses := freeAddresses(t, 3)
	nodes := make(chan *daemon.Node, 3)
	for i, address := range addresses {
		c := alone(t, t.TempDir(), root)
		c.NodeID = "node-" + strconv.Itoa(i+1)
		c.Cluster.Listen, c.Cluster.Advertise = address, address
		c.Cluster.BootstrapExpect = 3
		c.Cluster.Join = addresses
		go func() {
			n, err := daemon.Start(t.Context(), c)
			if err != nil {
				t.Error(err)
			}
			nodes <- n
		}()
	}
	var all []*daemon.Node
	for range addresses {
		if n := <-nodes; n != nil {
			all = append(all, n)
			t.Cleanup(func() { stop(t, n) })
		}
	}
	for _, n := range all {
		waitReady(t, n)
		if code, body := get(t, n.PublicAddr(), "/.well-known/jwks.json"); code != 200 || !strings.Contains(body, "ES256") {
			t.Errorf("JWKS: %d %s", code, body)
		}
	}
}

// freeAddresses returns addresses that were free a moment ago.
func freeAddresses(t *testing.T, n int) []string {
	t.Helper()
	var out []string
	for range n {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		out = append(out, ln.Addr().String())
	}
	return out
}

// What is wrong at the start is one line that says what, where, and what to do,
// and nothing stays behind that would be in the way of the next start.
func TestStartErrors(t *testing.T) {
	t.Parallel()
	root := seal.GenerateRootKey()
	used := t.TempDir()
	stop(t, start(t, alone(t, used, root)))
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	port := busy.Addr().String()
	copied := func() string {
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS(used)); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	for want, spoil := range map[string]func(c *daemon.Config){
		"listen.public: " + port + " is in use":     func(c *daemon.Config) { c.Listen.Public = port },
		"listen.operations: " + port + " is in use": func(c *daemon.Config) { c.Listen.Operations = port },
		"cluster.listen: " + port + " is in use":    func(c *daemon.Config) { c.Cluster.Listen = port },
		"was made under root key":                   func(c *daemon.Config) { c.RootKey = seal.GenerateRootKey() },
		"belongs to node one":                       func(c *daemon.Config) { c.NodeID = "two" },
		"is damaged": func(c *daemon.Config) {
			if err := os.WriteFile(filepath.Join(c.DataDir, "raft.db"), make([]byte, 65536), 0o600); err != nil {
				t.Fatal(err)
			}
		},
		"its log is missing": func(c *daemon.Config) {
			if err := os.Remove(filepath.Join(c.DataDir, "raft.db")); err != nil {
				t.Fatal(err)
			}
		},
		"node.json": func(c *daemon.Config) {
			if err := os.Remove(filepath.Join(c.DataDir, "node.json")); err != nil {
				t.Fatal(err)
			}
		},
		"not a directory": func(c *daemon.Config) { c.DataDir = filepath.Join(c.DataDir, "raft.db") },
		"no such file":    func(c *daemon.Config) { c.BootstrapFile = "nowhere.yaml" },
	} {
		c := alone(t, copied(), root)
		spoil(&c)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		n, err := daemon.Start(ctx, c)
		cancel()
		if err == nil {
			stop(t, n)
			t.Errorf("started, want %q", want)
			continue
		}
		if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("got %q, want one line with %q", err, want)
		}
		if _, err := os.Stat(filepath.Join(c.DataDir, "quis.pid")); err == nil {
			t.Errorf("%s: a pid file stays behind", want)
		}
	}
}

func TestTwoProcessesOnOneDirectory(t *testing.T) {
	t.Parallel()
	c := alone(t, t.TempDir(), seal.GenerateRootKey())
	n := start(t, c)
	_, err := daemon.Start(t.Context(), c)
	if err == nil || !strings.Contains(err.Error(), "is in use by process "+strconv.Itoa(os.Getpid())) {
		t.Errorf("got %v", err)
	}
	waitReady(t, n)
}

// A node that waits for its peers is alive, not ready, and ends when told to.
func TestWaitingForPeers(t *testing.T) {
	t.Parallel()
	c := alone(t, t.TempDir(), seal.GenerateRootKey())
	operations := freeAddresses(t, 2)
	c.Listen.Operations = operations[0]
	c.Cluster.BootstrapExpect = 3
	c.Cluster.Join = operations[1:]
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := daemon.Start(ctx, c)
		ended <- err
	}()
	addr, err := net.ResolveTCPAddr("tcp", operations[0])
	if err != nil {
		t.Fatal(err)
	}
	for t.Context().Err() == nil { // until it listens
		conn, err := net.Dial("tcp", operations[0])
		if err == nil {
			conn.Close()
			break
		}
	}
	if code, _ := get(t, addr, "/livez"); code != 200 {
		t.Errorf("/livez: %d", code)
	}
	if code, body := get(t, addr, "/readyz"); code != 503 || !strings.Contains(body, "waits for its peers") {
		t.Errorf("/readyz: %d %s", code, body)
	}
	cancel()
	select {
	case err := <-ended:
		if err == nil {
			t.Error("started without peers")
		}
	case <-time.After(30 * time.Second):
		t.Fatal("does not end")
	}
}

// A bootstrap file that asks for what cannot be ends a developer's node with its
// line; anywhere else the node stays, not ready, and says why.
func TestBootstrapThatCannotBeApplied(t *testing.T) {
	t.Parallel()
	c := alone(t, t.TempDir(), seal.GenerateRootKey())
	c.BootstrapFile = filepath.Join(t.TempDir(), "bootstrap.yaml")
	if err := os.WriteFile(c.BootstrapFile, []byte("tokens:\n  - {user: nobody, token: quis_pat_0123456789abcdef0123}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	n, err := daemon.Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, n) })
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for err = n.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "bootstrap.yaml:2"); err = n.Ready(t.Context()) {
		if err == nil {
			t.Fatal("ready")
		}
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatal(err)
		}
	}
	stop(t, n)
	c.Dev = true
	if err := daemon.Run(t.Context(), c); err == nil || !strings.Contains(err.Error(), "bootstrap.yaml:2") {
		t.Errorf("got %v", err)
	}
}
