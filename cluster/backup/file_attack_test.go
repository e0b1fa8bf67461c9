package backup_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/quis-idp/quis/cluster/backup"
)

// An archive is nobody's but its owner's from its first byte on, and nothing is left of one
// that was not finished.
func TestArchiveIsPrivate(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a.backup")
	private := func(name string) {
		t.Helper()
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", info, err)
		}
	}
	if err := backup.WriteFile(path, func(w io.Writer) error {
		_, err := io.WriteString(w, "x")
		private(path + ".partial")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	private(path)
	broken := errors.New("broken")
	if err := backup.WriteFile(path+"2", func(io.Writer) error { return broken }); !errors.Is(err, broken) {
		t.Error(err)
	}
	left, err := filepath.Glob(path + "2*")
	if err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
}
