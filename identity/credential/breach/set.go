package breach

import (
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"os"
	"time"
)

// The layout of a file, little endian: a header; the fingerprints of all parts, two bytes
// each; the table of parts. The checksum is of all that follows the header.
const (
	magic      = "quisbr01" // with the version of the layout
	headerSize = 72
	parts      = 4096 // by the first 12 bits of the SHA-1
	partSize   = 24
	tableSize  = parts * partSize

	maxSegment = 1 << 18 // fingerprints
)

// ErrFormat says that a file is not a set, or is damaged.
var ErrFormat = errors.New("not a whole set of breached passwords")

// Info is what a file says about itself.
type Info struct {
	Passwords uint64    `json:"passwords"`
	MinCount  uint32    `json:"min_count"` // how often a password was leaked at least, to be in it
	Made      time.Time `json:"made_at"`
	Checksum  string    `json:"sha256"` // of all that follows the header, in hexadecimal
}

// A part is a binary fuse filter of its own.
type part struct {
	offset        uint64 // of its first fingerprint in the file
	seed          uint64
	segmentLength uint32 // a power of two; 0: the part is empty
	segmentCount  uint32
}

// fingerprints is how many a part has.
func (p part) fingerprints() uint64 { return uint64(p.segmentLength) * (uint64(p.segmentCount) + 2) }

// A Set answers from a file. It is safe for concurrent use.
type Set struct {
	r     io.ReaderAt
	info  Info
	sum   [sha256.Size]byte
	table []part
	close func() error
}

// Open opens a file that Build made. It reads the table alone; see Verify for the rest.
func Open(path string) (*Set, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	var s *Set
	stat, err := f.Stat()
	if err == nil {
		s, err = Read(f, stat.Size())
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	s.close = f.Close
	return s, nil
}

// Read is Open for what is not a file, of size bytes. It reports ErrFormat.
func Read(r io.ReaderAt, size int64) (*Set, error) {
	if size < headerSize+tableSize {
		return nil, ErrFormat
	}
	h := make([]byte, headerSize)
	if _, err := r.ReadAt(h, 0); err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	if string(h[:8]) != magic || binary.LittleEndian.Uint32(h[20:]) != parts {
		return nil, ErrFormat
	}
	s := &Set{r: r, close: func() error { return nil }}
	s.info.Passwords = binary.LittleEndian.Uint64(h[8:])
	s.info.MinCount = max(1, binary.LittleEndian.Uint32(h[16:]))
	s.info.Made = time.Unix(int64(binary.LittleEndian.Uint64(h[24:])), 0).UTC()
	copy(s.sum[:], h[40:])
	s.info.Checksum = fmt.Sprintf("%x", s.sum)
	table := make([]byte, tableSize)
	end := uint64(size - tableSize)
	if binary.LittleEndian.Uint64(h[32:]) != end {
		return nil, ErrFormat
	}
	if _, err := r.ReadAt(table, int64(end)); err != nil {
		return nil, fmt.Errorf("table: %w", err)
	}
	for b := table; len(b) > 0; b = b[partSize:] {
		p := part{
			offset: binary.LittleEndian.Uint64(b), seed: binary.LittleEndian.Uint64(b[8:]),
			segmentLength: binary.LittleEndian.Uint32(b[16:]), segmentCount: binary.LittleEndian.Uint32(b[20:]),
		}
		if p.segmentLength != 0 && (p.segmentLength > maxSegment || bits.OnesCount32(p.segmentLength) != 1 || p.segmentCount == 0 ||
			uint64(p.segmentLength)*uint64(p.segmentCount) > 1<<31 || p.offset < headerSize || p.offset > end || 2*p.fingerprints() > end-p.offset) {
			return nil, ErrFormat
		}
		s.table = append(s.table, p)
	}
	return s, nil
}

// Info returns what the file says about itself.
func (s *Set) Info() Info { return s.info }

// Close closes the file.
func (s *Set) Close() error { return s.close() }

// Has reports whether the set has the password with this SHA-1.
func (s *Set) Has(sum [sha1.Size]byte) (bool, error) {
	p := s.table[partOf(sum)]
	if p.segmentLength == 0 {
		return false, nil
	}
	hash := murmur(keyOf(sum) + p.seed)
	high, _ := bits.Mul64(hash, uint64(p.segmentLength)*uint64(p.segmentCount))
	at := [3]uint64{high, high + uint64(p.segmentLength), high + 2*uint64(p.segmentLength)}
	at[1] ^= uint64(uint32(hash>>18) & (p.segmentLength - 1))
	at[2] ^= uint64(uint32(hash) & (p.segmentLength - 1))
	f := uint16(hash ^ hash>>32)
	for _, i := range at {
		var b [2]byte
		if _, err := s.r.ReadAt(b[:], int64(p.offset+2*i)); err != nil {
			return false, fmt.Errorf("set of breached passwords: %w", err)
		}
		f ^= binary.LittleEndian.Uint16(b[:])
	}
	return f == 0, nil
}

// Verify reads the whole file and reports ErrFormat if it is not as it was made. Progress,
// which may be nil, gets the bytes.
func (s *Set) Verify(ctx context.Context, size int64, progress io.Writer) error {
	if progress == nil {
		progress = io.Discard
	}
	h := sha256.New()
	rest := io.NewSectionReader(s.r, headerSize, size-headerSize)
	if _, err := io.Copy(io.MultiWriter(h, progress), &stoppable{ctx, rest}); err != nil {
		return err
	}
	if [sha256.Size]byte(h.Sum(nil)) != s.sum {
		return fmt.Errorf("%w: its checksum differs", ErrFormat)
	}
	return nil
}

// stoppable reads until ctx ends.
type stoppable struct {
	ctx context.Context
	r   io.Reader
}

func (s *stoppable) Read(b []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	return s.r.Read(b)
}

func partOf(sum [sha1.Size]byte) int { return int(sum[0])<<4 | int(sum[1])>>4 }

// keyOf is what a part's filter knows a password by: bits that do not choose the part.
func keyOf(sum [sha1.Size]byte) uint64 { return binary.BigEndian.Uint64(sum[sha1.Size-8:]) }

// murmur is the finalizer of MurmurHash3, which the filter mixes keys with.
func murmur(h uint64) uint64 {
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}
