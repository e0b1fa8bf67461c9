package fsm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/quis-idp/quis/fsm/notice"
)

// Log is where batches go. A Raft node implements it; so does fsmtest.
type Log interface {
	// Propose gives batch to the log and returns when this replica has applied it.
	// Its errors are ErrUnavailable (not applied), ErrUnknown (perhaps applied) and ErrRefused.
	Propose(ctx context.Context, batch []byte) (Outcome, error)
	// CatchUp returns when this replica has applied everything that was acknowledged
	// anywhere before the call. Without a quorum it reports ErrUnavailable.
	CatchUp(ctx context.Context) error
}

// Config says where a store lives. The zero value of all but Dir is usable.
type Config struct {
	Dir       string
	Schema    []Definition
	Logger    *slog.Logger
	Now       func() time.Time // the proposer's clock until SetClock; Apply never reads it
	Cache     int64            // bytes of block cache, of which the engine takes its memtables; default 32 MiB
	MemTable  int64            // bytes of one memtable; default 8 MiB
	HashEvery uint64           // log entries between two checkpoints (see Checkpoint); 0: none. Alike on all replicas
	FS        vfs.FS           // default: the disk
}

// A DB is one replica of the store. Its methods may be called from any goroutine,
// except that Apply and Restore belong to the log's one applying goroutine.
type DB struct {
	cfg    Config
	schema map[uint16]string
	now    atomic.Pointer[func() time.Time]
	lock   io.Closer
	logMu  sync.RWMutex
	log    Log

	mu         sync.RWMutex // guards what follows; held only for moments
	eng        *engine
	st         state
	committing bool // the engine may be ahead of st
	closed     bool
	shared     *view // of st; nil: nobody has looked since the last commit

	remembered  *memory // of the applying goroutine
	hub         *notice.Hub
	applied     *notice.Progress
	failure     failure
	generation  atomic.Uint64
	kept        atomic.Pointer[previous] // nil: none
	checkpoints checkpoints
	background  sync.WaitGroup // retiring generations, checkpoints being hashed
}

// Open opens the store in cfg.Dir, creating it if there is none. The store stands
// at [DB.Position]; the log must replay whatever comes after.
func Open(cfg Config) (*DB, error) {
	if cfg.FS == nil {
		cfg.FS = vfs.Default
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Cache == 0 {
		cfg.Cache = 32 << 20
	}
	if cfg.MemTable == 0 {
		cfg.MemTable = 8 << 20
	}
	schema, err := checkSchema(cfg.Schema)
	if err != nil {
		return nil, err
	}
	if err := prepareDir(cfg); err != nil {
		return nil, err
	}
	lock, err := lockDir(cfg)
	if err != nil {
		return nil, err
	}
	db := &DB{
		cfg: cfg, schema: schema, lock: lock,
		hub: notice.NewHub(), applied: notice.NewProgress(), failure: failure{happened: make(chan struct{})},
	}
	db.SetClock(cfg.Now)
	if err := db.openCurrent(); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return db, nil
}

func (db *DB) openCurrent() error {
	gen, err := currentGeneration(db.cfg)
	if err != nil {
		return err
	}
	kept, err := loadPrevious(db.cfg, gen)
	if err != nil {
		return err
	}
	keep := []string{gen}
	if kept != nil {
		keep = append(keep, kept.name)
	}
	if err := removeOtherGenerations(db.cfg, keep...); err != nil {
		return err
	}
	if gen == noGeneration {
		if gen, err = db.firstGeneration(); err != nil {
			return err
		}
	}
	if err := db.openGeneration(gen); err != nil {
		return err
	}
	db.kept.Store(kept)
	if kept != nil && db.st.applied > kept.index {
		db.settle()
	}
	return nil
}

// firstGeneration builds the empty store.
func (db *DB) firstGeneration() (string, error) {
	name, err := nextGeneration(noGeneration)
	if err != nil {
		return "", err
	}
	eng, err := openEngine(db.cfg, name, db.fail)
	if err != nil {
		return "", err
	}
	if err := eng.retire(); err != nil {
		return "", engineError("create", err)
	}
	return name, switchGeneration(db.cfg, name)
}

// openGeneration opens an engine, reads the state that it stands at and makes it the current one.
func (db *DB) openGeneration(name string) error {
	eng, err := openEngine(db.cfg, name, db.fail)
	if err != nil {
		return err
	}
	st, err := loadState(eng.db)
	if err != nil {
		return errors.Join(err, eng.db.Close())
	}
	mem, err := loadMemory(eng.db)
	if err != nil {
		return errors.Join(err, eng.db.Close())
	}
	db.mu.Lock()
	if db.closed {
		db.mu.Unlock()
		return errors.Join(ErrClosed, eng.db.Close())
	}
	db.eng, db.st, db.remembered = eng, st, mem
	db.hub.Reset(st.applied)
	release := db.unshare()
	db.mu.Unlock()
	release()
	db.generation.Add(1)
	db.checkpoints.forget()
	db.applied.Advance(st.applied)
	return nil
}

// SetClock replaces Config.Now: the log knows better what time it is than this machine's clock.
func (db *DB) SetClock(now func() time.Time) { db.now.Store(&now) }

// Now is the time that a transaction begun now would have: the clock's, but never before the
// state's own, in UTC with millisecond precision.
func (db *DB) Now() time.Time { return db.noEarlier(db.Position().Time) }

func (db *DB) noEarlier(state time.Time) time.Time {
	if t := (*db.now.Load())().UTC().Truncate(time.Millisecond); t.After(state) {
		return t
	}
	return state
}

// SetLog says where Update proposes its batches. Call it before the first Update.
func (db *DB) SetLog(log Log) {
	db.logMu.Lock()
	defer db.logMu.Unlock()
	db.log = log
}

func (db *DB) theLog() (Log, error) {
	db.logMu.RLock()
	defer db.logMu.RUnlock()
	if db.log == nil {
		return nil, fmt.Errorf("store has no log yet: %w", ErrUnavailable)
	}
	return db.log, nil
}

// closeFlush bounds how long Close waits for the engine to flush: on a full disk
// it never would, and what is not flushed is replayed from the log.
const closeFlush = 10 * time.Second

// Close ends waiting and watching, waits for the transactions and streams inside,
// and closes the store, flushed, so that the next Open has nothing to replay.
func (db *DB) Close() error {
	db.mu.Lock()
	eng, again := db.eng, db.closed
	db.closed = true
	release := db.unshare()
	db.mu.Unlock()
	release()
	if again {
		return nil
	}
	db.applied.Close()
	db.hub.Close()
	if db.failure.get() == nil {
		if flushed, err := eng.db.AsyncFlush(); err == nil {
			select {
			case <-flushed:
			case <-db.failure.happened:
			case <-time.After(closeFlush):
			}
		}
	}
	err := eng.retire()
	db.background.Wait()
	return errors.Join(err, db.lock.Close())
}

// acquire pins the current engine for reading, with a state that the engine has
// reached; release it when done.
func (db *DB) acquire() (*engine, state, error) {
	for {
		db.mu.RLock()
		eng, st, closed := db.eng, db.st, db.closed
		db.mu.RUnlock()
		if closed {
			return nil, state{}, ErrClosed
		}
		if eng.acquire() {
			return eng, st, nil
		}
	}
}

// snapshot takes a snapshot of the engine together with the state it stands at.
func (db *DB) snapshot() (*engine, *pebble.Snapshot, state, error) {
	eng, st, err := db.acquire()
	if err != nil {
		return nil, nil, state{}, err
	}
	snap := eng.db.NewSnapshot()
	db.mu.RLock()
	moved := db.committing || db.eng != eng || db.st.applied != st.applied
	db.mu.RUnlock()
	if moved { // the snapshot may be of the next commit already: let it speak for itself
		if st, err = loadState(snap); err != nil {
			snap.Close()
			eng.release()
			return nil, nil, state{}, err
		}
	}
	return eng, snap, st, nil
}

// A Position says how far a replica has come.
type Position struct {
	Index, Term uint64    // last applied log entry
	Time        time.Time // the state's time: latest stamp of any applied entry
	Chain       [32]byte  // hash over all applied entries and verdicts; equal index, equal chain
	Config      []byte    // latest Raft configuration, opaque here
	ConfigIndex uint64
}

// Position returns what has been applied so far.
func (db *DB) Position() Position {
	db.mu.RLock()
	defer db.mu.RUnlock()
	return db.st.position()
}

// WaitApplied returns once this replica has applied the log entry at index.
func (db *DB) WaitApplied(ctx context.Context, index uint64) error {
	return db.applied.Wait(ctx, index)
}

// Failed returns a channel that closes when the store cannot go on: the disk
// failed under it. From then on Apply and Flush report why; the process must end.
func (db *DB) Failed() <-chan struct{} { return db.failure.happened }

func (db *DB) fail(err error) {
	if db.failure.set(err) {
		db.cfg.Logger.Error("store failed", "error", err)
	}
}

// A failure is the first error after which nothing may be written any more.
type failure struct {
	once     sync.Once
	happened chan struct{}
	err      error // written before happened closes
}

func (f *failure) set(err error) (first bool) {
	f.once.Do(func() {
		f.err, first = err, true
		close(f.happened)
	})
	return first
}

func (f *failure) get() error {
	select {
	case <-f.happened:
		return fmt.Errorf("store failed before: %w", f.err)
	default:
		return nil
	}
}
