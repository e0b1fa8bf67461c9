package testbed

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
)

// Binary builds the quis binary once per process, as a release does (static, no
// cgo), and returns its path.
var Binary = sync.OnceValues(func() (string, error) {
	top, err := moduleRoot()
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "quis-testbed-")
	if err != nil {
		return "", fmt.Errorf("build quis: %w", err)
	}
	out := filepath.Join(dir, "quis")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", out, "./cmd/quis")
	cmd.Dir = top
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if b, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build quis: %w\n%s", err, b)
	}
	return out, nil
})

// RemoveBinary deletes what Binary built; call it at the end of TestMain.
func RemoveBinary() {
	if out, err := Binary(); err == nil {
		os.RemoveAll(filepath.Dir(out))
	}
}

func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if filepath.Dir(dir) == dir {
			return "", fmt.Errorf("no go.mod above the working directory")
		}
	}
}
