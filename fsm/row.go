package fsm

import (
	"encoding/binary"
	"fmt"

	"github.com/fxamacker/cbor/v2"
)

// rowFormat is the first byte of every stored row.
const rowFormat = 1

// A row is a stored value with its header.
type row struct {
	rev     uint64     // log index that last wrote it
	expires int64      // milliseconds since 1970, 0: never
	indexes []indexRef // the index entries that point to it
	payload []byte
}

// An indexRef is one entry of a secondary index, as raw engine key.
type indexRef struct {
	key    []byte
	unique bool
}

// live reports whether the row still stands at time now, in milliseconds.
func (r *row) live(now int64) bool { return r.expires == 0 || r.expires > now }

func (r *row) encode() []byte {
	b := make([]byte, 0, 32+len(r.payload)+64*len(r.indexes))
	b = append(b, rowFormat)
	b = binary.BigEndian.AppendUint64(b, r.rev)
	b = binary.BigEndian.AppendUint64(b, uint64(r.expires))
	b = appendIndexRefs(b, r.indexes)
	return append(b, r.payload...)
}

func decodeRow(b []byte) (*row, error) {
	if len(b) < 18 || b[0] != rowFormat {
		return nil, fmt.Errorf("row header: %w", ErrCorrupt)
	}
	r := &row{rev: binary.BigEndian.Uint64(b[1:]), expires: int64(binary.BigEndian.Uint64(b[9:]))}
	d := decoder{b: b[17:]}
	r.indexes = d.indexRefs()
	if d.err != nil {
		return nil, fmt.Errorf("row header: %w", d.err)
	}
	r.payload = d.b
	return r, nil
}

// rowRevision reads only the revision and expiry of a stored row.
func rowRevision(b []byte) (rev uint64, expires int64, err error) {
	if len(b) < 18 || b[0] != rowFormat {
		return 0, 0, fmt.Errorf("row header: %w", ErrCorrupt)
	}
	return binary.BigEndian.Uint64(b[1:]), int64(binary.BigEndian.Uint64(b[9:])), nil
}

// The one codec of row payloads: RFC 8949 core deterministic encoding, so that
// equal values are equal bytes on every node; times as RFC 3339 in UTC, exact.
var (
	encMode = must(func() (cbor.EncMode, error) {
		o := cbor.CoreDetEncOptions()
		o.Time = cbor.TimeRFC3339NanoUTC
		return o.EncMode()
	})
	decMode = must(cbor.DecOptions{
		DupMapKey:        cbor.DupMapKeyEnforcedAPF,
		IndefLength:      cbor.IndefLengthForbidden,
		MaxNestedLevels:  16,
		MaxArrayElements: 1 << 16,
		MaxMapPairs:      1 << 16,
	}.DecMode)
)

func must[T any](make func() (T, error)) T {
	v, err := make()
	if err != nil {
		panic(err)
	}
	return v
}
