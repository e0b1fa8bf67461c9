package daemon

import (
	"fmt"
	"os"
	"path/filepath"
)

// maxSocketPath is what every system we run on allows for a Unix socket's path, in bytes.
const maxSocketPath = 100

// ShortSocketPath returns a path for the Unix socket at path that the system
// accepts: path itself, a relative path, or one through /proc. Call done after
// listening or dialling.
func ShortSocketPath(path string) (short string, done func(), err error) {
	nothing := func() {}
	if len(path) <= maxSocketPath {
		return path, nothing, nil
	}
	if wd, err := os.Getwd(); err == nil {
		if rel, err := filepath.Rel(wd, path); err == nil && len(rel) <= maxSocketPath {
			return rel, nothing, nil
		}
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return "", nil, err
	}
	through := fmt.Sprintf("/proc/self/fd/%d", dir.Fd())
	if _, err := os.Stat(through); err != nil {
		dir.Close()
		return "", nil, fmt.Errorf("socket %s: the path is too long (over %d bytes): use a shorter data directory", path, maxSocketPath)
	}
	return filepath.Join(through, filepath.Base(path)), func() { dir.Close() }, nil
}
