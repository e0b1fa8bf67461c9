package process

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/quis-idp/quis/e2e/testbed"
)

// patience bounds every wait of a story about one node; nothing comes near it.
const patience = 30 * time.Second

const rootKey = "5f1e0c3b7a9d24686b0f9e8d7c6a5b4c3d2e1f00112233445566778899aabbcc"

// secrets are what no output may ever repeat.
var secrets = []string{rootKey, rootKey[:32], "correct horse battery", "0123456789abcdef0123456789abcdef"}

// A server is one `quis server` with a configuration file, a data directory and
// ports of its own.
type server struct {
	t         *testing.T
	dir       string // everything below is in here
	data      string
	keys      map[string]string // of the configuration: dotted key to value
	bootstrap bool
	bin       string                         // what runs; empty: the binary of this tree
	within    func(start func() error) error // starts the process somewhere else: on another host
	log       io.Writer                      // gets what is printed, too; nil: nobody

	cmd    *exec.Cmd
	stderr bytes.Buffer // whole after done
	off    bool         // its disk was unplugged while it ran: a page of a mapped file is gone then, which ends it with SIGBUS
	done   chan struct{}
}

// newServer prepares a node; nothing runs yet.
func newServer(t *testing.T) *server {
	t.Helper()
	s := &server{t: t, dir: t.TempDir(), keys: map[string]string{}, bootstrap: true}
	s.data = filepath.Join(s.dir, "data")
	p, err := testbed.FreePorts(4)
	if err != nil {
		t.Fatal(err)
	}
	for i, key := range []string{"listen.public", "listen.operations", "cluster.listen", "cluster.gossip"} {
		s.keys[key] = fmt.Sprintf("127.0.0.1:%d", p[i])
	}
	s.keys["node_id"] = "one"
	s.keys["public_url"] = testbed.Issuer
	s.keys["drain"] = "0s"
	s.keys["root_key_file"] = s.write("root.key", rootKey+"\n", 0o600)
	return s
}

func (s *server) write(name, content string, mode fs.FileMode) string {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// config writes the configuration file and returns its path.
func (s *server) config() string {
	keys := map[string]any{"data_dir": s.data}
	if s.bootstrap {
		keys["bootstrap_file"] = s.write("bootstrap.yaml", bootstrap, 0o600)
	}
	for k, v := range s.keys {
		at := keys
		if section, rest, ok := strings.Cut(k, "."); ok {
			if keys[section] == nil {
				keys[section] = map[string]any{}
			}
			at, k = keys[section].(map[string]any), rest
		}
		at[k] = v
	}
	b, err := json.MarshalIndent(keys, "", "  ") // which is YAML too
	if err != nil {
		s.t.Fatal(err)
	}
	return s.write("quis.yaml", string(b), 0o600)
}

func (s *server) public() string     { return "http://" + s.keys["listen.public"] }
func (s *server) operations() string { return "http://" + s.keys["listen.operations"] }

// run starts the process and returns at once.
func (s *server) run() {
	s.t.Helper()
	bin, err := s.bin, error(nil)
	if bin == "" {
		bin, err = testbed.Binary()
	}
	if err != nil {
		s.t.Fatal(err)
	}
	s.stderr.Reset()
	s.off = false
	s.done = make(chan struct{})
	s.cmd = exec.Command(bin, "server", "--config", s.config())
	var out io.Writer = &s.stderr
	if s.log != nil {
		out = io.MultiWriter(&s.stderr, s.log)
	}
	s.cmd.Stdout, s.cmd.Stderr = out, out // data goes to stdout, and a server has none
	s.cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "QUIS_") })
	start := func() error { return testbed.StartChild(s.cmd) }
	if s.within != nil {
		s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		start = func() error { return s.within(s.cmd.Start) }
	}
	if err := start(); err != nil {
		s.t.Fatal(err)
	}
	done, cmd := s.done, s.cmd
	go func() {
		cmd.Wait() // the exit code is read from its state
		close(done)
	}()
	s.t.Cleanup(func() {
		cmd.Process.Kill()
		<-done
	})
}

// start runs the node and waits until it is ready.
func (s *server) start() {
	s.t.Helper()
	s.run()
	s.waitReady()
}

func (s *server) waitReady() {
	s.t.Helper()
	if !s.waitReadyOrEnd() {
		s.t.Fatalf("the node ended before it was ready:\n%s", s.stderr.String())
	}
}

// waitReadyOrEnd waits until the node is ready, or returns false if it ends before.
func (s *server) waitReadyOrEnd() bool {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	for !s.ready(ctx) {
		select {
		case <-s.done:
			return false
		case <-ctx.Done():
			s.cmd.Process.Kill()
			<-s.done
			s.t.Fatalf("the node did not get ready:\n%s", s.stderr.String())
		case <-time.After(10 * time.Millisecond):
		}
	}
	return true
}

func (s *server) ready(ctx context.Context) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.operations()+"/readyz", nil)
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

// stop ends the node as an operator does; it must end in order, and its log must
// tell of no panic.
func (s *server) stop() {
	s.t.Helper()
	s.cmd.Process.Signal(syscall.SIGTERM)
	if code := s.ended(); code != 0 {
		s.t.Errorf("exit code %d after SIGTERM:\n%s", code, s.stderr.String())
	}
	s.clean()
}

// kill is a power cut.
func (s *server) kill() {
	s.cmd.Process.Kill()
	<-s.done
}

// ended waits for the end of the process and returns its exit code.
func (s *server) ended() int {
	s.t.Helper()
	select {
	case <-s.done:
	case <-time.After(patience):
		s.cmd.Process.Signal(syscall.SIGQUIT) // where does it hang?
		<-s.done
		s.t.Fatalf("the process did not end:\n%s", s.stderr.String())
	}
	return s.cmd.ProcessState.ExitCode()
}

var trace = regexp.MustCompile(`(?m)panic|^goroutine \d+|SIG[A-Z]{3,}|runtime error`)

// clean checks what was printed for panics and secrets.
func (s *server) clean() {
	s.t.Helper()
	out := s.stderr.String()
	if m := trace.FindString(out); m != "" && !s.off {
		s.t.Errorf("%q in what was printed:\n%.4000s", m, out)
	}
	for _, secret := range secrets {
		if strings.Contains(out, secret) {
			s.t.Errorf("a secret (%.4s…) was printed", secret)
		}
	}
}

// refuses runs the node, which must not start: exit code 1, and one line for a
// person that holds every word.
func (s *server) refuses(words ...string) {
	s.t.Helper()
	s.run()
	s.refused(words...)
}

// refused checks the end of a node that should not have started.
func (s *server) refused(words ...string) {
	s.t.Helper()
	code := s.ended()
	s.clean()
	out := s.stderr.String()
	var said []string
	for line := range strings.Lines(out) {
		if !strings.HasPrefix(line, "{") {
			said = append(said, line)
		} else if strings.Contains(line, `"level":"ERROR"`) {
			s.t.Errorf("an error was logged beside the one that is reported: %s", line)
		}
	}
	if code != 1 || len(said) != 1 || !strings.HasPrefix(said[0], "quis: ") {
		s.t.Fatalf("exit code %d and these lines; want 1 and one line for a person:\n%s", code, out)
	}
	s.says(said[0], words)
}

// failed checks the end of a node that could not go on: exit code 1, and the last
// line says why.
func (s *server) failed(words ...string) {
	s.t.Helper()
	code := s.ended()
	s.clean()
	lines := strings.Split(strings.TrimSpace(s.stderr.String()), "\n")
	if code != 1 {
		s.t.Errorf("exit code %d, want 1; it said:\n%s", code, s.stderr.String())
	}
	s.says(lines[len(lines)-1], words)
}

func (s *server) says(line string, words []string) {
	s.t.Helper()
	for _, w := range words {
		if !strings.Contains(line, w) {
			s.t.Errorf("%q is missing in what was said: %s", w, line)
		}
	}
	s.t.Logf("said: %s", strings.TrimSpace(line))
}

// A seed is the data directory of a node that has stopped, after somebody signed in.
type seed struct {
	dir    string
	tokens *testbed.Tokens
}

// seeds makes one for each way in which a node can stop, once for all tests.
var seeds = struct {
	sync.Mutex
	made map[bool]*seed
}{made: map[bool]*seed{}}

// seeded prepares a node on a copy of a used data directory. killed is one that
// had no time to flush its store, so that its log counts.
func seeded(t *testing.T, killed bool) (*server, *testbed.Tokens) {
	t.Helper()
	seeds.Lock()
	defer seeds.Unlock()
	if seeds.made[killed] == nil {
		seeds.made[killed] = makeSeed(t, killed)
	}
	from := seeds.made[killed]
	s := newServer(t)
	if err := os.CopyFS(s.data, os.DirFS(from.dir)); err != nil {
		t.Fatal(err)
	}
	return s, from.tokens
}

func makeSeed(t *testing.T, killed bool) *seed {
	t.Helper()
	s := newServer(t)
	s.start()
	tokens := s.signIn()
	if killed {
		s.kill()
	} else {
		s.stop()
	}
	if err := os.Remove(filepath.Join(s.data, "quis.sock")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err) // it cannot be copied
	}
	dir, err := os.MkdirTemp("", "quis-seed-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(dir, os.DirFS(s.data)); err != nil {
		t.Fatal(err)
	}
	return &seed{dir: dir, tokens: tokens}
}

func removeSeeds() {
	for _, s := range seeds.made {
		os.RemoveAll(s.dir)
	}
}

// signIn signs the tester in and returns the tokens.
func (s *server) signIn() *testbed.Tokens {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	a, err := tester().Authorize(ctx, s.public(), web)
	if err != nil {
		s.t.Fatal(err)
	}
	tokens, err := web.Exchange(ctx, s.public(), a)
	if err != nil {
		s.t.Fatal(err)
	}
	return tokens
}

// holds starts the node, on which the fault has been removed, and checks that what
// was there still is: the family lives and the person can sign in.
func (s *server) holds(tokens *testbed.Tokens) {
	s.t.Helper()
	s.bootstrap = false // which would create the person again
	s.start()
	if _, err := web.Refresh(s.t.Context(), s.public(), tokens.RefreshToken); err != nil {
		s.t.Errorf("the refresh token that was answered is lost: %v", err)
	}
	s.signIn()
	s.stop()
}
