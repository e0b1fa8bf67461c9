package process

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/quis-idp/quis/api/client"
	"github.com/quis-idp/quis/e2e/faultfs"
	"github.com/quis-idp/quis/e2e/netns"
	"github.com/quis-idp/quis/e2e/testbed"
)

// A trio is three nodes of one cluster, each on a host of its own where that can be
// had. Nodes are counted from 1.
type trio struct {
	t       *testing.T
	servers []*server
	admins  []*client.Client
	net     *netns.Network // nil: there can be none here, and all nodes share this host
	disks   []*faultfs.FS  // empty: ordinary ones
	mortal  bool           // a node may end by itself, and is then started again
	logs    string         // directory of what the nodes print; kept if the test fails
}

// newTrio founds a cluster, on disks that can fail if there are any.
func newTrio(t *testing.T, disks []*faultfs.FS, dirs []string) *trio {
	t.Helper()
	tr := &trio{t: t, servers: threeServers(t, testbed.Issuer), disks: disks}
	network, err := netns.New(3)
	switch {
	case err == nil:
		tr.net = network
		t.Cleanup(network.Close) // before the nodes' own, so that it comes after them
	case !errors.Is(err, netns.ErrUnavailable):
		t.Fatal(err)
	default:
		t.Logf("the nodes share a network that cannot break: %v", err)
	}
	if tr.logs, err = os.MkdirTemp("", "quis-faults-logs-"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("what the nodes printed is in %s", tr.logs)
		} else {
			os.RemoveAll(tr.logs)
		}
	})
	for i := range tr.servers {
		tr.equip(i + 1)
		if len(disks) > 0 {
			tr.servers[i].data = dirs[i]
		}
	}
	for _, s := range tr.servers {
		s.run()
	}
	if err := tr.healthy(t.Context()); err != nil {
		t.Fatal(err)
	}
	// Wiped nodes vote again a little sooner than operators want it.
	if err := tr.admin(t.Context(), 1, http.MethodPatch, "/cluster/autopilot", map[string]int{"stabilize_seconds": 1}, nil); err != nil {
		t.Fatal(err)
	}
	return tr
}

// equip gives node i its host, its log and its clients.
func (tr *trio) equip(i int) {
	tr.t.Helper()
	s := tr.node(i)
	if tr.net != nil {
		for key, port := range map[string]int{"listen.public": 8080, "listen.operations": 9080, "cluster.listen": 8300, "cluster.gossip": 8301} {
			s.keys[key] = fmt.Sprintf("%s:%d", tr.net.Address(i), port)
		}
		var join []string
		for j := range tr.servers {
			join = append(join, tr.net.Address(j+1)+":8300")
		}
		s.keys["cluster.join"] = strings.Join(join, ",")
		s.within = func(start func() error) error { return tr.net.On(i, start) }
	}
	s.keys["drain"] = "0s"
	log, err := os.Create(filepath.Join(tr.logs, fmt.Sprintf("node-%d.log", i)))
	if err != nil {
		tr.t.Fatal(err)
	}
	tr.t.Cleanup(func() { log.Close() })
	s.log = log
	admin, err := client.New(s.public(), apiToken)
	if err != nil {
		tr.t.Fatal(err)
	}
	tr.admins = append(tr.admins, admin)
}

func (tr *trio) node(i int) *server { return tr.servers[i-1] }

// close stops the nodes in order.
func (tr *trio) close() {
	tr.t.Helper()
	for i, s := range tr.servers {
		if !tr.ended(i + 1) {
			s.stop()
		}
	}
	if tr.net != nil {
		tr.net.Close()
	}
}

// mark writes a line into every node's log, so that a reader finds the round.
func (tr *trio) mark(format string, args ...any) {
	for _, s := range tr.servers {
		fmt.Fprintf(s.log, "---- %s %s\n", time.Now().UTC().Format(time.RFC3339Nano), fmt.Sprintf(format, args...))
	}
}

// ended reports whether node i does not run.
func (tr *trio) ended(i int) bool {
	select {
	case <-tr.node(i).done:
		return true
	default:
		return false
	}
}

// signal sends one to node i, if it runs.
func (tr *trio) signal(i int, sig syscall.Signal) { tr.node(i).cmd.Process.Signal(sig) }

// launch starts node i if it does not run.
func (tr *trio) launch(i int) {
	if s := tr.node(i); tr.ended(i) {
		s.clean()
		s.bootstrap = false
		s.run()
	}
}

// wipe forgets what node i has on its disk.
func (tr *trio) wipe(i int) error { return os.RemoveAll(tr.node(i).data) }

// healthy waits until all nodes are ready and vote.
func (tr *trio) healthy(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for i := 1; i <= len(tr.servers); i++ {
		for !tr.node(i).ready(ctx) {
			switch {
			case tr.ended(i) && (tr.mortal || strings.Contains(tr.node(i).stderr.String(), "must start again")): // a supervisor would
				tr.launch(i)
			case tr.ended(i):
				return fmt.Errorf("node %d has ended:\n%s", i, tail(tr.node(i).stderr.String()))
			}
			if err := pause(ctx, 5*time.Millisecond); err != nil {
				return fmt.Errorf("node %d does not get ready", i)
			}
		}
	}
	for i := 1; i <= len(tr.servers); i++ {
		for {
			voters, err := testbed.Sample(ctx, tr.node(i).operations(), `quis_raft_peers{voter="true"}`)
			if err == nil && int(voters) == len(tr.servers) {
				break
			}
			if perr := pause(ctx, 10*time.Millisecond); perr != nil {
				return fmt.Errorf("node %d sees %v voters: %w", i, voters, errors.Join(err, perr))
			}
		}
	}
	return nil
}

// leader returns the node that says it leads; with several, any of them.
func (tr *trio) leader(ctx context.Context) (int, error) {
	for {
		for i := 1; i <= len(tr.servers); i++ {
			if !tr.ended(i) && leads(ctx, tr.node(i)) {
				return i, nil
			}
		}
		if err := pause(ctx, 5*time.Millisecond); err != nil {
			return 0, fmt.Errorf("no leader: %w", err)
		}
	}
}

// leaderOrAny returns the leader, or any node if there is none.
func (tr *trio) leaderOrAny(ctx context.Context) int {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	i, err := tr.leader(ctx)
	if err != nil {
		return 1
	}
	return i
}

// admin calls the admin API of node i where there is no method of the client for it.
func (tr *trio) admin(ctx context.Context, i int, method, path string, body, into any) error {
	var sent []byte
	if body != nil {
		var err error
		if sent, err = json.Marshal(body); err != nil {
			return err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, tr.node(i).public()+"/api/v1"+path, bytes.NewReader(sent))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+apiToken)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	switch {
	case err != nil:
		return err
	case resp.StatusCode/100 != 2:
		return &testbed.StatusError{Status: resp.StatusCode, Body: string(said)}
	case into == nil:
		return nil
	}
	return json.Unmarshal(said, into)
}

// pause waits, but no longer than ctx.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// tail is the end of what a process printed.
func tail(s string) string { return s[max(0, len(s)-4000):] }
