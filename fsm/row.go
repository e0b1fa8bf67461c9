package fsm

import (
	"encoding/binary"
	"fmt"
	"reflect"
	"time"

	"github.com/fxamacker/cbor/v2"
)

// rowFormat is the first byte of every stored row.
const rowFormat = 1

// A row is a stored value with its header. Its slices share the bytes it was decoded from.
type row struct {
	rev     uint64 // log index that last wrote it
	expires int64  // milliseconds since 1970, 0: never
	refs    []byte // the index entries that point to it, encoded
	payload []byte
}

// An indexRef is one entry of a secondary index, as raw engine key.
type indexRef struct {
	key    []byte
	unique bool
}

func live(expires, now int64) bool { return expires == 0 || expires > now }

func encodeRow(rev uint64, expires int64, indexes []indexRef, payload []byte) []byte {
	size := 32 + len(payload)
	for _, r := range indexes {
		size += len(r.key) + 4
	}
	b := make([]byte, 0, size)
	b = append(b, rowFormat)
	b = binary.BigEndian.AppendUint64(b, rev)
	b = binary.BigEndian.AppendUint64(b, uint64(expires))
	b = appendIndexRefs(b, indexes)
	return append(b, payload...)
}

func decodeRow(b []byte) (row, error) {
	rev, expires, err := rowRevision(b)
	if err != nil {
		return row{}, err
	}
	d := decoder{b: b[17:]}
	for range d.count(2) {
		d.indexRef()
	}
	if d.err != nil {
		return row{}, fmt.Errorf("row header: %w", d.err)
	}
	return row{rev: rev, expires: expires, refs: b[17 : len(b)-len(d.b)], payload: d.b}, nil
}

// indexes returns the row's index entries with keys of their own.
func (r *row) indexes() []indexRef {
	d := decoder{b: append([]byte(nil), r.refs...)}
	return d.indexRefs()
}

// rowRevision reads only the revision and expiry of a stored row.
func rowRevision(b []byte) (rev uint64, expires int64, err error) {
	if len(b) < 18 || b[0] != rowFormat {
		return 0, 0, fmt.Errorf("row header: %w", ErrCorrupt)
	}
	return binary.BigEndian.Uint64(b[1:]), int64(binary.BigEndian.Uint64(b[9:])), nil
}

// maxMillis is the end of the year 9999, the latest time that the store knows.
const maxMillis = 253_402_300_799_999

// expiryOf returns t as stored: 0 means never, so a time at or before 1970 becomes the first one after.
func expiryOf(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return min(max(t.UnixMilli(), 1), maxMillis)
}

// The one codec of row payloads: RFC 8949 core deterministic encoding, so that
// equal values are equal bytes on every node; times as RFC 3339 in UTC, exact.
// Whatever encMode writes, decMode must read: strings may hold any bytes (a
// stranger's User-Agent need not be UTF-8), and marshal checks the rest.
var (
	encMode = must(func() (cbor.EncMode, error) {
		o := cbor.CoreDetEncOptions()
		o.Time = cbor.TimeRFC3339NanoUTC
		return o.EncMode()
	})
	decMode = must(cbor.DecOptions{
		DupMapKey:        cbor.DupMapKeyEnforcedAPF,
		IndefLength:      cbor.IndefLengthForbidden,
		UTF8:             cbor.UTF8DecodeInvalid,
		DefaultMapType:   reflect.TypeFor[map[string]any](),
		MaxNestedLevels:  64,
		MaxArrayElements: 1 << 16,
		MaxMapPairs:      1 << 16,
	}.DecMode)
)

// marshal encodes the payload of a row or journal entry of what. It refuses what
// is too large, or could not be read back.
func marshal(what string, v any) ([]byte, error) {
	payload, err := encMode.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("%s: encode: %w", what, err)
	}
	if len(payload) > MaxRow {
		return nil, fmt.Errorf("%s: row of %d bytes is over %d: %w", what, len(payload), MaxRow, ErrRefused)
	}
	if err := decMode.Wellformed(payload); err != nil {
		return nil, fmt.Errorf("%s: row nests too deeply: %w: %w", what, ErrRefused, err)
	}
	return payload, nil
}

func must[T any](make func() (T, error)) T {
	v, err := make()
	if err != nil {
		panic(err)
	}
	return v
}
