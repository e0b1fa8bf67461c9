package fsm

import (
	"encoding/base64"
	"errors"
	"fmt"
	"iter"
	"time"
)

var errReadOnly = errors.New("fsm: write in a View")

// A Spec says how rows of type T are keyed.
type Spec[T any] struct {
	Scope   func(*T) Scope     // nil: Global
	Key     func(*T) Key       // primary key within the scope
	Expires func(*T) time.Time // nil, or a zero time: never
}

// A Table is a set of rows of type T, ordered by key within each scope. It is a
// constant description; the rows are in a DB.
type Table[T any] struct {
	def     definition
	spec    Spec[T]
	indexes []*Index[T]
}

// NewTable describes a table. num identifies it in stored keys for ever: never
// change it, never use it again.
func NewTable[T any](num uint16, name string, spec Spec[T]) *Table[T] {
	return &Table[T]{def: definition{num, name}, spec: spec}
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
	r, err := tx.row(dataKey(t.def.num, scope, key))
	if err != nil {
		return nil, 0, err
	}
	if r == nil {
		return nil, 0, fmt.Errorf("%s: %w", t.def.name, ErrNotFound)
	}
	v, err := t.decode(r)
	return v, r.rev, err
}

// Has reports whether there is a row at key.
func (t *Table[T]) Has(tx *Tx, scope Scope, key Key) (bool, error) {
	tx.db.mustKnow(t.def.num, t.def.name)
	r, err := tx.row(dataKey(t.def.num, scope, key))
	return r != nil, err
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
	payload, err := encMode.Marshal(v)
	if err != nil {
		return fmt.Errorf("%s: encode: %w", t.def.name, err)
	}
	if len(payload) > MaxRow {
		return fmt.Errorf("%s: row of %d bytes is over %d: %w", t.def.name, len(payload), MaxRow, ErrRefused)
	}
	scope, key := t.scopeOf(v), t.spec.Key(v)
	r := &row{payload: payload}
	if t.spec.Expires != nil {
		if e := t.spec.Expires(v); !e.IsZero() {
			r.expires = e.UnixMilli()
		}
	}
	for _, x := range t.indexes {
		r.indexes = append(r.indexes, x.refs(scope, key, v)...)
	}
	raw := dataKey(t.def.num, scope, key)
	if len(raw) > maxKey {
		return fmt.Errorf("%s: key of %d bytes is over %d: %w", t.def.name, len(raw), maxKey, ErrRefused)
	}
	return tx.put(raw, r, t.def.name)
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
	return func(yield func(*T, error) bool) {
		err := (&scan{tx: tx, start: start, end: end, reverse: reverse}).each(func(_, value []byte) bool {
			r, err := decodeRow(value)
			if err != nil {
				return yield(nil, err)
			}
			v, err := t.decode(r)
			return yield(v, err) && err == nil
		})
		if err != nil {
			yield(nil, err)
		}
	}
}

// ListAll yields the rows of every scope, in order of scope, then key: for duties
// that serve all tenants, never for an answer to one of them.
func (t *Table[T]) ListAll(tx *Tx) iter.Seq2[*T, error] {
	tx.db.mustKnow(t.def.num, t.def.name)
	prefix := dataPrefix(t.def.num, Global)[:3]
	return func(yield func(*T, error) bool) {
		err := (&scan{tx: tx, start: prefix, end: prefixEnd(prefix)}).each(func(_, value []byte) bool {
			r, err := decodeRow(value)
			if err != nil {
				return yield(nil, err)
			}
			v, err := t.decode(r)
			return yield(v, err) && err == nil
		})
		if err != nil {
			yield(nil, err)
		}
	}
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

// A ListOption narrows or turns a listing.
type ListOption func(*listOptions)

type listOptions struct {
	prefix  Key
	after   string
	from    Key
	reverse bool
}

// Prefix keeps to keys that begin with p.
func Prefix(p Key) ListOption { return func(o *listOptions) { o.prefix = p } }

// From starts at key k, inclusive.
func From(k Key) ListOption { return func(o *listOptions) { o.from = k } }

// After continues behind the row that the cursor was made from. A cursor that is
// not one of ours lists nothing; check it with [ValidCursor] where it comes from outside.
func After(cursor string) ListOption { return func(o *listOptions) { o.after = cursor } }

// Reverse lists from the end.
func Reverse() ListOption { return func(o *listOptions) { o.reverse = true } }

// ValidCursor reports whether c can be given to After.
func ValidCursor(c string) bool {
	_, err := base64.RawURLEncoding.DecodeString(c)
	return err == nil && len(c) <= 2*maxKey
}

func encodeCursor(k Key) string { return base64.RawURLEncoding.EncodeToString([]byte(k)) }

func bounds(prefix []byte, opts []ListOption) (start, end []byte, reverse bool) {
	var o listOptions
	for _, f := range opts {
		f(&o)
	}
	base := len(prefix)
	start = append(prefix[:base:base], o.prefix...)
	end = prefixEnd(start)
	if o.from != "" {
		start = maxBytes(start, append(prefix[:base:base], o.from...))
	}
	if o.after != "" {
		k, err := base64.RawURLEncoding.DecodeString(o.after)
		at := append(prefix[:base:base], k...)
		switch {
		case err != nil:
			end = start
		case o.reverse:
			end = minBytes(end, at)
		default:
			start = maxBytes(start, append(at, 0))
		}
	}
	return start, end, o.reverse
}

func maxBytes(a, b []byte) []byte {
	if string(a) > string(b) {
		return a
	}
	return b
}

func minBytes(a, b []byte) []byte {
	if string(a) < string(b) {
		return a
	}
	return b
}
