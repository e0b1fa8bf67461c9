package breach

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/FastFilter/xorfilter"
)

// A Recipe says how a set is made.
type Recipe struct {
	MinCount uint32    // passwords leaked less often are left out; 0 counts as 1
	Progress io.Writer // gets the bytes of the list as they are read; may be nil
	Now      time.Time // when it is made
}

// Build makes a set of the list r and writes it to w: one line for each password, its SHA-1
// in hexadecimal, a colon, and how often it was leaked, in order of the SHA-1, as Have I Been
// Pwned gives it. It holds one part in memory at a time, about 60 bytes for each password in it. What it
// wrote is whole only if it returns nil.
func Build(ctx context.Context, w io.WriteSeeker, r io.Reader, recipe Recipe) (Info, error) {
	if recipe.Progress == nil {
		recipe.Progress = io.Discard
	}
	recipe.MinCount = max(1, recipe.MinCount)
	b := &builder{table: make([]byte, tableSize), at: headerSize}
	if _, err := w.Seek(headerSize, io.SeekStart); err != nil {
		return Info{}, err
	}
	out := bufio.NewWriterSize(w, 1<<20)
	hash := sha256.New()
	b.out = io.MultiWriter(out, hash)
	if err := b.readAll(io.TeeReader(&stoppable{ctx, r}, recipe.Progress), recipe.MinCount); err != nil {
		return Info{}, err
	}
	if _, err := b.out.Write(b.table); err != nil {
		return Info{}, err
	}
	if err := out.Flush(); err != nil {
		return Info{}, err
	}
	h := append(make([]byte, 0, headerSize), magic...)
	h = binary.LittleEndian.AppendUint64(h, b.count)
	h = binary.LittleEndian.AppendUint32(h, recipe.MinCount)
	h = binary.LittleEndian.AppendUint32(h, parts)
	h = binary.LittleEndian.AppendUint64(h, uint64(recipe.Now.Unix()))
	h = binary.LittleEndian.AppendUint64(h, b.at)
	h = hash.Sum(h)
	if _, err := w.Seek(0, io.SeekStart); err != nil {
		return Info{}, err
	}
	if _, err := w.Write(h); err != nil {
		return Info{}, err
	}
	return Info{b.count, recipe.MinCount, recipe.Now.Truncate(time.Second).UTC(), hex.EncodeToString(h[40:])}, nil
}

type builder struct {
	out   io.Writer
	table []byte
	at    uint64 // where the next part begins
	count uint64

	filter xorfilter.BinaryFuseBuilder
	part   int
	keys   []uint64 // of that part
}

func (b *builder) readAll(r io.Reader, least uint32) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 1<<20), 1<<20)
	n := 0
	for lines.Scan() {
		n++
		sum, count, err := parseLine(lines.Bytes())
		if err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		switch at := partOf(sum); {
		case at < b.part:
			return fmt.Errorf("line %d: the list is not in order of the SHA-1", n)
		case at > b.part:
			if err := b.close(); err != nil {
				return err
			}
			b.part = at
		}
		if count >= uint64(least) {
			b.keys = append(b.keys, keyOf(sum))
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("after line %d: %w", n, err)
	}
	return b.close()
}

// parseLine reads SHA1:count. Its errors do not repeat the line.
func parseLine(line []byte) (sum [sha1.Size]byte, count uint64, err error) {
	digest, digits, ok := bytes.Cut(bytes.TrimSpace(line), []byte(":"))
	if !ok || len(digest) != 2*sha1.Size {
		return sum, 0, fmt.Errorf("it is not a SHA-1, a colon and a number")
	}
	if _, err := hex.Decode(sum[:], digest); err != nil {
		return sum, 0, fmt.Errorf("it does not begin with a SHA-1 in hexadecimal")
	}
	if count, err = strconv.ParseUint(string(digits), 10, 64); err != nil {
		return sum, 0, fmt.Errorf("what follows the colon is not a number")
	}
	return sum, count, nil
}

// close writes the part that is complete.
func (b *builder) close() error {
	if len(b.keys) == 0 {
		return nil
	}
	b.count += uint64(len(b.keys))
	f, err := xorfilter.BuildBinaryFuse[uint16](&b.filter, b.keys)
	if err != nil {
		return fmt.Errorf("part %d: %w", b.part, err)
	}
	b.keys = b.keys[:0]
	row := b.table[b.part*partSize:]
	binary.LittleEndian.PutUint64(row, b.at)
	binary.LittleEndian.PutUint64(row[8:], f.Seed)
	binary.LittleEndian.PutUint32(row[16:], f.SegmentLength)
	binary.LittleEndian.PutUint32(row[20:], f.SegmentCount)
	b.at += 2 * uint64(len(f.Fingerprints))
	return binary.Write(b.out, binary.LittleEndian, f.Fingerprints)
}
