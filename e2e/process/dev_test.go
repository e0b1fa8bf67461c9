package process

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/quis-idp/quis/e2e/testbed"
)

// eventually waits for done, which must come true within the given time.
func eventually(t *testing.T, what string, within time.Duration, done func() bool) {
	t.Helper()
	for start := time.Now(); !done(); {
		if time.Since(start) > within {
			t.Fatalf("%s: not within %v", what, within)
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		}
	}
}

func alive(pid int) bool { return !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }

// TestDevFromAnotherTerminal walks through the commands that steer a running `quis dev`.
func TestDevFromAnotherTerminal(t *testing.T) {
	t.Parallel()
	d := testbed.Run(t, 3, bootstrap)
	ctx := t.Context()
	status := func() string {
		out, err := d.Quis(ctx, "dev", "status", "--data-dir", d.Dir)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	before, err := d.PID(2)
	if err != nil {
		t.Fatal(err)
	}
	if out := status(); !strings.Contains(out, "node-2") || !strings.Contains(out, d.Public(2)) {
		t.Errorf("status does not show node 2 and its port:\n%s", out)
	}
	if err := d.Kill(ctx, 2); err != nil {
		t.Fatal(err)
	}
	eventually(t, "node 2 is dead", 5*time.Second, func() bool { return !alive(before) })
	for i := range 6 { // the proxy skips it from the first request on
		if _, err := testbed.NewPerson("tester", "correct horse battery").Authorize(ctx, d.Public(0), web); err != nil {
			t.Fatalf("sign-in %d through the proxy: %v", i, err)
		}
	}
	if err := d.Restart(ctx, 2); err != nil {
		t.Fatal(err)
	}
	if err := d.WaitReady(ctx, 2); err != nil {
		t.Fatal(err)
	}
	if after, err := d.PID(2); err != nil || after == before || !alive(after) {
		t.Errorf("node 2 has pid %d after %d: %v", after, before, err)
	}
	if _, err := d.Quis(ctx, "dev", "stop", "3", "--data-dir", d.Dir); err != nil {
		t.Fatal(err)
	}
	eventually(t, "node 3 has stopped", 15*time.Second, func() bool { return !d.Ready(ctx, 3) })
	if _, err := testbed.NewPerson("tester", "correct horse battery").Authorize(ctx, d.Public(1), web); err != nil {
		t.Errorf("sign-in without node 3: %v", err)
	}
}

// TestDevLeavesNothingBehind: nodes end with `quis dev` even if it is killed, and
// a second one says which port is taken.
func TestDevLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	d := testbed.Run(t, 3, "")
	var pids []int
	for i := 1; i <= 3; i++ {
		pid, err := d.PID(i)
		if err != nil {
			t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	out, err := d.Quis(t.Context(), "dev", "--port", strconv.Itoa(d.Port), "--data-dir", t.TempDir())
	if err == nil || !strings.Contains(out, strconv.Itoa(d.Port)) || strings.Contains(out, "goroutine") {
		t.Errorf("a second quis dev: %v, %s", err, out)
	}
	parent, err := os.FindProcess(d.Process())
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "nodes end with their parent", 15*time.Second, func() bool {
		return !alive(pids[0]) && !alive(pids[1]) && !alive(pids[2])
	})
	l, err := net.Listen("tcp", fmt.Sprint("localhost:", d.Port))
	if err != nil {
		t.Fatalf("port %d is not free: %v", d.Port, err)
	}
	l.Close()
}

// TestDevSurvivesAKillDuringItsStart: a node that somebody kills before everything is up is no
// reason to give up the others.
func TestDevSurvivesAKillDuringItsStart(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	d, err := testbed.Start(ctx, 3, filepath.Join(t.TempDir(), "quis"), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Stop(); err != nil {
			t.Error(err)
		}
	})
	pid, err := d.PID(1)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := d.WaitBanner(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := d.WaitLeader(ctx, 1); err != nil {
		t.Error(err)
	}
}

// TestDevGrows: more nodes join those that are there, and the house is called ready when they vote:
// before that, it would end with the first node.
func TestDevGrows(t *testing.T) {
	t.Parallel()
	d := testbed.Run(t, 1, "")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	if _, err := d.Quis(ctx, "cluster", "autopilot", "set", "--stabilize-after", "3s", "--data-dir", d.Dir); err != nil {
		t.Fatal(err)
	}
	if err := d.Grow(ctx, 3); err != nil {
		t.Fatal(err)
	}
	if err := d.WaitBanner(ctx); err != nil {
		t.Fatal(err)
	}
	out, err := d.Quis(ctx, "status", "--data-dir", d.Dir)
	if err != nil || !strings.Contains(out, "healthy; one failure is tolerated") {
		t.Errorf("ready, it says, but: %v, %s", err, out)
	}
	if said := d.Output(); !strings.Contains(said, "Waiting for the vote of node-2, node-3") || !strings.Contains(said, "3 nodes, ready in") {
		t.Errorf("it does not say what it waits for:\n%s", said)
	}
}
