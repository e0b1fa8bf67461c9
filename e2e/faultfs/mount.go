package faultfs

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

func owner() (uid, gid uint32) { return uint32(os.Getuid()), uint32(os.Getgid()) }

// New mounts a new, empty disk on the directory dir. It needs /dev/fuse and the right to mount.
func New(dir string) (*FS, error) {
	f := newFS()
	var none time.Duration
	_, err := fs.Mount(dir, &node{f: f}, &fs.Options{
		EntryTimeout: &none, AttrTimeout: &none, NegativeTimeout: &none, NullPermissions: true,
		MountOptions: fuse.MountOptions{
			DirectMountStrict: true, FsName: "quis-faults", Name: "faultfs", MaxWrite: 1 << 20,
			Options: []string{"default_permissions"},
		},
	})
	if err != nil {
		return nil, fmt.Errorf("mount on %s: %w", dir, err)
	}
	f.unmount = func() error {
		f.Set(Fault{}) // nobody may wait in it
		err := syscall.Unmount(dir, syscall.MNT_DETACH)
		if errors.Is(err, syscall.EINVAL) { // it is no longer mounted
			return nil
		}
		return err
	}
	return f, nil
}

// Close unmounts the disk, and all is lost.
func (f *FS) Close() error { return f.unmount() }

// Mount mounts a new disk for the length of a test and returns where. Where that is
// not possible it says so in the test's log and returns nil: the caller then has
// nothing to test. With QUIS_FAULTS=1 in the environment that is a failure.
func Mount(t testing.TB) (f *FS, dir string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "quis-faults-")
	if err != nil {
		t.Fatal(err)
	}
	f, err = New(dir)
	if err != nil {
		os.Remove(dir)
		if os.Getenv("QUIS_FAULTS") == "1" {
			t.Fatalf("no disk that can fail: %v", err)
		}
		t.Logf("NOT TESTED: no file system can be mounted through FUSE here: %v", err)
		return nil, ""
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		if err := os.Remove(dir); err != nil {
			t.Error(err)
		}
	})
	return f, dir
}
