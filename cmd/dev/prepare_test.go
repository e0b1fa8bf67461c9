package dev

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// prepared is prepare, of which is known whether it refuses; then there is nothing to let go of.
func prepared(t *testing.T, o *Options, refused bool) (unlock func()) {
	t.Helper()
	o.Out = cmp.Or[io.Writer](o.Out, io.Discard)
	asked := *o
	unlock, err := prepare(o)
	if (err != nil) != refused {
		t.Fatalf("%+v: %v", asked, err)
	}
	return unlock
}

// A cluster goes on with the nodes that it has, and can grow but not shrink.
func TestPrepareCountsTheNodes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, step := range []struct {
		nodes int
		reset bool
		want  int // 0: refused
	}{
		{nodes: 0, want: 1}, {nodes: 3, want: 3}, {nodes: 0, want: 3}, {nodes: 1}, {nodes: 2, reset: true, want: 2}, {nodes: 0, want: 2},
	} {
		o := Options{Dir: dir, Nodes: step.nodes, Reset: step.reset}
		unlock := prepared(t, &o, step.want == 0)
		if unlock == nil {
			continue
		}
		if _, err := prepare(&Options{Dir: dir}); !errors.Is(err, ErrState) {
			t.Errorf("a second one in the directory: %v", err)
		}
		unlock()
		configs, err := filepath.Glob(filepath.Join(dir, "node-*", "quis.yaml"))
		if err != nil || len(configs) != step.want || o.Nodes != step.want {
			t.Errorf("%+v: %d nodes, %q, %v", step, o.Nodes, configs, err)
		}
		if _, err := os.Stat(filepath.Join(dir, "root.key")); err != nil {
			t.Error(err)
		}
	}
}

// Who names no number of nodes, and gets several, is told why.
func TestPrepareSaysWhatIsThere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, step := range []struct {
		nodes int
		want  string
	}{
		{0, ""}, {3, ""}, {0, "  " + dir + " holds a cluster of 3, which goes on; `bin/quis dev --reset --data-dir x` begins anew with one node.\n"}, {3, ""},
	} {
		var said bytes.Buffer
		o := Options{Dir: dir, Nodes: step.nodes, Out: &said, Program: "bin/quis", DirFlag: " --data-dir x"}
		prepared(t, &o, false)()
		if said.String() != step.want {
			t.Errorf("%d nodes: %q", step.nodes, said.String())
		}
	}
}

// A run that finds a port taken leaves nothing behind that the next would go on with, and takes nothing away.
func TestPortTakenLeavesNoCluster(t *testing.T) {
	t.Parallel()
	foreign, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { foreign.Close() })
	dir := t.TempDir()
	for _, step := range []struct{ there, nodes, want int }{{0, 3, 0}, {1, 3, 1}} {
		if step.there > 0 {
			prepared(t, &Options{Dir: dir, Nodes: step.there, Port: foreign.Addr().(*net.TCPAddr).Port}, false)()
		}
		err := Run(t.Context(), Options{Dir: dir, Nodes: step.nodes, Port: foreign.Addr().(*net.TCPAddr).Port, Out: io.Discard})
		if err == nil || !strings.Contains(err.Error(), "in use by another program") {
			t.Errorf("%+v: %v", step, err)
		}
		nodes, err := filepath.Glob(filepath.Join(dir, "node-*"))
		keys, _ := filepath.Glob(filepath.Join(dir, "root.key"))
		if err != nil || len(nodes) != step.want || len(keys) != min(step.want, 1) {
			t.Errorf("%+v: left %q and %q, %v", step, nodes, keys, err)
		}
	}
}

// A house stays at its port: browsers, passkeys and applications know it by that.
func TestPrepareKeepsThePort(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, step := range []struct {
		port, want int // want 0: refused
		reset      bool
	}{
		{port: 0, want: DefaultPort}, {port: 9000}, {port: 9000, reset: true, want: 9000}, {port: 0, want: 9000}, {port: DefaultPort},
	} {
		o := Options{Dir: dir, Port: step.port, Reset: step.reset}
		unlock := prepared(t, &o, step.want == 0)
		if unlock == nil {
			continue
		}
		unlock()
		if err := os.WriteFile(o.placeOf(1).logFile(), nil, 0o600); err != nil { // as a start does
			t.Fatal(err)
		}
		if at, ok := IssuerIn(dir); o.Port != step.want || !ok || at != Issuer(step.want) {
			t.Errorf("%+v: port %d, %s, %v", step, o.Port, at, ok)
		}
	}
	// A start that comes no further, because a port is taken, binds nobody.
	taken := t.TempDir()
	for _, port := range []int{9000, 9100} {
		prepared(t, &Options{Dir: taken, Port: port}, false)()
	}
	if at, ok := IssuerIn(taken); ok {
		t.Errorf("an issuer where nobody lives: %s", at)
	}
}
