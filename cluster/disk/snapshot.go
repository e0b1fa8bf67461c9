package disk

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/quis-idp/quis/fsm"
)

// Snapshots answers Raft from the engine. What it lists is the position that
// the engine has durably reached, never anything that a file claims, so a crash
// between receiving a snapshot and restoring it loses nothing: the old position
// is listed and the leader sends again.
type Snapshots struct {
	db       *fsm.DB
	dir      string // where streams arrive
	mu       sync.Mutex
	durable  fsm.Position
	lastGood time.Time
	arrived  map[string]*incoming
	next     int
	last     *raft.SnapshotMeta // of the stream opened last, by the one goroutine that restores
}

const (
	engineSnapshot = "engine"
	incomingPrefix = "incoming-"
)

// OpenSnapshots returns the snapshots of db. Streams arrive in dir; it removes those
// that a crash left behind: the engine has them or has not.
func OpenSnapshots(db *fsm.DB, dir string) (*Snapshots, error) {
	names, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	for _, n := range names {
		if strings.HasPrefix(n.Name(), incomingPrefix) {
			if err := os.Remove(filepath.Join(dir, n.Name())); err != nil {
				return nil, fmt.Errorf("remove a stream left behind: %w", err)
			}
		}
	}
	return &Snapshots{db: db, dir: dir, durable: db.Position(), arrived: map[string]*incoming{}}, nil
}

// flushed notes that the engine is durable up to p.
func (s *Snapshots) flushed(p fsm.Position) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.Index >= s.durable.Index {
		s.durable = p
	}
	s.lastGood = time.Now()
}

// LastFlush returns when the store was last made durable, or zero: not since the start.
func (s *Snapshots) LastFlush() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lastGood
}

// metaOf describes the store at p in Raft's terms.
func metaOf(p fsm.Position) (meta *raft.SnapshotMeta, err error) {
	defer func() {
		if r := recover(); r != nil { // how the library reports bad bytes
			err = fmt.Errorf("stored cluster configuration: %v: %w", r, fsm.ErrCorrupt)
		}
	}()
	m := &raft.SnapshotMeta{Version: raft.SnapshotVersionMax, ID: engineSnapshot, Index: p.Index, Term: p.Term, ConfigurationIndex: p.ConfigIndex}
	if len(p.Config) > 0 {
		m.Configuration = raft.DecodeConfiguration(p.Config)
	}
	return m, nil
}

// List returns the engine's durable position, or nothing for an empty store.
func (s *Snapshots) List() ([]*raft.SnapshotMeta, error) {
	s.mu.Lock()
	p := s.durable
	s.mu.Unlock()
	if p.Index == 0 {
		return nil, nil
	}
	m, err := metaOf(p)
	if err != nil {
		return nil, err
	}
	return []*raft.SnapshotMeta{m}, nil
}

// Open returns a stream of the engine as it is now, or one that arrived and is to
// be restored. The stream is walked twice: Raft wants to know its length beforehand.
func (s *Snapshots) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	if id != engineSnapshot {
		return s.openArrived(id)
	}
	stream, err := s.db.OpenStream()
	if err != nil {
		return nil, nil, fmt.Errorf("open snapshot: %w", err)
	}
	meta, err := metaOf(stream.Position)
	if err == nil {
		meta.Size, err = stream.WriteTo(io.Discard)
	}
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("open snapshot: %w", err), stream.Close())
	}
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		_, err := stream.WriteTo(w)
		w.CloseWithError(err)
		done <- stream.Close()
	}()
	return meta, &outgoing{PipeReader: r, done: done}, nil
}

// An outgoing stream ends its writer when it is closed.
type outgoing struct {
	*io.PipeReader
	done chan error
	once sync.Once
	err  error
}

func (o *outgoing) Close() error {
	o.once.Do(func() {
		o.PipeReader.Close() // the writer then stops
		o.err = <-o.done
	})
	return o.err
}

// Create returns the sink of a snapshot: one taken here writes nothing to it, one
// that is being installed here goes to a file of its own.
func (s *Snapshots) Create(_ raft.SnapshotVersion, index, term uint64, c raft.Configuration, configIndex uint64, _ raft.Transport) (raft.SnapshotSink, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next++
	return &incoming{store: s, meta: raft.SnapshotMeta{
		Version: raft.SnapshotVersionMax, ID: fmt.Sprintf("%s%d", incomingPrefix, s.next),
		Index: index, Term: term, Configuration: c, ConfigurationIndex: configIndex,
	}}, nil
}

// incoming is a raft.SnapshotSink.
type incoming struct {
	store *Snapshots
	meta  raft.SnapshotMeta
	file  *os.File
}

func (i *incoming) ID() string {
	if i.file == nil && i.meta.Size == 0 {
		return engineSnapshot
	}
	return i.meta.ID
}

func (i *incoming) path() string { return filepath.Join(i.store.dir, i.meta.ID) }

func (i *incoming) Write(b []byte) (int, error) {
	if i.file == nil {
		f, err := os.OpenFile(i.path(), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
		if err != nil {
			return 0, fmt.Errorf("receive snapshot: %w", err)
		}
		i.file = f
	}
	n, err := i.file.Write(b)
	i.meta.Size += int64(n)
	return n, err
}

// Close keeps what arrived until it has been restored. It needs no fsync: the
// stream carries a checksum, and a crash begins anew.
func (i *incoming) Close() error {
	if i.file == nil {
		return nil
	}
	if err := i.file.Close(); err != nil {
		return errors.Join(fmt.Errorf("receive snapshot: %w", err), os.Remove(i.path()))
	}
	i.store.mu.Lock()
	defer i.store.mu.Unlock()
	i.store.arrived[i.meta.ID] = i
	return nil
}

func (i *incoming) Cancel() error {
	if i.file == nil {
		return nil
	}
	return errors.Join(i.file.Close(), os.Remove(i.path()))
}

func (s *Snapshots) openArrived(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	s.mu.Lock()
	i := s.arrived[id]
	delete(s.arrived, id)
	s.mu.Unlock()
	if i == nil {
		return nil, nil, fmt.Errorf("snapshot %s: %w", id, fsm.ErrNotFound)
	}
	// One that was long on its way. Readers here have been told of more than it holds,
	// and the leader sends what follows, or a newer one.
	if at := s.db.Position().Index; i.meta.Index < at {
		return nil, nil, errors.Join(fmt.Errorf("snapshot of entry %d arrived, the store stands at %d: %w", i.meta.Index, at, fsm.ErrRefused), os.Remove(i.path()))
	}
	f, err := os.Open(i.path())
	if err != nil {
		return nil, nil, fmt.Errorf("open received snapshot: %w", err)
	}
	s.mu.Lock()
	s.last = &i.meta
	s.mu.Unlock()
	return &i.meta, &restoring{File: f, of: i}, nil
}

// opened returns the position of the stream that was opened last, 0: of its own.
func (s *Snapshots) opened() (index, term uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last == nil {
		return 0, 0
	}
	return s.last.Index, s.last.Term
}

// restoring is a stream being restored; closing it notes the new durable position
// and removes the file. Restore has flushed before it switched to the new engine.
type restoring struct {
	*os.File
	of *incoming
}

func (r *restoring) Close() error {
	if p := r.of.store.db.Position(); p.Index == r.of.meta.Index {
		r.of.store.flushed(p)
	}
	return errors.Join(r.File.Close(), os.Remove(r.of.path()))
}
