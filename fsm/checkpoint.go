package fsm

import (
	"io"
	"sync"
	"time"
)

// A Checkpoint is what a replica's state hashed to at one log index. Replicas
// with the same Config.HashEvery make theirs at the same indexes, so those of two
// replicas can be compared wherever both have one: a difference in Chain means
// that they decided differently, a difference in Hash alone that one of them no
// longer holds what it had decided.
type Checkpoint struct {
	Index uint64
	Chain [32]byte
	Hash  [32]byte      // as of StateHash
	Took  time.Duration // of hashing, in the background
}

// checkpointsHeld is how many a replica remembers, for peers that are slower or faster.
const checkpointsHeld = 4

type checkpoints struct {
	mu   sync.Mutex
	busy bool
	held []Checkpoint // oldest first
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
	busy := c.busy
	c.busy = true
	c.mu.Unlock()
	if busy {
		return
	}
	if !eng.acquire() {
		c.done(Checkpoint{}, false)
		return
	}
	snap := eng.db.NewSnapshot()
	run := func() {
		began := time.Now()
		sum, err := writeStream(snap, io.Discard, db.isClosed)
		snap.Close()
		eng.release()
		c.done(Checkpoint{Index: st.applied, Chain: st.chain, Hash: sum, Took: time.Since(began)}, err == nil)
		if err != nil && err != errStopped {
			db.fail(err)
		}
	}
	db.mu.Lock()
	closed := db.closed
	if !closed {
		db.background.Go(run)
	}
	db.mu.Unlock()
	if closed {
		run()
	}
}

func (c *checkpoints) done(made Checkpoint, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy = false
	if !ok {
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
