package fsm

import (
	"bytes"

	"github.com/cockroachdb/pebble/v2"
)

// known is what an applier has read of the committed store and written over it
// since its last commit. A batch asks for each key two or three times (as a read,
// as what a write replaces, as a unique entry), the engine is asked once, through
// one iterator that is kept and may use the filters of the lowest level too.
type known struct {
	db      *pebble.DB
	it      *pebble.Iterator
	rows    map[string]*standing // nil: absent
	entries map[string][]byte    // index entries; nil: absent
	heads   map[uint16]JournalHead
}

// standing is what Apply needs to know of a row that is there.
type standing struct {
	rev     uint64
	expires int64
	indexes []indexRef
	count   []byte // the payload, if it is as long as a counter's
}

func newKnown(db *pebble.DB) known {
	return known{db: db, rows: map[string]*standing{}, entries: map[string][]byte{}, heads: map[uint16]JournalHead{}}
}

func (k *known) close() {
	if k.it != nil {
		k.it.Close()
	}
}

// lookup returns the committed value at key, valid until the next lookup, or nil.
func (k *known) lookup(key []byte) ([]byte, error) {
	if k.it == nil {
		it, err := k.db.NewIter(&pebble.IterOptions{UseL6Filters: true})
		if err != nil {
			return nil, engineError("read", err)
		}
		k.it = it
	}
	if !k.it.SeekPrefixGE(key) || !bytes.Equal(k.it.Key(), key) {
		if err := k.it.Error(); err != nil {
			return nil, engineError("read", err)
		}
		return nil, nil
	}
	v, err := k.it.ValueAndErr()
	if err != nil {
		return nil, engineError("read", err)
	}
	return v, nil
}

// row returns the row at a data key, or nil.
func (k *known) row(key []byte) (*standing, error) {
	if s, ok := k.rows[string(key)]; ok {
		return s, nil
	}
	v, err := k.lookup(key)
	if err != nil {
		return nil, err
	}
	var s *standing
	if v != nil {
		r, err := decodeRow(v)
		if err != nil {
			return nil, err
		}
		s = &standing{rev: r.rev, expires: r.expires, indexes: r.indexes()}
		if len(r.payload) == countSize {
			s.count = bytes.Clone(r.payload)
		}
	}
	k.rows[string(key)] = s
	return s, nil
}

// entry returns the value of an index entry, or nil.
func (k *known) entry(key []byte) ([]byte, error) {
	if v, ok := k.entries[string(key)]; ok {
		return v, nil
	}
	v, err := k.lookup(key)
	if err != nil {
		return nil, err
	}
	v = bytes.Clone(v)
	k.entries[string(key)] = v
	return v, nil
}

// pointsTo reports whether the index entry at key stands and leads to row.
func (k *known) pointsTo(key, row []byte) (bool, error) {
	v, err := k.entry(key)
	return len(v) > 8 && bytes.Equal(v[8:], row), err
}
