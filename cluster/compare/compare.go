package compare

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/quis-idp/quis/cluster/wire"
	"github.com/quis-idp/quis/fsm"
)

// A Member is one that can be asked.
type Member struct {
	ID, Address string
	Voter       bool
}

// Config is what a Comparer needs of its node.
type Config struct {
	NodeID  string
	DataDir string // where a node that is odd remembers it, and where a state arrives
	DB      *fsm.DB
	Logger  *slog.Logger
	Every   time.Duration // between two comparisons

	Members func() []Member // this node included
	Leader  func() string
	Written func() int64 // bytes that have entered the log since the start
	Call    func(ctx context.Context, to Member, method string, q, a any) error
	// Aside is called when this node has become odd; it ends this node's leadership and
	// sees to it that nothing the state lacks leaves the log.
	Aside func(ctx context.Context)
	// Install puts a state of the log index in place of this node's, and goes on from there.
	Install func(ctx context.Context, state io.Reader, index uint64) error
	// Back is called when this node is no longer odd.
	Back func()
}

// A Comparer is one node's part in the comparison.
type Comparer struct {
	cfg      Config
	log      *slog.Logger
	isolated atomic.Pointer[finding]
	odd      chan struct{} // wakes Run
	seen     prometheus.Counter
	mu       sync.Mutex
	streams  map[string]*outgoing // by who reads it
	closed   bool                 // nothing is read from here any more
	writers  sync.WaitGroup       // of streams
	last     time.Duration        // that the slowest took in the last round
	healed   []time.Time
}

// New returns the Comparer of a node. One that was odd when it ended still is.
func New(cfg Config) (*Comparer, error) {
	c := &Comparer{cfg: cfg, log: cfg.Logger, odd: make(chan struct{}, 1), streams: map[string]*outgoing{},
		seen: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "quis_state_divergence_total", Help: "Members whose state was found to differ, as far as this node was told.",
		}),
	}
	f, err := loadFinding(cfg.DataDir)
	if err != nil {
		return nil, err
	}
	if f != nil {
		c.isolated.Store(f)
		c.wake()
	}
	return c, nil
}

// Odd says why this node keeps apart, for a person; empty: it does not, or compares nothing yet (nil).
func (c *Comparer) Odd() string {
	if c == nil {
		return ""
	}
	f := c.isolated.Load()
	if f == nil {
		return ""
	}
	return fmt.Sprintf("the state of this node differs from that of the majority since log entry %d (here %s, there %s) and is being replaced%s",
		f.Index, f.Mine, f.Right, f.note())
}

// Isolated returns why this node keeps apart as an fsm.ErrUnavailable, or nil.
func (c *Comparer) Isolated() error {
	if why := c.Odd(); why != "" {
		return fmt.Errorf("%s: %w", why, fsm.ErrUnavailable)
	}
	return nil
}

func (c *Comparer) wake() {
	select {
	case c.odd <- struct{}{}:
	default:
	}
}

const (
	methodCheckpoint = "checkpoint"
	methodDiverged   = "diverged"
	methodState      = "state"
)

// Handle adds the calls between members to m.
func (c *Comparer) Handle(m *wire.Mux) {
	wire.Handle(m, methodCheckpoint, c.handleCheckpoint)
	wire.Handle(m, methodDiverged, c.handleDiverged)
	wire.Handle(m, methodState, c.handleState)
}

type checkpointRequest struct {
	Index uint64 `cbor:"1,keyasint"`
}

// A checkpointAnswer is one of three: made, passed, or neither: ask again.
type checkpointAnswer struct {
	Made    bool   `cbor:"1,keyasint,omitempty"`
	Passed  bool   `cbor:"2,keyasint,omitempty"`
	Applied uint64 `cbor:"3,keyasint,omitempty"`
	Index   uint64 `cbor:"4,keyasint,omitempty"`
	Sum     Sum    `cbor:"5,keyasint"`
	Took    int64  `cbor:"6,keyasint,omitempty"` // nanoseconds
}

func (c *Comparer) handleCheckpoint(_ context.Context, from wire.Peer, q *checkpointRequest) (any, error) {
	if from.NodeID != c.cfg.Leader() {
		return nil, errors.New("only the leader compares")
	}
	return c.checkpoint(q.Index)
}

func (c *Comparer) checkpoint(index uint64) (*checkpointAnswer, error) {
	made, ok, err := c.cfg.DB.CheckpointFrom(index)
	a := &checkpointAnswer{Made: ok, Passed: errors.Is(err, fsm.ErrPassed), Applied: c.cfg.DB.Position().Index}
	if err != nil && !a.Passed {
		return nil, err
	}
	a.Index, a.Sum, a.Took = made.Index, Sum{made.Chain, made.Hash}, int64(made.Took)
	return a, nil
}

var (
	descIndex    = prometheus.NewDesc("quis_state_checkpoint_index", "Log index of the state that this node hashed last, to be compared with the others; 0: none since the start.", nil, nil)
	descTook     = prometheus.NewDesc("quis_state_checkpoint_duration_seconds", "Time that hashing it took, in the background.", nil, nil)
	descIsolated = prometheus.NewDesc("quis_state_isolated", "1 while this node keeps apart because its state differs from that of the majority.", nil, nil)
)

// Describe names what Collect gives.
func (c *Comparer) Describe(ch chan<- *prometheus.Desc) {
	c.seen.Describe(ch)
	for _, d := range []*prometheus.Desc{descIndex, descTook, descIsolated} {
		ch <- d
	}
}

// Collect reads the current values.
func (c *Comparer) Collect(ch chan<- prometheus.Metric) {
	c.seen.Collect(ch)
	made, _ := c.cfg.DB.LastCheckpoint()
	apart := 0.0
	if c.isolated.Load() != nil {
		apart = 1
	}
	ch <- prometheus.MustNewConstMetric(descIndex, prometheus.GaugeValue, float64(made.Index))
	ch <- prometheus.MustNewConstMetric(descTook, prometheus.GaugeValue, made.Took.Seconds())
	ch <- prometheus.MustNewConstMetric(descIsolated, prometheus.GaugeValue, apart)
}
