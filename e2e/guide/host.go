package guide

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/quis-idp/quis/e2e/testbed"
)

// patience bounds every wait for a node; nothing comes near it.
const patience = 60 * time.Second

// Hosts are the machines on which a guide is run.
type Hosts struct {
	t       *testing.T
	dir     string
	control string // where the shims report to
	public  string // what stands for https://id.example.com

	mu    sync.Mutex
	hosts map[string]*Host
}

// A Host is one of them. It is a loopback address and a directory.
type Host struct {
	Name, Address string
	dir           string
	env           []string

	node   *exec.Cmd // running, or nil
	done   chan struct{}
	output bytes.Buffer // whole after done
}

// New makes count hosts, node-1 and so on, each with the program at binary
// installed, and a load balancer before them, which stands for
// https://id.example.com. env is added to the environment of every command.
func New(t *testing.T, count int, binary string, env ...string) *Hosts {
	t.Helper()
	h := &Hosts{t: t, dir: t.TempDir(), hosts: map[string]*Host{}}
	h.control = h.serve(h.controls())
	h.public = strings.Replace(h.serve(http.HandlerFunc(h.balance)), "127.0.0.1", "localhost", 1)
	for i := 1; i <= count; i++ {
		env = append(env, fmt.Sprintf("NODE%d=%s", i, address(i)))
	}
	for i := 1; i <= count; i++ {
		host := &Host{Name: fmt.Sprintf("node-%d", i), Address: address(i)}
		host.dir = filepath.Join(h.dir, host.Name)
		for _, d := range []string{"etc", "var", "bin"} {
			if err := os.MkdirAll(filepath.Join(host.dir, d), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		for _, at := range []string{"bin", ""} { // what runs, and in the home directory what an upgrade installs
			if err := os.Symlink(binary, filepath.Join(host.dir, at, "quis")); err != nil {
				t.Fatal(err)
			}
		}
		host.env = append(append(os.Environ(), env...),
			"PATH="+filepath.Join(host.dir, "bin")+":"+h.shims()+":"+os.Getenv("PATH"),
			"HOME="+host.dir, "GUIDE_HOST="+host.Name, "GUIDE_DIR="+h.dir, "GUIDE_CONTROL="+h.control,
			"QUIS_DATA_DIR="+filepath.Join(host.dir, "var"), "QUIS_NODE_ID="+host.Name,
			"QUIS_LISTEN_PUBLIC="+host.Address+":8080", "QUIS_LISTEN_OPERATIONS="+host.Address+":9080",
			"QUIS_CLUSTER_LISTEN="+host.Address+":8300", "QUIS_CLUSTER_GOSSIP="+host.Address+":8301")
		h.hosts[host.Name] = host
	}
	t.Cleanup(h.end)
	return h
}

// address is the loopback address of host number i: all of 127/8 is this machine.
func address(i int) string { return fmt.Sprintf("127.0.66.%d", i) }

// Public returns the base URLs of the nodes that run.
func (h *Hosts) Public() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var urls []string
	for i := 1; i <= len(h.hosts); i++ {
		if host := h.hosts[fmt.Sprintf("node-%d", i)]; host.node != nil {
			urls = append(urls, "http://"+host.Address+":8080")
		}
	}
	return urls
}

// Run runs one step and fails the test with what it printed if it fails.
func (h *Hosts) Run(ctx context.Context, s Step) {
	h.t.Helper()
	host := h.hosts[s.Host]
	if host == nil {
		h.t.Fatalf("line %d: there is no host %s", s.Line, s.Host)
	}
	cmd := exec.CommandContext(ctx, "sh", "-eu", "-c", h.here(host, s.Script))
	cmd.Dir = filepath.Join(host.dir, "etc")
	cmd.Env = host.env
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	h.t.Logf("%s, line %d:\n%s%s", s.Host, s.Line, indent(s.Script, "  $ "), indent(string(out), "    "))
	if err != nil {
		h.t.Fatalf("line %d, on %s: %v\n%s\nthe node said:\n%s", s.Line, s.Host, err, out, host.said())
	}
}

// here turns the paths of the document into those of a host.
func (h *Hosts) here(host *Host, script string) string {
	return strings.NewReplacer(
		"/etc/quis", filepath.Join(host.dir, "etc"),
		"/var/lib/quis", filepath.Join(host.dir, "var"),
		"/usr/local/bin", filepath.Join(host.dir, "bin"),
		"https://id.example.com", h.public,
	).Replace(script)
}

func indent(text, with string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(with + strings.TrimRight(line, "\n") + "\n")
	}
	return b.String()
}

// serve answers on a free port for the length of the test and returns the base URL.
func (h *Hosts) serve(handler http.Handler) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		h.t.Fatal(err)
	}
	server := &http.Server{Handler: handler}
	go server.Serve(l) // ends with Close
	h.t.Cleanup(func() { server.Close() })
	return "http://" + l.Addr().String()
}

// balance sends a request to the first node that is ready.
func (h *Hosts) balance(w http.ResponseWriter, r *http.Request) {
	for i := 1; i <= len(h.hosts); i++ {
		host := h.hosts[fmt.Sprintf("node-%d", i)]
		if host.ready(r.Context()) {
			httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: host.Address + ":8080"}).ServeHTTP(w, r)
			return
		}
	}
	http.Error(w, "no node is ready", http.StatusServiceUnavailable)
}

// controls is what systemctl talks to: POST /{host}/{verb}.
func (h *Hosts) controls() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /{host}/{verb}", func(w http.ResponseWriter, r *http.Request) {
		host := h.hosts[r.PathValue("host")]
		if host == nil {
			http.Error(w, "no such host", http.StatusNotFound)
			return
		}
		if err := h.systemctl(r.Context(), host, r.PathValue("verb")); err != nil {
			http.Error(w, err.Error(), http.StatusConflict)
		}
	})
	return mux
}

func (h *Hosts) systemctl(ctx context.Context, host *Host, verb string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch verb {
	case "start", "enable": // enable --now
		return host.start(ctx, h.here(host, "/etc/quis"))
	case "stop":
		return host.stop(syscall.SIGTERM)
	case "kill": // what a power cut does
		return host.stop(syscall.SIGKILL)
	case "restart":
		if err := host.stop(syscall.SIGTERM); err != nil {
			return err
		}
		return host.start(ctx, h.here(host, "/etc/quis"))
	case "reload":
		return host.node.Process.Signal(syscall.SIGHUP)
	}
	return fmt.Errorf("systemctl %s: not known here", verb)
}

// start runs the node and returns when it is ready, as a unit of Type=notify would.
func (host *Host) start(ctx context.Context, etc string) error {
	if host.node != nil {
		return nil
	}
	host.output.Reset()
	cmd := exec.Command(filepath.Join(host.dir, "bin", "quis"), "server", "--config", filepath.Join(etc, "quis.yaml"))
	cmd.Dir, cmd.Env = etc, host.env
	cmd.Stdout, cmd.Stderr = &host.output, &host.output
	if err := testbed.StartChild(cmd); err != nil {
		return err
	}
	done := make(chan struct{})
	go func() {
		cmd.Wait() // that it ended is what counts
		close(done)
	}()
	host.node, host.done = cmd, done
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for !host.ready(ctx) {
		select {
		case <-done:
			host.node = nil
			return fmt.Errorf("quis.service on %s failed:\n%s", host.Name, host.output.String())
		case <-ctx.Done():
			return fmt.Errorf("quis.service on %s is not ready", host.Name)
		case <-time.After(20 * time.Millisecond):
		}
	}
	return nil
}

func (host *Host) ready(ctx context.Context) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+host.Address+":9080/readyz", nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

func (host *Host) stop(with syscall.Signal) error {
	if host.node == nil {
		return nil
	}
	err := host.node.Process.Signal(with)
	if errors.Is(err, os.ErrProcessDone) {
		err = nil
	}
	select {
	case <-host.done:
	case <-time.After(patience):
		return fmt.Errorf("quis.service on %s does not stop", host.Name)
	}
	host.node = nil
	return err
}

// said returns what the node printed, if it has ended.
func (host *Host) said() string {
	select {
	case <-host.done:
		return host.output.String()
	default:
		return "(it still runs)"
	}
}

// end kills what runs, and shows what it said if the test failed.
func (h *Hosts) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, host := range h.hosts {
		if host.node == nil {
			continue
		}
		if err := host.stop(syscall.SIGKILL); err != nil {
			h.t.Error(err)
		}
		if h.t.Failed() {
			h.t.Logf("%s said:\n%s", host.Name, host.output.String())
		}
	}
}
