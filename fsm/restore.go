package fsm

import (
	"errors"
	"fmt"
	"io"

	"github.com/cockroachdb/pebble/v2"
)

// Restore replaces the whole store by a stream. The next generation is built
// beside the old one, verified and made durable before anything is switched, so a
// bad or interrupted stream leaves the store as it was. Readers inside finish on
// the old one, which stays on the disk until the next entry has been applied: see
// Undo. Watchers get ErrCompacted. Restore belongs to the applying goroutine.
func (db *DB) Restore(r io.Reader) error { return db.RestoreAs(r, 0, 0) }

// RestoreAs is Restore for a stream that enters the log at an index of its own, as
// a backup does that is put back into a running cluster: the store stands at index
// and term afterwards, so that entries of the time between are passed over.
// An index of 0 keeps the stream's.
func (db *DB) RestoreAs(r io.Reader, index, term uint64) error {
	if err := db.failure.get(); err != nil {
		return err
	}
	db.mu.RLock()
	old, closed := db.eng, db.closed
	db.mu.RUnlock()
	if closed {
		return ErrClosed
	}
	name, err := nextGeneration(old.name)
	if err != nil {
		return err
	}
	if _, err := db.Flush(); err != nil { // or Undo would lose what the log no longer holds
		return err
	}
	st, err := db.build(name, r, index, term)
	if err != nil {
		return errors.Join(fmt.Errorf("restore: %w", err), removeGeneration(db.cfg, name))
	}
	if err = db.keep(old.name, st); err == nil {
		err = switchGeneration(db.cfg, name)
	}
	if err == nil {
		err = db.openGeneration(name)
	}
	if err != nil { // the disk may now name a generation that is not the one in use
		err = fmt.Errorf("restore: %w", err)
		db.fail(err)
		return err
	}
	db.discard(old)
	return nil
}

// discard closes a generation once its last reader has left. The log must not wait
// for that: a reader may itself wait for the log.
func (db *DB) discard(old *engine) {
	p := db.kept.Load()
	done := func() {
		if err := old.retire(); err != nil { // the next Open removes it
			db.cfg.Logger.Warn("old store generation not closed", "generation", old.name, "error", err)
			return
		}
		db.left(p)
	}
	db.mu.Lock()
	closed := db.closed
	if !closed {
		db.background.Go(done)
	}
	db.mu.Unlock()
	if closed {
		done()
	}
}

// build fills a new generation from a stream and makes it durable.
func (db *DB) build(name string, r io.Reader, index, term uint64) (st state, err error) {
	if err := removeGeneration(db.cfg, name); err != nil {
		return st, err
	}
	failed := make(chan error, 1)
	eng, err := openEngine(db.cfg, name, func(err error) {
		select {
		case failed <- err:
		default:
		}
	})
	if err != nil {
		return st, err
	}
	err = fill(eng.db, r)
	if err == nil {
		st, err = verify(eng.db, index, term)
	}
	if err == nil {
		err = flush(eng.db, failed)
	}
	return st, errors.Join(err, eng.retire())
}

func flush(db *pebble.DB, failed <-chan error) error {
	flushed, err := db.AsyncFlush()
	if err != nil {
		return engineError("flush", err)
	}
	select {
	case <-flushed:
		return nil
	case err := <-failed:
		return engineError("flush", err)
	}
}

// fill writes a stream's records in commits of a megabyte.
func fill(db *pebble.DB, r io.Reader) error {
	b := db.NewBatch()
	defer func() { b.Close() }()
	err := readStream(r, func(key, value []byte) error {
		if err := b.Set(key, value, nil); err != nil {
			return engineError("write", err)
		}
		if b.Len() < 1<<20 {
			return nil
		}
		if err := b.Commit(pebble.NoSync); err != nil {
			return engineError("write", err)
		}
		b.Close()
		b = db.NewBatch()
		return nil
	})
	if err != nil {
		return err
	}
	if err := b.Commit(pebble.NoSync); err != nil {
		return engineError("write", err)
	}
	return nil
}

// verify reads what the next Open will need, and sets the position if index is not 0.
func verify(db *pebble.DB, index, term uint64) (state, error) {
	st, err := loadState(db)
	if err != nil {
		return st, err
	}
	if _, err := loadMemory(db); err != nil {
		return st, err
	}
	if index == 0 {
		return st, nil
	}
	if index < st.applied {
		return st, fmt.Errorf("stream of log index %d cannot enter the log at %d: %w", st.applied, index, ErrRefused)
	}
	st.applied, st.term = index, term
	if err := db.Set(keyState, st.encode(), pebble.NoSync); err != nil {
		return st, engineError("write", err)
	}
	return st, nil
}
