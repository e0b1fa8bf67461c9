package foreign

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/quis-idp/quis/e2e/testbed"
)

var packages = sync.OnceValues(func() (string, error) { return testbed.Packages("testdata") })

// A script is a running program of testdata under Node.js. It and the test exchange
// lines of JSON.
type script struct {
	t   *testing.T
	in  io.WriteCloser
	out *bufio.Scanner
}

// start runs testdata/name with its packages; input is what it is told first.
func start(t *testing.T, name string, input map[string]any) *script {
	t.Helper()
	dir, err := packages()
	if err != nil {
		t.Fatal(err)
	}
	work := t.TempDir()
	if err := os.Symlink(filepath.Join(dir, "node_modules"), filepath.Join(work, "node_modules")); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{name, "talk.mjs"} {
		b, err := os.ReadFile(filepath.Join("testdata", file))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(work, file), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, "node", filepath.Join(work, name))
	cmd.Stderr = t.Output()
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		cmd.Wait() // it ends by the signal, or has ended
	})
	s := &script{t: t, in: in, out: bufio.NewScanner(out)}
	s.out.Buffer(nil, 1<<20)
	s.tell(input)
	return s
}

// tell sends a line.
func (s *script) tell(v any) {
	s.t.Helper()
	if err := json.NewEncoder(s.in).Encode(v); err != nil {
		s.t.Fatal(err)
	}
}

// hear waits for a line, which must carry the given name.
func (s *script) hear(name string) map[string]any {
	s.t.Helper()
	if !s.out.Scan() {
		s.t.Fatalf("the script ended before it said %q: %v", name, s.out.Err())
	}
	var said map[string]any
	if err := json.Unmarshal(s.out.Bytes(), &said); err != nil {
		s.t.Fatalf("%s: %v", s.out.Text(), err)
	}
	if said["say"] != name {
		s.t.Fatalf("the script said %s, not %q", s.out.Text(), name)
	}
	return said
}

// at follows a path of keys into what was heard.
func at(v any, path ...string) any {
	for _, key := range path {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[key]
	}
	return v
}
