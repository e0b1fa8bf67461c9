package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/quis-idp/quis/e2e/testbed"
	"github.com/quis-idp/quis/keys/seal"
)

// A house is a cluster of `quis server` processes whose data outlives them, so that
// it can be filled by one program and measured with another.
type house struct {
	dir   string
	join  []string
	nodes []*houseNode
}

// A houseNode is one of its nodes.
type houseNode struct {
	id, dir            string
	public, operations string // base URLs
	config             string // file

	cmd  *exec.Cmd
	out  bytes.Buffer // whole after done
	done chan struct{}
}

// newHouse prepares n nodes, which will be set up by a bootstrap file; nothing runs yet.
func newHouse(n int, bootstrap string) (*house, error) {
	dir, err := os.MkdirTemp("", "quis-scale-")
	if err != nil {
		return nil, err
	}
	h := &house{dir: dir}
	if err := seal.SaveRootKey(filepath.Join(dir, "root.key"), seal.GenerateRootKey()); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "bootstrap.yaml"), []byte(bootstrap), 0o600); err != nil {
		return nil, err
	}
	for range n {
		if _, err := h.add(n); err != nil {
			return nil, err
		}
	}
	return h, nil
}

// add prepares one more node. One of expect founders founds the cluster; 0 joins it.
func (h *house) add(expect int) (*houseNode, error) {
	ports, err := testbed.FreePorts(4)
	if err != nil {
		return nil, err
	}
	at := func(i int) string { return fmt.Sprintf("127.0.0.1:%d", ports[i]) }
	n := &houseNode{id: fmt.Sprintf("node-%d", len(h.nodes)+1), public: "http://" + at(0), operations: "http://" + at(1)}
	n.dir = filepath.Join(h.dir, n.id)
	n.config = n.dir + ".yaml"
	h.nodes, h.join = append(h.nodes, n), append(h.join, at(2))
	settings := map[string]any{
		"node_id": n.id, "data_dir": n.dir, "public_url": testbed.Issuer, "root_key_file": filepath.Join(h.dir, "root.key"), "drain": "0s",
		"listen":  map[string]any{"public": at(0), "operations": at(1)},
		"cluster": map[string]any{"listen": at(2), "gossip": at(3), "bootstrap_expect": expect},
		"log":     map[string]any{"level": "warn"},
		// The load generator says from which address each request is.
		"trusted_proxies": []string{"127.0.0.0/8"},
	}
	b, err := json.Marshal(settings) // which is YAML too
	if err != nil {
		return nil, err
	}
	return n, os.WriteFile(n.config, b, 0o600)
}

// env is what the configuration files do not say: who the others are.
func (h *house) env() []string {
	join := ""
	for i, a := range h.join {
		if i > 0 {
			join += ","
		}
		join += a
	}
	return append(os.Environ(), "QUIS_CLUSTER_JOIN="+join, "QUIS_BOOTSTRAP_FILE="+filepath.Join(h.dir, "bootstrap.yaml"))
}

// start runs every node as an operator does and returns how long the slowest took
// to be ready.
func (h *house) start(ctx context.Context) (time.Duration, error) {
	began := time.Now()
	for _, n := range h.nodes {
		if err := h.startNode(n); err != nil {
			return 0, err
		}
	}
	for _, n := range h.nodes {
		if err := n.waitReady(ctx); err != nil {
			return 0, err
		}
	}
	return time.Since(began), nil
}

func (h *house) startNode(n *houseNode) error {
	bin, err := testbed.Binary()
	if err != nil {
		return err
	}
	return n.run(exec.Command(bin, "server", "--config", n.config), h.env())
}

func (n *houseNode) run(cmd *exec.Cmd, env []string) error {
	n.out.Reset()
	cmd.Env, cmd.Stderr = env, &n.out
	if err := testbed.StartChild(cmd); err != nil {
		return err
	}
	done := make(chan struct{})
	n.cmd, n.done = cmd, done
	go func() {
		cmd.Wait() // that it ended is what counts
		close(done)
	}()
	return nil
}

func (n *houseNode) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, n.operations+"/readyz", nil)
		if err != nil {
			return err
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-n.done:
			return fmt.Errorf("%s ended:\n%s", n.id, n.out.String())
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w", n.id, ctx.Err())
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// signal sends every running node a signal and waits for their end.
func (h *house) signal(s os.Signal) error {
	var errs []error
	for _, n := range h.nodes {
		if n.cmd == nil {
			continue
		}
		if err := n.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
			errs = append(errs, err)
		}
	}
	for _, n := range h.nodes {
		if n.cmd == nil {
			continue
		}
		select {
		case <-n.done:
		case <-time.After(time.Minute):
			errs = append(errs, fmt.Errorf("%s does not end", n.id))
		}
		n.cmd = nil
	}
	return errors.Join(errs...)
}

func (h *house) stop() error { return h.signal(syscall.SIGTERM) }

// remove kills what runs and deletes everything.
func (h *house) remove() error { return errors.Join(h.signal(syscall.SIGKILL), os.RemoveAll(h.dir)) }

// memory returns the resident memory of the largest node in MiB.
func (h *house) memory() (worst float64, err error) {
	for _, n := range h.nodes {
		mib, err := residentMemory(n.cmd.Process.Pid)
		if err != nil {
			return 0, err
		}
		worst = max(worst, mib)
	}
	return worst, nil
}
