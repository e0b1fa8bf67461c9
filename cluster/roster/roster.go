package roster

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"github.com/quis-idp/quis/cluster/autopilot"
	"github.com/quis-idp/quis/cluster/form"
	"github.com/quis-idp/quis/cluster/wire"
	"github.com/quis-idp/quis/fsm"
)

// Config is what a roster needs of its node. The functions may be called at any time.
type Config struct {
	NodeID, Version string
	DB              *fsm.DB
	Logger          *slog.Logger
	Heartbeat       time.Duration
	Timeout         time.Duration // of one change, and of waiting for a leader that can make it
	PromoteAfter    time.Duration // in place of the settings' stabilisation time; 0: none
	DeadAfter       time.Duration // likewise
	Now             func() time.Time
	Changing        sync.Locker // held during a change of membership

	Leads   func(from wire.Peer) error // refuses a call that only the leader may answer, and only to members
	Apart   func() bool                // this node is healing a state that is not that of the others
	Leading func() uint64              // the term in which this node leads and has committed; 0: none
	Stale   func() time.Duration       // how old this node's state may be
	Changed func() <-chan struct{}
	Change  func()                 // closes it
	Gossip  func() string          // where this node gossips
	Alive   func(node string) bool // whether gossip sees it
	Stand   func() *form.Stand     // this node's part in a rotation of the authority
	Busy    func() bool            // this node is being installed from a snapshot
	Fitness func() Fitness         // how well this node could lead
	Removed func()                 // this node is no member any more
	Quit    <-chan struct{}        // closed when the node stops
}

// A Roster knows the members of the cluster. Its methods may be called from any goroutine.
type Roster struct {
	cfg  Config
	log  *slog.Logger
	life *life // nil before Begin; see running
	on   atomic.Bool

	met    atomic.Bool            // every voter was asked once
	moment atomic.Pointer[moment] // the latest time that was given

	mu       sync.Mutex
	sights   map[string]*sight
	settings autopilot.Settings
	demoted  map[string]bool
	stuck    autopilot.Stuck
	handed   atomic.Int64 // hand-overs because of a stuck follower
}

// life is what a roster works with once Raft runs.
type life struct {
	raft *raft.Raft
	port *wire.Port
	ctx  context.Context
}

// New returns a roster that knows nobody yet.
func New(cfg Config) *Roster {
	return &Roster{cfg: cfg, log: cfg.Logger, sights: map[string]*sight{}, settings: autopilot.Default(), demoted: map[string]bool{}}
}

// Begin starts to look at the members. What it begins ends with ctx; loops counts it.
func (r *Roster) Begin(ctx context.Context, n *raft.Raft, port *wire.Port, loops *sync.WaitGroup) {
	r.life = &life{n, port, ctx}
	r.on.Store(true)
	loops.Go(r.observe)
	loops.Go(r.greet)
	loops.Go(r.moveHere)
}

// Servers returns the current configuration, committed or not; nothing before Begin.
func (r *Roster) Servers() []raft.Server {
	if !r.on.Load() {
		return nil
	}
	f := r.life.raft.GetConfiguration()
	if f.Error() != nil {
		return nil
	}
	return f.Configuration().Servers
}

// committed returns the configuration that is committed, as far as it is applied here.
func (r *Roster) committed() []raft.Server {
	p := r.cfg.DB.Position()
	if len(p.Config) == 0 {
		return nil
	}
	return raft.DecodeConfiguration(p.Config).Servers
}

// Find returns a member of the current configuration.
func (r *Roster) Find(id string) (raft.Server, bool) {
	for _, s := range r.Servers() {
		if string(s.ID) == id {
			return s, true
		}
	}
	return raft.Server{}, false
}

// IsMember says whether id belongs to the cluster: also while its admission, or its
// removal, is not committed.
func (r *Roster) IsMember(id string) bool {
	is := func(s raft.Server) bool { return string(s.ID) == id }
	return slices.ContainsFunc(r.Servers(), is) || slices.ContainsFunc(r.committed(), is)
}

// Voters returns how many members have a vote.
func (r *Roster) Voters() int {
	v := 0
	for _, s := range r.Servers() {
		if s.Suffrage == raft.Voter {
			v++
		}
	}
	return v
}

// Leader returns who leads, as far as this node knows, or nothing.
func (r *Roster) Leader() (id, address string) {
	if !r.on.Load() {
		return "", ""
	}
	a, i := r.life.raft.LeaderWithID()
	return string(i), string(a)
}

// Settings returns the settings of the autopilot as this node goes by them.
func (r *Roster) Settings() autopilot.Settings {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.settings
}

// MethodPosition asks a node how far it is, on quis-rpc.
const MethodPosition = "position"

// A Position is what a node says of itself. Fields that an older release does not know
// are zero.
type Position struct {
	Applied  uint64  `cbor:"1,keyasint"`
	Version  string  `cbor:"2,keyasint,omitempty"`
	Gossip   string  `cbor:"3,keyasint,omitempty"`
	Stranger bool    `cbor:"4,keyasint,omitempty"` // the leader says: whoever asks is no member
	Clock    int64   `cbor:"5,keyasint,omitempty"` // its wall clock in Unix microseconds
	Last     uint64  `cbor:"6,keyasint,omitempty"` // the last entry of its log
	Term     uint64  `cbor:"7,keyasint,omitempty"`
	Busy     bool    `cbor:"8,keyasint,omitempty"`  // it is being installed from a snapshot
	Apart    bool    `cbor:"9,keyasint,omitempty"`  // its state is not that of the others, and is being healed
	Fit      Fitness `cbor:"10,keyasint,omitempty"` // how well it could lead
	// Stand is about the rotation of the authority; nil from releases that know none.
	Stand *form.Stand `cbor:"30,keyasint,omitempty"`
}

// Handle adds the roster's calls to m.
func (r *Roster) Handle(m *wire.Mux) {
	wire.Handle(m, MethodPosition, r.handlePosition)
	wire.Handle(m, methodMove, r.handleMove)
	wire.Handle(m, methodChange, r.handleChange)
}

func (r *Roster) handlePosition(_ context.Context, from wire.Peer, _ *struct{}) (any, error) {
	p := r.here()
	// The committed configuration alone decides: a removal that is not committed may come to nothing.
	p.Stranger = r.cfg.Leading() != 0 && len(r.committed()) > 0 && !r.IsMember(from.NodeID)
	return &p, nil
}

// here is this node's own position.
func (r *Roster) here() Position {
	p := Position{
		Applied: r.cfg.DB.Position().Index, Version: r.cfg.Version, Gossip: r.cfg.Gossip(),
		Stand: r.cfg.Stand(), Clock: r.cfg.Now().UnixMicro(), Busy: r.cfg.Busy(), Apart: r.cfg.Apart(), Fit: r.cfg.Fitness(),
	}
	if r.on.Load() {
		p.Last, p.Term = r.life.raft.LastIndex(), r.life.raft.CurrentTerm()
	}
	return p
}
