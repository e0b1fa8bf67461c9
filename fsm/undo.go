package fsm

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"sync/atomic"
)

// previousFile names the generation that a restore replaced, and the position that
// it gave the store. Both are kept until the log has gone on from there: a restore
// whose leader fell before a majority had it has to be undone.
const previousFile = "PREVIOUS"

// A previous generation is on the disk, and goes when waits is 0.
type previous struct {
	name        string
	index, term uint64       // where the store that replaced it began
	waits       atomic.Int32 // one for its engine being open, one for the log
}

// Generation counts how often this replica's store was opened or replaced as a whole:
// what was remembered of rows in another generation is worth nothing.
func (db *DB) Generation() uint64 { return db.generation.Load() }

// Unsettled returns the position that a restore gave the store, if no entry has been
// applied since and so [DB.Undo] would go back behind it.
func (db *DB) Unsettled() (index, term uint64, ok bool) {
	p := db.kept.Load()
	if p == nil {
		return 0, 0, false
	}
	return p.index, p.term, true
}

// Undo durably goes back to the store that the latest restore replaced, for a log that
// has turned out to go on without it. This replica has failed then: the process
// must end, and the next Open finds the older store.
func (db *DB) Undo() error {
	p := db.kept.Load()
	if p == nil {
		return fmt.Errorf("undo restore: entries have been applied since: %w", ErrRefused)
	}
	err := switchGeneration(db.cfg, p.name)
	if err == nil {
		err = fmt.Errorf("the restore at log index %d was undone: the cluster went on without it", p.index)
	}
	db.fail(err)
	return err
}

// keep notes that old is to be kept until an entry behind st has been applied.
func (db *DB) keep(old string, st state) error {
	db.settle()
	p := &previous{name: old, index: st.applied, term: st.term}
	p.waits.Store(2)
	if err := writeName(db.cfg, previousFile, fmt.Sprintf("%s %d %d", p.name, p.index, p.term)); err != nil {
		return err
	}
	db.kept.Store(p)
	return nil
}

// settle gives the kept generation up. If that fails, the next Open does it.
func (db *DB) settle() {
	p := db.kept.Swap(nil)
	if p == nil {
		return
	}
	if err := db.cfg.FS.Remove(db.cfg.FS.PathJoin(db.cfg.Dir, previousFile)); err != nil {
		db.cfg.Logger.Warn("old store generation not given up", "generation", p.name, "error", err)
		return
	}
	db.left(p)
}

// left removes a kept generation when nothing needs it any more.
func (db *DB) left(p *previous) {
	if p.waits.Add(-1) > 0 {
		return
	}
	if err := removeGeneration(db.cfg, p.name); err != nil { // the next Open tries again
		db.cfg.Logger.Warn("old store generation not removed", "generation", p.name, "error", err)
	}
}

// loadPrevious reads which generation is kept beside current.
func loadPrevious(cfg Config, current string) (*previous, error) {
	path := cfg.FS.PathJoin(cfg.Dir, previousFile)
	f, err := cfg.FS.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	b, err := io.ReadAll(io.LimitReader(f, 128))
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	p := &previous{}
	p.waits.Store(1)
	if _, err := fmt.Sscanf(strings.TrimSpace(string(b)), "%s %d %d", &p.name, &p.index, &p.term); err != nil {
		return nil, fmt.Errorf("open store in %s: %s: %w", cfg.Dir, previousFile, ErrCorrupt)
	}
	_, err = cfg.FS.Stat(cfg.FS.PathJoin(cfg.Dir, p.name))
	if err == nil && p.name != current {
		return p, nil
	}
	return nil, cfg.FS.Remove(path) // undone, or lost
}
