package fsm

import (
	"bytes"
	"encoding/binary"

	"github.com/cockroachdb/pebble/v2"

	"github.com/quis-idp/quis/fsm/notice"
)

// op carries out one verified write.
func (a *applier) op(o *op) error {
	switch o.kind {
	case opAppend:
		return a.append(o)
	case opPurge:
		return a.purge(o.expires, o.delta)
	}
	old, err := a.known.row(o.key)
	if err != nil {
		return err
	}
	switch o.kind {
	case opPut:
		return a.write(o, old)
	case opDelete:
		return a.remove(o.key, old)
	default:
		return a.count(o, old)
	}
}

func (a *applier) setEntry(key, value []byte) error {
	a.known.entries[string(key)] = value
	if value == nil {
		return a.b.Delete(key, nil)
	}
	return a.b.Set(key, value, nil)
}

// setRow writes or, with a nil s, deletes a row, and tells the watchers.
func (a *applier) setRow(key []byte, s *standing, value []byte) error {
	k := string(key) // shares nothing with the log entry, which it outlives in the hub
	a.known.rows[k] = s
	a.changes = append(a.changes, notice.Change{Index: a.st.applied, Key: k})
	if s == nil {
		return a.b.Delete(key, nil)
	}
	return a.b.Set(key, value, nil)
}

// write replaces old by what o puts. Index entries that stay keep their revision,
// so that a change of a row's other fields does not disturb those who walked the index.
func (a *applier) write(o *op, old *standing) error {
	if err := a.dropIndexes(o.key, old, o.indexes); err != nil {
		return err
	}
	for _, ref := range o.indexes {
		ours, err := a.known.pointsTo(ref.key, o.key)
		if err != nil {
			return err
		}
		if ours {
			continue
		}
		if err := a.setEntry(ref.key, encodeIndexEntry(a.st.applied, o.key)); err != nil {
			return err
		}
	}
	if err := a.moveExpiry(o.key, old, o.expires); err != nil {
		return err
	}
	s := &standing{rev: a.st.applied, expires: o.expires, indexes: o.indexes}
	if len(o.value) == countSize {
		s.count = o.value
	}
	return a.setRow(o.key, s, encodeRow(s.rev, s.expires, s.indexes, o.value))
}

func (a *applier) remove(key []byte, old *standing) error {
	if old == nil {
		return nil
	}
	if err := a.dropIndexes(key, old, nil); err != nil {
		return err
	}
	if err := a.moveExpiry(key, old, 0); err != nil {
		return err
	}
	return a.setRow(key, nil, nil)
}

// dropIndexes deletes old's index entries that are not kept. An entry that by now
// points to another row (a swap within the batch) is left alone.
func (a *applier) dropIndexes(key []byte, old *standing, keep []indexRef) error {
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
		ours, err := a.known.pointsTo(ref.key, key)
		if err != nil {
			return err
		}
		if !ours {
			continue
		}
		if err := a.setEntry(ref.key, nil); err != nil {
			return err
		}
	}
	return nil
}

func (a *applier) moveExpiry(key []byte, old *standing, expires int64) error {
	was := int64(0)
	if old != nil {
		was = old.expires
	}
	if was == expires {
		return nil
	}
	if was != 0 {
		if err := a.b.Delete(expiryKey(was, key), nil); err != nil {
			return err
		}
	}
	if expires == 0 {
		return nil
	}
	return a.b.Set(expiryKey(expires, key), nil, nil)
}

// count carries out opAdd and opMax. A number that has expired starts anew.
func (a *applier) count(o *op, old *standing) error {
	put := op{kind: opPut, key: o.key, expires: o.expires}
	n := o.delta
	if old != nil && live(old.expires, a.now) {
		was, err := decodeCount(old.count)
		if err != nil {
			return err
		}
		if o.kind == opAdd {
			n = addCount(n, was)
		} else {
			n = max(n, was)
		}
		if put.expires == 0 {
			put.expires = old.expires
		}
	}
	put.value = encodeCount(n)
	return a.write(&put, old)
}

// append puts one value at the end of a journal.
func (a *applier) append(o *op) error {
	head, ok := a.known.heads[o.journal]
	if !ok {
		var err error
		if head, err = loadHead(a.eng.db, o.journal); err != nil {
			return err
		}
	}
	at := JournalPosition{Index: a.st.applied, Ordinal: a.ordinal}
	a.ordinal++
	body := binary.BigEndian.AppendUint64(make([]byte, 0, 16+len(o.key)+len(o.value)), uint64(a.now))
	body = append(appendBytes(body, o.key), o.value...)
	head = JournalHead{Position: at, Count: head.Count + 1, Link: chainLink(head.Link, at, body)}
	a.known.heads[o.journal] = head
	key := append(journalPrefix(spaceJournal, o.journal), at.bytes()...)
	scoped := append(append(journalPrefix(spaceScoped, o.journal), K(string(o.key))...), at.bytes()...)
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
		if err := a.b.Delete(k, nil); err != nil { // it moves with its row; but never meet it twice
			return err
		}
		key := k[min(9, len(k)):]
		if !inData(key) {
			continue
		}
		old, err := a.known.row(key)
		if err != nil {
			return err
		}
		if old == nil || live(old.expires, a.now) {
			continue
		}
		if err := a.remove(key, old); err != nil {
			return err
		}
	}
	return nil
}
