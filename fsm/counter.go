package fsm

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"
)

// A Counter is a table of numbers that many writers may add to or raise at once
// without conflict: what is written is the operation, not the result.
type Counter struct{ def definition }

// NewCounter describes a counter table; see NewTable for num.
func NewCounter(num uint16, name string) *Counter { return &Counter{definition{num: num, name: name}} }

// Transient says that no number comes back when a backup is restored.
func (c *Counter) Transient() *Counter {
	c.def.life = passing
	return c
}

func (c *Counter) definition() definition { return c.def }

// Get returns the number at key as of the snapshot, 0 if there is none. In an
// Update the read is verified like any other, and it does not see the adds of
// its own transaction.
func (c *Counter) Get(tx *Tx, scope Scope, key Key) (int64, error) {
	tx.db.mustKnow(c.def.num, c.def.name)
	var n int64
	_, err := tx.row(dataKey(c.def.num, scope, key), func(r *row) (err error) {
		n, err = decodeCount(r.payload)
		return err
	})
	return n, err
}

// Add adds delta to the number at key; the sum stops at the ends of int64. A non-zero expires is when it is forgotten.
func (c *Counter) Add(tx *Tx, scope Scope, key Key, delta int64, expires time.Time) error {
	return c.change(tx, opAdd, scope, key, delta, expires)
}

// Max raises the number at key to at least v. A non-zero expires is when it is forgotten.
func (c *Counter) Max(tx *Tx, scope Scope, key Key, v int64, expires time.Time) error {
	return c.change(tx, opMax, scope, key, v, expires)
}

// Delete forgets the number at key.
func (c *Counter) Delete(tx *Tx, scope Scope, key Key) error {
	tx.db.mustKnow(c.def.num, c.def.name)
	return tx.delete(dataKey(c.def.num, scope, key))
}

func (c *Counter) change(tx *Tx, kind opKind, scope Scope, key Key, delta int64, expires time.Time) error {
	tx.db.mustKnow(c.def.num, c.def.name)
	if !tx.write {
		return errReadOnly
	}
	tx.addOp(op{kind: kind, key: dataKey(c.def.num, scope, key), delta: delta, expires: expiryOf(expires)})
	return nil
}

// countSize is how long the payload of a counter is, and tells it from other rows.
const countSize = 8

func encodeCount(n int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(n)) }

// addCount is a + b, stopping at the ends of int64.
func addCount(a, b int64) int64 {
	switch sum := a + b; {
	case a > 0 && b > 0 && sum < 0:
		return math.MaxInt64
	case a < 0 && b < 0 && sum >= 0:
		return math.MinInt64
	default:
		return sum
	}
}

func decodeCount(b []byte) (int64, error) {
	if len(b) != countSize {
		return 0, fmt.Errorf("counter: %w", ErrCorrupt)
	}
	return int64(binary.BigEndian.Uint64(b)), nil
}
