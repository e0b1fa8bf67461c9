package fsm

import (
	"encoding/binary"
	"fmt"
	"time"
)

// entryFormat is the first byte of an encoded log entry.
const entryFormat = 1

// EncodeEntry packs batches (each as given to [Log.Propose]) into one log entry.
// now is the leader's clock; the state's time becomes the latest one ever stamped.
func EncodeEntry(now time.Time, batches [][]byte) []byte {
	size := 16
	for _, b := range batches {
		size += len(b) + 4
	}
	out := make([]byte, 0, size)
	out = append(out, entryFormat)
	out = binary.AppendUvarint(out, uint64(max(now.UnixMilli(), 0)))
	out = binary.AppendUvarint(out, uint64(len(batches)))
	for _, b := range batches {
		out = appendBytes(out, b)
	}
	return out
}

func decodeEntry(raw []byte) (stamp int64, batches [][]byte, err error) {
	if len(raw) > 0 && raw[0] > entryFormat {
		return 0, nil, fmt.Errorf("log entry format %d: %w", raw[0], errNewFormat)
	}
	d := decoder{b: raw}
	if v := d.byte(); d.err == nil && v != entryFormat {
		d.fail("log entry format %d", v)
	}
	// A broken clock, an empty or an oversized batch must not make an entry that no
	// replica can get past: they are dealt with later, alike on all.
	stamp = int64(min(d.uvarint(), maxMillis))
	for range d.count(1) {
		batches = append(batches, d.bytes(len(raw)))
	}
	if d.err == nil && len(d.b) > 0 {
		d.fail("%d bytes after the entry", len(d.b))
	}
	if d.err != nil {
		return 0, nil, fmt.Errorf("log entry: %w", d.err)
	}
	return stamp, batches, nil
}

// A Verdict is what Apply decided about one batch; the same on every replica.
type Verdict uint8

const (
	Applied  Verdict = iota + 1 // its writes are in
	Conflict                    // something it read had changed
	Fenced                      // its term has passed
	Refused                     // malformed or too large
	Late                        // its deadline had passed; another try may do
)

func (v Verdict) String() string {
	names := [...]string{"none", "applied", "conflict", "fenced", "refused", "late"}
	if int(v) < len(names) {
		return names[v]
	}
	return fmt.Sprintf("verdict(%d)", uint8(v))
}

// An Outcome is the answer to one proposed batch.
type Outcome struct {
	Index   uint64 // log index at which it was decided
	Verdict Verdict
}
