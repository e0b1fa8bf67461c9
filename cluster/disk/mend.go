package disk

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/hashicorp/raft"

	"github.com/quis-idp/quis/fsm"
)

// A Mendable is a machine whose store can be replaced while Raft is running, behind
// its back: Raft neither forgets nor learns anything by it.
type Mendable struct {
	*Machine
	mu    sync.Mutex // Raft's applying goroutine, or Mend
	logs  *Log
	snaps *Snapshots
}

// NewMendable returns m, which applies entries of logs and whose snapshots are snaps.
func NewMendable(m *Machine, logs *Log, snaps *Snapshots) *Mendable {
	return &Mendable{Machine: m, logs: logs, snaps: snaps}
}

// ApplyBatch is that of the machine.
func (m *Mendable) ApplyBatch(logs []*raft.Log) []any {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.Machine.ApplyBatch(logs)
}

// Apply is for Raft's interface; entries come through ApplyBatch.
func (m *Mendable) Apply(l *raft.Log) any { return m.ApplyBatch([]*raft.Log{l})[0] }

// Restore is that of the machine.
func (m *Mendable) Restore(r io.ReadCloser) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.Machine.Restore(r)
}

// replayed is how many entries are read from the log at once.
const replayed = 256

// Mend puts a state, as it was elsewhere after the log entry at index, in place of the
// store's, and applies from the log here what the store had applied beyond that. The
// store must have reached index, and what follows it must be in the log: nothing may
// shorten the log meanwhile. If it returns an error, the store is as it was, or the
// node ends.
func (m *Mendable) Mend(state io.Reader, index uint64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	at := m.db.Position()
	first, err := m.logs.FirstIndex()
	if err != nil {
		return m.logs.failed("read the log", err)
	}
	if at.Index < index || at.Index > index && first > index+1 {
		return fmt.Errorf("a state of entry %d: the store stands at %d, the log begins at %d: %w", index, at.Index, first, fsm.ErrConflict)
	}
	if err := m.db.Restore(state); err != nil {
		if !errors.Is(err, fsm.ErrCorrupt) {
			m.stop(fmt.Errorf("replace the store: %w", err))
		}
		return err
	}
	if err := m.replay(index+1, at.Index); err != nil {
		m.stop(fmt.Errorf("apply the log to the new store: %w", err))
		return err
	}
	p, err := m.db.Flush()
	if err != nil {
		m.stop(fmt.Errorf("flush the store: %w", err))
		return err
	}
	m.snaps.flushed(p)
	return nil
}

// replay applies the entries from and to and those between that reach the store.
func (m *Mendable) replay(from, to uint64) error {
	var run []fsm.Entry
	for i := from; i <= to; i++ {
		var l raft.Log
		if err := m.logs.GetLog(i, &l); err != nil {
			return fmt.Errorf("entry %d: %w", i, err)
		}
		switch l.Type {
		case raft.LogCommand:
			run = append(run, fsm.Entry{Index: l.Index, Term: l.Term, Data: l.Data})
		case raft.LogConfiguration:
			run = append(run, fsm.Entry{Index: l.Index, Term: l.Term, Config: l.Data})
		}
		if len(run) < replayed && i < to {
			continue
		}
		if _, err := m.apply(run); err != nil {
			return err
		}
		run = nil
	}
	return nil
}
