package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/quis-idp/quis/cluster/autopilot"
	"github.com/quis-idp/quis/cluster/checkup"
	"github.com/quis-idp/quis/cluster/disk"
	"github.com/quis-idp/quis/cluster/feature"
	"github.com/quis-idp/quis/cluster/form"
	"github.com/quis-idp/quis/cluster/wire"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/keys/seal"
)

// Tables are what this room keeps in the store.
var Tables = slices.Concat(form.Tables, feature.Tables, autopilot.Tables)

// Config says who a node is and how it finds the others. The zero values of the
// times and sizes stand for the defaults beside them.
type Config struct {
	DataDir         string // raft.db and node.json live here
	NodeID          string // unique in the cluster, for ever
	Version         string // of the program; shown to operators
	Listen          string // host:port of the cluster port
	Advertise       string // host:port by which peers reach it; default: Listen
	GossipListen    string // host:port, TCP and UDP; empty: no gossip
	GossipAdvertise string
	Join            []string // cluster addresses of other nodes
	BootstrapExpect int      // how many nodes found the cluster together; 0: only join

	CertLife time.Duration // 30 days; of the node certificates that this node signs
	Resolver form.Resolver // looks up the names in Join; the zero value asks the system
	// Told hears of join tokens and of the authority, in the transaction that changes them.
	Told form.Hook

	Features []feature.Feature // what this binary reads; default: feature.Known
	// Checkup is what the node finds on its own machine, for [Node.Checkup]; nil: nothing.
	Checkup func(context.Context) []checkup.Finding

	Root       *seal.RootKey
	DB         *fsm.DB // its schema must contain Tables
	Logger     *slog.Logger
	Registerer prometheus.Registerer

	Heartbeat         time.Duration // 300 ms; an election begins after one to three of them
	CommitTimeout     time.Duration // 10 ms; how soon an idle follower learns of a commit
	ProposeTimeout    time.Duration // 5 s
	ProbeEvery        time.Duration // 100 ms; the freshness probe
	PromoteAfter      time.Duration // in place of the autopilot's StabilizeAfter, for tests; 0: as that says
	DeadAfter         time.Duration // in place of the autopilot's DeadAfter, for tests
	SnapshotInterval  time.Duration // 30 s
	SnapshotThreshold uint64        // 8192 entries
	TrailingLogs      uint64        // 20480 entries kept behind a snapshot
	StallLimit        time.Duration // 5 s; a disk that does not answer for longer ends the process
	CompareEvery      time.Duration // 5 min; how often the members' states are compared
	Disk              disk.Limits   // when the disk is no longer good enough

	// Dial makes the connections to peers, in place of the network's own; tests cut and
	// delay links with it. The network is always "tcp".
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Now is this node's wall clock, for tests that set it; default time.Now.
	Now func() time.Time

	// Fatal is told why this node can no longer go on, after its port has been closed.
	// The default logs and ends the process with status 1.
	Fatal func(error)
}

func (c *Config) complete() error {
	if !wire.ValidNodeID(c.NodeID) {
		return fmt.Errorf("node ID %q: use 1 to 63 of a-z, 0-9, dot, dash and underscore, beginning and ending with a letter or digit", c.NodeID)
	}
	if c.DataDir == "" || c.Root == nil || c.DB == nil {
		return errors.New("cluster: data directory, root key and store are required")
	}
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		return fmt.Errorf("cluster address %q: %w", c.Listen, err)
	}
	for _, j := range c.Join {
		if err := form.CheckPeer(j); err != nil {
			return fmt.Errorf("cluster.join: %w", err)
		}
	}
	if c.Advertise != "" {
		host, _, err := net.SplitHostPort(c.Advertise)
		if err != nil {
			return fmt.Errorf("cluster address to advertise %q: %w", c.Advertise, err)
		}
		if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
			return fmt.Errorf("cluster address to advertise %q: peers cannot reach it: name a host or an address of this node", c.Advertise)
		}
	}
	if c.BootstrapExpect < 0 || c.BootstrapExpect > 9 {
		return fmt.Errorf("bootstrap_expect %d: use 1 to 9, or 0 to join a cluster that exists", c.BootstrapExpect)
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	for _, d := range []struct {
		at   *time.Duration
		here time.Duration
	}{
		{&c.Heartbeat, 300 * time.Millisecond}, {&c.CommitTimeout, 10 * time.Millisecond},
		{&c.ProposeTimeout, 5 * time.Second}, {&c.ProbeEvery, 100 * time.Millisecond},
		{&c.SnapshotInterval, 30 * time.Second}, {&c.StallLimit, 5 * time.Second},
		{&c.CompareEvery, 5 * time.Minute},
		{&c.CertLife, wire.CertLife},
	} {
		if *d.at <= 0 {
			*d.at = d.here
		}
	}
	if c.SnapshotThreshold == 0 {
		c.SnapshotThreshold = 8192
	}
	if c.TrailingLogs == 0 {
		c.TrailingLogs = 20480
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Features == nil {
		c.Features = feature.Known()
	}
	if c.Fatal == nil {
		log := c.Logger
		c.Fatal = func(err error) {
			log.Error("this node cannot go on and ends", "error", err)
			os.Exit(1)
		}
	}
	return nil
}

// advertisable decides by which address peers reach this node, given what was bound.
func (c *Config) advertisable() (string, error) {
	if c.Advertise != "" {
		return c.Advertise, nil
	}
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return "", err
	}
	ip := net.ParseIP(host)
	if host != "" && (ip == nil || !ip.IsUnspecified()) {
		return "", nil // what was bound says it
	}
	if c.BootstrapExpect == 1 && len(c.Join) == 0 {
		return "", nil // alone; an address is needed once somebody joins
	}
	return "", fmt.Errorf("cluster.listen %s binds all addresses: set cluster.advertise to the one by which the other nodes reach this node", c.Listen)
}
