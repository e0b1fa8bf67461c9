package ask

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/raft"

	"github.com/quis-idp/quis/cluster/form"
	"github.com/quis-idp/quis/cluster/wire"
	"github.com/quis-idp/quis/fsm"
)

// readTimeout bounds one question for a read index.
const readTimeout = 2 * time.Second

// confirm is the leader's read index: everything acknowledged anywhere before the
// call is at or below it, because a majority still follows this leader in this term.
// A leader that has not yet committed an entry of its own term does not know how
// far its predecessors came, and refuses.
func (l *Leader) confirm(ctx context.Context) (uint64, error) {
	term := l.cfg.Leading()
	if term == 0 || l.life.raft.CurrentTerm() != term {
		return 0, ErrNoLeader
	}
	commit := l.life.raft.CommitIndex()
	if err := l.followed(ctx, term); err != nil {
		return 0, err
	}
	if l.life.raft.CurrentTerm() != term || l.cfg.Leading() != term {
		return 0, errMoved
	}
	return l.visible(commit)
}

// visible returns the last entry at or below index that reaches the store: Raft
// keeps its own entries (a new leader's first, barriers) to itself.
func (l *Leader) visible(index uint64) (uint64, error) {
	applied := l.cfg.DB.Position().Index
	for ; index > applied; index-- {
		var e raft.Log
		if err := l.life.log.GetLog(index, &e); err != nil {
			return 0, fmt.Errorf("read index: %w", err)
		}
		if e.Type == raft.LogCommand || e.Type == raft.LogConfiguration {
			return index, nil
		}
	}
	// Everything that is visible up to the commit index is applied here.
	return min(index, applied), nil
}

// ask gets a read index from whoever leads.
func (l *Leader) ask(ctx context.Context) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	if l.life.raft.State() == raft.Leader {
		return l.confirms.Get(ctx, l.life.ctx)
	}
	id, address := l.cfg.Leader()
	if id == "" || id == l.cfg.NodeID {
		return 0, ErrNoLeader
	}
	go l.whileLeader(ctx, cancel, id, address)
	var a indexAnswer
	if err := l.life.caller.Call(ctx, id, address, methodReadIndex, &struct{}{}, &a); err != nil {
		return 0, err
	}
	l.nudge(a.Commit, id, address)
	return a.Index, nil
}

const methodReadIndex = "read-index"

type indexAnswer struct {
	Index  uint64     `cbor:"1,keyasint"`
	Commit CommitNote `cbor:"2,keyasint"`
}

func (l *Leader) handleReadIndex(ctx context.Context, from wire.Peer, _ *struct{}) (any, error) {
	if err := l.cfg.Leads(from); err != nil {
		return nil, err
	}
	index, err := l.confirms.Get(ctx, l.life.ctx)
	if err != nil {
		return nil, &wire.Fault{Code: form.CodeNotLeader, Detail: err.Error()}
	}
	return &indexAnswer{index, l.Vouch(index)}, nil
}

// CatchUp returns when this node has applied everything that was acknowledged
// anywhere before the call. While a leader is being elected it waits; without a
// majority it reports fsm.ErrUnavailable when ctx ends or the time limit has passed.
func (l *Leader) CatchUp(ctx context.Context) error {
	if err := l.cfg.Isolated(); err != nil {
		return fmt.Errorf("catch up: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, l.cfg.Timeout)
	defer cancel()
	begun := time.Now()
	for {
		changed := l.cfg.Changed()
		asked := time.Now()
		index, err := l.asks.Get(ctx, l.life.ctx)
		if err == nil {
			if err := l.cfg.DB.WaitApplied(ctx, index); err != nil {
				return fmt.Errorf("catch up: %w: %w", fsm.ErrUnavailable, err)
			}
			l.freshAt(asked)
			return nil
		}
		late := time.Since(begun) > time.Duration(giveUpShare*float64(l.cfg.Timeout))
		if late || !l.pause(ctx, changed) {
			return fmt.Errorf("catch up: %w: %w", fsm.ErrUnavailable, err)
		}
	}
}

// staleAgain is the age of the state beyond which news of a fresh one wake whoever waits for it.
const staleAgain = time.Second

// freshAt notes that the local state held everything acknowledged before t.
func (l *Leader) freshAt(t time.Time) {
	stale := l.cfg.Fresh.Age() > staleAgain
	if l.cfg.Fresh.Note(t) || stale {
		l.cfg.Change()
	}
}

// EnsureFresh returns nil if everything acknowledged anywhere more than bound ago
// is applied here. Where the freshness probe does not show that already, it asks
// the leader; without one it reports fsm.ErrUnavailable.
func (l *Leader) EnsureFresh(ctx context.Context, bound time.Duration) error {
	if l.cfg.Isolated() == nil && l.cfg.Fresh.Known() && l.cfg.Fresh.Age() <= bound {
		return nil
	}
	return l.CatchUp(ctx)
}

// probe keeps the state known to be fresh. It runs until the node stops.
func (l *Leader) probe() {
	tick := time.NewTicker(l.cfg.ProbeEvery)
	defer tick.Stop()
	for {
		changed := l.cfg.Changed()
		asked := time.Now()
		if index, err := l.asks.Get(l.life.ctx, l.life.ctx); err == nil {
			ctx, cancel := context.WithTimeout(l.life.ctx, readTimeout)
			if l.cfg.DB.WaitApplied(ctx, index) == nil {
				l.freshAt(asked)
			}
			cancel()
		}
		if l.cfg.Fresh.Known() {
			changed = nil // no hurry
		}
		select {
		case <-tick.C:
		case <-changed:
		case <-l.cfg.Quit:
			return
		}
	}
}
