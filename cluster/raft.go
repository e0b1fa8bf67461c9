package cluster

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/hashicorp/raft"

	"github.com/quis-idp/quis/cluster/disk"
	"github.com/quis-idp/quis/cluster/form"
)

// A transport is Raft's, with a second way in for messages from this node itself. It
// lets no message through before it is opened.
type transport struct {
	*raft.NetworkTransport
	in   chan raft.RPC
	open chan struct{} // closed when it is
	quit <-chan struct{}
}

func newTransport(t *raft.NetworkTransport, quit <-chan struct{}) *transport {
	w := &transport{NetworkTransport: t, in: make(chan raft.RPC), open: make(chan struct{}), quit: quit}
	go func() {
		if !w.opened() {
			return
		}
		for {
			select {
			case rpc := <-t.Consumer():
				select {
				case w.in <- rpc:
				case <-quit:
					return
				}
			case <-quit:
				return
			}
		}
	}()
	return w
}

// opened waits until the transport is open, and reports false if the node stops before.
func (t *transport) opened() bool {
	select {
	case <-t.open:
		return true
	case <-t.quit:
		return false
	}
}

// SetHeartbeatHandler gives heartbeats a way past the other messages.
func (t *transport) SetHeartbeatHandler(handle func(raft.RPC)) {
	t.NetworkTransport.SetHeartbeatHandler(func(r raft.RPC) {
		if t.opened() {
			handle(r)
		}
	})
}

// Consumer gives Raft its incoming messages.
func (t *transport) Consumer() <-chan raft.RPC { return t.in }

// inject gives Raft a message and does not wait for its answer.
func (t *transport) inject(command any) {
	select {
	case t.in <- raft.RPC{Command: command, RespChan: make(chan raft.RPCResponse, 1)}:
	case <-t.quit:
	}
}

// electNow makes this node stand for election without waiting for a leader's
// heartbeat to fail to come.
func (t *transport) electNow() {
	t.inject(&raft.TimeoutNowRequest{RPCHeader: raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax}})
}

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
	c.Logger = raftLogger(n.log)
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
	n.machine = disk.NewMendable(disk.NewMachine(n.cfg.DB, n.metrics.apply, n.die, n.quit), n.logs, n.snaps)
	cache, err := raft.NewLogCache(cachedLogs, n.logs)
	if err != nil {
		return fmt.Errorf("start raft: %w", err)
	}
	n.cache = cache
	n.transport = newTransport(raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream:                  n.port.Raft(n.expected),
		MaxPool:                 3,
		MaxRPCsInFlight:         1, // with pipelining one log error can leave a follower behind for ever
		Timeout:                 10 * time.Second,
		Logger:                  raftLogger(n.log),
		MsgpackUseNewTimeFormat: true,
	}), n.quit)
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
	n.metrics.observe(n.raft)
	n.observeLeaders()
	close(n.transport.open)
	if founding || n.alone() {
		n.transport.electNow()
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
	if n.raft, err = raft.NewRaft(conf, n.machine, cache, n.logs, n.snaps, n.transport); err != nil {
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

// servers returns the current configuration, committed or not.
func (n *Node) servers() []raft.Server {
	if !n.started.Load() {
		return nil
	}
	f := n.raft.GetConfiguration()
	if f.Error() != nil {
		return nil
	}
	return f.Configuration().Servers
}

func (n *Node) voters() int {
	v := 0
	for _, s := range n.servers() {
		if s.Suffrage == raft.Voter {
			v++
		}
	}
	return v
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

// transfer hands leadership, which this node has, to another voter.
func (n *Node) transfer(ctx context.Context) error {
	f := n.raft.LeadershipTransfer()
	done := make(chan error, 1)
	go func() { done <- f.Error() }()
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("transfer leadership: %w", errors.Join(unavailable(err), err))
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("transfer leadership: %w", ctx.Err())
	}
}
