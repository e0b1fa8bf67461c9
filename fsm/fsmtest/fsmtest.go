// Package fsmtest gives tests real stores that are thrown away: one alone, or
// several replicas over a log that lives in the test's memory and can be made to
// lag, repeat batches, lose answers or lose its leader. The stores keep their
// files in memory too. There is no Raft in it and no mock of the store.
package fsmtest

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/quis-idp/quis/fsm"
)

// New returns a store of its own with the given schema, closed when the test ends.
func New(t testing.TB, schema ...fsm.Definition) *fsm.DB {
	t.Helper()
	return NewCluster(t, 1, schema...).DB[0]
}

// A Cluster is several replicas of one store over one log.
type Cluster struct {
	DB []*fsm.DB

	schema   []fsm.Definition
	mu       sync.Mutex
	term     uint64
	down     bool
	lost     int    // proposals still to be applied without an answer
	repeated int    // proposals still to enter the log twice
	stopped  []bool // replicas that do not apply
	log      []fsm.Entry
	verdicts map[uint64][]fsm.Verdict
	skew     time.Duration
}

// NewCluster returns n replicas. Replica i's Update proposes to the shared log and
// waits until replica i has applied.
func NewCluster(t testing.TB, n int, schema ...fsm.Definition) *Cluster {
	t.Helper()
	c := &Cluster{term: 1, schema: schema, verdicts: map[uint64][]fsm.Verdict{}}
	for range n {
		c.Join(t)
	}
	return c
}

// Join adds an empty replica, which replays the log, and returns its number.
func (c *Cluster) Join(t testing.TB) int {
	t.Helper()
	db, err := fsm.Open(fsm.Config{Dir: "/store", FS: vfs.NewMem(), Schema: c.schema})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	i := len(c.DB)
	db.SetLog(member{c, i})
	c.DB, c.stopped = append(c.DB, db), append(c.stopped, false)
	if err := c.apply(i); err != nil {
		t.Fatal(err)
	}
	return i
}

// Install replaces replica i by a snapshot of replica from, as happens to a node
// that has fallen behind the end of the log.
func (c *Cluster) Install(t testing.TB, i, from int) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	s, err := c.DB[from].OpenStream()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var b bytes.Buffer
	if _, err := s.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	if err := c.DB[i].Restore(&b); err != nil {
		t.Fatal(err)
	}
}

// Pause makes replica i stop applying: it falls behind, as a slow follower does.
func (c *Cluster) Pause(i int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped[i] = true
}

// Resume lets replica i apply what it has missed.
func (c *Cluster) Resume(t testing.TB, i int) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped[i] = false
	if err := c.apply(i); err != nil {
		t.Fatal(err)
	}
}

// SetLeader says whether there is a leader; without one, proposals are ErrUnavailable.
func (c *Cluster) SetLeader(up bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.down = !up
}

// LoseAnswers makes the next n proposals of Updates report ErrUnknown although they are applied.
func (c *Cluster) LoseAnswers(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lost = n
}

// Repeat makes the next n proposals of Updates enter the log twice, as when an
// answer was lost and the batch is sent again; they get the second answer.
func (c *Cluster) Repeat(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.repeated = n
}

// NewTerm begins a new leadership term and returns it.
func (c *Cluster) NewTerm() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.term++
	return c.term
}

// Term returns the current leadership term.
func (c *Cluster) Term() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.term
}

// Advance moves the leader's clock forward, for deadlines and expiry.
func (c *Cluster) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.skew += d
}

// Pass lets time go by, and an empty entry tell every replica of it.
func (c *Cluster) Pass(t testing.TB, d time.Duration) {
	t.Helper()
	c.Advance(d)
	if _, _, err := c.Propose(0); err != nil {
		t.Fatal(err)
	}
}

// Entries returns how many entries the log holds.
func (c *Cluster) Entries() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.log)
}

// Log returns the entries so far, to be replayed elsewhere.
func (c *Cluster) Log() []fsm.Entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]fsm.Entry(nil), c.log...)
}

// apply brings replica i up to the end of the log. c.mu is held.
func (c *Cluster) apply(i int) error {
	at := c.DB[i].Position().Index
	if at >= uint64(len(c.log)) {
		return nil
	}
	entries := c.log[at:]
	verdicts, err := c.DB[i].Apply(entries)
	if err != nil {
		return err
	}
	for k, e := range entries {
		if want, ok := c.verdicts[e.Index]; ok && !slices.Equal(want, verdicts[k]) {
			return fmt.Errorf("replica %d decides %v at %d, others %v", i, verdicts[k], e.Index, want)
		}
		c.verdicts[e.Index] = verdicts[k]
	}
	return nil
}

// Propose appends one entry of several batches, as a coalescing leader does, and
// returns their verdicts once replica i has applied it.
func (c *Cluster) Propose(i int, batches ...[]byte) (uint64, []fsm.Verdict, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.propose(i, batches)
}

func (c *Cluster) propose(i int, batches [][]byte) (uint64, []fsm.Verdict, error) {
	if c.down {
		return 0, nil, fmt.Errorf("test log has no leader: %w", fsm.ErrUnavailable)
	}
	e := fsm.Entry{Index: uint64(len(c.log)) + 1, Term: c.term, Data: fsm.EncodeEntry(time.Now().Add(c.skew), batches)}
	c.log = append(c.log, e)
	for k := range c.DB {
		if !c.stopped[k] || k == i {
			if err := c.apply(k); err != nil {
				return 0, nil, err
			}
		}
	}
	return e.Index, c.verdicts[e.Index], nil
}

// member is the log as one replica sees it.
type member struct {
	c *Cluster
	i int
}

func (m member) Propose(_ context.Context, batch []byte) (fsm.Outcome, error) {
	m.c.mu.Lock()
	defer m.c.mu.Unlock()
	index, verdicts, err := m.c.propose(m.i, [][]byte{batch})
	if err == nil && m.c.repeated > 0 {
		m.c.repeated--
		index, verdicts, err = m.c.propose(m.i, [][]byte{batch})
	}
	if err != nil {
		return fsm.Outcome{}, err
	}
	if m.c.lost > 0 {
		m.c.lost--
		return fsm.Outcome{}, fmt.Errorf("test log lost the answer: %w", fsm.ErrUnknown)
	}
	return fsm.Outcome{Index: index, Verdict: verdicts[0]}, nil
}

func (m member) CatchUp(context.Context) error {
	m.c.mu.Lock()
	defer m.c.mu.Unlock()
	if m.c.down {
		return fmt.Errorf("test log has no leader: %w", fsm.ErrUnavailable)
	}
	return m.c.apply(m.i)
}
