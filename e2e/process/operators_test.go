package process

import (
	"context"
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/quis-idp/quis/e2e/testbed"
)

// quis runs a command against the node's socket, and returns what it printed and its exit code.
func (s *server) quis(args ...string) (out, said string, code int) {
	s.t.Helper()
	bin, err := testbed.Binary()
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(s.t.Context(), 2*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, bin, append(args, "--data-dir", s.data)...)
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		s.t.Fatal(err)
	}
	return stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()
}

// expect runs a command that must end with this code and say every word.
func (s *server) expect(code int, words []string, args ...string) string {
	s.t.Helper()
	out, said, got := s.quis(args...)
	if got != code {
		s.t.Errorf("quis %s: exit code %d, want %d:\n%s%s", strings.Join(args, " "), got, code, out, said)
	}
	s.says(out+said, words)
	return out
}

// eventually repeats a command until it ends with this code.
func (s *server) eventually(code int, args ...string) {
	s.t.Helper()
	deadline := time.After(patience)
	for {
		out, said, got := s.quis(args...)
		if got == code {
			return
		}
		select {
		case <-deadline:
			s.t.Fatalf("quis %s: exit code %d, want %d in the end:\n%s%s", strings.Join(args, " "), got, code, out, said)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// An operator looks at three nodes, moves the leader, loses a node and takes it out.
func TestOperatorsCommands(t *testing.T) {
	t.Parallel()
	nodes := threeServers(t, "")
	for _, s := range nodes {
		s.keys["drain"] = "0s"
		s.keys["public_url"] = nodes[0].public()
		s.run()
	}
	for _, s := range nodes {
		s.waitReady()
	}
	one := nodes[0]
	one.eventually(0, "cluster", "status")
	one.expect(0, []string{"3 of 3", "1 failure tolerated", "node-2"}, "cluster", "status")
	for _, to := range []string{"node-2", "node-3", "node-1"} { // asked of a node that may not lead
		one.eventually(0, "cluster", "transfer", to)
	}
	one.expect(3, []string{"node-9"}, "cluster", "transfer", "node-9")
	one.expect(2, []string{"--yes confirms"}, "cluster", "remove", "node-3")
	one.expect(5, []string{"Not possible as things are"}, "cluster", "demote", "node-3", "--yes")

	out := one.expect(0, []string{"min_quorum"}, "cluster", "autopilot", "set", "--min-quorum", "2", "--stabilize-after", "1s", "-o", "json")
	var rules struct {
		MinQuorum int `json:"min_quorum"`
		MaxLag    int `json:"max_lag"`
	}
	if err := json.Unmarshal([]byte(out), &rules); err != nil || rules.MinQuorum != 2 || rules.MaxLag == 0 {
		t.Errorf("autopilot: %v in %s", err, out)
	}
	one.eventually(0, "cluster", "demote", "node-3", "--yes")
	one.eventually(0, "cluster", "promote", "node-3")
	one.eventually(0, "cluster", "status")

	found, said, code := one.quis("doctor") // what it says of the disk is not ours to judge
	want := 0
	switch {
	case strings.Contains(found, "\nfail"):
		want = 1
	case strings.Contains(found, "\nwarn"):
		want = 2
	}
	if code != want {
		t.Errorf("exit code %d, want %d:\n%s%s", code, want, found, said)
	}
	for _, check := range []string{"each of 3 nodes reaches every other", "answers and is who it should be", "disk space", "disk speed", "root key", "issuer", "node certificate", "open files", "clock", "gossip", "release", "breached passwords"} {
		if !strings.Contains(found, check) {
			t.Errorf("the doctor did not look at %q:\n%s", check, found)
		}
	}
	nodes[2].kill()
	one.eventually(2, "cluster", "status")
	one.eventually(1, "doctor")
	one.expect(1, []string{"node-3", "nobody listens there", "Start the node"}, "doctor")
	one.expect(0, []string{"no member any more"}, "cluster", "remove", "node-3", "--yes")
	one.eventually(0, "cluster", "status")
	one.expect(0, []string{"no further failure tolerated"}, "cluster", "status")
	nodes[1].expect(3, []string{"no member of this cluster"}, "cluster", "remove", "node-3", "--yes")

	if _, _, code := nodes[2].quis("doctor"); code != 1 {
		t.Errorf("the doctor of a node that is down: exit code %d", code)
	}
	nodes[2].offline(t)
}

// offline examines a node that does not run, by its configuration.
func (s *server) offline(t *testing.T) {
	t.Helper()
	bin, err := testbed.Binary()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), bin, "doctor", "--config", s.config()).CombinedOutput()
	for _, want := range []string{"root key", "disk space", "all are free", "other nodes"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the doctor without a node (%v) says nothing of %q:\n%s", err, want, out)
		}
	}
}
