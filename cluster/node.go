package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"github.com/quis-idp/quis/cluster/ask"
	"github.com/quis-idp/quis/cluster/compare"
	"github.com/quis-idp/quis/cluster/disk"
	"github.com/quis-idp/quis/cluster/feature"
	"github.com/quis-idp/quis/cluster/form"
	"github.com/quis-idp/quis/cluster/fresh"
	"github.com/quis-idp/quis/cluster/gossip"
	"github.com/quis-idp/quis/cluster/meter"
	"github.com/quis-idp/quis/cluster/roster"
	"github.com/quis-idp/quis/cluster/stamp"
	"github.com/quis-idp/quis/cluster/wire"
)

// A Node is one member of a cluster. Its methods may be called from any goroutine.
type Node struct {
	cfg   Config
	log   *slog.Logger
	begun time.Time // monotonic zero of fresh
	ctx   context.Context
	stop  context.CancelFunc
	quit  chan struct{} // closed when the node stops
	loops sync.WaitGroup

	creds       *wire.Credentials
	self        *form.Self
	port        *wire.Port
	logs        *disk.Log
	cache       raft.LogStore // logs, with the latest entries in memory
	snaps       *disk.Snapshots
	machine     *disk.Mendable
	transport   *wire.Transport
	raft        *raft.Raft
	started     atomic.Bool // raft is there
	compare     *compare.Comparer
	gossip      *gossip.Gossip
	gossiping   atomic.Bool // gossip is there
	metrics     *meter.Meter
	features    *feature.Keeper
	leaderships chan bool             // from Raft
	leaders     chan raft.Observation // from Raft
	admitting   sync.Mutex            // one new node at a time

	roster *roster.Roster
	leader *ask.Leader // the way to whoever leads
	clock  stamp.Clock // stamps entries

	changed   signal        // leader, term, identity, readiness
	readyTerm atomic.Uint64 // the term in which this leader has committed; 0: none
	// lastLeader is the ID of the last one that was known; this node may be it.
	lastLeader atomic.Value
	leadMu     sync.Mutex
	lead       *leadership // not nil while leading and ready
	fresh      *fresh.Mark // how old this node's state may be

	stopOnce sync.Once
	stopErr  error
	died     atomic.Bool
}

// Start brings a node up. With an empty data directory it first founds or joins a
// cluster, for as long as ctx lasts; otherwise it goes on where it stopped. When
// Start returns the node may not have found a leader yet: see [Node.Ready]. It
// makes itself the log of cfg.DB.
func Start(ctx context.Context, cfg Config) (*Node, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	n := &Node{cfg: cfg, log: cfg.Logger.With("node", cfg.NodeID), begun: time.Now(), quit: make(chan struct{}), creds: &wire.Credentials{Void: form.Voids(cfg.DB)}}
	n.ctx, n.stop = context.WithCancel(context.Background())
	n.features = n.newKeeper()
	n.self = n.newSelf()
	n.metrics = meter.New(n.figures)
	n.fresh = fresh.NewMark(n.begun)
	n.roster = n.newRoster()
	n.leader = n.newLeader()
	if err := n.start(ctx); err != nil {
		return nil, errors.Join(err, n.shutdown())
	}
	cfg.DB.SetLog(n)
	return n, nil
}

func (n *Node) start(ctx context.Context) error {
	if err := os.MkdirAll(n.cfg.DataDir, 0o700); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	id, err := n.self.Load(n.ctx, n.cfg.DB)
	if err != nil {
		return err
	}
	if err := n.features.Check(ctx); err != nil {
		return err
	}
	if err := disk.Expect(n.cfg.DataDir, id != nil); err != nil {
		return err
	}
	if n.logs, err = disk.OpenLog(n.cfg.DataDir, n.metrics.Fsync, n.die); err != nil {
		return err
	}
	n.logs.Limit(n.cfg.Disk)
	if err := n.logs.Fits(n.cfg.DB.Position(), id != nil); err != nil {
		return err
	}
	if n.snaps, err = disk.OpenSnapshots(n.cfg.DB, n.cfg.DataDir); err != nil {
		return err
	}
	if n.compare, err = n.newComparer(); err != nil {
		return err
	}
	if err := n.openPort(); err != nil {
		return err
	}
	n.port.Serve()
	if id == nil {
		if err := n.self.Form(ctx); err != nil {
			return err
		}
	} else {
		n.self.Adopt(id)
		if err := n.self.RefuseForeignPeers(ctx); err != nil {
			return err
		}
	}
	return n.run(ctx)
}

func (n *Node) openPort() error {
	advertise, err := n.cfg.advertisable()
	if err != nil {
		return err
	}
	n.port, err = wire.Listen(wire.Config{
		Listen: n.cfg.Listen, Advertise: advertise, Credentials: n.creds,
		RPC: n.calls(), Join: n.self.Calls(), Token: n.tokenCalls(), Vouch: n.vouch,
		JoinKeys: n.joinKeys(),
		Logger:   n.log, Dial: n.cfg.Dial,
	})
	n.self.Use(n.port)
	return err
}

func (n *Node) newSelf() *form.Self {
	return form.New(form.Config{
		NodeID: n.cfg.NodeID, Version: n.cfg.Version, DataDir: n.cfg.DataDir, Listen: n.cfg.Listen,
		Reads: feature.Names(n.cfg.Features), Join: n.cfg.Join, Expect: n.cfg.BootstrapExpect, Root: n.cfg.Root, Logger: n.log,
		CertLife: n.cfg.CertLife, Resolver: n.cfg.Resolver, Reissue: n.handleReissue, Pristine: n.pristine,
		Forget: func() error { return n.logs.Unclaim() }, Anew: func(err error) { go n.endSoon(err) },
		Adopted: func(id *form.Identity) {
			n.creds.Set(id.TLS)
			n.changed.broadcast()
		},
		Admit: n.handleEnter,
	})
}

// run starts Raft and everything that lives as long as it.
func (n *Node) run(ctx context.Context) error {
	if err := n.logs.Claim(n.cfg.NodeID, n.self.Identity().ClusterID); err != nil {
		return err
	}
	if err := n.startRaft(ctx); err != nil {
		return err
	}
	n.leader.Begin(n.ctx, n.raft, n.cache, n.port.Caller(), n.transport, &n.loops)
	n.roster.Begin(n.ctx, n.raft, n.port, &n.loops)
	n.started.Store(true) // from here on calls are answered that need both
	n.cfg.DB.SetClock(n.Now)
	n.loops.Go(n.watchLeadership)
	n.loops.Go(n.watchLeader)
	n.loops.Go(n.renew)
	n.loops.Go(func() { n.self.Watch(n.ctx, n.roster.Silent, n.die) })
	n.loops.Go(n.watchDisk)
	n.loops.Go(n.boundLog)
	n.loops.Go(func() { n.compare.Run(n.ctx) })
	n.loops.Go(n.watchFitness)
	n.loops.Go(func() { n.features.Run(n.ctx) })
	if err := n.startGossip(); err != nil {
		return err
	}
	return n.metrics.Register(n.cfg.Registerer, n.compare, diskGauges{n})
}

// watchDisk ends the node when its disk no longer answers.
func (n *Node) watchDisk() {
	if err := n.logs.Watch(n.cfg.StallLimit, n.quit); err != nil {
		n.die(err)
	}
}

const silenceTime = 250 * time.Millisecond // that closing the port may take of a node that cannot go on

// die is for a node that cannot go on: it stops talking at once, so that the others
// elect another leader, and ends the process.
func (n *Node) die(err error) {
	if n.died.Swap(true) {
		return
	}
	n.log.Error("this node cannot go on", "error", err)
	if n.port != nil {
		n.port.CloseWithin(silenceTime)
	}
	n.cfg.Fatal(err)
}

// Stop hands leadership to another voter, if this node has it, and ends the node.
// The store stays open, but has no log any more.
func (n *Node) Stop(ctx context.Context) error {
	if err := n.Yield(ctx); err != nil {
		n.log.Warn("leadership could not be handed over before stopping", "error", err)
	}
	return n.shutdown()
}

func (n *Node) shutdown() error {
	n.stopOnce.Do(func() {
		close(n.quit)
		n.stop()
		n.endTerm()
		var errs []error
		if n.gossip != nil {
			errs = append(errs, n.gossip.Close())
		}
		if n.raft != nil {
			if n.logs != nil {
				n.logs.Arm(false)
			}
			errs = append(errs, n.raft.Shutdown().Error())
		}
		if n.port != nil {
			errs = append(errs, n.port.Close())
		}
		if n.transport != nil {
			errs = append(errs, n.transport.Close())
		}
		n.loops.Wait()
		if n.compare != nil {
			n.compare.Close()
		}
		n.leader.Drain()
		if n.logs != nil {
			errs = append(errs, n.logs.Close())
		}
		if n.started.Load() && !n.died.Load() {
			_, err := n.cfg.DB.Flush() // so that the next start has nothing to replay
			errs = append(errs, err)
		}
		n.metrics.Unregister()
		n.stopErr = errors.Join(errs...)
	})
	return n.stopErr
}

// IsLeader says whether this node leads and has applied all that came before its term.
func (n *Node) IsLeader() bool { return n.readyTerm.Load() != 0 }

// Leader returns who leads, as far as this node knows, or nothing.
func (n *Node) Leader() (id, address string) {
	return n.roster.Leader()
}
