package fsm

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/quis-idp/quis/fsm/kept"
)

// An engine is one open generation of the embedded store. A restore builds the
// next generation beside it and switches; readers that still hold this one keep
// it open until they are done.
type engine struct {
	db   *pebble.DB
	name string // directory of the generation, within Config.Dir
	rows kept.Rows

	mu      sync.Mutex
	refs    int
	retired bool
	idle    chan struct{} // closed when retired and no longer held
}

// engineFormat is fixed by release: an engine file format is raised only by a
// release whose predecessors no longer need to read it.
const engineFormat = pebble.FormatValueSeparation

// openEngine opens a generation. failed is told of errors in the background
// (a flush that found the disk full, say), after which the store must not go on.
func openEngine(cfg Config, name string, failed func(error)) (*engine, error) {
	opts := &pebble.Options{
		FS:                          orderedFS{cfg.FS},
		DisableWAL:                  true, // the Raft log is the durable record; see the package comment
		FormatMajorVersion:          engineFormat,
		MemTableSize:                uint64(cfg.MemTable),
		MemTableStopWritesThreshold: 4,
		CacheSize:                   cfg.Cache,
		L0CompactionThreshold:       4,
		MaxOpenFiles:                1000,
		Logger:                      engineLog{cfg.Logger},
		EventListener:               &pebble.EventListener{BackgroundError: failed},
	}
	// Small files keep the index of each in one block that fits the small cache;
	// measured in DESIGN.md.
	for i := range opts.Levels {
		opts.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
		opts.Levels[i].IndexBlockSize = 128 << 10
		opts.TargetFileSizes[i] = 4 << 20
	}
	db, err := pebble.Open(cfg.FS.PathJoin(cfg.Dir, name), opts)
	if err != nil {
		return nil, fmt.Errorf("open store in %s: %w", cfg.Dir, openError(err))
	}
	return &engine{db: db, name: name, idle: make(chan struct{})}, nil
}

// orderedFS makes a manifest's directory entry durable before anything can name the
// manifest: the engine leaves that order to the file system, and where it is not
// kept, a power cut during an Open leaves a store that cannot be opened.
type orderedFS struct{ vfs.FS }

func (o orderedFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := o.FS.Create(name, category)
	if err != nil || !strings.HasPrefix(o.FS.PathBase(name), "MANIFEST-") {
		return f, err
	}
	if err := syncDir(o.FS, o.FS.PathDir(name)); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// Unwrap returns the file system underneath.
func (o orderedFS) Unwrap() vfs.FS { return o.FS }

// openError tells what the system refused from what the engine cannot read: the
// engine marks only some of the latter.
func openError(err error) error {
	line, _, _ := strings.Cut(err.Error(), "\n")
	var system syscall.Errno
	if errors.As(err, &system) && system != syscall.ENOENT { // a file of the store that is gone is damage
		return fmt.Errorf("%s: %w", line, system)
	}
	if strings.Contains(line, "format major version") { // of a newer release
		return errors.New(line)
	}
	return fmt.Errorf("%w: %s", ErrCorrupt, line)
}

func (e *engine) acquire() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.retired {
		return false
	}
	e.refs++
	return true
}

func (e *engine) release() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.refs--
	if e.retired && e.refs == 0 {
		close(e.idle)
	}
}

// retire refuses new readers, waits for those inside and closes the engine. Only
// the first call does anything.
func (e *engine) retire() error {
	e.mu.Lock()
	if e.retired {
		e.mu.Unlock()
		return nil
	}
	e.retired = true
	if e.refs == 0 {
		close(e.idle)
	}
	e.mu.Unlock()
	<-e.idle
	return e.db.Close()
}

// A reader is what rows are read from: the engine, a snapshot of it, or a batch over it.
type reader interface {
	Get(key []byte) ([]byte, io.Closer, error)
	NewIter(o *pebble.IterOptions) (*pebble.Iterator, error)
}

// get returns a copy of the value at key, or nil if there is none.
func get(r reader, key []byte) ([]byte, error) {
	v, closer, err := r.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, engineError("read", err)
	}
	v = append(make([]byte, 0, len(v)), v...) // never nil
	return v, closer.Close()
}

func engineError(what string, err error) error {
	if errors.Is(err, pebble.ErrCorruption) {
		return fmt.Errorf("%s store: %w: %w", what, ErrCorrupt, err)
	}
	return fmt.Errorf("%s store: %w", what, err)
}

// engineLog lets the engine speak through slog; its routine news is debug.
type engineLog struct{ log *slog.Logger }

func (l engineLog) Infof(format string, args ...any) {
	l.log.Debug("store engine", "message", fmt.Sprintf(format, args...))
}

func (l engineLog) Errorf(format string, args ...any) {
	l.log.Error("store engine", "message", fmt.Sprintf(format, args...))
}

// Fatalf is called when the engine cannot go on (an fsync failed, or what it reads
// back is damaged). Going on without it would acknowledge what is not stored, so the
// process ends, at once and without a chance to recover. The engine's text carries
// stack traces of its own; its first line says what happened.
func (l engineLog) Fatalf(format string, args ...any) {
	msg, _, _ := strings.Cut(fmt.Sprintf(format, args...), "\n")
	if strings.Contains(msg, syscall.ENOSPC.Error()) {
		l.log.Error("the disk of the store is full and the process ends: make room; nothing that was acknowledged is lost", "message", msg)
		os.Exit(1)
	}
	l.log.Error("the store is damaged or cannot be written; the process ends to protect its data. Free or replace the disk; "+
		"in a cluster, move this node's data directory away and start it again with cluster.join", "message", msg)
	os.Exit(1)
}
