package fsm

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// errNewFormat marks bytes written by a newer release: a replica must not skip
// them, so Apply stops.
var errNewFormat = errors.New("written by a newer release")

func appendBytes(out, b []byte) []byte {
	out = binary.AppendUvarint(out, uint64(len(b)))
	return append(out, b...)
}

func appendBool(out []byte, v bool) []byte {
	if v {
		return append(out, 1)
	}
	return append(out, 0)
}

func appendIndexRefs(out []byte, refs []indexRef) []byte {
	out = binary.AppendUvarint(out, uint64(len(refs)))
	for _, r := range refs {
		out = appendBool(out, r.unique)
		out = appendBytes(out, r.key)
	}
	return out
}

// A decoder reads length-prefixed fields and remembers the first error, so that
// a parser reads like the format and checks once. It never copies: fields share b.
type decoder struct {
	b   []byte
	err error
}

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf(format+": %w", append(args, ErrCorrupt)...)
		d.b = nil
	}
}

func (d *decoder) take(n int) []byte {
	if d.err != nil || n > len(d.b) {
		d.fail("truncated")
		return nil
	}
	v := d.b[:n:n]
	d.b = d.b[n:]
	return v
}

func (d *decoder) byte() byte {
	if v := d.take(1); len(v) == 1 {
		return v[0]
	}
	return 0
}

func (d *decoder) bool() bool {
	v := d.byte()
	if v > 1 {
		d.fail("boolean %d", v)
	}
	return v == 1
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.fail("bad number")
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.fail("bad number")
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) bytes(limit int) []byte {
	n := d.uvarint()
	if n > uint64(limit) {
		d.fail("field of %d bytes is over %d", n, limit)
		return nil
	}
	return d.take(int(n))
}

func (d *decoder) key() []byte { return d.bytes(maxKey) }

// count reads a number of items of at least size bytes each; what cannot be
// there is refused before anything is allocated for it.
func (d *decoder) count(size int) int {
	n := d.uvarint()
	if n > uint64(len(d.b)/size) {
		d.fail("%d items in %d bytes", n, len(d.b))
		return 0
	}
	return int(n)
}

// millis reads a time that the store can hold.
func (d *decoder) millis() int64 {
	v := d.uvarint()
	if v > maxMillis {
		d.fail("time %d is after the year 9999", v)
		return 0
	}
	return int64(v)
}

func (d *decoder) indexRef() indexRef {
	r := indexRef{unique: d.bool(), key: d.key()}
	if d.err == nil && !inIndex(r.key) {
		d.fail("index entry outside the index space")
	}
	return r
}

func (d *decoder) indexRefs() []indexRef {
	n := d.count(2)
	if n == 0 {
		return nil
	}
	refs := make([]indexRef, 0, n)
	for range n {
		refs = append(refs, d.indexRef())
	}
	return refs
}

// bound reads one end of a range: as long as a key, and one byte to come right after it.
func (d *decoder) bound() []byte { return d.bytes(maxKey + 1) }
