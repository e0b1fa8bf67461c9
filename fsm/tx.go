package fsm

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// A Tx is one transaction: a snapshot to read, and the writes made so far, which
// its own reads see. It belongs to one goroutine and to its closure.
type Tx struct {
	ctx   context.Context
	db    *DB
	eng   *engine
	snap  *pebble.Snapshot
	index uint64 // applied index of the snapshot
	now   time.Time
	term  uint64 // fence
	write bool

	seen      map[string]*row   // rows read, nil: absent
	reads     []readCheck       // in Update
	ranges    []rangeCheck      // in Update
	overlay   map[string][]byte // writes as the reads see them; nil: deleted
	ops       []op
	opAt      map[string]int // data key -> position in ops
	callbacks []func(index uint64)
}

func (db *DB) begin(ctx context.Context, write bool) (*Tx, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	eng, err := db.acquire()
	if err != nil {
		return nil, err
	}
	// The position is read before the snapshot is taken, so the snapshot can only be newer than index says.
	db.mu.RLock()
	st := db.st
	db.mu.RUnlock()
	tx := &Tx{ctx: ctx, db: db, eng: eng, snap: eng.db.NewSnapshot(), index: st.applied, term: fence(ctx), write: write}
	tx.now = db.now().UTC().Truncate(time.Millisecond)
	if t := time.UnixMilli(st.stamp).UTC(); tx.now.Before(t) {
		tx.now = t
	}
	if write {
		tx.seen = map[string]*row{}
		tx.overlay = map[string][]byte{}
		tx.opAt = map[string]int{}
	}
	return tx, nil
}

func (tx *Tx) end() {
	if tx.snap != nil {
		tx.snap.Close()
		tx.eng.release()
		tx.snap = nil
	}
}

// Now is the time of this transaction, fixed for its whole length, in UTC with
// millisecond precision: the node's clock, but never before the state's own time.
func (tx *Tx) Now() time.Time { return tx.now }

// Context is the context that the transaction was begun with.
func (tx *Tx) Context() context.Context { return tx.ctx }

// Index is the log index that this transaction's snapshot had at least applied.
func (tx *Tx) Index() uint64 { return tx.index }

// OnCommit registers f to run after a successful commit, with the log index of
// the commit (for a transaction that wrote nothing: of its snapshot).
func (tx *Tx) OnCommit(f func(index uint64)) { tx.callbacks = append(tx.callbacks, f) }

func (tx *Tx) empty() bool { return len(tx.ops) == 0 }

// row returns the live row at a raw data key, or nil, and records that it was read.
func (tx *Tx) row(key []byte) (*row, error) {
	if v, ok := tx.overlay[string(key)]; ok {
		if v == nil {
			return nil, nil
		}
		return decodeRow(v)
	}
	if r, ok := tx.seen[string(key)]; ok {
		return r, nil
	}
	v, err := get(tx.snap, key)
	if err != nil {
		return nil, err
	}
	check := readCheck{key: key}
	var r *row
	if v != nil {
		if r, err = decodeRow(v); err != nil {
			return nil, err
		}
		check.rev, check.live = r.rev, r.live(tx.now.UnixMilli())
		if !check.live {
			r = nil
		}
	}
	if tx.write {
		tx.reads = append(tx.reads, check)
		tx.seen[string(key)] = r
	}
	return r, nil
}

// holder returns the raw data key that a unique index entry points to, or nil.
func (tx *Tx) holder(key []byte) ([]byte, error) {
	v, ok := tx.overlay[string(key)]
	if !ok {
		var err error
		if v, err = get(tx.snap, key); err != nil {
			return nil, err
		}
		if tx.write {
			check := readCheck{key: key, live: true}
			if v != nil {
				check.rev = indexRevision(v)
			} else {
				check.live = false
			}
			tx.reads = append(tx.reads, check)
		}
	}
	if v == nil {
		return nil, nil
	}
	return indexTarget(v)
}

// put writes a row at key with the given index entries.
func (tx *Tx) put(key []byte, r *row, table string) error {
	if !tx.write {
		return errReadOnly
	}
	old, err := tx.row(key)
	if err != nil {
		return err
	}
	for _, ref := range r.indexes {
		if err := tx.claim(ref, key, table); err != nil {
			return err
		}
	}
	tx.unindex(old)
	for _, ref := range r.indexes {
		tx.overlay[string(ref.key)] = encodeIndexEntry(0, key)
	}
	tx.overlay[string(key)] = r.encode()
	tx.addOp(op{kind: opPut, key: key, expires: r.expires, indexes: r.indexes, value: r.payload})
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
	r, err := tx.row(other)
	if err != nil {
		return err
	}
	if r != nil {
		return fmt.Errorf("%s: value of a unique index: %w", table, ErrExists)
	}
	tx.overlay[string(other)] = nil
	tx.addOp(op{kind: opDelete, key: other})
	return nil
}

func (tx *Tx) delete(key []byte) error {
	if !tx.write {
		return errReadOnly
	}
	old, err := tx.row(key)
	if err != nil || old == nil {
		return err
	}
	tx.unindex(old)
	tx.overlay[string(key)] = nil
	tx.addOp(op{kind: opDelete, key: key})
	return nil
}

func (tx *Tx) unindex(old *row) {
	if old == nil {
		return
	}
	for _, ref := range old.indexes {
		tx.overlay[string(ref.key)] = nil
	}
}

// addOp adds o, or lets it replace the earlier put or delete of the same row.
func (tx *Tx) addOp(o op) {
	if o.kind == opPut || o.kind == opDelete {
		if i, ok := tx.opAt[string(o.key)]; ok {
			tx.ops[i] = o
			return
		}
		tx.opAt[string(o.key)] = len(tx.ops)
	}
	tx.ops = append(tx.ops, o)
}

// batch encodes what the transaction read and wrote.
func (tx *Tx) batch() ([]byte, error) {
	b := batch{
		deadline: tx.now.Add(deadline).UnixMilli(),
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
