// Package ask is what a node asks of whoever leads, be it itself: to append batches to the
// log, and how far everything that was acknowledged goes.
//
// Both are asked again while the leader changes, until the time is up. A batch whose answer was lost
// is sent again under the same identity, and the store gives it its first outcome; so the
// errors tell the truth: fsm.ErrUnavailable means certainly not applied, fsm.ErrUnknown perhaps.
// A read index counts only if a majority has confirmed the leader in the term in which it has
// committed, after the question.
//
// The answers of the leader say what it has committed, which is given to Raft here as what
// it is, so that nobody waits for its next heartbeat.
//
// Not here: who leads (cluster), what is in the batches (fsm), packing (group).
package ask

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/quis-idp/quis/cluster/fresh"
	"github.com/quis-idp/quis/cluster/group"
	"github.com/quis-idp/quis/cluster/wire"
	"github.com/quis-idp/quis/fsm"
)

// Config is what asking needs of the node.
type Config struct {
	NodeID        string
	DB            *fsm.DB
	Timeout       time.Duration // of one proposal, and of one catching up
	ProbeEvery    time.Duration
	CommitTimeout time.Duration
	Packed        prometheus.Observer // batches in one entry
	Fresh         *fresh.Mark         // how old this node's state may be

	Leader   func() (id, address string)
	Leading  func() uint64              // the term in which this node leads and has committed; 0: none
	Leads    func(from wire.Peer) error // refuses a call that only the leader may answer, and only to members
	Alone    func() bool                // this node is the only voter
	Isolated func() error               // this node's state is not to be trusted
	NoRoom   func() error               // this node's disk can take nothing
	Stamp    func() time.Time           // for the next entry
	Changed  func() <-chan struct{}     // closed when the leader, or anything like it, changes
	Change   func()                     // closes it
	Quit     <-chan struct{}            // closed when the node stops
}

// A Leader is the way to whoever leads. Its methods may be called from any goroutine, after Begin.
type Leader struct {
	cfg      Config
	life     life
	confirms fresh.Shared // leader: quorum rounds
	asks     fresh.Shared // any node: questions to the leader
	nudging  atomic.Bool
	begun    atomic.Bool // life is there
}

// life is what comes with Raft.
type life struct {
	ctx       context.Context
	raft      *raft.Raft
	log       raft.LogStore
	caller    *wire.Caller
	transport *wire.Transport
	queue     *group.Packer
}

// New returns the way to a leader; it leads nowhere before Begin.
func New(cfg Config) *Leader {
	l := &Leader{cfg: cfg}
	l.confirms.Ask, l.asks.Ask = l.confirm, l.ask
	return l
}

// Begin lets questions through, and keeps the state known to be fresh. What it begins
// ends with ctx; loops counts it. Afterwards call Drain.
func (l *Leader) Begin(ctx context.Context, r *raft.Raft, log raft.LogStore, caller *wire.Caller, t *wire.Transport, loops *sync.WaitGroup) {
	l.life = life{ctx: ctx, raft: r, log: log, caller: caller, transport: t}
	l.life.queue = group.New(ctx, l.flush)
	l.begun.Store(true)
	loops.Go(l.probe)
}

// Drain turns away what still waits.
func (l *Leader) Drain() {
	if l.life.queue != nil {
		l.life.queue.Drain(ErrStopping)
	}
}

// Waiting returns how many batches wait to be packed.
func (l *Leader) Waiting() int { return l.life.queue.Waiting() }

// Handle adds the calls that a leader answers to m.
func (l *Leader) Handle(m *wire.Mux) {
	wire.Handle(m, methodPropose, l.handlePropose)
	wire.Handle(m, methodReadIndex, l.handleReadIndex)
	wire.Handle(m, methodTerm, l.handleTerm)
}
