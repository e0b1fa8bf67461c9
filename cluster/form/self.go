package form

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quis-idp/quis/cluster/disk"
	"github.com/quis-idp/quis/cluster/wire"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/keys/seal"
)

// The codes of faults between nodes.
const (
	CodeNotLeader uint8 = iota + 1 // ask the leader, or later
	CodeRefused                    // asking again is in vain
)

const (
	methodHello = "hello" // who are you?
	methodFound = "found" // be a founder of this cluster

	// MethodEnter asks to be taken in, on quis-join/1 and on quis-token/1.
	MethodEnter = "enter"

	methodReissue = "reissue" // I am a member, but my certificate is not accepted: sign another
)

// A hello is what nodes tell each other on quis-join/1.
type hello struct {
	NodeID    string `cbor:"1,keyasint"`
	Address   string `cbor:"2,keyasint"`
	ClusterID string `cbor:"3,keyasint,omitempty"`
	Expect    int    `cbor:"4,keyasint,omitempty"`
	Instance  string `cbor:"5,keyasint"`
	Version   string `cbor:"6,keyasint,omitempty"`
	// Founding says that the node has a cluster's identity and nothing else: it waits
	// for whoever made it a founder.
	Founding bool `cbor:"7,keyasint,omitempty"`
	// After are the clusters that the node's cluster was recovered from.
	After []string `cbor:"8,keyasint,omitempty"`
	// Admission is that of the node's certificate, and Void says to it that this counts no more.
	Admission uint64 `cbor:"9,keyasint,omitempty"`
	Void      bool   `cbor:"10,keyasint,omitempty"`
}

type foundRequest struct {
	Authority Authority `cbor:"1,keyasint"`
	Founder   string    `cbor:"2,keyasint"`
	// Instead names the cluster that a node waits for in vain and shall forget.
	Instead string `cbor:"3,keyasint,omitempty"`
}

// An EnterRequest asks a leader to take a new node in.
type EnterRequest struct {
	NodeID  string `cbor:"1,keyasint"`
	Address string `cbor:"2,keyasint"`
	Request []byte `cbor:"3,keyasint"` // PKCS #10
	// Secret is that of the join token by which the node comes, if it does.
	Secret []byte `cbor:"4,keyasint,omitempty"`
	// Reads are the features that the node reads; see cluster/feature.
	Reads []string `cbor:"20,keyasint,omitempty"`
	// Roots are the fingerprints of the root keys that the node was given.
	Roots []string `cbor:"21,keyasint,omitempty"`
	// ClusterID is that of a member that asks for another certificate.
	ClusterID string `cbor:"22,keyasint,omitempty"`
}

// An EnterAnswer names the leader, or holds what the new node needs.
type EnterAnswer struct {
	Leader    string    `cbor:"1,keyasint,omitempty"` // ask there instead
	Authority Authority `cbor:"2,keyasint,omitempty"`
	Cert      []byte    `cbor:"3,keyasint,omitempty"`
	RootKey   []byte    `cbor:"4,keyasint,omitempty"` // text of the one in use, to a node whose token says so
	Others    []byte    `cbor:"5,keyasint,omitempty"` // text of the others, while it is being replaced
}

// Config says who this node is to be and whom it asks. All of it is required.
type Config struct {
	NodeID, Version string
	Reads           []string // features; see cluster/feature
	DataDir         string   // node.json lives here
	Listen          string   // the node's own address in Join is passed over
	Join            []string
	Expect          int // how many nodes found the cluster together; 0: only join
	Root            *seal.RootKey
	CertLife        time.Duration // of the certificates that this node issues
	Resolver        Resolver      // the zero value asks the system
	Logger          *slog.Logger

	// Adopted is told of every new identity, before anything else is done with it.
	Adopted func(*Identity)
	// Admit answers a node that asks to be taken in.
	Admit func(context.Context, wire.Peer, *EnterRequest) (any, error)
	// Reissue answers a member whose certificate is no longer accepted.
	Reissue func(context.Context, wire.Peer, *EnterRequest) (any, error)
	// Pristine says whether this node's log and store are empty, so that it has
	// acknowledged nothing and may be made a founder of another cluster; nil: it is not.
	Pristine func() bool
	// Forget drops whose log it is; only a pristine node is asked.
	Forget func() error
	// Anew ends the process, which must go on as a founder of another cluster.
	Anew func(error)
}

// Self is this node: one that looks for a cluster, or has its identity.
type Self struct {
	cfg      Config
	instance string // tells this process from another that claims the same node ID
	port     *wire.Port
	id       atomic.Pointer[Identity] // nil until the node belongs to a cluster
	adopted  chan struct{}            // closed when it does
	once     sync.Once
	mu       sync.Mutex
	open     bool // may be taken into a cluster
	void     func(node string, admission uint64) bool
}

// New returns a node that has not looked yet who it is.
func New(cfg Config) *Self {
	return &Self{cfg: cfg, instance: rand.Text(), adopted: make(chan struct{})}
}

// Identity returns who this node is, or nil as long as it belongs to no cluster.
func (s *Self) Identity() *Identity { return s.id.Load() }

// Use gives the node its port, before that serves and before anything is asked of others.
func (s *Self) Use(p *wire.Port) { s.port = p }

// Load reads node.json, or returns nil if there is none, and compares it with the
// configuration and the store. [Self.Adopt] is for when nothing else speaks against it.
func (s *Self) Load(ctx context.Context, db *fsm.DB) (*Identity, error) {
	s.void = Voids(db)
	id, err := loadIdentity(s.cfg.DataDir, s.cfg.Root)
	if err != nil {
		return nil, err
	}
	if id == nil {
		if applied := db.Position().Index; applied > 0 {
			return nil, fmt.Errorf("the store holds data up to entry %d, but %s/%s, which says of which cluster, is missing: "+
				"bring it back, or move the whole data directory away and join again", applied, s.cfg.DataDir, disk.IdentityFile)
		}
		return nil, nil
	}
	if id.NodeID != s.cfg.NodeID {
		return nil, fmt.Errorf("the data directory %s belongs to node %s, but this node is configured as %s", s.cfg.DataDir, id.NodeID, s.cfg.NodeID)
	}
	row, err := StoredAuthority(ctx, db)
	if err != nil {
		return nil, err
	}
	if row != nil && !id.mine(row) {
		return nil, fmt.Errorf("the store belongs to cluster %s, but %s/%s to cluster %s: %s",
			row.ClusterID, s.cfg.DataDir, disk.IdentityFile, id.ClusterID, disk.Apart)
	}
	if id.recoveredAs != "" {
		return s.reborn(id, row)
	}
	return id, s.rewrap(id)
}

// rewrap brings node.json, with all that is in it, under the root key in use.
func (s *Self) rewrap(id *Identity) error {
	inside, err := id.secret.Authority.rewrap(s.cfg.Root)
	if err != nil { // the row in the store is what counts
		s.cfg.Logger.Warn("this node's own copy of the authority does not open", "error", err)
	}
	if !inside && id.wrappedUnder == s.cfg.Root.ID() {
		return nil
	}
	if err := id.Save(s.cfg.DataDir, s.cfg.Root); err != nil {
		return err
	}
	s.cfg.Logger.Info("identity of this node wrapped under the root key in use", "root_key", s.cfg.Root.ID(), "former", id.wrappedUnder)
	return nil
}

// Stand returns what this node has to say about rotations; nil before it has an identity.
func (s *Self) Stand() *Stand {
	id := s.id.Load()
	if id == nil {
		return nil
	}
	stand := id.Stand()
	stand.Roots = s.cfg.Root.IDs()
	return stand
}

// Adopt makes id this node's identity.
func (s *Self) Adopt(id *Identity) {
	s.id.Store(id)
	s.cfg.Adopted(id)
	s.once.Do(func() { close(s.adopted) })
}

// Follow makes this node go by the authority as it stands in the store, on disk and in
// use, and reports whether that was news. One that is older than what the node goes by
// already, or another cluster's, is passed over.
func (s *Self) Follow(row *Authority) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.id.Load()
	if row.ClusterID != old.ClusterID || row.Revision <= old.secret.Authority.Revision {
		return false, nil
	}
	next := &Identity{ClusterID: old.ClusterID, NodeID: old.NodeID, secret: old.secret}
	next.secret.Authority = *row
	if err := next.complete(); err != nil {
		return false, err
	}
	return true, s.become(next)
}

// Renew replaces this node's certificate by cert, which was issued for key, on disk
// and in use.
func (s *Self) Renew(cert []byte, key any) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.id.Load()
	next, err := newIdentity(s.cfg.NodeID, &old.secret.Authority, cert, key)
	if err != nil {
		return err
	}
	if err := next.verify(); err != nil {
		return fmt.Errorf("renew certificate: %w", err)
	}
	next.secret.Founding = old.secret.Founding
	return s.become(next)
}

// become writes id down, after which this node is taken in by nobody else, and adopts it.
func (s *Self) become(id *Identity) error {
	if err := id.Save(s.cfg.DataDir, s.cfg.Root); err != nil {
		return err
	}
	s.open = false
	s.Adopt(id)
	return nil
}

// Calls are the methods of quis-join/1. Callers have proved the root key.
func (s *Self) Calls() *wire.Mux {
	m := &wire.Mux{}
	wire.Handle(m, methodHello, func(_ context.Context, _ wire.Peer, q *hello) (any, error) { return s.answer(q), nil })
	wire.Handle(m, methodFound, s.handleFound)
	wire.Handle(m, MethodEnter, s.cfg.Admit)
	if s.cfg.Reissue != nil {
		wire.Handle(m, methodReissue, s.handleReissue)
	}
	return m
}

func (s *Self) pristine() bool { return s.cfg.Pristine != nil && s.cfg.Pristine() }

func (s *Self) hello() hello {
	h := hello{NodeID: s.cfg.NodeID, Address: s.port.Advertise(), Expect: s.cfg.Expect, Instance: s.instance, Version: s.cfg.Version}
	if id := s.id.Load(); id != nil {
		h.ClusterID, h.After = id.ClusterID, id.secret.Authority.After
		h.Admission = wire.AdmissionOf(id.TLS.Cert.Leaf)
		h.Founding = len(id.secret.Founding) == 0 && s.pristine()
	}
	return h
}

// answer is the hello to a node that said q.
func (s *Self) answer(q *hello) hello {
	h := s.hello()
	h.Void = s.void != nil && h.ClusterID != "" && q.ClusterID == h.ClusterID && s.void(q.NodeID, q.Admission)
	return h
}

// Removed is why this node must not go on after it was removed.
func (s *Self) Removed() error {
	return fmt.Errorf("node %s was removed from the cluster: to bring it back, move its data directory %s away and let it join again, with a new token (quis cluster token create) or the root key", s.cfg.NodeID, s.cfg.DataDir)
}
