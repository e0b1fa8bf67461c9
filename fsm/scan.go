package fsm

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"slices"

	"github.com/cockroachdb/pebble/v2"
)

// A scan walks [start, end) of one key space in the snapshot, merged with the
// transaction's own writes, and records in an Update what it walked over, so
// that Apply can tell whether anything was added, changed or removed there.
// Writes made during the walk are seen by the next one.
type scan struct {
	tx         *Tx
	start, end []byte
	reverse    bool

	it   *pebble.Iterator
	own  []string // the transaction's writes in the range, in walking order
	seen []seenKey
	at   []byte // how far the walk has come, in the snapshot or the own writes
}

type seenKey struct {
	key  []byte
	rev  uint64
	live bool
}

// each calls yield with every key and stored value until yield returns false;
// both are valid only during the call. Rows that have expired are passed over,
// but count as seen.
func (s *scan) each(yield func(key, value []byte) bool) error {
	if s.tx.snap == nil {
		return errEnded
	}
	if bytes.Compare(s.start, s.end) >= 0 { // nothing can be in it, now or later
		return nil
	}
	it, err := s.tx.snap.NewIter(&pebble.IterOptions{LowerBound: s.start, UpperBound: s.end})
	if err != nil {
		return engineError("read", err)
	}
	s.it = it
	defer it.Close()
	s.own = s.tx.ownKeys(s.start, s.end, s.reverse)
	complete, err := s.walk(yield)
	if err != nil {
		return err
	}
	if err := it.Error(); err != nil {
		return engineError("read", err)
	}
	if s.tx.write {
		s.record(complete)
	}
	return nil
}

// walk merges the two sorted sides. It reports whether the range was walked to its end.
func (s *scan) walk(yield func(key, value []byte) bool) (complete bool, err error) {
	valid := s.first()
	for valid || len(s.own) > 0 {
		if len(s.own) > 0 && (!valid || s.before(s.own[0], s.it.Key())) {
			if !s.yieldOwn(yield) {
				return false, nil
			}
			continue
		}
		key := s.it.Key()
		value, err := s.it.ValueAndErr()
		if err != nil {
			return false, engineError("read", err)
		}
		alive, err := s.see(key, value)
		if err != nil {
			return false, err
		}
		more := true
		if len(s.own) > 0 && s.own[0] == string(key) { // our own write stands in its place
			more = s.yieldOwn(yield)
		} else if alive {
			more = yield(key, value)
		}
		if !more {
			return false, nil
		}
		valid = s.next()
	}
	return true, nil
}

func (s *scan) yieldOwn(yield func(key, value []byte) bool) bool {
	key := s.own[0]
	s.own = s.own[1:]
	s.at = append(s.at[:0], key...)
	v := s.tx.overlay[key]
	if v == nil {
		return true
	}
	if key[0] == spaceData {
		if _, expires, err := rowRevision(v); err == nil && !live(expires, s.tx.millis()) {
			return true
		}
	}
	return yield([]byte(key), v)
}

func (s *scan) first() bool {
	if s.reverse {
		return s.it.Last()
	}
	return s.it.First()
}

func (s *scan) next() bool {
	if s.reverse {
		return s.it.Prev()
	}
	return s.it.Next()
}

func (s *scan) before(a string, b []byte) bool {
	if s.reverse {
		return a > string(b)
	}
	return a < string(b)
}

func (s *scan) see(key, value []byte) (alive bool, err error) {
	k, err := seenAt(key, value, s.tx.millis())
	if err != nil {
		return false, err
	}
	if s.tx.write {
		k.key = bytes.Clone(key)
		s.seen = append(s.seen, k)
		s.at = append(s.at[:0], key...)
	}
	return k.live, nil
}

// record notes the range up to where the walk stopped, with what it held. If it
// stopped at one of our own writes, that nothing stood before it was seen too.
func (s *scan) record(complete bool) {
	r := rangeCheck{start: s.start, end: s.end}
	switch {
	case complete:
	case s.reverse:
		r.start = s.at
	default:
		r.end = append(s.at, 0)
	}
	if s.reverse {
		slices.Reverse(s.seen)
	}
	d := newDigest()
	for _, k := range s.seen {
		d.add(k)
	}
	r.digest = d.sum()
	s.tx.ranges = append(s.tx.ranges, r)
}

// ownKeys returns the transaction's writes in [start, end), in walking order.
func (tx *Tx) ownKeys(start, end []byte, reverse bool) []string {
	var own []string
	for k := range tx.overlay {
		if k >= string(start) && k < string(end) {
			own = append(own, k)
		}
	}
	slices.Sort(own)
	if reverse {
		slices.Reverse(own)
	}
	return own
}

// seenAt reads the revision of a stored value and whether it stands at now.
func seenAt(key, value []byte, now int64) (seenKey, error) {
	if inIndex(key) {
		return seenKey{key: key, rev: indexRevision(value), live: true}, nil
	}
	rev, expires, err := rowRevision(value)
	return seenKey{key: key, rev: rev, live: live(expires, now)}, err
}

// A digest stands for what a range held: keys, revisions and liveness in order.
type digest struct{ h hash.Hash }

func newDigest() digest { return digest{sha256.New()} }

func (d digest) add(k seenKey) {
	var n [13]byte
	binary.BigEndian.PutUint32(n[:], uint32(len(k.key)))
	binary.BigEndian.PutUint64(n[4:], k.rev)
	if k.live {
		n[12] = 1
	}
	d.h.Write(n[:])
	d.h.Write(k.key)
}

func (d digest) sum() [16]byte { return [16]byte(d.h.Sum(nil)[:16]) }
