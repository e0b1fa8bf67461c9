package fsm

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// A Journal is an append-only, hash-chained sequence of values, in the order of
// the log. Appends never conflict: Apply assigns the position and continues the
// chain, whose every link covers all entries before it.
type Journal[T any] struct{ def definition }

// NewJournal describes a journal; see NewTable for num.
func NewJournal[T any](num uint16, name string) *Journal[T] {
	return &Journal[T]{definition{num: num, name: name}}
}

func (j *Journal[T]) definition() definition { return j.def }

// A JournalPosition orders the entries of a journal: log index, then place within it.
// The zero position is before all entries.
type JournalPosition struct {
	Index   uint64 `cbor:"1,keyasint,omitempty"`
	Ordinal uint32 `cbor:"2,keyasint,omitempty"`
}

// String returns the position as an opaque, URL-safe cursor whose order is not textual.
func (p JournalPosition) String() string {
	return base64.RawURLEncoding.EncodeToString(p.bytes())
}

// ParseJournalPosition reads what String wrote.
func ParseJournalPosition(s string) (JournalPosition, error) {
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(b) != 12 {
		return JournalPosition{}, fmt.Errorf("journal position %.40q: %w", s, ErrCorrupt)
	}
	return positionOf(b), nil
}

// After reports whether p comes behind q.
func (p JournalPosition) After(q JournalPosition) bool {
	return p.Index > q.Index || p.Index == q.Index && p.Ordinal > q.Ordinal
}

func (p JournalPosition) bytes() []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, 12), p.Index)
	return binary.BigEndian.AppendUint32(b, p.Ordinal)
}

func positionOf(b []byte) JournalPosition {
	return JournalPosition{Index: binary.BigEndian.Uint64(b), Ordinal: binary.BigEndian.Uint32(b[8:])}
}

// A JournalEntry is one value as it was appended.
type JournalEntry[T any] struct {
	Position JournalPosition
	Time     time.Time // the state's time when it was applied
	Scope    Scope
	Link     [32]byte // hash over this and every earlier entry
	Value    *T
}

// A JournalHead is the end of a journal: what an auditor notes down.
type JournalHead struct {
	Position JournalPosition
	Count    uint64
	Link     [32]byte
}

// Append adds v at the end of the journal when the transaction is applied.
func (j *Journal[T]) Append(tx *Tx, scope Scope, v *T) error {
	tx.db.mustKnow(j.def.num, j.def.name)
	if !tx.write {
		return errReadOnly
	}
	payload, err := marshal(j.def.name, v)
	if err != nil {
		return err
	}
	tx.addOp(op{kind: opAppend, key: []byte(scope), journal: j.def.num, value: payload})
	return nil
}

// List yields the entries behind after, of every scope, oldest first. Reads of a
// journal are never verified in an Update: what was appended cannot change.
func (j *Journal[T]) List(tx *Tx, after JournalPosition) iter.Seq2[*JournalEntry[T], error] {
	tx.db.mustKnow(j.def.num, j.def.name)
	prefix := journalPrefix(spaceJournal, j.def.num)
	o := &pebble.IterOptions{LowerBound: append(append(prefix, after.bytes()...), 0), UpperBound: prefixEnd(prefix)}
	return entries(tx, o, false, j.decode)
}

// ListScope yields the entries of one scope, oldest first behind after, or newest
// first before it if reverse is set (a zero after is then the end).
func (j *Journal[T]) ListScope(tx *Tx, scope Scope, after JournalPosition, reverse bool) iter.Seq2[*JournalEntry[T], error] {
	tx.db.mustKnow(j.def.num, j.def.name)
	prefix := append(journalPrefix(spaceScoped, j.def.num), K(string(scope))...)
	at := append(bytes.Clone(prefix), after.bytes()...)
	o := &pebble.IterOptions{LowerBound: append(at, 0), UpperBound: prefixEnd(prefix)}
	if reverse {
		o.LowerBound = prefix
		if after != (JournalPosition{}) {
			o.UpperBound = at
		}
	}
	return entries(tx, o, reverse, func(key, _ []byte) (*JournalEntry[T], error) {
		raw := append(journalPrefix(spaceJournal, j.def.num), key[len(key)-12:]...)
		value, closer, err := tx.snap.Get(raw)
		if errors.Is(err, pebble.ErrNotFound) {
			return nil, fmt.Errorf("%s: entry of %q is gone: %w", j.def.name, scope, ErrCorrupt)
		}
		if err != nil {
			return nil, engineError("read", err)
		}
		defer closer.Close()
		return j.decode(raw, value)
	})
}

// entries yields what decode makes of each key and value, until the first error.
func entries[E any](tx *Tx, o *pebble.IterOptions, reverse bool, decode func(key, value []byte) (*E, error)) iter.Seq2[*E, error] {
	return func(yield func(*E, error) bool) {
		if tx.snap == nil {
			yield(nil, errEnded)
			return
		}
		stopped := false
		err := iterate(tx.snap, o, reverse, func(key, value []byte) bool {
			e, err := decode(key, value)
			stopped = !yield(e, err) || err != nil
			return !stopped
		})
		if err != nil && !stopped {
			yield(nil, err)
		}
	}
}

// Head returns where the journal ends.
func (j *Journal[T]) Head(tx *Tx) (JournalHead, error) {
	tx.db.mustKnow(j.def.num, j.def.name)
	return loadHead(tx.snap, j.def.num)
}

// Verify walks the whole journal and recomputes the chain. It reports ErrCorrupt,
// naming the first entry that does not fit, or the head if entries are missing at the end.
func (j *Journal[T]) Verify(tx *Tx) (JournalHead, error) {
	tx.db.mustKnow(j.def.num, j.def.name)
	var at JournalHead
	prefix := journalPrefix(spaceJournal, j.def.num)
	o := &pebble.IterOptions{LowerBound: prefix, UpperBound: prefixEnd(prefix)}
	for next, err := range entries(tx, o, false, j.link(&at)) {
		if err != nil {
			return at, err
		}
		at = *next
	}
	head, err := j.Head(tx)
	if err != nil {
		return at, err
	}
	if head != at {
		return at, fmt.Errorf("%s: %d entries found, %d were appended: %w", j.def.name, at.Count, head.Count, ErrCorrupt)
	}
	return head, nil
}

// link checks that a stored entry continues the chain behind at and returns the new end.
func (j *Journal[T]) link(at *JournalHead) func(key, value []byte) (*JournalHead, error) {
	return func(key, value []byte) (*JournalHead, error) {
		e, err := j.decode(key, value)
		if err != nil {
			return nil, err
		}
		if chainLink(at.Link, e.Position, value[32:]) != e.Link {
			return nil, fmt.Errorf("%s: entry %d at %v does not continue the chain: %w", j.def.name, at.Count+1, e.Position, ErrCorrupt)
		}
		return &JournalHead{Position: e.Position, Count: at.Count + 1, Link: e.Link}, nil
	}
}

func (j *Journal[T]) decode(key, value []byte) (*JournalEntry[T], error) {
	if len(key) != 15 || len(value) < 41 {
		return nil, fmt.Errorf("%s: entry: %w", j.def.name, ErrCorrupt)
	}
	d := decoder{b: value[40:]}
	scope := d.key()
	if d.err != nil {
		return nil, fmt.Errorf("%s: entry: %w", j.def.name, d.err)
	}
	e := &JournalEntry[T]{
		Position: positionOf(key[3:]), Scope: Scope(scope), Link: [32]byte(value[:32]),
		Time:  time.UnixMilli(int64(binary.BigEndian.Uint64(value[32:]))).UTC(),
		Value: new(T),
	}
	if err := decMode.Unmarshal(d.b, e.Value); err != nil {
		return nil, fmt.Errorf("%s: decode: %w: %w", j.def.name, ErrCorrupt, err)
	}
	return e, nil
}

func journalPrefix(space byte, num uint16) []byte {
	return binary.BigEndian.AppendUint16(append(make([]byte, 0, 64), space), num)
}

func headKey(num uint16) []byte {
	return binary.BigEndian.AppendUint16([]byte{spaceSystem, 'j'}, num)
}

func loadHead(r reader, num uint16) (JournalHead, error) {
	var h JournalHead
	b, err := get(r, headKey(num))
	if err != nil || b == nil {
		return h, err
	}
	if len(b) != 52 {
		return h, fmt.Errorf("journal head: %w", ErrCorrupt)
	}
	h.Position, h.Count, h.Link = positionOf(b), binary.BigEndian.Uint64(b[12:]), [32]byte(b[20:])
	return h, nil
}

func (h JournalHead) encode() []byte {
	b := binary.BigEndian.AppendUint64(h.Position.bytes(), h.Count)
	return append(b, h.Link[:]...)
}

// chainLink hashes an entry's body (time, scope, payload) onto the link before it.
func chainLink(prev [32]byte, at JournalPosition, body []byte) [32]byte {
	h := sha256.New()
	h.Write(prev[:])
	h.Write(at.bytes())
	h.Write(body)
	return [32]byte(h.Sum(nil))
}

// iterate calls yield with each key and value until it returns false; both are valid only during the call.
func iterate(r reader, o *pebble.IterOptions, reverse bool, yield func(key, value []byte) bool) error {
	it, err := r.NewIter(o)
	if err != nil {
		return engineError("read", err)
	}
	defer it.Close()
	first, next := it.First, it.Next
	if reverse {
		first, next = it.Last, it.Prev
	}
	for ok := first(); ok; ok = next() {
		v, err := it.ValueAndErr()
		if err != nil {
			return engineError("read", err)
		}
		if !yield(it.Key(), v) {
			break
		}
	}
	if err := it.Error(); err != nil {
		return engineError("read", err)
	}
	return nil
}
