package fsm

import (
	"bytes"
	"encoding/binary"

	"github.com/cockroachdb/pebble/v2"
)

// op carries out one verified write.
func (a *applier) op(o *op) error {
	switch o.kind {
	case opAppend:
		return a.append(o)
	case opPurge:
		return a.purge(o.expires, o.delta)
	}
	old, err := a.stored(o.key)
	if err != nil {
		return err
	}
	a.changes = append(a.changes, change{index: a.st.applied, key: o.key})
	switch o.kind {
	case opPut:
		return a.write(o.key, old, &row{rev: a.st.applied, expires: o.expires, indexes: o.indexes, payload: o.value})
	case opDelete:
		return a.remove(o.key, old)
	default:
		return a.count(o, old)
	}
}

func (a *applier) stored(key []byte) (*row, error) {
	v, err := get(a.b, key)
	if err != nil || v == nil {
		return nil, err
	}
	return decodeRow(v)
}

// write replaces old by r. Index entries that stay keep their revision, so that a
// change of a row's other fields does not disturb those who walked the index.
func (a *applier) write(key []byte, old, r *row) error {
	if err := a.dropIndexes(key, old, r.indexes); err != nil {
		return err
	}
	for _, ref := range r.indexes {
		v, err := get(a.b, ref.key)
		if err != nil {
			return err
		}
		if v != nil && bytes.Equal(v[8:], key) {
			continue
		}
		if err := a.b.Set(ref.key, encodeIndexEntry(a.st.applied, key), nil); err != nil {
			return err
		}
	}
	if old == nil || old.expires != r.expires {
		if err := a.moveExpiry(key, old, r.expires); err != nil {
			return err
		}
	}
	return a.b.Set(key, r.encode(), nil)
}

func (a *applier) remove(key []byte, old *row) error {
	if old == nil {
		return nil
	}
	if err := a.dropIndexes(key, old, nil); err != nil {
		return err
	}
	if err := a.moveExpiry(key, old, 0); err != nil {
		return err
	}
	return a.b.Delete(key, nil)
}

// dropIndexes deletes old's index entries that are not kept. An entry that by now
// points to another row (a swap within the batch) is left alone.
func (a *applier) dropIndexes(key []byte, old *row, keep []indexRef) error {
	if old == nil {
		return nil
	}
next:
	for _, ref := range old.indexes {
		for _, k := range keep {
			if bytes.Equal(k.key, ref.key) {
				continue next
			}
		}
		v, err := get(a.b, ref.key)
		if err != nil {
			return err
		}
		if len(v) < 8 || !bytes.Equal(v[8:], key) {
			continue
		}
		if err := a.b.Delete(ref.key, nil); err != nil {
			return err
		}
	}
	return nil
}

func (a *applier) moveExpiry(key []byte, old *row, expires int64) error {
	if old != nil && old.expires != 0 {
		if err := a.b.Delete(expiryKey(old.expires, key), nil); err != nil {
			return err
		}
	}
	if expires == 0 {
		return nil
	}
	return a.b.Set(expiryKey(expires, key), nil, nil)
}

// count carries out opAdd and opMax. A number that has expired starts anew.
func (a *applier) count(o *op, old *row) error {
	r := &row{rev: a.st.applied, expires: o.expires}
	n := o.delta
	if old != nil && old.live(a.now) {
		was, err := decodeCount(old.payload)
		if err != nil {
			return err
		}
		if o.kind == opAdd {
			n += was
		} else {
			n = max(n, was)
		}
		if r.expires == 0 {
			r.expires = old.expires
		}
	}
	r.payload = encodeCount(n)
	return a.write(o.key, old, r)
}

// append puts one value at the end of a journal.
func (a *applier) append(o *op) error {
	head, err := loadHead(a.b, o.journal)
	if err != nil {
		return err
	}
	at := JournalPosition{Index: a.st.applied, Ordinal: a.ordinal}
	a.ordinal++
	body := binary.BigEndian.AppendUint64(nil, uint64(a.now))
	body = append(appendBytes(body, o.key), o.value...)
	head = JournalHead{Position: at, Count: head.Count + 1, Link: chainLink(head.Link, at, body)}
	key := append(journalPrefix(spaceJournal, o.journal), at.bytes()...)
	scoped := append(append(journalPrefix(spaceScoped, o.journal), K(string(o.key))...), at.bytes()...)
	a.changes = append(a.changes, change{index: a.st.applied, key: key})
	if err := a.b.Set(key, append(head.Link[:], body...), nil); err != nil {
		return err
	}
	if err := a.b.Set(scoped, nil, nil); err != nil {
		return err
	}
	return a.b.Set(headKey(o.journal), head.encode(), nil)
}

// purge deletes up to limit rows that expired before both the state's time and before.
func (a *applier) purge(before, limit int64) error {
	var due [][]byte
	o := &pebble.IterOptions{
		LowerBound: []byte{spaceExpiry},
		UpperBound: expiryKey(min(before, a.now)+1, nil),
	}
	err := iterate(a.b, o, false, func(key, _ []byte) bool {
		due = append(due, bytes.Clone(key))
		return int64(len(due)) < limit
	})
	if err != nil {
		return err
	}
	for _, k := range due {
		key := k[9:]
		old, err := a.stored(key)
		if err != nil {
			return err
		}
		if old == nil || old.live(a.now) { // cannot be: the entry moves with its row
			if err := a.b.Delete(k, nil); err != nil {
				return err
			}
			continue
		}
		a.changes = append(a.changes, change{index: a.st.applied, key: key})
		if err := a.remove(key, old); err != nil {
			return err
		}
	}
	return nil
}
