package fsm

import (
	"encoding/binary"
	"fmt"
	"iter"
)

// An Index finds the rows of a table by something other than their key.
type Index[T any] struct {
	table  *Table[T]
	num    uint8
	name   string
	unique bool
	keys   func(*T) []Key
}

// Unique declares an index in which a value stands for one row at most. keys
// returns the row's values: none leaves it out of the index. num identifies the
// index within the table for ever.
func (t *Table[T]) Unique(num uint8, name string, keys func(*T) []Key) *Index[T] {
	return t.addIndex(&Index[T]{table: t, num: num, name: name, unique: true, keys: keys})
}

// Index declares an index in which a value may stand for many rows, listed in key order.
func (t *Table[T]) Index(num uint8, name string, keys func(*T) []Key) *Index[T] {
	return t.addIndex(&Index[T]{table: t, num: num, name: name, keys: keys})
}

func (t *Table[T]) addIndex(x *Index[T]) *Index[T] {
	for _, other := range t.indexes {
		if other.num == x.num {
			panic(fmt.Sprintf("fsm: indexes %s and %s of %s share number %d", other.name, x.name, t.def.name, x.num))
		}
	}
	t.indexes = append(t.indexes, x)
	return x
}

// refs returns the raw entries that point to the row.
func (x *Index[T]) refs(scope Scope, key Key, v *T) []indexRef {
	var refs []indexRef
	for _, k := range x.keys(v) {
		raw := append(indexPrefix(x.table.def.num, x.num, scope), k...)
		if !x.unique {
			raw = append(raw, key...)
		}
		refs = append(refs, indexRef{key: raw, unique: x.unique})
	}
	return refs
}

// Get returns the row with value k of a unique index, or ErrNotFound.
func (x *Index[T]) Get(tx *Tx, scope Scope, k Key) (*T, error) {
	if !x.unique {
		panic("fsm: Get on index " + x.name + ", which is not unique")
	}
	tx.db.mustKnow(x.table.def.num, x.table.def.name)
	target, err := tx.holder(append(indexPrefix(x.table.def.num, x.num, scope), k...))
	if err != nil {
		return nil, err
	}
	if target == nil {
		return nil, fmt.Errorf("%s by %s: %w", x.table.def.name, x.name, ErrNotFound)
	}
	r, err := tx.row(target)
	if err != nil {
		return nil, err
	}
	if r == nil {
		return nil, fmt.Errorf("%s by %s: %w", x.table.def.name, x.name, ErrNotFound)
	}
	return x.table.decode(r)
}

// List yields the rows of scope in order of the index, narrowed by opts, whose
// keys are the index's: Prefix(K(value)) lists one value's rows.
func (x *Index[T]) List(tx *Tx, scope Scope, opts ...ListOption) iter.Seq2[*T, error] {
	tx.db.mustKnow(x.table.def.num, x.table.def.name)
	start, end, reverse := bounds(indexPrefix(x.table.def.num, x.num, scope), opts)
	return func(yield func(*T, error) bool) {
		err := (&scan{tx: tx, start: start, end: end, reverse: reverse}).each(func(_, value []byte) bool {
			v, err := x.target(tx, value)
			if v == nil && err == nil { // the row has expired and awaits its purge
				return true
			}
			return yield(v, err) && err == nil
		})
		if err != nil {
			yield(nil, err)
		}
	}
}

func (x *Index[T]) target(tx *Tx, entry []byte) (*T, error) {
	key, err := indexTarget(entry)
	if err != nil {
		return nil, err
	}
	r, err := tx.row(key)
	if err != nil || r == nil {
		return nil, err
	}
	return x.table.decode(r)
}

// Cursor returns where v stands in this index, for After. A row that the index
// lists several times continues behind its first place.
func (x *Index[T]) Cursor(v *T) string {
	ks := x.keys(v)
	if len(ks) == 0 {
		return ""
	}
	if x.unique {
		return encodeCursor(ks[0])
	}
	return encodeCursor(ks[0] + x.table.spec.Key(v))
}

// The value of an index entry: revision, raw data key.
func encodeIndexEntry(rev uint64, target []byte) []byte {
	return append(binary.BigEndian.AppendUint64(make([]byte, 0, 8+len(target)), rev), target...)
}

func indexRevision(v []byte) uint64 {
	if len(v) < 8 {
		return 0
	}
	return binary.BigEndian.Uint64(v)
}

func indexTarget(v []byte) ([]byte, error) {
	if len(v) < 13 || v[8] != spaceData {
		return nil, fmt.Errorf("index entry: %w", ErrCorrupt)
	}
	return v[8:], nil
}
