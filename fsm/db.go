package fsm

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"time"

	"errors"

	"github.com/cockroachdb/pebble/v2/vfs"
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
	Dir      string
	Schema   []Definition
	Logger   *slog.Logger
	Now      func() time.Time // the proposer's clock; Apply never reads it
	Cache    int64            // bytes of block cache; default 16 MiB
	MemTable int64            // bytes of one memtable; default 8 MiB
	FS       vfs.FS           // default: the disk
}

// A DB is one replica of the store. Its methods may be called from any goroutine,
// except that Apply and Restore belong to the log's one applying goroutine.
type DB struct {
	cfg    Config
	schema map[uint16]string
	now    func() time.Time
	logMu  sync.RWMutex
	log    Log

	mu  sync.RWMutex // guards eng and st; held only for moments
	eng *engine
	st  state

	remembered *memory
	hub        *hub
	applied    *progress
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
		cfg.Cache = 16 << 20
	}
	if cfg.MemTable == 0 {
		cfg.MemTable = 8 << 20
	}
	schema, err := checkSchema(cfg.Schema)
	if err != nil {
		return nil, err
	}
	if err := cfg.FS.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	gen, err := currentGeneration(cfg)
	if err != nil {
		return nil, err
	}
	if err := removeOtherGenerations(cfg, gen); err != nil {
		return nil, err
	}
	db := &DB{cfg: cfg, schema: schema, now: cfg.Now, hub: newHub(), applied: newProgress()}
	if err := db.openGeneration(gen); err != nil {
		return nil, err
	}
	return db, nil
}

// openGeneration opens an engine and reads the state that it stands at.
func (db *DB) openGeneration(name string) error {
	eng, err := openEngine(db.cfg, name)
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
	db.eng, db.st, db.remembered = eng, st, mem
	db.mu.Unlock()
	db.hub.reset(st.applied)
	db.applied.advance(st.applied)
	return nil
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

// Close waits for the transactions inside and closes the store.
func (db *DB) Close() error {
	db.applied.close()
	db.hub.close()
	db.mu.RLock()
	eng := db.eng
	db.mu.RUnlock()
	return eng.retire()
}

// acquire pins the current engine for reading; release it when done.
func (db *DB) acquire() (*engine, error) {
	for {
		db.mu.RLock()
		eng := db.eng
		db.mu.RUnlock()
		if eng.acquire() {
			return eng, nil
		}
		db.mu.RLock()
		same := db.eng == eng
		db.mu.RUnlock()
		if same {
			return nil, ErrClosed
		}
	}
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
	return db.applied.wait(ctx, index)
}

func isNotExist(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// removeOtherGenerations deletes what an interrupted restore left behind.
func removeOtherGenerations(cfg Config, keep string) error {
	names, err := cfg.FS.List(cfg.Dir)
	if err != nil {
		return fmt.Errorf("open store: %w", err)
	}
	for _, n := range names {
		if len(n) > 4 && n[:4] == "gen-" && n != keep {
			if err := cfg.FS.RemoveAll(cfg.FS.PathJoin(cfg.Dir, n)); err != nil {
				return fmt.Errorf("open store: remove old generation: %w", err)
			}
		}
	}
	return nil
}
