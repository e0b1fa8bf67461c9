// Package gossip spreads, between the nodes of a cluster, who is there, where and
// in which version, and notices soon when somebody is gone.
//
// It is hashicorp/memberlist, encrypted with a key derived from the root key and
// labelled with the cluster's ID, so that neighbours of another cluster are not even
// understood. What it says is a hint: membership, leadership and every other
// decision are Raft's, and an address learned here is used only for a connection
// that must then show the right certificate.
package gossip

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/prometheus/client_golang/prometheus"
)

// A Peer is what a node tells about itself.
type Peer struct {
	NodeID    string `json:"n"`
	Address   string `json:"a"` // its cluster port
	Version   string `json:"v,omitempty"`
	ClusterID string `json:"c"`
}

// Config says where to gossip, and what about.
type Config struct {
	Self      Peer
	Listen    string     // host:port, TCP and UDP
	Advertise string     // host:port; default: what was bound
	Keys      [][32]byte // the first encrypts, each decrypts
	Logger    *slog.Logger
	Changed   func() // called, if not nil, when somebody came, changed or went
	Fast      bool   // for tests: notice a loss within a second

	Registerer prometheus.Registerer // gets the figures, until Close; nil: nobody
}

// Gossip is one node's part in it.
type Gossip struct {
	cfg  Config
	list *memberlist.Memberlist
	mu   sync.Mutex
	seen map[string]Peer
}

// Start begins to gossip; nobody is known yet, see [Gossip.Meet].
func Start(cfg Config) (*Gossip, error) {
	g := &Gossip{cfg: cfg, seen: map[string]Peer{}}
	host, port, err := split(cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("gossip address %q: %w", cfg.Listen, err)
	}
	if meta, err := json.Marshal(cfg.Self); err != nil || len(meta) > memberlist.MetaMaxSize {
		return nil, fmt.Errorf("gossip: what node %s tells of itself is over %d bytes: %w", cfg.Self.NodeID, memberlist.MetaMaxSize, errors.Join(err))
	}
	c := memberlist.DefaultLANConfig()
	c.Name = cfg.Self.NodeID
	c.BindAddr, c.BindPort = host, port
	c.AdvertisePort = port
	if cfg.Advertise != "" {
		ahost, aport, err := split(cfg.Advertise)
		if err != nil {
			return nil, fmt.Errorf("gossip address to advertise %q: %w", cfg.Advertise, err)
		}
		if net.ParseIP(ahost) == nil {
			ips, err := net.LookupHost(ahost)
			if err != nil {
				return nil, fmt.Errorf("gossip address to advertise %q: %w", cfg.Advertise, err)
			}
			ahost = ips[0]
		}
		c.AdvertiseAddr, c.AdvertisePort = ahost, aport
	}
	var keys [][]byte
	for _, k := range cfg.Keys {
		keys = append(keys, k[:])
	}
	if len(keys) == 0 {
		return nil, errors.New("gossip: no key")
	}
	if c.Keyring, err = memberlist.NewKeyring(keys, keys[0]); err != nil {
		return nil, fmt.Errorf("gossip: %w", err)
	}
	c.Label = "quis-gossip/1 " + cfg.Self.ClusterID
	c.GossipVerifyIncoming, c.GossipVerifyOutgoing = true, true
	c.Delegate, c.Events = delegate{g}, events{g}
	c.DeadNodeReclaimTime = time.Second // a node may come back with another address
	c.LogOutput = nil
	c.Logger = log.New(quiet{cfg.Logger}, "", 0)
	if cfg.Fast {
		c.ProbeInterval, c.ProbeTimeout = 100*time.Millisecond, 50*time.Millisecond
		c.SuspicionMult, c.GossipInterval = 1, 20*time.Millisecond
	}
	if g.list, err = memberlist.Create(c); err != nil {
		if strings.Contains(err.Error(), "address already in use") {
			return nil, fmt.Errorf("gossip address %s is in use by another process: choose another cluster.gossip or end that process: %w", cfg.Listen, err)
		}
		return nil, fmt.Errorf("gossip on %s: %w", cfg.Listen, err)
	}
	if cfg.Registerer != nil {
		if err := cfg.Registerer.Register(figures{g}); err != nil {
			return nil, errors.Join(fmt.Errorf("register gossip metrics: %w", err), g.list.Shutdown())
		}
	}
	return g, nil
}

func split(address string) (string, int, error) {
	host, p, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, err
	}
	port, err := strconv.Atoi(p)
	if host == "" {
		host = "0.0.0.0"
	}
	return host, port, err
}

// Address returns where this node gossips.
func (g *Gossip) Address() string { return g.list.LocalNode().Address() }

// Meet contacts the gossip addresses of others. Those already met are passed over.
func (g *Gossip) Meet(addresses []string) error {
	known := map[string]bool{}
	for _, m := range g.list.Members() {
		known[m.Address()] = true
	}
	var todo []string
	for _, a := range addresses {
		if a != "" && !known[a] {
			todo = append(todo, a)
		}
	}
	if len(todo) == 0 {
		return nil
	}
	if n, err := g.list.Join(todo); n == 0 {
		return fmt.Errorf("meet gossip peers: %w", err)
	}
	return nil
}

// Alive says whether node is known and not suspected to be gone.
func (g *Gossip) Alive(node string) bool {
	_, ok := g.Find(node)
	return ok
}

// Find returns what node tells about itself.
func (g *Gossip) Find(node string) (Peer, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	p, ok := g.seen[node]
	return p, ok
}

// Close says good-bye, briefly, and ends.
func (g *Gossip) Close() error {
	if g.cfg.Registerer != nil {
		g.cfg.Registerer.Unregister(figures{g})
	}
	err := g.list.Leave(200 * time.Millisecond)
	if err != nil {
		g.cfg.Logger.Debug("gossip: nobody heard the good-bye", "error", err)
	}
	return g.list.Shutdown()
}

type delegate struct{ g *Gossip }

func (d delegate) NodeMeta(limit int) []byte {
	b, err := json.Marshal(d.g.cfg.Self)
	if err != nil || len(b) > limit {
		return nil // checked in Start
	}
	return b
}
func (delegate) NotifyMsg([]byte)                {}
func (delegate) GetBroadcasts(int, int) [][]byte { return nil }
func (delegate) LocalState(bool) []byte          { return nil }
func (delegate) MergeRemoteState([]byte, bool)   {}

type events struct{ g *Gossip }

func (e events) NotifyJoin(n *memberlist.Node)   { e.set(n) }
func (e events) NotifyUpdate(n *memberlist.Node) { e.set(n) }

func (e events) set(n *memberlist.Node) {
	var p Peer
	if json.Unmarshal(n.Meta, &p) != nil || p.NodeID != n.Name || p.ClusterID != e.g.cfg.Self.ClusterID {
		return
	}
	e.g.mu.Lock()
	e.g.seen[p.NodeID] = p
	e.g.mu.Unlock()
	e.changed()
}

func (e events) NotifyLeave(n *memberlist.Node) {
	e.g.mu.Lock()
	delete(e.g.seen, n.Name)
	e.g.mu.Unlock()
	e.changed()
}

func (e events) changed() {
	if e.g.cfg.Changed != nil {
		e.g.cfg.Changed()
	}
}

// quiet passes memberlist's lines on as debug news.
type quiet struct{ log *slog.Logger }

func (q quiet) Write(b []byte) (int, error) {
	q.log.Debug("gossip", "message", strings.TrimSpace(string(b)))
	return len(b), nil
}

var _ io.Writer = quiet{}
