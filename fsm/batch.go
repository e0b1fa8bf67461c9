package fsm

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// Limits on what one proposal may carry. They keep one writer from stalling
// replication for all (a Raft entry is sent and stored whole). Apply refuses what
// is over them, so they are part of the format: all members must agree on them.
const (
	MaxBatch = 256 << 10 // bytes of one encoded batch
	MaxEntry = 1 << 20   // bytes of one encoded log entry
	MaxRow   = 64 << 10  // bytes of one encoded row payload
	maxKey   = 4 << 10   // bytes of one raw key
)

// batchFormat is the first byte of an encoded batch. A node that meets a newer
// one stops rather than guess: see Apply.
const batchFormat = 1

type opKind uint8

const (
	opPut    opKind = iota + 1 // write a row, replacing its index entries
	opDelete                   // delete a row and its index entries
	opAdd                      // add delta to a counter
	opMax                      // raise a counter to at least delta
	opAppend                   // append to a journal
	opPurge                    // delete up to delta rows that expired before expires
)

// An op is one write of a batch.
type op struct {
	kind    opKind
	key     []byte // raw data key; for opAppend the scope
	expires int64
	indexes []indexRef
	value   []byte
	delta   int64
	journal uint16
}

// A readCheck is a row the transaction saw: at rev (0: absent), live or expired.
type readCheck struct {
	key  []byte
	rev  uint64
	live bool
}

// A rangeCheck is a range the transaction walked, with a digest of what it held.
type rangeCheck struct {
	start, end []byte
	digest     [16]byte
}

// A batch is everything that one transaction wants verified and written.
type batch struct {
	id       [16]byte // remembered with its outcome: a resend gets the first result
	deadline int64    // milliseconds; refused once the log's time has passed it
	term     uint64   // 0, or the only Raft term in which it may be applied
	reads    []readCheck
	ranges   []rangeCheck
	ops      []op
}

func (b *batch) encode() []byte {
	out := make([]byte, 0, 512)
	out = append(out, batchFormat)
	out = append(out, b.id[:]...)
	out = binary.AppendUvarint(out, uint64(b.deadline))
	out = binary.AppendUvarint(out, b.term)
	out = binary.AppendUvarint(out, uint64(len(b.reads)))
	for _, r := range b.reads {
		out = appendBytes(out, r.key)
		out = binary.AppendUvarint(out, r.rev)
		out = appendBool(out, r.live)
	}
	out = binary.AppendUvarint(out, uint64(len(b.ranges)))
	for _, r := range b.ranges {
		out = appendBytes(out, r.start)
		out = appendBytes(out, r.end)
		out = append(out, r.digest[:]...)
	}
	out = binary.AppendUvarint(out, uint64(len(b.ops)))
	for i := range b.ops {
		out = b.ops[i].append(out)
	}
	return out
}

func (o *op) append(out []byte) []byte {
	out = append(out, byte(o.kind))
	out = appendBytes(out, o.key)
	switch o.kind {
	case opPut:
		out = binary.AppendUvarint(out, uint64(o.expires))
		out = appendIndexRefs(out, o.indexes)
		out = appendBytes(out, o.value)
	case opAdd, opMax, opPurge:
		out = binary.AppendUvarint(out, uint64(o.expires))
		out = binary.AppendVarint(out, o.delta)
	case opAppend:
		out = binary.BigEndian.AppendUint16(out, o.journal)
		out = appendBytes(out, o.value)
	}
	return out
}

// CheckBatch reports ErrRefused if batch is malformed, too large or of a newer
// release than this one. A leader calls it before it puts another node's batch
// into the log: Apply would refuse a malformed one alike everywhere, but must stop
// at one that it is too old to read.
func CheckBatch(batch []byte) error {
	if _, err := decodeBatch(batch); err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return nil
}

// decodeBatch parses an encoded batch. errNewFormat means that a newer release wrote it.
func decodeBatch(raw []byte) (*batch, error) {
	if len(raw) > MaxBatch {
		return nil, fmt.Errorf("batch of %d bytes is over %d: %w", len(raw), MaxBatch, ErrRefused)
	}
	if len(raw) > 0 && raw[0] > batchFormat {
		return nil, fmt.Errorf("batch format %d: %w", raw[0], errNewFormat)
	}
	d := decoder{b: raw}
	if v := d.byte(); d.err == nil && v != batchFormat {
		d.fail("batch format %d", v)
	}
	b := &batch{}
	copy(b.id[:], d.take(16))
	b.deadline = d.millis()
	b.term = d.uvarint()
	for range d.count(3) {
		b.reads = append(b.reads, d.readCheck())
	}
	for range d.count(18) {
		b.ranges = append(b.ranges, d.rangeCheck())
	}
	for range d.count(2) {
		b.ops = append(b.ops, d.op())
	}
	if d.err == nil && len(d.b) > 0 {
		d.fail("%d bytes after the batch", len(d.b))
	}
	if d.err != nil {
		return nil, fmt.Errorf("batch: %w", d.err)
	}
	return b, nil
}

// Only rows and index entries can be read or walked by a transaction: checks on
// anything else would have Apply take other records for rows.
func (d *decoder) readCheck() readCheck {
	r := readCheck{key: d.key(), rev: d.uvarint(), live: d.bool()}
	if d.err == nil && !inData(r.key) && !inIndex(r.key) {
		d.fail("read outside the data and index spaces")
	}
	return r
}

func (d *decoder) rangeCheck() rangeCheck {
	r := rangeCheck{start: d.bound(), end: d.bound()}
	copy(r.digest[:], d.take(16))
	if d.err != nil {
		return r
	}
	space := byte(0)
	if len(r.start) > 0 {
		space = r.start[0]
	}
	if (space != spaceData && space != spaceIndex) ||
		bytes.Compare(r.start, r.end) >= 0 || bytes.Compare(r.end, []byte{space + 1}) > 0 {
		d.fail("range outside the data and index spaces, or empty")
	}
	return r
}

func (d *decoder) op() op {
	o := op{kind: opKind(d.byte()), key: d.key()}
	if o.kind != opAppend && o.kind != opPurge && d.err == nil && !inData(o.key) {
		d.fail("write outside the data space")
	}
	switch o.kind {
	case opPut:
		o.expires = d.millis()
		o.indexes = d.indexRefs()
		o.value = d.bytes(MaxRow)
	case opDelete:
	case opAdd, opMax, opPurge:
		o.expires = d.millis()
		o.delta = d.varint()
		if o.kind == opPurge && (o.delta < 1 || o.delta > purgeLimit) {
			d.fail("purge of %d rows", o.delta)
		}
	case opAppend:
		if v := d.take(2); len(v) == 2 {
			o.journal = binary.BigEndian.Uint16(v)
		}
		o.value = d.bytes(MaxRow)
	default:
		d.fail("operation %d", o.kind)
	}
	return o
}
