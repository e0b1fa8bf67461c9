package fsm

import (
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// A Spec says how rows of type T are keyed.
type Spec[T any] struct {
	Scope   func(*T) Scope     // nil: Global
	Key     func(*T) Key       // primary key within the scope
	Expires func(*T) time.Time // nil, or a zero time: never

	// What becomes of the rows when a backup is restored: transient ones (sessions,
	// spent marks) are void, own ones (of the cluster, not of its data) stay those of
	// the store that it is restored into. Any other comes back.
	Transient, Own bool
}

// A Table is a set of rows of type T, ordered by key within each scope. It is a
// constant description; the rows are in a DB.
type Table[T any] struct {
	def     definition
	spec    Spec[T]
	indexes []*Index[T]
	missing error // an ErrNotFound that names the table
}

// NewTable describes a table. num identifies it in stored keys for ever: never
// change it, never use it again.
func NewTable[T any](num uint16, name string, spec Spec[T]) *Table[T] {
	return &Table[T]{
		def: definition{num, name, lifeOf(spec.Transient, spec.Own)}, spec: spec,
		missing: fmt.Errorf("%s: %w", name, ErrNotFound),
	}
}

func (t *Table[T]) definition() definition { return t.def }

func (t *Table[T]) scopeOf(v *T) Scope {
	if t.spec.Scope == nil {
		return Global
	}
	return t.spec.Scope(v)
}

// Get returns the row at key, or ErrNotFound.
func (t *Table[T]) Get(tx *Tx, scope Scope, key Key) (*T, error) {
	v, _, err := t.GetRev(tx, scope, key)
	return v, err
}

// GetRev is Get with the revision: the log index that last wrote the row. A row
// written by this very transaction has revision 0.
func (t *Table[T]) GetRev(tx *Tx, scope Scope, key Key) (*T, uint64, error) {
	tx.db.mustKnow(t.def.num, t.def.name)
	v, rev, err := t.at(tx, dataKey(t.def.num, scope, key))
	if err == nil && v == nil {
		err = t.missing
	}
	return v, rev, err
}

// at returns the row at a raw data key, or nil.
func (t *Table[T]) at(tx *Tx, key []byte) (v *T, rev uint64, err error) {
	_, err = tx.row(key, func(r *row) (err error) {
		rev = r.rev
		v, err = t.decode(r)
		return err
	})
	return v, rev, err
}

// Revision returns the log index that last wrote the row at key, decoding nothing: for
// rows that say no more than that. 0: there is none, or this very transaction wrote it.
func (t *Table[T]) Revision(tx *Tx, scope Scope, key Key) (rev uint64, err error) {
	tx.db.mustKnow(t.def.num, t.def.name)
	_, err = tx.row(dataKey(t.def.num, scope, key), func(r *row) error {
		rev = r.rev
		return nil
	})
	return rev, err
}

// Has reports whether there is a row at key.
func (t *Table[T]) Has(tx *Tx, scope Scope, key Key) (bool, error) {
	tx.db.mustKnow(t.def.num, t.def.name)
	return tx.row(dataKey(t.def.num, scope, key), func(*row) error { return nil })
}

// Insert writes v, whose key must be free: otherwise ErrExists.
func (t *Table[T]) Insert(tx *Tx, v *T) error {
	has, err := t.Has(tx, t.scopeOf(v), t.spec.Key(v))
	if err != nil {
		return err
	}
	if has {
		return fmt.Errorf("%s: %w", t.def.name, ErrExists)
	}
	return t.Put(tx, v)
}

// Put writes v, replacing what was there. It reports ErrExists if another row
// holds one of v's values of a unique index, and ErrRefused if v is too large.
func (t *Table[T]) Put(tx *Tx, v *T) error {
	tx.db.mustKnow(t.def.num, t.def.name)
	payload, err := marshal(t.def.name, v)
	if err != nil {
		return err
	}
	scope, key := t.scopeOf(v), t.spec.Key(v)
	o := op{kind: opPut, key: dataKey(t.def.num, scope, key), value: payload, indexes: t.refs(scope, key, v)}
	if t.spec.Expires != nil {
		o.expires = expiryOf(t.spec.Expires(v))
	}
	longest := len(o.key)
	for _, ref := range o.indexes {
		longest = max(longest, len(ref.key))
	}
	if longest > maxKey {
		return fmt.Errorf("%s: key of %d bytes is over %d: %w", t.def.name, longest, maxKey, ErrRefused)
	}
	return tx.put(o, t.def.name)
}

// Indexed reports whether v, as it stands in the store, is in all indexes of this release: an older
// one does not write those that it does not know.
func (t *Table[T]) Indexed(tx *Tx, v *T) (is bool, err error) {
	scope, key := t.scopeOf(v), t.spec.Key(v)
	_, err = tx.row(dataKey(t.def.num, scope, key), func(r *row) error {
		is = string(r.refs) == string(appendIndexRefs(nil, t.refs(scope, key, v)))
		return nil
	})
	return is, err
}

func (t *Table[T]) refs(scope Scope, key Key, v *T) (refs []indexRef) {
	for _, x := range t.indexes {
		refs = append(refs, x.refs(scope, key, v)...)
	}
	return refs
}

// Delete removes the row at key, if there is one.
func (t *Table[T]) Delete(tx *Tx, scope Scope, key Key) error {
	tx.db.mustKnow(t.def.num, t.def.name)
	return tx.delete(dataKey(t.def.num, scope, key))
}

// List yields the rows of scope in key order. It stops at the first error, which
// it yields with a nil row. In an Update, the range walked is part of what is verified.
func (t *Table[T]) List(tx *Tx, scope Scope, opts ...ListOption) iter.Seq2[*T, error] {
	tx.db.mustKnow(t.def.num, t.def.name)
	start, end, reverse := bounds(dataPrefix(t.def.num, scope), opts)
	return list(tx, start, end, reverse, t.decodeValue)
}

// ListAll yields the rows of every scope, in order of scope, then key: for duties
// that serve all tenants, never for an answer to one of them.
func (t *Table[T]) ListAll(tx *Tx) iter.Seq2[*T, error] {
	tx.db.mustKnow(t.def.num, t.def.name)
	prefix := dataPrefix(t.def.num, Global)[:3]
	return list(tx, prefix, prefixEnd(prefix), false, t.decodeValue)
}

func (t *Table[T]) decodeValue(_, value []byte) (*T, error) {
	r, err := decodeRow(value)
	if err != nil {
		return nil, err
	}
	return t.decode(&r)
}

// CountAll returns how many rows stand, in every scope, without decoding them: for
// figures. It is no read that an Update would verify.
func (t *Table[T]) CountAll(tx *Tx) (n int, err error) {
	tx.db.mustKnow(t.def.num, t.def.name)
	prefix := dataPrefix(t.def.num, Global)[:3]
	now := tx.now.UnixMilli()
	var bad error
	err = iterate(tx.snap, &pebble.IterOptions{LowerBound: prefix, UpperBound: prefixEnd(prefix)}, false, func(key, value []byte) bool {
		k, err := seenAt(key, value, now)
		if bad = err; k.live {
			n++
		}
		return err == nil
	})
	return n, errors.Join(err, bad)
}

// Cursor returns where v stands in List, for After: opaque, safe in a URL.
func (t *Table[T]) Cursor(v *T) string { return encodeCursor(t.spec.Key(v)) }

func (t *Table[T]) decode(r *row) (*T, error) {
	v := new(T)
	if err := decMode.Unmarshal(r.payload, v); err != nil {
		return nil, fmt.Errorf("%s: decode: %w: %w", t.def.name, ErrCorrupt, err)
	}
	return v, nil
}
