package fsm

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

var (
	errReadOnly = errors.New("fsm: write in a View")
	errEnded    = errors.New("fsm: transaction used after its end")
)

// A Tx is one transaction: a snapshot to read, and the writes made so far, which
// its own reads see. It belongs to one goroutine and to its closure.
type Tx struct {
	ctx   context.Context
	db    *DB
	view  *view
	snap  *pebble.Snapshot // of view; nil: the transaction has ended
	index uint64           // applied index of the snapshot
	now   time.Time
	term  uint64 // fence
	write bool

	// In an Update:
	seen      map[string]struct{} // keys in reads
	reads     []readCheck
	ranges    []rangeCheck
	overlay   map[string][]byte // writes as the reads see them; nil: deleted
	ops       []op
	opAt      map[string]int // data key -> position of its put or delete in ops, commutes behind an add
	callbacks []func(index uint64)
}

// commutes marks a key whose last op is an add or max, which later ones must not overtake.
const commutes = -1

// begin opens a transaction. Its time is the local clock's, or if byLog the state's own.
func (db *DB) begin(ctx context.Context, write, byLog bool) (*Tx, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	v, err := db.view()
	if err != nil {
		return nil, err
	}
	tx := &Tx{ctx: ctx, db: db, view: v, snap: v.snap, index: v.st.applied, term: fence(ctx), write: write}
	tx.now = time.UnixMilli(v.st.stamp).UTC()
	if !byLog {
		tx.now = db.noEarlier(tx.now)
	}
	if write {
		tx.seen = map[string]struct{}{}
		tx.overlay = map[string][]byte{}
		tx.opAt = map[string]int{}
	}
	return tx, nil
}

func (tx *Tx) end() {
	if tx.snap != nil {
		tx.view.release()
		tx.snap = nil
	}
}

// Now is the time of this transaction, fixed for its whole length, in UTC with
// millisecond precision: see [DB.Now].
func (tx *Tx) Now() time.Time { return tx.now }

func (tx *Tx) millis() int64 { return tx.now.UnixMilli() }

// Context is the context that the transaction was begun with.
func (tx *Tx) Context() context.Context { return tx.ctx }

// Index is the log index that this transaction's snapshot stands at.
func (tx *Tx) Index() uint64 { return tx.index }

// OnCommit registers f to run after a successful commit, with the log index of
// the commit (for a transaction that wrote nothing: of its snapshot).
func (tx *Tx) OnCommit(f func(index uint64)) { tx.callbacks = append(tx.callbacks, f) }

func (tx *Tx) empty() bool { return len(tx.ops) == 0 }

// row hands the live row at a raw data key to use, which must keep nothing of it,
// and reports whether there was one. In an Update the read will be verified.
func (tx *Tx) row(key []byte, use func(r *row) error) (there bool, err error) {
	err = tx.stored(key, func(r *row) error {
		if !live(r.expires, tx.millis()) {
			return nil
		}
		there = true
		return use(r)
	})
	return there && err == nil, err
}

// stored is row for whatever is stored, expired or not.
func (tx *Tx) stored(key []byte, use func(r *row) error) error {
	v, own, err := tx.value(key)
	if err != nil || v == nil {
		return err
	}
	r, err := decodeRow(v)
	if err != nil {
		return err
	}
	if !own {
		tx.saw(key, r.rev, live(r.expires, tx.millis()))
	}
	return use(&r)
}

// value returns what key holds for this transaction, or nil, and whether it has written that itself; it is not to be
// changed. A miss in the snapshot is recorded here, a hit by the caller.
func (tx *Tx) value(key []byte) (v []byte, own bool, err error) {
	if v, own = tx.overlay[string(key)]; own {
		return v, own, nil
	}
	if tx.snap == nil {
		return nil, false, errEnded
	}
	if len(key) > maxKey { // no row can have it
		return nil, false, nil
	}
	v, err = tx.view.get(key)
	if v == nil && err == nil {
		tx.saw(key, 0, false)
	}
	return v, false, err
}

func (tx *Tx) saw(key []byte, rev uint64, alive bool) {
	if !tx.write {
		return
	}
	if _, ok := tx.seen[string(key)]; ok {
		return
	}
	tx.seen[string(key)] = struct{}{}
	tx.reads = append(tx.reads, readCheck{key: bytes.Clone(key), rev: rev, live: alive})
}

// holder returns the raw data key that a unique index entry points to, or nil.
func (tx *Tx) holder(key []byte) ([]byte, error) {
	v, own, err := tx.value(key)
	if err != nil || v == nil {
		return nil, err
	}
	if !own {
		tx.saw(key, indexRevision(v), true)
	}
	target, err := indexTarget(v)
	return bytes.Clone(target), err
}

// put writes a row with its index entries.
func (tx *Tx) put(o op, table string) error {
	if !tx.write {
		return errReadOnly
	}
	for _, ref := range o.indexes {
		if err := tx.claim(ref, o.key, table); err != nil {
			return err
		}
	}
	if err := tx.unindex(o.key); err != nil {
		return err
	}
	for _, ref := range o.indexes {
		tx.overlay[string(ref.key)] = encodeIndexEntry(0, o.key)
	}
	tx.overlay[string(o.key)] = encodeRow(0, o.expires, o.indexes, o.value)
	tx.addOp(o)
	return nil
}

// claim checks that a unique index entry is free or ours; one left behind by an
// expired row is freed.
func (tx *Tx) claim(ref indexRef, key []byte, table string) error {
	if !ref.unique {
		return nil
	}
	other, err := tx.holder(ref.key)
	if err != nil || other == nil || bytes.Equal(other, key) {
		return err
	}
	taken, err := tx.row(other, func(*row) error { return nil })
	if err != nil {
		return err
	}
	if taken {
		return fmt.Errorf("%s: value of a unique index: %w", table, ErrExists)
	}
	return tx.remove(other)
}

func (tx *Tx) delete(key []byte) error {
	if !tx.write {
		return errReadOnly
	}
	there, err := tx.row(key, func(*row) error { return nil })
	if err != nil {
		return err
	}
	if i, ok := tx.opAt[string(key)]; !there && !(ok && i == commutes) {
		return nil
	}
	return tx.remove(key)
}

func (tx *Tx) remove(key []byte) error {
	if err := tx.unindex(key); err != nil {
		return err
	}
	tx.overlay[string(key)] = nil
	tx.addOp(op{kind: opDelete, key: key})
	return nil
}

// unindex hides the index entries of the stored row, also of an expired one:
// once it is replaced, they must not lead to its successor.
func (tx *Tx) unindex(key []byte) error {
	return tx.stored(key, func(r *row) error {
		for _, ref := range r.indexes() {
			tx.overlay[string(ref.key)] = nil
		}
		return nil
	})
}

// addOp adds o, or lets it replace the earlier put or delete of the same row.
func (tx *Tx) addOp(o op) {
	switch o.kind {
	case opPut, opDelete:
		if i, ok := tx.opAt[string(o.key)]; ok && i != commutes {
			tx.ops[i] = o
			return
		}
		tx.opAt[string(o.key)] = len(tx.ops)
	case opAdd, opMax:
		tx.opAt[string(o.key)] = commutes
	}
	tx.ops = append(tx.ops, o)
}

// batch encodes what the transaction read and wrote.
func (tx *Tx) batch() ([]byte, error) {
	b := batch{
		deadline: min(tx.now.Add(deadline).UnixMilli(), maxMillis),
		term:     tx.term,
		reads:    tx.reads, ranges: tx.ranges, ops: tx.ops,
	}
	rand.Read(b.id[:])
	out := b.encode()
	if len(out) > MaxBatch {
		return nil, fmt.Errorf("transaction of %d bytes is over %d, split it: %w", len(out), MaxBatch, ErrRefused)
	}
	return out, nil
}
