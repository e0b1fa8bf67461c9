package roster

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/raft"

	"github.com/quis-idp/quis/cluster/form"
	"github.com/quis-idp/quis/cluster/wire"
	"github.com/quis-idp/quis/fsm"
)

const methodMove = "move"

type moveRequest struct {
	Address string `cbor:"1,keyasint"`
}

// moveHere tells the leader when this node has come back under another address than the
// cluster knows it by.
func (r *Roster) moveHere() {
	wait := time.NewTicker(200 * time.Millisecond)
	defer wait.Stop()
	here := r.life.port.Advertise()
	said := false
	for {
		known := ""
		for _, s := range r.Servers() {
			if string(s.ID) == r.cfg.NodeID {
				known = string(s.Address)
			}
		}
		switch {
		case known == here:
			said = false
		case known == "": // not a member yet, or the configuration has not come
		case r.cfg.Leading() != 0:
			_ = r.Move(r.cfg.NodeID, here) // logged there, and tried again
		default:
			if !said {
				r.log.Info("this node has moved", "known_address", known, "address", here)
				said = true
			}
			r.askToMove(here)
		}
		select {
		case <-wait.C:
		case <-r.cfg.Quit:
			return
		}
	}
}

// askToMove asks every member, because a node at an address that nobody knows does
// not hear who leads.
func (r *Roster) askToMove(here string) {
	for _, s := range r.Servers() {
		if string(s.ID) == r.cfg.NodeID {
			continue
		}
		ctx, cancel := context.WithTimeout(r.life.ctx, time.Second)
		err := r.life.port.Caller().Call(ctx, string(s.ID), string(s.Address), methodMove, &moveRequest{here}, nil)
		cancel()
		if err == nil {
			return
		}
	}
}

func (r *Roster) handleMove(_ context.Context, from wire.Peer, q *moveRequest) (any, error) {
	if err := r.cfg.Leads(from); err != nil {
		return nil, err
	}
	if err := r.Move(from.NodeID, q.Address); err != nil {
		return nil, &wire.Fault{Code: form.CodeNotLeader, Detail: err.Error()}
	}
	return nil, nil
}

// Move changes the address of a member, which keeps its vote if it has one. It reports
// fsm.ErrNotFound for a node that is no member.
func (r *Roster) Move(id, address string) error {
	r.cfg.Changing.Lock()
	defer r.cfg.Changing.Unlock()
	var change func(raft.ServerID, raft.ServerAddress, uint64, time.Duration) raft.IndexFuture
	for _, s := range r.Servers() {
		if string(s.ID) != id {
			continue
		}
		change = r.life.raft.AddNonvoter
		if s.Suffrage == raft.Voter {
			change = r.life.raft.AddVoter
		}
	}
	if change == nil { // removed since it asked: moving must not bring it back
		return fmt.Errorf("move node %s: %w", id, fsm.ErrNotFound)
	}
	ctx, cancel := context.WithTimeout(r.life.ctx, r.cfg.Timeout)
	defer cancel()
	err := wait(ctx, change(raft.ServerID(id), raft.ServerAddress(address), 0, r.cfg.Timeout))
	if err != nil {
		r.log.Warn("address of a member not changed", "member", id, "address", address, "error", err)
	}
	return err
}
