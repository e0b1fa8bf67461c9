package disk

import (
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/quis-idp/quis/fsm"
)

// A Machine gives committed entries to the store. It is Raft's BatchingFSM.
//
// When the store cannot apply an entry, it cannot apply any later one either: the
// machine reports why, once, and then holds Raft's applying goroutine until the
// node is stopped, so that nothing is answered and nothing is passed over.
type Machine struct {
	db     *fsm.DB
	snaps  *Snapshots
	quit   <-chan struct{} // closed when the node stops
	fatal  func(error)
	took   prometheus.Observer
	failed atomic.Bool
}

// NewMachine returns the machine of db. The time of applying goes to took, in seconds;
// fatal is told why the node cannot go on, and quit is closed when it stops.
func NewMachine(db *fsm.DB, snaps *Snapshots, took prometheus.Observer, fatal func(error), quit <-chan struct{}) *Machine {
	return &Machine{db: db, snaps: snaps, quit: quit, fatal: fatal, took: took}
}

// ApplyBatch applies entries in one engine commit. The answer to a proposal is its []fsm.Verdict.
func (m *Machine) ApplyBatch(logs []*raft.Log) []any {
	answers := make([]any, len(logs))
	entries := make([]fsm.Entry, len(logs))
	for i, l := range logs {
		entries[i] = fsm.Entry{Index: l.Index, Term: l.Term, Data: l.Data}
		if l.Type == raft.LogConfiguration {
			entries[i] = fsm.Entry{Index: l.Index, Term: l.Term, Config: l.Data}
		}
	}
	begun := time.Now()
	verdicts, err := m.apply(entries)
	if err != nil {
		m.stop(fmt.Errorf("apply the log: %w", err))
		return answers
	}
	m.took.Observe(time.Since(begun).Seconds())
	for i := range logs {
		answers[i] = verdicts[i]
	}
	return answers
}

// apply turns a panic of the engine (how it reports a failed fsync) into an error.
func (m *Machine) apply(entries []fsm.Entry) (v [][]fsm.Verdict, err error) {
	if m.failed.Load() {
		return nil, errors.New("an earlier entry could not be applied")
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("store engine: %v", p)
		}
	}()
	return m.db.Apply(entries)
}

func (m *Machine) stop(err error) {
	if !m.failed.Swap(true) {
		m.fatal(err)
	}
	<-m.quit
}

// Apply is for Raft's interface; entries come through ApplyBatch.
func (m *Machine) Apply(l *raft.Log) any { return m.ApplyBatch([]*raft.Log{l})[0] }

// Snapshot needs no preparation: Persist flushes whatever has been applied by then.
func (m *Machine) Snapshot() (raft.FSMSnapshot, error) { return flush{m}, nil }

// Restore replaces the store by an installed snapshot, or by a backup that enters the
// log at an index of its own: where the store then stands is what Raft says of the
// stream. One that is bad leaves the store as it was and the leader sends another;
// any other failure is final.
func (m *Machine) Restore(r io.ReadCloser) error {
	index, term := m.snaps.opened()
	err := m.db.RestoreAs(r, index, term)
	if err != nil && !errors.Is(err, fsm.ErrCorrupt) {
		m.stop(fmt.Errorf("install snapshot: %w", err))
	}
	return err
}

// A flush is the snapshot: it makes durable what the engine holds. Nothing is
// written to the sink.
type flush struct{ m *Machine }

func (f flush) Persist(sink raft.SnapshotSink) error {
	p, err := f.m.db.Flush()
	if err != nil {
		f.m.stop(fmt.Errorf("flush the store: %w", err))
		return err
	}
	if s, ok := sink.(*incoming); ok {
		s.store.flushed(p)
	}
	return nil
}

func (flush) Release() {}
