package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quis-idp/quis/api"
	"github.com/quis-idp/quis/api/inbox"
	"github.com/quis-idp/quis/api/metrics"
	"github.com/quis-idp/quis/cluster"
	"github.com/quis-idp/quis/cluster/backup"
	"github.com/quis-idp/quis/cluster/disk"
	"github.com/quis-idp/quis/cluster/rootkey"
	"github.com/quis-idp/quis/cmd/daemon/bootstrap"
	"github.com/quis-idp/quis/cmd/daemon/pace"
	"github.com/quis-idp/quis/cmd/daemon/restored"
	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/fetch"
	"github.com/quis-idp/quis/federation/logout"
	"github.com/quis-idp/quis/federation/refusal"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/fsm/figures"
	"github.com/quis-idp/quis/identity/authn"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/credential/certificate/desk"
	"github.com/quis-idp/quis/identity/notify"
	"github.com/quis-idp/quis/identity/notify/push"
	"github.com/quis-idp/quis/identity/session"
	"github.com/quis-idp/quis/keys"
	"github.com/quis-idp/quis/keys/seal"
)

// A Node is one running node: every room of the house on one store.
type Node struct {
	cfg       Config
	log       *slog.Logger
	dir       *dataDir
	root      *seal.RootKey
	began     time.Time
	bootstrap *bootstrap.File // nil: none
	// bootstrapMACs tell the file from others, by each root key; see setUp.
	bootstrapMACs [][]byte
	metrics       *metrics.Metrics
	cert          *api.Certificate // nil: plain HTTP

	db             *fsm.DB
	cluster        *cluster.Node
	ring           *seal.Ring
	keys           *keys.Keys
	passwords      *credential.Pool
	passwordChecks credential.Checks // of new ones
	sessions       *session.Store
	backups        *backup.Keeper
	rootKeys       *rootkey.Keeper
	desk           *desk.Desk // nil: people's certificates cannot arrive
	flows          *authn.Flows
	outbound       *fetch.Client // to applications
	browsers       *fetch.Client // to the push services of people's browsers
	logout         *logout.Room
	mail           *notify.Room
	push           *push.Room
	inbox          *inbox.Box // nil unless the node is a developer's
	refusals       *refusal.Log
	uses           *federation.Uses

	public, operations, socket net.Listener
	certificates               net.Listener // nil: browsers are asked for certificates elsewhere, or nowhere

	front   atomic.Pointer[http.Handler] // of the operations listener; nil until the rooms are open
	serving context.Context              // ends when the listeners shall drain
	drain   context.CancelFunc
	living  context.Context // ends when background work shall stop
	end     context.CancelFunc
	servers sync.WaitGroup
	work    sync.WaitGroup
	failed  chan error // why the node cannot go on

	stopOnce   sync.Once
	stopErr    error
	draining   atomic.Bool
	setupDone  atomic.Bool // by this node
	setupSeen  atomic.Bool // in the store, after which it stays there
	setupFault atomic.Pointer[error]
	archive    *restored.Archive
}

// Run runs a node until ctx ends and stops it in order, or returns why it could
// not start or go on. It sets limits of the whole process; tests that run several
// nodes in one use Start.
func Run(ctx context.Context, cfg Config) error {
	pace.Set()
	n, err := Start(ctx, cfg)
	if err != nil {
		if ctx.Err() != nil {
			return nil // told to stop while starting
		}
		return err
	}
	defer onHangup(n.reload)()
	var fault error
	select {
	case <-ctx.Done():
	case fault = <-n.failed:
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
	defer cancel()
	return errors.Join(fault, n.Stop(last))
}

// stopWithin bounds an orderly stop.
const stopWithin = 25 * time.Second

// Start starts a node and returns once it serves; it may not be ready yet: see
// Ready. A node with an empty data directory waits for its peers as long as ctx
// lasts. Stop it in any case.
func Start(ctx context.Context, cfg Config) (*Node, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Logger == nil {
		cfg.Logger = newLogger(os.Stderr, &cfg)
	}
	n := &Node{cfg: cfg, log: cfg.Logger.With("node", cfg.NodeID), failed: make(chan error, 8)}
	n.serving, n.drain = context.WithCancel(context.WithoutCancel(ctx))
	n.living, n.end = context.WithCancel(context.WithoutCancel(ctx))
	if err := n.start(ctx); err != nil {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if stopped := n.Stop(last); stopped != nil {
			n.log.Warn("stop after a failed start", "error", stopped)
		}
		return nil, err
	}
	return n, nil
}

func (n *Node) start(ctx context.Context) error {
	n.began = time.Now()
	for _, step := range []func(context.Context) error{
		n.openFiles, n.openListeners, n.joinByToken, n.macOfBootstrap, n.openStore, n.openCluster, n.openRooms, n.serve,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	n.log.Info("node started", "version", Version, "public_url", n.cfg.PublicURL,
		"public", n.public.Addr().String(), "operations", n.operations.Addr().String(), "took", time.Since(n.began).Round(time.Millisecond).String())
	return nil
}

// openFiles takes the data directory and reads everything that files say.
func (n *Node) openFiles(context.Context) (err error) {
	if err := n.loadRoot(); err != nil {
		return err
	}
	if n.cfg.BootstrapFile != "" {
		if n.bootstrap, err = bootstrap.Load(n.cfg.BootstrapFile); err != nil {
			return readError(err)
		}
	}
	if n.cfg.TLS.CertFile != "" {
		if n.cert, err = api.LoadCertificate(n.cfg.TLS.CertFile, n.cfg.TLS.KeyFile, n.log); err != nil {
			return fmt.Errorf("tls: %w", readError(err))
		}
		n.cert.AskClients = n.cfg.TLS.ClientCertificates
	}
	if n.dir, err = openDataDir(n.cfg.DataDir); err == nil {
		err = n.findArchive()
	}
	return err
}

// openListeners binds every port before anything is written, and answers on the
// operations listener from now on: a node that waits for its peers is alive.
func (n *Node) openListeners(context.Context) (err error) {
	if n.operations, err = listen("listen.operations", n.cfg.Listen.Operations); err != nil {
		return err
	}
	if n.public, err = listen("listen.public", n.cfg.Listen.Public); err != nil {
		return err
	}
	if address := n.cfg.Listen.Certificates; address != "" {
		if n.certificates, err = listen("listen.certificates", address); err != nil {
			return err
		}
	}
	if n.socket, err = listenSocket(n.dir.file("quis.sock")); err != nil {
		return err
	}
	n.metrics = metrics.New(Version, Revision())
	n.serveOn(n.operations, http.HandlerFunc(n.serveOperations), nil)
	return nil
}

func (n *Node) openStore(context.Context) (err error) {
	cfg := fsm.Config{Dir: n.dir.file("store"), Schema: Tables(), Logger: n.log}
	if n.cfg.TuneStore != nil {
		n.cfg.TuneStore(&cfg)
	}
	n.db, err = fsm.Open(cfg)
	if err != nil {
		return explainStore(n.cfg.DataDir, err)
	}
	n.metrics.Registry.MustRegister(figures.New(n.db))
	n.background(n.watchStore)
	return nil
}

func (n *Node) openCluster(ctx context.Context) (err error) {
	c := n.cfg.Cluster
	cfg := cluster.Config{
		DataDir: n.cfg.DataDir, NodeID: n.cfg.NodeID, Version: Version,
		Listen: c.Listen, Advertise: c.Advertise,
		GossipListen: c.Gossip, GossipAdvertise: c.GossipAdvertise,
		Join: c.Join, BootstrapExpect: c.BootstrapExpect, Heartbeat: c.Heartbeat, CompareEvery: c.CompareEvery,
		Disk: disk.Limits{Low: int64(n.cfg.Disk.WarnBelow) << 20, Full: int64(n.cfg.Disk.RefuseBelow) << 20},
		Root: n.root, DB: n.db, Logger: n.cfg.Logger, Registerer: n.metrics.Registry, Told: tellOfAdmission,
		Fatal: n.cannotGoOn, Checkup: n.examine,
	}
	if n.cfg.TuneCluster != nil {
		n.cfg.TuneCluster(&cfg)
	}
	if n.cluster, err = cluster.Start(ctx, cfg); err != nil {
		return n.explainCluster(err)
	}
	return nil
}

// Ready returns nil when the node can take any request, else what is missing.
func (n *Node) Ready(ctx context.Context) error {
	for _, c := range n.checks() {
		if err := c.Run(ctx); err != nil {
			return fmt.Errorf("%s: %w", c.Name, err)
		}
	}
	return nil
}

func (n *Node) checks() []metrics.Check {
	return []metrics.Check{
		{Name: "running", Run: func(context.Context) error {
			if n.draining.Load() {
				return errors.New("this node is stopping")
			}
			return nil
		}},
		{Name: "cluster", Run: func(context.Context) error { return n.cluster.Ready() }},
		{Name: "setup", Run: n.checkSetup},
		{Name: "restored", Run: func(ctx context.Context) error { return n.archive.Check(ctx, n.db) }},
		{Name: "fresh", Run: n.fresh},
	}
}

// fresh is what every room asks before it says yes on its own.
func (n *Node) fresh(ctx context.Context) error {
	return n.cluster.EnsureFresh(ctx, n.cfg.Staleness)
}

// PublicAddr is where the node serves people and applications.
func (n *Node) PublicAddr() net.Addr { return n.public.Addr() }

// OperationsAddr is where the node serves health and metrics.
func (n *Node) OperationsAddr() net.Addr { return n.operations.Addr() }

// Cluster is the node's place in the cluster, for tests.
func (n *Node) Cluster() *cluster.Node { return n.cluster }

// DB is the node's store, for tests.
func (n *Node) DB() *fsm.DB { return n.db }

// Keys are the node's signing keys, for tests.
func (n *Node) Keys() *keys.Keys { return n.keys }
