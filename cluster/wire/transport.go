package wire

import (
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

// A Transport is Raft's over a [Port], with a second way in for messages from this node itself. It
// lets no message through before it is opened.
type Transport struct {
	*raft.NetworkTransport
	in   chan raft.RPC
	open chan struct{} // closed when it is
	busy atomic.Int32  // snapshots being installed
	quit <-chan struct{}
}

// NewTransport returns Raft's transport through p, closed to messages until Open. Of says
// which node is expected at an address; quit ends it.
func (p *Port) NewTransport(of func(address string) string, quit <-chan struct{}) *Transport {
	t := raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream:                  p.Raft(of),
		MaxPool:                 3,
		MaxRPCsInFlight:         1, // with pipelining one log error can leave a follower behind for ever
		Timeout:                 10 * time.Second,
		Logger:                  RaftLogger(p.cfg.Logger),
		MsgpackUseNewTimeFormat: true,
	})
	w := &Transport{NetworkTransport: t, in: make(chan raft.RPC), open: make(chan struct{}), quit: quit}
	go w.pass()
	return w
}

// pass gives messages on to Raft.
func (t *Transport) pass() {
	if !t.opened() {
		return
	}
	for {
		select {
		case rpc := <-t.NetworkTransport.Consumer():
			if _, ok := rpc.Command.(*raft.InstallSnapshotRequest); ok {
				rpc = t.installing(rpc)
			}
			select {
			case t.in <- rpc:
			case <-t.quit:
				return
			}
		case <-t.quit:
			return
		}
	}
}

// installing counts a snapshot as long as Raft is at it.
func (t *Transport) installing(rpc raft.RPC) raft.RPC {
	answer, done := rpc.RespChan, make(chan raft.RPCResponse, 1)
	rpc.RespChan = done
	t.busy.Add(1)
	go func() {
		defer t.busy.Add(-1)
		select {
		case a := <-done:
			answer <- a // holds one
		case <-t.quit:
		}
	}()
	return rpc
}

// Installing says whether a snapshot is being installed here.
func (t *Transport) Installing() bool { return t.busy.Load() > 0 }

// Open lets messages through. It is called once.
func (t *Transport) Open() { close(t.open) }

// opened waits until the transport is open, and reports false if the node stops before.
func (t *Transport) opened() bool {
	select {
	case <-t.open:
		return true
	case <-t.quit:
		return false
	}
}

// SetHeartbeatHandler gives heartbeats a way past the other messages.
func (t *Transport) SetHeartbeatHandler(handle func(raft.RPC)) {
	t.NetworkTransport.SetHeartbeatHandler(func(r raft.RPC) {
		if t.opened() {
			handle(r)
		}
	})
}

// Consumer gives Raft its incoming messages.
func (t *Transport) Consumer() <-chan raft.RPC { return t.in }

// Inject gives Raft a message and does not wait for its answer.
func (t *Transport) Inject(command any) {
	select {
	case t.in <- raft.RPC{Command: command, RespChan: make(chan raft.RPCResponse, 1)}:
	case <-t.quit:
	}
}

// ElectNow makes this node stand for election without waiting for a leader's
// heartbeat to fail to come.
func (t *Transport) ElectNow() {
	t.Inject(&raft.TimeoutNowRequest{RPCHeader: raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax}})
}
