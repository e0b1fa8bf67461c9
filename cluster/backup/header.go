package backup

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"time"

	"github.com/quis-idp/quis/fsm"
)

const (
	magic      = "quis-backup-1\n"
	magicClear = "quis-opened-1\n" // as long: an archive on its way, opened, with the header that it had
	maxHeader  = 16 << 10          // bytes
	maxSize    = 1 << 42           // bytes that a store's stream may claim
)

// How the body of an archive is sealed.
const (
	SealedRoot  = "root"  // under the root key
	SealedAge   = "age"   // to age recipients
	SealedClear = "clear" // not at all: on its way from a client that has opened it
)

// The kinds of error that archives are refused with. Their text says what to do.
var (
	// ErrDamaged: the archive is truncated or was altered, or is none.
	ErrDamaged = errors.New("not a whole backup")
	// ErrKey: the key at hand does not open the archive, or does not fit what it holds.
	ErrKey = errors.New("wrong key for this backup")
)

// An Info says what an archive is. The fields behind Size are known when all of it has
// been written or read.
type Info struct {
	Format    int       `json:"format"`
	ID        string    `json:"id"`
	ClusterID string    `json:"cluster_id"`
	Created   time.Time `json:"created"`
	Index     uint64    `json:"index"` // of the last log entry in it
	Term      uint64    `json:"term"`
	Version   string    `json:"version"`  // of the program that wrote it
	RootKey   string    `json:"root_key"` // fingerprint of the key that the data needs
	Sealed    string    `json:"sealed"`   // SealedRoot, SealedAge or SealedClear
	Size      int64     `json:"size"`     // bytes of the store's stream
	// Features are in use in it: who shall restore it must read them. Backups of before
	// this was noted have none.
	Features []string `json:"features,omitempty"`

	Bytes  int64  `json:"-"` // of the archive
	SHA256 string `json:"-"` // of the archive, hexadecimal
	Rows   int64  `json:"-"`
	Events int64  `json:"-"`

	raw []byte // the header, byte for byte
}

var plain = regexp.MustCompile(`^[A-Za-z0-9._:+-]{1,128}$`)

var featureName = regexp.MustCompile(`^[a-z0-9._/-]{1,64}$`)

func (i *Info) check() error {
	switch {
	case i.Format != 1:
		return fmt.Errorf("the backup has format %d, this release reads 1: use the release that wrote it (%.40q)", i.Format, i.Version)
	case i.Sealed != SealedRoot && i.Sealed != SealedAge && i.Sealed != SealedClear:
		return fmt.Errorf("header: sealed %.40q is none of root, age, clear: %w", i.Sealed, ErrDamaged)
	case !plain.MatchString(i.ID), !plain.MatchString(i.ClusterID), !plain.MatchString(i.RootKey), !plain.MatchString(i.Version):
		return fmt.Errorf("header: id, cluster_id, root_key or version is not plain text of at most 128 characters: %w", ErrDamaged)
	case i.Index == 0 || i.Size <= 0 || i.Size > maxSize:
		return fmt.Errorf("header: index %d, size %d: %w", i.Index, i.Size, ErrDamaged)
	case len(i.Features) > 64 || slices.ContainsFunc(i.Features, func(f string) bool { return !featureName.MatchString(f) }):
		return fmt.Errorf("header: features: %w", ErrDamaged)
	case i.Created.Year() < 2000 || i.Created.Year() > 9999:
		return fmt.Errorf("header: created %v: %w", i.Created, ErrDamaged)
	}
	return nil
}

// bound is what the body repeats of the header, so that nobody can put another one before it.
func (i *Info) bound() [32]byte { return sha256.Sum256(i.raw) }

func (i *Info) encode() error {
	b, err := json.MarshalIndent(i, "", "  ")
	i.raw = append(b, '\n')
	return err
}

func writeHeader(w io.Writer, first string, i *Info) error {
	out := binary.BigEndian.AppendUint32([]byte(first), uint32(len(i.raw)))
	_, err := w.Write(append(out, i.raw...))
	return err
}

// ReadHeader reads the header of an archive, which anybody can write: it proves nothing
// before the body has been opened.
func ReadHeader(r io.Reader) (Info, error) {
	var i Info
	head := make([]byte, len(magic)+4)
	if _, err := io.ReadFull(r, head); err != nil || string(head[:len(magic)]) != magic && string(head[:len(magic)]) != magicClear {
		return i, fmt.Errorf("it does not begin as a backup of quis: is it the right file, and all of it? %w", ErrDamaged)
	}
	n := binary.BigEndian.Uint32(head[len(magic):])
	if n > maxHeader {
		return i, fmt.Errorf("header of %d bytes is over %d: %w", n, maxHeader, ErrDamaged)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return i, fmt.Errorf("it ends within its header: copy it again: %w", ErrDamaged)
	}
	if err := json.Unmarshal(b, &i); err != nil {
		return i, fmt.Errorf("header: %w: %w", ErrDamaged, err)
	}
	i.raw = b
	if string(head[:len(magic)]) == magicClear {
		i.Sealed = SealedClear
	}
	return i, i.check()
}

// truncated adds to what went wrong in the body what to do about it.
func truncated(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return fmt.Errorf("it ends too early: copy it again, or take another one: %w: %w", ErrDamaged, err)
	}
	if errors.Is(err, fsm.ErrCorrupt) {
		return fmt.Errorf("its content was changed or cut: copy it again, or take another one: %w: %w", ErrDamaged, err)
	}
	return err
}
