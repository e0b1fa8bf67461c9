package fsm

import (
	"encoding/base64"
	"iter"
)

// list yields what decode makes of every key and value in [start, end), until
// the first error, which it yields with a nil row. Nil rows are passed over.
func list[T any](tx *Tx, start, end []byte, reverse bool, decode func(key, value []byte) (*T, error)) iter.Seq2[*T, error] {
	return func(yield func(*T, error) bool) {
		stopped := false
		s := scan{tx: tx, start: start, end: end, reverse: reverse}
		err := s.each(func(key, value []byte) bool {
			v, err := decode(key, value)
			if v == nil && err == nil {
				return true
			}
			stopped = !yield(v, err) || err != nil
			return !stopped
		})
		if err != nil && !stopped {
			yield(nil, err)
		}
	}
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

// From keeps to key k and those behind it, whichever way the listing runs.
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
		at := cut(append(prefix[:base:base], k...))
		switch {
		case err != nil:
			end = start
		case o.reverse:
			end = minBytes(end, at)
		default:
			start = maxBytes(start, append(at, 0))
		}
	}
	return cut(start), cut(end), o.reverse
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
