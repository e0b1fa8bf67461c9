package seal

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// maxRootFile is far more than any encoding of a root key needs.
const maxRootFile = 4 << 10

// LoadRootKey returns the root key that a node was configured with: the content of
// file, or text (from the environment or the configuration). Exactly one must be
// given. A file that every user of the machine may read, or that others than its
// owner may write, is refused; readable for the group is allowed, because that is
// how orchestrators mount secrets.
func LoadRootKey(file, text string) (*RootKey, error) {
	switch {
	case file != "" && text != "":
		return nil, errors.New("root key is given twice, as a file and as text: keep one (root_key_file / QUIS_ROOT_KEY_FILE or root_key / QUIS_ROOT_KEY)")
	case text != "":
		return ParseRootKey(text)
	case file == "":
		return nil, errors.New("no root key: set root_key_file (QUIS_ROOT_KEY_FILE) to a file that holds it, the same on every node")
	}
	k, err := readRootFile(file)
	if err != nil {
		return nil, fmt.Errorf("root key file %s: %w", file, err)
	}
	return k, nil
}

func readRootFile(file string) (*RootKey, error) {
	f, err := os.Open(file)
	if err != nil {
		var pe *os.PathError
		if errors.As(err, &pe) {
			err = pe.Err // the caller names the file
		}
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat() // of what was opened, not of what a link may point to next
	if err != nil {
		return nil, err
	}
	if mode := info.Mode(); mode.IsRegular() && mode.Perm()&0o027 != 0 {
		return nil, fmt.Errorf("mode %04o lets other users read or change it: chmod 600 %s", mode.Perm(), file)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxRootFile+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxRootFile {
		return nil, fmt.Errorf("more than %d bytes: this is not a root key", maxRootFile)
	}
	return ParseRootKey(string(b))
}

// SaveRootKey writes k to a new file that only its owner may read. An existing file
// is never overwritten: the error is then os.ErrExist.
func SaveRootKey(file string, k *RootKey) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("save root key: %w", err)
	}
	_, err = f.WriteString(k.lines())
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("save root key: %w", errors.Join(err, os.Remove(file)))
	}
	return nil
}
