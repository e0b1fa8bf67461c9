package disk

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	"github.com/prometheus/client_golang/prometheus"
	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/quis-idp/quis/fsm"
)

// IdentityFile is the name of the file beside the log that says whose log it is.
const IdentityFile = "node.json"

const (
	logFile     = "raft.db"
	deleteChunk = 500 // entries of one prefix delete: a longer one stalls the writers behind it
	deletePause = 2 * time.Millisecond
)

// A Log is the durable log: raft-boltdb with fsync before every answer. Where there
// is no room it refuses to write, and goes on when there is; any other failure
// ends the node: after a failed fsync nobody knows what is on the disk.
type Log struct {
	*raftboltdb.BoltStore
	path    string
	armed   atomic.Bool // failures are fatal
	took    prometheus.Observer
	fatal   func(error)
	entries atomic.Int64 // stored since the start
	bytes   atomic.Int64 // in them
	since   atomic.Int64 // when the write under way began, in nanoseconds after epoch; 0: none
	space   *space
}

// OpenLog opens the log in dir, or makes it. A damaged file is an error that says what
// to do. The time of every durable write goes to took, in seconds; fatal is told what
// ends the node, once the log is armed.
func OpenLog(dir string, took prometheus.Observer, fatal func(error)) (l *Log, err error) {
	path := filepath.Join(dir, logFile)
	// A damaged file can make the library panic, or fault in its memory map.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			l, err = nil, damaged(path, fmt.Errorf("%v", p))
		}
	}()
	if err := probeLog(path); err != nil {
		return nil, err
	}
	_, statErr := os.Stat(path)
	store, err := raftboltdb.New(raftboltdb.Options{
		Path:                    path,
		BoltOptions:             boltOptions(false),
		MsgpackUseNewTimeFormat: true,
	})
	if err != nil {
		return nil, openError(path, err)
	}
	l = &Log{BoltStore: store, path: path, took: took, fatal: fatal, space: spaceOf(path)}
	if err := l.readable(); err != nil {
		return nil, errors.Join(damaged(path, err), store.Close())
	}
	if statErr != nil { // the file is new: a power cut must not take its name
		if err := syncDirs(dir); err != nil {
			return nil, errors.Join(fmt.Errorf("open log: %w", err), store.Close())
		}
	}
	return l, nil
}

// syncDirs makes the names in dir durable, and its own.
func syncDirs(dir string) error {
	for _, d := range []string{dir, filepath.Dir(dir)} {
		f, err := os.Open(d)
		if d != dir && errors.Is(err, os.ErrPermission) {
			continue // whoever made it has seen to that
		}
		if err != nil {
			return err
		}
		if err := errors.Join(f.Sync(), f.Close()); err != nil {
			return err
		}
	}
	return nil
}

func boltOptions(readOnly bool) *bbolt.Options {
	return &bbolt.Options{Timeout: time.Second, FreelistType: bbolt.FreelistMapType, NoFreelistSync: true, ReadOnly: readOnly}
}

// probeLog walks the whole tree of the file. Opened for writing, a damaged one would
// make the library panic in a goroutine of its own, where nobody can catch it, and
// one that has lost its end would fault much later.
func probeLog(path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	db, err := bbolt.Open(path, 0o600, boltOptions(true))
	if err != nil {
		return openError(path, err)
	}
	err = db.View(func(tx *bbolt.Tx) (err error) {
		defer func() { // here, so that the file is closed again
			if p := recover(); p != nil {
				err = fmt.Errorf("%v", p)
			}
		}()
		if size := tx.Size(); size > info.Size() {
			return fmt.Errorf("it should have %d bytes and has %d", size, info.Size())
		}
		return tx.ForEach(func(_ []byte, b *bbolt.Bucket) error {
			var last []byte
			return b.ForEach(func(k, _ []byte) error {
				if bytes.Compare(last, k) >= 0 || b.Get(k) == nil {
					return errors.New("its keys are out of order")
				}
				last = k
				return nil
			})
		})
	})
	if err = errors.Join(err, db.Close()); err != nil {
		return openError(path, err)
	}
	return nil
}

func openError(path string, err error) error {
	if errors.Is(err, bolterrors.ErrTimeout) {
		return fmt.Errorf("%s is in use by another process: is this node running already? %w", path, err)
	}
	if errors.Is(err, os.ErrPermission) || errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("open log: %w", err)
	}
	return damaged(path, err)
}

func damaged(path string, err error) error {
	return fmt.Errorf("the log %s is damaged (%w). If other nodes of the cluster are healthy, move this node's whole data directory away "+
		"and start it again with cluster.join: it gets everything from them. If this is the only node, restore a backup", path, err)
}

// Damaged says what is to be done about a log that err shows to be damaged.
func (l *Log) Damaged(err error) error { return damaged(l.path, err) }

// Arm says whether a failure is fatal from now on, or only an error of whoever caused
// it, as during the start and the end of the node.
func (l *Log) Arm(on bool) { l.armed.Store(on) }

// Written returns how many entries were stored since the log was opened, and the bytes in them.
func (l *Log) Written() (entries, bytes int64) { return l.entries.Load(), l.bytes.Load() }

// readable reads the ends of the log.
func (l *Log) readable() error {
	first, err := l.FirstIndex()
	if err != nil {
		return err
	}
	last, err := l.LastIndex()
	if err != nil || last == 0 {
		return err
	}
	for _, i := range []uint64{first, last} {
		if err := l.get(i, &raft.Log{}); err != nil {
			return err
		}
	}
	return nil
}

const writeTerm = "write the term"

const startOver = "Move this node's whole data directory away and start it again with cluster.join"

// Expect refuses a node that belongs to a cluster and has no log file, before one
// is made. The file is older than the identity, so it has been lost, and with it what
// the node had acknowledged and for whom it had voted: as a voter it could help to elect
// a leader that lacks what was acknowledged. For a node that belongs to none, it removes
// the empty file that a first start leaves if it dies while making the log.
func Expect(dir string, belongs bool) error {
	path := filepath.Join(dir, logFile)
	info, err := os.Stat(path)
	if !belongs && err == nil && info.Size() == 0 {
		return os.Remove(path)
	}
	if belongs && errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("this node belongs to a cluster, but its log is missing (%s): a node must not go on without the log it has acknowledged. "+startOver, path)
	}
	return nil
}

// termKey is where Raft keeps its term.
var termKey = []byte("CurrentTerm")

// Fits reports an error if the log cannot be that of the store, or of this node. The
// log may be empty (a snapshot was installed, nothing came since) or end before the
// store does, but the term in it is never behind that of an entry it had to hold.
func (l *Log) Fits(p fsm.Position, belongs bool) error {
	first, err := l.FirstIndex()
	if err != nil {
		return err
	}
	term, err := l.GetUint64(termKey)
	if err != nil && !errors.Is(err, raftboltdb.ErrKeyNotFound) {
		return err
	}
	switch {
	case !belongs && (term > 0 || first > 0):
		return fmt.Errorf("the log %s is of a cluster, but %s beside it, which says of which, is missing: bring it back. Otherwise: "+startOver, l.path, IdentityFile)
	case term < p.Term:
		return fmt.Errorf("the store holds everything up to entry %d of term %d, but its log knows only of term %d: it is not the log that this node has acknowledged. "+startOver,
			p.Index, p.Term, term)
	case first > p.Index+1:
		return fmt.Errorf("the store stands at entry %d, but the log begins at %d: the two do not belong together. "+startOver, p.Index, first)
	}
	return nil
}

// StoreLog stores one entry durably.
func (l *Log) StoreLog(e *raft.Log) error { return l.StoreLogs([]*raft.Log{e}) }

// StoreLogs stores entries durably, and gives those that have none yet their checksum.
func (l *Log) StoreLogs(entries []*raft.Log) error {
	for _, e := range entries {
		if err := sign(e); err != nil {
			return l.failed("write the log", err)
		}
	}
	if slices.ContainsFunc(entries, func(e *raft.Log) bool { return e.Type == raft.LogCommand }) { // Raft's own are small and few
		if err := l.space.refuse(); err != nil {
			return err
		}
	}
	begun := time.Now()
	l.since.Store(int64(begun.Sub(epoch)))
	err := l.BoltStore.StoreLogs(entries)
	l.since.Store(0)
	if err != nil {
		return l.failed("write the log", err)
	}
	l.took.Observe(time.Since(begun).Seconds())
	size := 0
	for _, e := range entries {
		size += len(e.Data)
	}
	l.entries.Add(int64(len(entries)))
	l.bytes.Add(int64(size))
	return nil
}

// GetLog reads an entry. A damaged one ends the node before it can be applied or sent on.
func (l *Log) GetLog(index uint64, e *raft.Log) error {
	err := l.get(index, e)
	if err != nil && !errors.Is(err, raft.ErrLogNotFound) {
		return l.failed("read the log", damaged(l.path, err))
	}
	return err
}

func (l *Log) get(index uint64, e *raft.Log) error {
	if err := l.BoltStore.GetLog(index, e); err != nil {
		return err
	}
	if e.Index != index {
		return fmt.Errorf("entry %d says that it is %d", index, e.Index)
	}
	return check(e)
}

// DeleteRange deletes the entries from and to and those between, a few at a time.
// Raft deletes a prefix after a snapshot; a suffix, when a new leader has other
// entries, goes from its end, so that a crash in between never leaves a hole.
func (l *Log) DeleteRange(from, to uint64) error {
	last, err := l.LastIndex()
	if err != nil {
		return l.failed("shorten the log", err)
	}
	if to >= last {
		return l.deleteSuffix(from, last)
	}
	for at := from; at <= to; {
		if err := l.BoltStore.DeleteRange(at, min(at+deleteChunk-1, to)); err != nil {
			return l.failed("shorten the log", err)
		}
		if at, err = l.FirstIndex(); err != nil { // passes over holes at once
			return l.failed("shorten the log", err)
		}
		time.Sleep(deletePause)
	}
	return nil
}

func (l *Log) deleteSuffix(from, to uint64) error {
	for to >= from {
		at := from
		if to-from >= deleteChunk {
			at = to - deleteChunk + 1
		}
		if err := l.BoltStore.DeleteRange(at, to); err != nil {
			return l.failed("shorten the log", err)
		}
		to = at - 1
	}
	return nil
}

// Set stores a value of Raft's own, such as its vote.
func (l *Log) Set(k, v []byte) error {
	if err := l.BoltStore.Set(k, v); err != nil {
		return l.failed("write the vote", err)
	}
	return nil
}

// SetUint64 stores a number of Raft's own, such as its term.
func (l *Log) SetUint64(k []byte, v uint64) error {
	if err := l.BoltStore.SetUint64(k, v); err != nil {
		return l.failed(writeTerm, err)
	}
	return nil
}

func (l *Log) failed(what string, err error) error {
	err = fmt.Errorf("%s: %w", what, err)
	if transient(err) && what != writeTerm { // of which Raft makes a panic
		l.space.refused(err)
		return err
	}
	if l.armed.Load() {
		l.fatal(err)
	}
	return err
}

// Close closes the file.
func (l *Log) Close() error {
	l.Arm(false)
	return l.BoltStore.Close()
}
