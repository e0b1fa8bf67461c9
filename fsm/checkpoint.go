package fsm

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// A Checkpoint is what a replica's state hashed to at one log index. Replicas
// with the same Config.HashEvery, or told the same by CheckpointFrom, make theirs at
// the same indexes, so those of two replicas can be compared wherever both have
// one: a difference in Chain means that they decided differently, a difference in
// Hash alone that one of them no longer holds what it had decided.
type Checkpoint struct {
	Asked uint64 // of CheckpointFrom; 0: it was due
	Index uint64
	Chain [32]byte
	Hash  [32]byte      // as of StateHash
	Took  time.Duration // of hashing, in the background
}

// checkpointsHeld is how many a replica remembers, for peers that are slower or faster.
const checkpointsHeld = 4

type checkpoints struct {
	target atomic.Uint64 // of CheckpointFrom, not reached yet; 0: none
	mu     sync.Mutex
	busy   bool
	asked  uint64       // by CheckpointFrom, of the one being made
	held   []Checkpoint // oldest first
}

// ErrPassed reports a state that can no longer be hashed: the log has gone on.
var ErrPassed = errors.New("the state has gone past that entry")

// CheckpointFrom has a checkpoint made as soon as the entry at index, or the first
// after it that reaches the store, has been applied, and returns it once it is
// there; until then ok is false, and the caller asks again. Replicas that were told
// in time make it at the same entry. It reports ErrPassed if this one was not.
// A later index takes the place of an earlier one that was not reached.
func (db *DB) CheckpointFrom(index uint64) (made Checkpoint, ok bool, err error) {
	c := &db.checkpoints
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, held := range c.held {
		if held.Asked == index {
			return held, true, nil
		}
	}
	if c.busy {
		return made, false, nil
	}
	c.target.Store(index)
	eng, snap, st, err := db.snapshot()
	if err != nil {
		return made, false, err
	}
	if st.applied < index {
		snap.Close()
		eng.release()
		return made, false, nil
	}
	// Apply cannot have taken the target from here on without finding the store busy.
	mine := c.target.CompareAndSwap(index, 0)
	if !mine || st.applied > index {
		snap.Close()
		eng.release()
		if mine {
			return made, false, fmt.Errorf("hash the state at entry %d: it stands at %d: %w", index, st.applied, ErrPassed)
		}
		return made, false, nil
	}
	c.busy, c.asked = true, index
	db.hash(eng, snap, st)
	return made, false, nil
}

// due says whether a checkpoint is to be made at index, of which Apply will make the commit.
func (db *DB) due(index uint64) bool {
	if t := db.checkpoints.target.Load(); t != 0 && index >= t {
		return true
	}
	return db.cfg.HashEvery > 0 && index%db.cfg.HashEvery == 0
}

// LastCheckpoint returns the latest checkpoint since this replica was opened, if there is one.
func (db *DB) LastCheckpoint() (Checkpoint, bool) {
	c := &db.checkpoints
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.held) == 0 {
		return Checkpoint{}, false
	}
	return c.held[len(c.held)-1], true
}

// CheckpointAt returns the checkpoint at a log index, if it is one of the last four.
func (db *DB) CheckpointAt(index uint64) (Checkpoint, bool) {
	c := &db.checkpoints
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, held := range c.held {
		if held.Index == index {
			return held, true
		}
	}
	return Checkpoint{}, false
}

// checkpoint hashes the state st, which eng has just committed, in the background.
// A replica that is still busy with the one before leaves this one out.
func (db *DB) checkpoint(eng *engine, st state) {
	c := &db.checkpoints
	c.mu.Lock()
	defer c.mu.Unlock()
	asked := c.target.Load()
	if asked > st.applied {
		asked = 0
	}
	if asked != 0 {
		c.target.Store(0)
	}
	if c.busy || !eng.acquire() {
		return
	}
	c.busy, c.asked = true, asked
	db.hash(eng, eng.db.NewSnapshot(), st)
}

// hash makes the checkpoint of snap in the background, and releases it and eng.
func (db *DB) hash(eng *engine, snap *pebble.Snapshot, st state) {
	c := &db.checkpoints
	asked := c.asked
	run := func() {
		began := time.Now()
		sum, err := writeStream(snap, io.Discard, db.isClosed)
		snap.Close()
		eng.release()
		made := Checkpoint{Asked: asked, Index: st.applied, Chain: st.chain, Hash: sum, Took: time.Since(began)}
		c.done(made, func() bool { return err == nil && db.uses(eng) })
		if err != nil && err != errStopped {
			db.fail(err)
		}
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	if !db.closed {
		db.background.Go(run)
		return
	}
	go run() // it ends at once
}

// forget drops what was made of a store that has been replaced.
func (c *checkpoints) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.target.Store(0)
	c.held = nil
}

func (db *DB) uses(eng *engine) bool {
	db.mu.RLock()
	defer db.mu.RUnlock()
	return db.eng == eng
}

func (c *checkpoints) done(made Checkpoint, ok func() bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy = false
	if !ok() {
		return
	}
	if len(c.held) == checkpointsHeld {
		c.held = append(c.held[:0], c.held[1:]...)
	}
	c.held = append(c.held, made)
}

func (db *DB) isClosed() bool {
	db.mu.RLock()
	defer db.mu.RUnlock()
	return db.closed
}
