package fsm

import (
	"encoding/binary"
	"fmt"
	"iter"
)

// An Index finds the rows of a table by something other than their key.
type Index[T any] struct {
	table *Table[T]
	shape indexShape
	name  string
	keys  func(*T) []Key

	missing error // an ErrNotFound that names the index
}

// Unique declares an index in which a value stands for one row at most. keys
// returns the row's values: none leaves it out of the index. num identifies the
// index within the table for ever.
func (t *Table[T]) Unique(num uint8, name string, keys func(*T) []Key) *Index[T] {
	return t.addIndex(name, keys, indexShape{table: t.def.num, num: num, unique: true})
}

// Index declares an index in which a value may stand for many rows, listed in key order.
func (t *Table[T]) Index(num uint8, name string, keys func(*T) []Key) *Index[T] {
	return t.addIndex(name, keys, indexShape{table: t.def.num, num: num})
}

func (t *Table[T]) addIndex(name string, keys func(*T) []Key, shape indexShape) *Index[T] {
	for _, other := range t.indexes {
		if other.shape.num == shape.num {
			panic(fmt.Sprintf("fsm: indexes %s and %s of %s share number %d", other.name, name, t.def.name, shape.num))
		}
	}
	x := &Index[T]{table: t, shape: shape, name: name, keys: keys, missing: fmt.Errorf("%s by %s: %w", t.def.name, name, ErrNotFound)}
	t.indexes = append(t.indexes, x)
	return x
}

// refs returns the raw entries that point to the row.
func (x *Index[T]) refs(scope Scope, key Key, v *T) []indexRef {
	var refs []indexRef
	for _, k := range x.keys(v) {
		refs = append(refs, indexRef{key: x.shape.entry(scope, k, key), unique: x.shape.unique})
	}
	return refs
}

// Get returns the row with value k of a unique index, or ErrNotFound.
func (x *Index[T]) Get(tx *Tx, scope Scope, k Key) (*T, error) {
	if !x.shape.unique {
		panic("fsm: Get on index " + x.name + ", which is not unique")
	}
	tx.db.mustKnow(x.table.def.num, x.table.def.name)
	target, err := tx.holder(x.shape.entry(scope, k, ""))
	if err != nil {
		return nil, err
	}
	var v *T
	if target != nil {
		v, _, err = x.table.at(tx, target)
	}
	if err == nil && v == nil {
		err = x.missing
	}
	return v, err
}

// List yields the rows of scope in order of the index, narrowed by opts, whose
// keys are the index's: Prefix(K(value)) lists one value's rows.
func (x *Index[T]) List(tx *Tx, scope Scope, opts ...ListOption) iter.Seq2[*T, error] {
	return behind(x, tx, scope, opts, func(_, key []byte) (*T, error) {
		v, _, err := x.table.at(tx, key)
		return v, err // nil: the row has expired and awaits its purge
	})
}

// A Place is a row where an index lists it, of which there may be several; After its Cursor are those behind it.
type Place[T any] struct {
	Row    *T
	Cursor string
}

// Places is List with where each row stands.
func (x *Index[T]) Places(tx *Tx, scope Scope, opts ...ListOption) iter.Seq2[*Place[T], error] {
	return behind(x, tx, scope, opts, func(place, key []byte) (*Place[T], error) {
		v, _, err := x.table.at(tx, key)
		if v == nil {
			return nil, err
		}
		return &Place[T]{v, encodeCursor(Key(place))}, nil
	})
}

// Keys yields the keys of the rows that List would yield without reading the rows, and so
// those of rows that have expired and await their purge as well.
func (x *Index[T]) Keys(tx *Tx, scope Scope, opts ...ListOption) iter.Seq2[*Key, error] {
	return behind(x, tx, scope, opts, func(_, target []byte) (*Key, error) {
		_, _, key, err := splitDataKey(target)
		return &key, err
	})
}

// behind yields what of makes of the places of the entries of x and the data keys that they point to.
func behind[T, R any](x *Index[T], tx *Tx, scope Scope, opts []ListOption, of func(place, key []byte) (*R, error)) iter.Seq2[*R, error] {
	tx.db.mustKnow(x.table.def.num, x.table.def.name)
	prefix := indexPrefix(x.shape.table, x.shape.num, scope)
	start, end, reverse := bounds(prefix, opts)
	return list(tx, start, end, reverse, func(raw, entry []byte) (*R, error) {
		key, err := indexTarget(entry)
		if err != nil {
			return nil, err
		}
		return of(raw[len(prefix):], key)
	})
}

// Cursor returns where v stands in this index, for After. A row that the index
// lists several times continues behind its first place.
func (x *Index[T]) Cursor(v *T) string {
	ks := x.keys(v)
	if len(ks) == 0 {
		return ""
	}
	return x.CursorAt(v, ks[0])
}

// CursorAt returns where v stands by its value k.
func (x *Index[T]) CursorAt(v *T, k Key) string {
	return encodeCursor(x.shape.place(k, x.table.spec.Key(v)))
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
	if len(v) < 8 || !inData(v[8:]) {
		return nil, fmt.Errorf("index entry: %w", ErrCorrupt)
	}
	return v[8:], nil
}
