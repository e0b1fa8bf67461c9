package cluster

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/quis-idp/quis/keys/seal"
)

// refused starts node i, which must fail with an error that has all the words.
func (h *house) refused(i int, words ...string) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), 10*time.Second)
	defer cancel()
	err := h.tryStart(ctx, i)
	if err == nil {
		h.t.Fatal("started")
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			h.t.Errorf("error %q does not say %q", err, w)
		}
	}
}

func TestDamagedDataDirectoryIsRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		damage func(t *testing.T, dir string)
		says   []string
	}{
		"log overwritten": {func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, logFile), strings.Repeat("garbage ", 8192))
		}, []string{logFile, "damaged", "cluster.join"}},
		"log entry changed": {func(t *testing.T, dir string) { replace(t, filepath.Join(dir, logFile), "xxxx", "xxyx") }, []string{logFile, "damaged", "checksum"}},
		"log pages zeroed":  {func(t *testing.T, dir string) { zero(t, filepath.Join(dir, logFile), 3*4096) }, []string{logFile, "damaged"}},
		"log cut short":     {func(t *testing.T, dir string) { truncate(t, filepath.Join(dir, logFile), 12288) }, []string{logFile, "damaged"}},
		"log empty":         {func(t *testing.T, dir string) { truncate(t, filepath.Join(dir, logFile), 100) }, []string{logFile, "damaged"}},
		"log missing":       {func(t *testing.T, dir string) { remove(t, filepath.Join(dir, logFile)) }, []string{"log is missing", "cluster.join"}},
		"no identity":       {func(t *testing.T, dir string) { remove(t, filepath.Join(dir, identityFile)) }, []string{identityFile, "missing"}},
		"identity cut":      {func(t *testing.T, dir string) { write(t, filepath.Join(dir, identityFile), "{") }, []string{identityFile}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, 1, nil)
			h.start()
			for k := range 50 {
				if err := put(h.rooms[0].db, fmt.Sprint(k), strings.Repeat("x", 1000)); err != nil {
					t.Fatal(err)
				}
			}
			h.stop(0)
			c.damage(t, h.rooms[0].cfg.DataDir)
			h.refused(0, c.says...)
		})
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func replace(t *testing.T, path, old, text string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, strings.ReplaceAll(string(b), old, text))
}

// zero makes zeros of everything in path after the first bytes.
func zero(t *testing.T, path string, after int) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	clear(b[after:])
	write(t, path, string(b))
}

func truncate(t *testing.T, path string, size int64) {
	t.Helper()
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

func TestMistakenConfigurationIsRefused(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, nil)
	h.start()
	r := h.rooms[0]
	id := r.node.self.Identity().ClusterID

	other := newHouse(t, 1, nil)
	other.root = h.root
	other.rooms[0].cfg.Root = h.root
	other.start()
	foreign := other.rooms[0].node.self.Identity().ClusterID
	other.stop(0)
	other.rooms[0].cfg.Join = h.addrs
	other.refused(0, "belongs to cluster "+foreign, "to cluster "+id)
	other.rooms[0].cfg.Join = nil

	other.rooms[0].cfg.NodeID = "n9"
	other.refused(0, "belongs to node n1", "n9")
	other.rooms[0].cfg.NodeID = "n1"

	other.rooms[0].cfg.Root = seal.GenerateRootKey()
	other.refused(0, h.root.ID(), other.rooms[0].cfg.Root.ID())
	other.rooms[0].cfg.Root = h.root

	other.rooms[0].cfg.Listen = h.addrs[0]
	other.refused(0, h.addrs[0], "in use")
	other.rooms[0].cfg.Listen = other.addrs[0]

	// A second process on the same data.
	db := open(t, t.TempDir())
	defer db.Close()
	c := r.cfg
	c.DB, c.Listen = db, "127.0.0.1:0"
	if _, err := Start(t.Context(), c); err == nil || !strings.Contains(err.Error(), "in use by another process") {
		t.Errorf("second process: %v", err)
	}
}
