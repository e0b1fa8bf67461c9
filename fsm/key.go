package fsm

import (
	"encoding/binary"
	"fmt"
	"strings"
	"time"
)

// A Scope is the first part of every key: the tenant that a row belongs to.
// A listing never leaves its scope.
type Scope string

// Global is the scope of rows that belong to no tenant.
const Global Scope = ""

// A Key is an ordered byte string within a table and scope. Build it from parts;
// K("a") is a prefix of K("a", "b"), and no part can imitate the end of another.
type Key string

// K returns the key made of parts, compared part by part in byte order.
func K(parts ...string) Key {
	var short [96]byte // enough for nearly all; a longer key grows out of it
	b := short[:0]
	for _, p := range parts {
		b = appendPart(b, p)
	}
	return Key(b)
}

// Uint appends n as eight bytes that sort numerically.
func (k Key) Uint(n uint64) Key {
	return k + Key(binary.BigEndian.AppendUint64(nil, n))
}

// Time appends t with millisecond precision, sorting by time. Times before 1970 sort as 1970.
func (k Key) Time(t time.Time) Key {
	return k.Uint(uint64(max(t.UnixMilli(), 0)))
}

// Str appends one more string part.
func (k Key) Str(s string) Key { return k + K(s) }

// appendPart escapes 00 as 00 FF and ends the part with 00 01, which keeps byte order.
func appendPart(b []byte, p string) []byte {
	for {
		i := strings.IndexByte(p, 0)
		if i < 0 {
			return append(append(b, p...), 0, 1)
		}
		b = append(append(b, p[:i+1]...), 0xff)
		p = p[i+1:]
	}
}

// The first byte of a raw engine key tells what it is.
const (
	spaceData    = 'd' // d table scope key           -> row
	spaceExpiry  = 'e' // e milliseconds dataKey      -> nothing
	spaceIndex   = 'i' // i table index scope key [pk len(pk)] -> revision, dataKey
	spaceJournal = 'j' // j journal position          -> link, scope, payload
	spaceScoped  = 'k' // k journal scope position    -> nothing
	spaceSystem  = 's' // s name                      -> applied index, remembered batches, …
)

// minDataKey is the length of the shortest data key: space, table, empty scope.
const minDataKey = 5

func inData(key []byte) bool { return len(key) >= minDataKey && key[0] == spaceData }

// inIndex: space, table, index number, empty scope at least.
func inIndex(key []byte) bool { return len(key) >= minDataKey+1 && key[0] == spaceIndex }

func dataPrefix(table uint16, scope Scope) []byte { return dataKey(table, scope, "") }

func dataKey(table uint16, scope Scope, key Key) []byte {
	b := make([]byte, 0, 3+len(scope)+2+len(key))
	b = binary.BigEndian.AppendUint16(append(b, spaceData), table)
	return append(appendPart(b, string(scope)), key...)
}

func indexPrefix(table uint16, index uint8, scope Scope) []byte {
	return indexKey(table, index, scope, "")
}

func indexKey(table uint16, index uint8, scope Scope, place Key) []byte {
	b := make([]byte, 0, 4+len(scope)+2+len(place))
	b = append(binary.BigEndian.AppendUint16(append(b, spaceIndex), table), index)
	return append(appendPart(b, string(scope)), place...)
}

// entry returns the raw key of an index entry. An index that is not unique
// ends with the row's key and its length, so that no two pairs of value and key
// share an entry, of however many parts they are.
func (x *indexShape) entry(scope Scope, value, key Key) []byte {
	return indexKey(x.table, x.num, scope, x.place(value, key))
}

// An indexShape is what the raw keys of an index depend on.
type indexShape struct {
	table  uint16
	num    uint8
	unique bool
}

// place is the part of an entry's key behind its scope.
func (x *indexShape) place(value, key Key) Key {
	if x.unique {
		return value
	}
	return value + key + Key([]byte{byte(len(key) >> 8), byte(len(key))})
}

func expiryKey(ms int64, data []byte) []byte {
	b := binary.BigEndian.AppendUint64([]byte{spaceExpiry}, uint64(ms))
	return append(b, data...)
}

// splitDataKey takes a raw data key apart.
func splitDataKey(raw []byte) (table uint16, scope Scope, key Key, err error) {
	if !inData(raw) {
		return 0, "", "", fmt.Errorf("data key %x: %w", raw, ErrCorrupt)
	}
	table = binary.BigEndian.Uint16(raw[1:])
	part, rest, ok := cutPart(string(raw[3:]))
	if !ok {
		return 0, "", "", fmt.Errorf("data key %x: %w", raw, ErrCorrupt)
	}
	return table, Scope(part), Key(rest), nil
}

// cutPart undoes writePart for the first part of s.
func cutPart(s string) (part, rest string, ok bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != 0 {
			b.WriteByte(s[i])
			continue
		}
		if i+1 >= len(s) {
			return "", "", false
		}
		switch s[i+1] {
		case 0xff:
			b.WriteByte(0)
			i++
		case 0x01:
			return b.String(), s[i+2:], true
		default:
			return "", "", false
		}
	}
	return "", "", false
}

// cut shortens a bound of a range that is longer than any key can be, without
// changing which keys are in the range.
func cut(b []byte) []byte {
	if len(b) <= maxKey {
		return b
	}
	return append(b[:maxKey:maxKey], 0)
}

// prefixEnd returns the first key after all keys that begin with p, or nil if there is none.
func prefixEnd(p []byte) []byte {
	end := append([]byte(nil), p...)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}
