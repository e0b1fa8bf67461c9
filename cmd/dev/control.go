package dev

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/quis-idp/quis/cmd/daemon"
)

// ErrNotFound: there is no such node in the house.
var ErrNotFound = errors.New("no such node")

// ErrState: a node, or the directory, is not in a state in which that could be done.
var ErrState = errors.New("cannot be done now")

// ErrNoHouse: no `quis dev` runs in this directory.
var ErrNoHouse = errors.New("no `quis dev` is running here")

var quiet = log.New(io.Discard, "", 0)

// NodeStatus is one row of `quis dev status`.
type NodeStatus struct {
	Node       int    `json:"node"`
	Name       string `json:"name"`
	PID        int    `json:"pid,omitempty"`
	State      string `json:"state"` // running, stopped, killed, ended
	Ready      bool   `json:"ready"`
	Leader     bool   `json:"leader"`
	Joining    bool   `json:"joining,omitempty"` // it serves, and gets its vote when it has kept up for a while
	URL        string `json:"url"`
	Operations string `json:"operations"`
	Reason     string `json:"reason,omitempty"` // why it is not ready
}

func controlPath(dir string) string { return filepath.Join(dir, "dev.sock") }

// listenControl opens the socket of a house whose lock we hold: one that is there
// already was left behind by a killed process.
func listenControl(dir string) (net.Listener, error) {
	path := controlPath(dir)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	short, done, err := daemon.ShortSocketPath(path)
	if err != nil {
		return nil, err
	}
	defer done()
	ln, err := net.Listen("unix", short)
	if err != nil {
		return nil, fmt.Errorf("control socket %s: %w", path, err)
	}
	ln.(*net.UnixListener).SetUnlinkOnClose(short == path)
	return ln, os.Chmod(path, 0o600)
}

// control answers the other terminals.
func (h *house) control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(h.status(r.Context())) // the reader may have gone
	})
	mux.HandleFunc("POST /nodes/{index}/{action}", func(w http.ResponseWriter, r *http.Request) {
		i, err := strconv.Atoi(r.PathValue("index"))
		if err != nil || i < 1 || i > len(h.nodes) {
			http.Error(w, fmt.Sprintf("%s (there are 1 to %d)", r.PathValue("index"), len(h.nodes)), http.StatusNotFound)
			return
		}
		if err := h.act(h.nodes[i-1], r.PathValue("action")); err != nil {
			http.Error(w, err.Error(), http.StatusConflict)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	return mux
}

func (h *house) act(n *process, action string) error {
	said := map[string]string{"kill": "killed", "stop": "stopped", "start": "started"}[action]
	var err error
	switch {
	case h.running.Err() != nil:
		return errors.New("the house is being stopped")
	case action == "kill":
		err = n.kill()
	case action == "stop":
		err = n.stop()
	case action == "start":
		err = n.start()
	default:
		return fmt.Errorf("unknown action %q", action)
	}
	if err != nil {
		return err
	}
	h.say("  %s %s\n", n.Name, said)
	return nil
}

func (h *house) status(ctx context.Context) []NodeStatus {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	out := make([]NodeStatus, len(h.nodes))
	leader, settled := "", []string(nil)
	for i, n := range h.nodes {
		state, pid, _ := n.look()
		s := NodeStatus{Node: n.Index, Name: n.Name, PID: pid, State: state, URL: n.URL, Operations: "http://" + n.Operations}
		if state == stateRunning {
			s.Ready, s.Reason = ready(ctx, n.readyURL())
			if s.Ready {
				s.Reason = ""
			}
			if leader == "" && s.Ready && h.Cluster != nil {
				leader, settled, _ = h.Cluster(ctx, n.Dir) // without an answer nobody is shown as leader
			}
		}
		out[i] = s
	}
	for i := range out {
		out[i].Leader = leader != "" && out[i].Name == leader && out[i].State == stateRunning // not one just killed
		out[i].Joining = leader != "" && out[i].Ready && !slices.Contains(settled, out[i].Name)
	}
	return out
}

// A Remote steers the house that runs in a directory, from another process.
type Remote struct {
	dir  string
	http *http.Client
}

// Connect returns the remote of the house in dir. Nothing is asked yet.
func Connect(dir string) *Remote {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		path, done, err := daemon.ShortSocketPath(controlPath(dir))
		if err != nil {
			return nil, err
		}
		defer done()
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}
	return &Remote{dir: dir, http: &http.Client{Transport: &http.Transport{DialContext: dial}}}
}

// Status asks for every node's state.
func (r *Remote) Status(ctx context.Context) ([]NodeStatus, error) {
	var out []NodeStatus
	body, err := r.do(ctx, http.MethodGet, "/status")
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(body, &out); err != nil {
		return nil, fmt.Errorf("status: %w", err)
	}
	return out, nil
}

// Do kills, stops or starts node i and returns when that is done; a started node
// may still be on its way to readiness.
func (r *Remote) Do(ctx context.Context, action string, i int) error {
	_, err := r.do(ctx, http.MethodPost, fmt.Sprintf("/nodes/%d/%s", i, action))
	return err
}

func (r *Remote) do(ctx context.Context, method, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://dev"+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := r.http.Do(req)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return nil, fmt.Errorf("%w (%s): start it with `quis dev`, or name its --data-dir", ErrNoHouse, r.dir)
	} else if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return nil, err
	}
	text := strings.TrimSpace(string(body))
	switch resp.StatusCode {
	case http.StatusOK, http.StatusNoContent:
		return body, nil
	case http.StatusNotFound:
		return nil, fmt.Errorf("%w: %s", ErrNotFound, text)
	}
	return nil, fmt.Errorf("%w: %s", ErrState, text)
}
