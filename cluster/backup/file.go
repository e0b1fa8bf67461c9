package backup

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"filippo.io/age"
)

// WriteFile makes a file of what write writes, readable by its owner alone. It has its
// name only when it is whole and on the disk; until then that name ends in .partial.
func WriteFile(path string, write func(io.Writer) error) error {
	partial := path + ".partial"
	f, err := os.OpenFile(partial, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	err = write(f)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(partial, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(partial))
	}
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// ReadBack reads the archive in f from its beginning, which must have that SHA-256, and
// opens it if keys has a root key.
func ReadBack(f io.ReadSeeker, sum string, keys Keys) error {
	_, err := f.Seek(0, io.SeekStart)
	if err != nil {
		return fmt.Errorf("read back: %w", err)
	}
	all := newSummed(io.Discard)
	r := io.TeeReader(bufio.NewReaderSize(f, 1<<20), all)
	if keys.Root != nil {
		_, err = Verify(r, keys, nil)
	} else {
		_, err = ReadHeader(r)
	}
	if err == nil {
		_, err = io.Copy(io.Discard, r)
	}
	if err == nil && hex.EncodeToString(all.h.Sum(nil)) != sum {
		err = errors.New("what is on the disk is not what was sent: try another disk")
	}
	if err != nil {
		return fmt.Errorf("read back: %w", err)
	}
	return nil
}

// ReadRecipients reads a file of age public keys, one a line.
func ReadRecipients(file string) ([]string, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var out []string
	for line := range strings.Lines(string(b)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			out = append(out, line)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s names no recipient", file)
	}
	return out, nil
}

// OpenFile opens an archive as a server can read it: as it is or, if identity names a file
// of age identities, opened by one of them. size is that of the file, in bytes.
func OpenFile(file, identity string) (archive io.ReadCloser, size int64, err error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		err = fmt.Errorf("%s is a directory", file)
	}
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	if identity == "" {
		return f, info.Size(), nil
	}
	ids, err := readIdentities(identity)
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	r, w := io.Pipe()
	go func() {
		err := Reseal(w, bufio.NewReaderSize(f, 1<<20), Keys{Identities: ids})
		w.CloseWithError(errors.Join(err, f.Close()))
	}()
	return r, info.Size(), nil
}

func readIdentities(file string) ([]age.Identity, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	ids, err := age.ParseIdentities(io.LimitReader(f, 1<<20))
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return ids, nil
}
