package daemon

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// A dataDir is the node's directory while this process holds it.
type dataDir struct {
	path string
	lock *os.File
}

// openDataDir makes and locks the directory and writes the pid file. Two
// processes on one store would destroy it.
func openDataDir(path string) (*dataDir, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("data directory: %w", readError(err))
	}
	lock, err := os.OpenFile(filepath.Join(path, "quis.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", readError(err))
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("data directory %s: lock: %w", path, err)
		}
		return nil, fmt.Errorf("data directory %s is in use by %s: stop that one first; a second node needs a data_dir of its own", path, holder(path))
	}
	d := &dataDir{path: path, lock: lock}
	if err := os.WriteFile(d.file("quis.pid"), []byte(strconv.Itoa(os.Getpid())+"\n"), 0o644); err != nil {
		lock.Close()
		return nil, fmt.Errorf("data directory: %w", readError(err))
	}
	return d, nil
}

func (d *dataDir) file(name string) string { return filepath.Join(d.path, name) }

// close removes the pid file and lets go of the lock, in that order: after the
// lock the file may be another process's.
func (d *dataDir) close() error {
	err := os.Remove(d.file("quis.pid"))
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, d.lock.Close())
}

func holder(path string) string {
	b, err := os.ReadFile(filepath.Join(path, "quis.pid"))
	if pid := strings.TrimSpace(string(b)); err == nil && pid != "" {
		return "process " + pid
	}
	return "another process"
}
