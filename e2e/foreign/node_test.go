package foreign

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// packages installs the npm packages of testdata once for each content of the lock
// file, and returns the directory that holds node_modules.
var packages = sync.OnceValues(func() (string, error) {
	lock, err := os.ReadFile("testdata/package-lock.json")
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	sum := sha256.Sum256(lock)
	dir := filepath.Join(cache, "quis-foreign", hex.EncodeToString(sum[:8]))
	done := filepath.Join(dir, "complete")
	if _, err := os.Stat(done); err == nil {
		return dir, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	for _, name := range []string{"package.json", "package-lock.json"} {
		b, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
			return "", err
		}
	}
	cmd := exec.Command("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("npm ci: %w: Node.js and the npm registry are needed\n%s", err, out)
	}
	return dir, os.WriteFile(done, nil, 0o644)
})

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
