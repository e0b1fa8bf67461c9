package testbed

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Run starts `quis dev` with n nodes and a bootstrap file of the given content
// (empty: none) for the length of the test, and shows what it said if the test fails.
func Run(t *testing.T, n int, bootstrap string) *Dev {
	t.Helper()
	file := ""
	if bootstrap != "" {
		file = filepath.Join(t.TempDir(), "bootstrap.yaml")
		if err := os.WriteFile(file, []byte(bootstrap), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	d, err := Start(ctx, n, filepath.Join(t.TempDir(), "quis"), file)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.WaitBanner(ctx); err != nil {
		t.Error(err)
	}
	t.Cleanup(func() {
		if err := d.Stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("quis dev said:\n%s", d.Output())
		}
	})
	return d
}
