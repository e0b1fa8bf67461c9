package seal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// ReplaceRootKey writes k, with its others, in the place of an existing root key file, so
// that a crash leaves the old one or the new one. The owner of the file stays, and so
// does its mode. Comments in it are lost.
func ReplaceRootKey(file string, k *RootKey) error {
	if err := replaceRootFile(file, k); err != nil {
		return fmt.Errorf("replace root key: %w", err)
	}
	return nil
}

func replaceRootFile(file string, k *RootKey) error {
	file, err := filepath.EvalSymlinks(file)
	if err != nil {
		return err
	}
	old, err := os.Stat(file)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(file), ".root-key-*") // for its owner alone
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone already if all went well
	_, err = f.WriteString(k.lines())
	if owner, ok := old.Sys().(*syscall.Stat_t); ok && err == nil {
		err = f.Chown(int(owner.Uid), int(owner.Gid))
	}
	if err == nil {
		err = f.Chmod(old.Mode().Perm())
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), file); err != nil {
		return err
	}
	d, err := os.Open(filepath.Dir(file))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// lines is the content of a root key file. A single key stands alone, as releases that
// know but one want it.
func (k *RootKey) lines() string {
	if len(k.others) == 0 {
		return k.Encode() + "\n"
	}
	var b strings.Builder
	for i, one := range k.Keys() {
		role := "accepted"
		if i == 0 {
			role = "in use"
		}
		fmt.Fprintf(&b, "# %s, %s\n%s\n", one.id, role, one.Encode())
	}
	return b.String()
}
