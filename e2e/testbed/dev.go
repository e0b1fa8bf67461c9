package testbed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Issuer is the issuer of clusters that are no `quis dev`, and are asked under addresses of
// their own. A Dev has another.
const Issuer = "http://localhost:8080"

// A Dev is a running `quis dev`.
type Dev struct {
	Nodes int
	Port  int    // of its issuer
	Dir   string // its data directory

	ReadyAfter time.Duration // from the start of the process until every node was ready

	cmd  *exec.Cmd
	out  *output
	done chan struct{} // closed when the process has ended
	lock *os.File
	bin  string
}

// Start runs `quis dev --nodes n` in dir with a bootstrap file (empty: none) and
// waits until every node is ready. Further arguments are passed on.
func Start(ctx context.Context, n int, dir, bootstrap string, args ...string) (*Dev, error) {
	bin, err := Binary()
	if err != nil {
		return nil, err
	}
	port, lock, err := berth(ctx)
	if err != nil {
		return nil, err
	}
	if bootstrap != "" {
		args = append(args, "--bootstrap", bootstrap)
	}
	d := &Dev{Port: port, Dir: dir, lock: lock, bin: bin}
	if err := d.run(ctx, n, args...); err != nil {
		return nil, err
	}
	return d, nil
}

// Grow ends it and starts it again with n nodes.
func (d *Dev) Grow(ctx context.Context, n int) error {
	d.cmd.Process.Signal(os.Interrupt)
	select {
	case <-d.done:
	case <-ctx.Done():
		return fmt.Errorf("quis dev goes on after an interrupt: %w", ctx.Err())
	}
	return d.run(ctx, n)
}

func (d *Dev) run(ctx context.Context, n int, args ...string) error {
	args = append([]string{"dev", "--nodes", strconv.Itoa(n), "--port", strconv.Itoa(d.Port), "--data-dir", d.Dir}, args...)
	d.Nodes, d.out, d.done = n, &output{}, make(chan struct{})
	d.cmd = exec.Command(d.bin, args...)
	d.cmd.Stdout, d.cmd.Stderr = d.out, d.out
	started := time.Now()
	if err := start(d.cmd, syscall.SIGTERM); err != nil {
		d.lock.Close()
		return fmt.Errorf("start quis dev: %w", err)
	}
	go func(cmd *exec.Cmd, done chan struct{}) {
		cmd.Wait()
		close(done)
	}(d.cmd, d.done)
	for i := 1; i <= n; i++ {
		if err := d.WaitReady(ctx, i); err != nil {
			return errors.Join(fmt.Errorf("%w; quis dev said:\n%s", err, d.Output()), d.Stop())
		}
	}
	d.ReadyAfter = time.Since(started)
	return nil
}

// berths is how many `quis dev` of testbeds may run on a machine at once. There is room for
// twelve: the ports of the thirteenth would be those of the first one's cluster.
const berths = 8

// berth finds a port for a `quis dev` that neither another testbed has nor somebody's own
// `quis dev`, and waits for one if there is none. The lock is held while it is used.
func berth(ctx context.Context) (int, *os.File, error) {
	for {
		for i := range berths {
			port := 8080 + 20*i
			lock, err := os.OpenFile(filepath.Join(os.TempDir(), fmt.Sprintf("quis-testbed-%d.lock", port)), os.O_CREATE|os.O_RDWR, 0o600)
			if err != nil {
				return 0, nil, fmt.Errorf("testbed lock: %w", err)
			}
			if syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil && free(port) {
				return port, lock, nil
			}
			lock.Close()
		}
		if err := pause(ctx, 200*time.Millisecond); err != nil {
			return 0, nil, fmt.Errorf("other testbeds keep running: %w", err)
		}
	}
}

// Stop ends it as Ctrl-C does and waits.
func (d *Dev) Stop() error {
	defer d.lock.Close()
	d.cmd.Process.Signal(os.Interrupt)
	select {
	case <-d.done:
		return nil
	case <-time.After(30 * time.Second):
		d.cmd.Process.Kill()
		return fmt.Errorf("quis dev did not end within 30 s of an interrupt; it said:\n%s", d.Output())
	}
}

// Process returns the process ID of `quis dev` itself.
func (d *Dev) Process() int { return d.cmd.Process.Pid }

// Output returns what it has printed so far.
func (d *Dev) Output() string { return d.out.String() }

// Issuer returns its issuer, which is the base URL of the proxy before all nodes, or of the only one.
func (d *Dev) Issuer() string { return d.Public(0) }

// Public returns the base URL of node i, counted from 1; 0 is the proxy before them all.
func (d *Dev) Public(i int) string {
	if d.Nodes == 1 {
		i = 0
	}
	return fmt.Sprintf("http://localhost:%d", d.Port+i)
}

// Operations returns the base URL of node i's operations listener.
func (d *Dev) Operations(i int) string {
	if d.Nodes == 1 {
		i = 0
	}
	return fmt.Sprintf("http://localhost:%d", d.Port+1000+i)
}

// PID returns the process ID of node i.
func (d *Dev) PID(i int) (int, error) {
	b, err := os.ReadFile(filepath.Join(d.Dir, fmt.Sprintf("node-%d", i), "quis.pid"))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(b)))
}

// Quis runs another quis command against this data directory.
func (d *Dev) Quis(ctx context.Context, args ...string) (string, error) {
	return d.QuisAs(ctx, "", args...)
}

// QuisAs runs a quis command of somebody who has an access token; "": of nobody.
func (d *Dev) QuisAs(ctx context.Context, token string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, d.bin, args...)
	cmd.Env = append(os.Environ(), "QUIS_TOKEN="+token)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("quis %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

// Kill sends SIGKILL to node i, through `quis dev kill`.
func (d *Dev) Kill(ctx context.Context, i int) error {
	_, err := d.Quis(ctx, "dev", "kill", strconv.Itoa(i), "--data-dir", d.Dir)
	return err
}

// Restart starts node i again, through `quis dev start`.
func (d *Dev) Restart(ctx context.Context, i int) error {
	_, err := d.Quis(ctx, "dev", "start", strconv.Itoa(i), "--data-dir", d.Dir)
	return err
}

// Ready asks node i whether it is.
func (d *Dev) Ready(ctx context.Context, i int) bool {
	code, _, err := fetch(ctx, d.Operations(i)+"/readyz")
	return err == nil && code == http.StatusOK
}

// WaitReady waits until node i is ready.
func (d *Dev) WaitReady(ctx context.Context, i int) error {
	for {
		if d.Ready(ctx, i) {
			return nil
		}
		select {
		case <-d.done:
			return fmt.Errorf("quis dev ended before node %d was ready", i)
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("node %d is not ready: %w", i, ctx.Err())
		}
	}
}

// WaitBanner waits until `quis dev` has said that everything runs.
func (d *Dev) WaitBanner(ctx context.Context) error {
	for !strings.Contains(d.Output(), "Next:") {
		select {
		case <-d.done:
			return fmt.Errorf("quis dev ended before it was up; it said:\n%s", d.Output())
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("quis dev is not up: %w", ctx.Err())
		}
	}
	return nil
}

// Leader returns the node that says in its metrics that it leads, 0 if none does.
func (d *Dev) Leader(ctx context.Context) int {
	for i := 1; i <= d.Nodes; i++ {
		if v, err := d.Metric(ctx, i, `quis_raft_state{state="leader"}`); err == nil && v == 1 {
			return i
		}
	}
	return 0
}

// WaitLeader waits until a node other than not leads.
func (d *Dev) WaitLeader(ctx context.Context, not int) (int, error) {
	for {
		if l := d.Leader(ctx); l != 0 && l != not {
			return l, nil
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return 0, fmt.Errorf("no leader: %w", err)
		}
	}
}

// Metric reads one sample from node i, named as it is exposed.
func (d *Dev) Metric(ctx context.Context, i int, name string) (float64, error) {
	return Sample(ctx, d.Operations(i), name)
}

// Agree waits until every node that answers has applied what any of them had applied at the call.
func (d *Dev) Agree(ctx context.Context) error {
	const applied = "quis_raft_applied_index"
	var want float64
	for i := range d.Nodes {
		n, _ := d.Metric(ctx, i+1, applied) // of a node that is dead: nothing
		want = max(want, n)
	}
	for i := range d.Nodes {
		for {
			n, err := d.Metric(ctx, i+1, applied)
			if err != nil && ctx.Err() == nil || n >= want {
				break
			}
			if err := pause(ctx, 5*time.Millisecond); err != nil {
				return fmt.Errorf("node %d is at %.0f, another was at %.0f: %w", i+1, n, want, err)
			}
		}
	}
	return nil
}

// Sample reads one sample, named as it is exposed, from the operations listener with that base URL.
func Sample(ctx context.Context, operations, name string) (float64, error) {
	_, body, err := fetch(ctx, operations+"/metrics")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(body)) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			return strconv.ParseFloat(strings.TrimSpace(rest), 64)
		}
	}
	return 0, fmt.Errorf("%s has no metric %s", operations, name)
}

func fetch(ctx context.Context, url string) (int, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 4<<20))
	return resp.StatusCode, b, err
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// output collects what a process prints.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}
