package fsm

import (
	"encoding/binary"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// longestMemory bounds how far ahead the deadline of a batch may lie, and so how
// long its outcome is remembered, in milliseconds of the state's time.
const longestMemory = 60_000

// memory holds the outcome of every batch whose deadline has not passed, so that
// a resend after a lost answer gets its first result. It is part of the replicated
// state: one engine row per log entry, and this map over them. A batch past its
// deadline is refused, hence nothing is needed of it any longer.
type memory struct {
	byID    map[[16]byte]Verdict
	entries []rememberedEntry // oldest first
}

// A rememberedEntry says which batches one log entry decided.
type rememberedEntry struct {
	index uint64
	until int64
	ids   [][16]byte
}

func memoryKey(index uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{spaceSystem, 'b'}, index)
}

// add notes the verdict on b in e; from now on b is known.
func (m *memory) add(e *rememberedEntry, b *batch, v Verdict) {
	e.ids = append(e.ids, b.id)
	e.until = max(e.until, b.deadline)
	m.byID[b.id] = v
}

// remember makes e part of the state.
func (m *memory) remember(b *pebble.Batch, e rememberedEntry) error {
	if len(e.ids) == 0 {
		return nil
	}
	v := binary.BigEndian.AppendUint64(make([]byte, 0, 8+17*len(e.ids)), uint64(e.until))
	for _, id := range e.ids {
		v = append(v, id[:]...)
		v = append(v, byte(m.byID[id]))
	}
	m.entries = append(m.entries, e)
	return b.Set(memoryKey(e.index), v, nil)
}

// forget drops the oldest entries whose deadlines have passed at now.
func (m *memory) forget(b *pebble.Batch, now int64) error {
	n := 0
	for ; n < len(m.entries) && m.entries[n].until < now; n++ {
		for _, id := range m.entries[n].ids {
			delete(m.byID, id)
		}
		if err := b.Delete(memoryKey(m.entries[n].index), nil); err != nil {
			return err
		}
	}
	m.entries = m.entries[n:]
	if len(m.entries) == 0 && n > 0 { // give back what a busy time needed
		m.byID, m.entries = map[[16]byte]Verdict{}, nil
	}
	return nil
}

func loadMemory(r reader) (*memory, error) {
	m := &memory{byID: map[[16]byte]Verdict{}}
	prefix := []byte{spaceSystem, 'b'}
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: prefixEnd(prefix)})
	if err != nil {
		return nil, engineError("read", err)
	}
	defer it.Close()
	for it.First(); it.Valid(); it.Next() {
		k, v := it.Key(), it.Value()
		if len(k) != 10 || len(v) < 8 || (len(v)-8)%17 != 0 {
			return nil, fmt.Errorf("remembered batches: %w", ErrCorrupt)
		}
		e := rememberedEntry{index: binary.BigEndian.Uint64(k[2:]), until: int64(binary.BigEndian.Uint64(v))}
		for v = v[8:]; len(v) > 0; v = v[17:] {
			id := [16]byte(v[:16])
			e.ids = append(e.ids, id)
			m.byID[id] = Verdict(v[16])
		}
		m.entries = append(m.entries, e)
	}
	return m, it.Error()
}
