package main

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/quis-idp/quis/cmd/daemon"
	"github.com/quis-idp/quis/keys/seal"
)

const liveToken = "quis_pat_0123456789abcdef0123"

// TestLiveScripts runs commands against one node, which all scripts share: each makes
// what it needs under names of its own, and only settings.txt changes settings.
func TestLiveScripts(t *testing.T) {
	t.Parallel()
	addr := liveNode(t)
	t.Run("scripts", func(t *testing.T) {
		testscript.Run(t, testscript.Params{
			Dir:  filepath.Join("testdata", "live"),
			Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){"exits": exits},
			Setup: func(env *testscript.Env) error {
				env.Setenv("HOME", env.WorkDir)
				env.Setenv("QUIS_ADDR", addr)
				env.Setenv("QUIS_TOKEN", liveToken)
				return nil
			},
		})
	})
}

// liveNode starts a node with one administrator, root, and returns its URL.
func liveNode(t *testing.T) string {
	t.Helper()
	c := daemon.Default()
	c.NodeID, c.DataDir, c.PublicURL, c.RootKey = "one", t.TempDir(), "http://localhost:8080", seal.GenerateRootKey()
	c.Listen = daemon.Listen{Public: "127.0.0.1:0", Operations: "127.0.0.1:0"}
	c.Cluster.Listen, c.Cluster.Gossip = "127.0.0.1:0", "127.0.0.1:0"
	c.Drain, c.Logger = 0, slog.New(slog.DiscardHandler)
	c.Fatal = func(err error) { t.Errorf("the node gave up: %v", err) }
	c.BootstrapFile = filepath.Join(t.TempDir(), "bootstrap.yaml")
	text := "users: [{username: root, email: root@example.com, password: correct horse battery, admin: true}]\ntokens: [{user: root, token: " + liveToken + "}]\n"
	if err := os.WriteFile(c.BootstrapFile, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	n, err := daemon.Start(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
		defer cancel()
		if err := n.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for n.Ready(ctx) != nil {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("the node does not become ready")
		}
	}
	return "http://" + n.PublicAddr().String()
}
