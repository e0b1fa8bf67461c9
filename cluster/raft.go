package cluster

import (
	"context"
	"fmt"
	"runtime/debug"

	"github.com/hashicorp/raft"

	"github.com/quis-idp/quis/cluster/disk"
	"github.com/quis-idp/quis/cluster/form"
	"github.com/quis-idp/quis/cluster/wire"
)

func (n *Node) raftConfig() *raft.Config {
	c := raft.DefaultConfig()
	c.LocalID = raft.ServerID(n.cfg.NodeID)
	c.HeartbeatTimeout = n.cfg.Heartbeat
	c.ElectionTimeout = n.cfg.Heartbeat
	c.LeaderLeaseTimeout = n.cfg.Heartbeat * 2 / 3
	c.CommitTimeout = n.cfg.CommitTimeout
	c.MaxAppendEntries = 256
	c.BatchApplyCh = true
	c.ShutdownOnRemove = true
	c.SnapshotInterval = n.cfg.SnapshotInterval
	c.SnapshotThreshold = n.cfg.SnapshotThreshold
	c.TrailingLogs = n.cfg.TrailingLogs
	c.NoSnapshotRestoreOnStart = true // the engine is where it was
	c.NoLegacyTelemetry = true
	c.Logger = wire.RaftLogger(n.log)
	return c
}

// configuration is what Raft is bootstrapped with.
func configuration(founders []form.Founder) raft.Configuration {
	var c raft.Configuration
	for _, f := range founders {
		c.Servers = append(c.Servers, raft.Server{ID: raft.ServerID(f.ID), Address: raft.ServerAddress(f.Address)})
	}
	return c
}

const cachedLogs = 512 // entries held in memory; each may be half a megabyte

func (n *Node) startRaft(ctx context.Context) error {
	n.machine = disk.NewMendable(disk.NewMachine(n.cfg.DB, n.snaps, n.metrics.Apply, n.die, n.quit), n.logs, n.snaps)
	cache, err := raft.NewLogCache(cachedLogs, disk.NewGuard(n.logs, n.cfg.DB, n.die))
	if err != nil {
		return fmt.Errorf("start raft: %w", err)
	}
	n.cache = cache
	n.transport = n.port.NewTransport(n.expected, n.quit)
	founding, err := n.mustFound()
	if err != nil {
		return err
	}
	if founding {
		if err := n.self.Found(ctx); err != nil {
			return err
		}
	}
	conf := n.raftConfig()
	if founding {
		err := raft.BootstrapCluster(conf, cache, n.logs, n.snaps, n.transport, configuration(n.self.Identity().Founders()))
		if err != nil {
			return fmt.Errorf("found the cluster: %w", err)
		}
	}
	led := make(chan bool)
	conf.NotifyCh = led
	n.leaderships = led
	if err := n.newRaft(conf, cache); err != nil {
		return err
	}
	n.logs.Arm(true)
	n.observeLeaders()
	n.transport.Open()
	if founding || n.alone() {
		n.transport.ElectNow()
	}
	return nil
}

// newRaft reads the whole log once; a damaged one shows here at the latest.
func (n *Node) newRaft(conf *raft.Config, cache raft.LogStore) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = n.logs.Damaged(fmt.Errorf("%v", p))
		}
	}()
	if n.raft, err = raft.NewRaft(conf, n.machine, cache, n.logs, n.snaps, candidacy{n.transport, n}); err != nil {
		return fmt.Errorf("start raft: %w", err)
	}
	return nil
}

// mustFound says whether this node has to found the cluster that it has an identity of.
func (n *Node) mustFound() (bool, error) {
	if len(n.self.Identity().Founders()) == 0 {
		return false, nil
	}
	exists, err := raft.HasExistingState(n.logs, n.logs, n.snaps)
	if err != nil {
		return false, fmt.Errorf("start raft: %w", err)
	}
	return !exists, nil
}

// alone says whether this node is the only voter, so that waiting for others is vain.
func (n *Node) alone() bool {
	f := n.raft.GetConfiguration()
	if f.Error() != nil {
		return false
	}
	voters, me := 0, false
	for _, s := range f.Configuration().Servers {
		if s.Suffrage == raft.Voter {
			voters++
			me = me || string(s.ID) == n.cfg.NodeID
		}
	}
	return me && voters == 1
}

// expected returns which node should answer at an address of the configuration.
func (n *Node) expected(address string) string {
	for _, s := range n.servers() {
		if string(s.Address) == address {
			return string(s.ID)
		}
	}
	return ""
}
