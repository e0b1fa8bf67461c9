package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/quis-idp/quis/fsm"
)

// Limits say when a disk is no longer good enough. Zero stands for the default.
type Limits struct {
	Low  int64         // bytes free below which another should lead; default: a tenth of the disk, at most 1 GiB
	Full int64         // bytes free below which nothing is written any more; default: a fortieth of the disk, at most 256 MiB
	Slow time.Duration // that writes to the log take for a while before another should lead; default 500 ms
}

const (
	lowPart, lowMost   = 10, 1 << 30
	fullPart, fullMost = 40, 256 << 20
	slowDefault        = 500 * time.Millisecond
	margin             = 8 // a limit is left when an eighth more than it is free
)

// A Condition says how the disk of a data directory is.
type Condition struct {
	Free, Total int64
	Low         bool          // another node should lead
	Slow        time.Duration // a write takes, if they take too long for a while; 0: they do not
	Refuses     string        // why nothing is written; empty: everything is
}

// Unfit says why this node should not lead, or nothing.
func (c Condition) Unfit() string {
	switch {
	case c.Refuses != "":
		return fmt.Sprintf("%v: %s", ErrNoRoom, c.Refuses)
	case c.Low:
		return fmt.Sprintf("only %d MiB of %d MiB are free", c.Free>>20, c.Total>>20)
	case c.Slow > 0:
		return fmt.Sprintf("a write takes %v", c.Slow.Round(time.Millisecond))
	}
	return ""
}

// A space watches how much room a data directory has, how long writes take, and
// whether they go at all.
type space struct {
	dir     string
	limits  Limits
	state   atomic.Pointer[Condition]
	failing atomic.Pointer[error] // of the latest write that the system refused; nil: it took it
	drag    drag
}

func newSpace(dir string) *space {
	s := &space{dir: dir}
	s.limits.Slow = slowDefault
	s.state.Store(&Condition{})
	return s
}

// Limit sets other limits than the default ones. Call it before Watch.
func (l *Log) Limit(limits Limits) {
	if limits.Slow <= 0 {
		limits.Slow = slowDefault
	}
	l.space.limits = limits
}

// Condition returns how the disk is, as of the last second.
func (l *Log) Condition() Condition {
	c := *l.space.state.Load()
	c.Slow = time.Duration(l.space.drag.slow.Load())
	return c
}

// ErrNoRoom is why entries are refused before they are written.
var ErrNoRoom = errors.New("nothing can be written to the disk")

// Refuses reports why no entry with proposals is written now, or nil. It wraps
// [ErrNoRoom] and fsm.ErrUnavailable.
func (l *Log) Refuses() error { return l.space.refuse() }

// refuse reports why nothing is to be written now. Refused before anything was, an
// entry has simply not been stored, and the node can go on when there is room again.
func (s *space) refuse() error {
	if why := s.state.Load().Refuses; why != "" {
		return fmt.Errorf("%w: %s: %w", ErrNoRoom, why, fsm.ErrUnavailable)
	}
	return nil
}

// transient says whether err is that of a write of which the system has taken nothing:
// no room, or a file system that became read-only. Those of an fsync never are: what
// it should have kept may be gone.
func transient(err error) bool {
	var path *fs.PathError
	if !errors.As(err, &path) || path.Op != "write" && path.Op != "truncate" && path.Op != "open" {
		return false
	}
	return errors.Is(path.Err, syscall.ENOSPC) || errors.Is(path.Err, syscall.EDQUOT) || errors.Is(path.Err, syscall.EROFS)
}

// refused notes a write that the system did not take, and reports it.
func (s *space) refused(err error) {
	s.failing.Store(&err)
	c := *s.state.Load()
	c.Refuses = s.why(err)
	s.state.Store(&c)
}

func (s *space) why(err error) string {
	if errors.Is(err, syscall.EROFS) {
		return fmt.Sprintf("the file system of %s is read-only", s.dir)
	}
	return fmt.Sprintf("the disk of %s is full", s.dir)
}

// look brings the condition up to date. A canary has just been written, or failed.
func (s *space) look(canary error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(s.dir, &st); err != nil {
		return // the canary will say it
	}
	switch {
	case canary == nil:
		s.failing.Store(nil)
	case transient(canary):
		s.failing.Store(&canary)
	}
	was := *s.state.Load()
	c := Condition{Free: int64(st.Bavail) * st.Bsize, Total: int64(st.Blocks) * st.Bsize}
	low, full := s.limits.Low, s.limits.Full
	if low <= 0 {
		low = min(c.Total/lowPart, lowMost)
	}
	if full <= 0 {
		full = min(c.Total/fullPart, fullMost)
	}
	c.Low = c.Free < above(low, was.Low)
	switch failing := s.failing.Load(); {
	case failing != nil:
		c.Refuses = s.why(*failing)
	case c.Free < above(full, was.Refuses != ""):
		c.Refuses = fmt.Sprintf("the disk of %s is nearly full: %d MiB are free, %d MiB must be; make room", s.dir, c.Free>>20, full>>20)
	}
	s.state.Store(&c)
}

// above is the limit that counts: a little higher for leaving the state than for entering it.
func above(limit int64, inside bool) int64 {
	if inside {
		return limit + limit/margin
	}
	return limit
}

// spaceOf returns the space of the directory that a log file is in.
func spaceOf(path string) *space { return newSpace(filepath.Dir(path)) }
