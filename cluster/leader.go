package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"

	"github.com/quis-idp/quis/fsm"
)

// A leadership is one term of this node's.
type leadership struct {
	term uint64
	ctx  context.Context
	end  context.CancelFunc
}

// watchLeadership follows this node's own coming and going as leader. Raft waits
// for the receiver, so nothing is done here that takes time.
func (n *Node) watchLeadership() {
	var end context.CancelFunc
	for {
		select {
		case leads := <-n.leaderships:
			if end != nil {
				end()
				end = nil
			}
			n.endTerm()
			if leads {
				var ctx context.Context
				ctx, end = context.WithCancel(n.ctx)
				n.loops.Go(func() { n.beginTerm(ctx) })
			}
		case <-n.quit:
			if end != nil {
				end()
			}
			return
		}
	}
}

// observeLeaders has Raft tell of leaders. It comes before anything that could make one.
func (n *Node) observeLeaders() {
	n.leaders = make(chan raft.Observation, 64)
	n.raft.RegisterObserver(raft.NewObserver(n.leaders, false, func(o *raft.Observation) bool {
		switch o.Data.(type) {
		case raft.LeaderObservation, raft.RaftState:
			return true
		}
		return false
	}))
}

// watchLeader wakes whoever waits for another leader, and notices being removed.
func (n *Node) watchLeader() {
	for {
		select {
		case s := <-n.leaders:
			if l, ok := s.Data.(raft.LeaderObservation); ok && l.LeaderID != "" {
				n.lastLeader.Store(string(l.LeaderID))
				n.metrics.Changes.Inc()
				n.log.Info("leader elected", "leader", string(l.LeaderID), "term", n.raft.CurrentTerm())
			}
			if s.Data == raft.Candidate {
				n.metrics.Elections.Inc()
			}
			n.changed.broadcast()
			if n.raft.State() == raft.Shutdown && n.stopping() == nil {
				n.die(n.self.Removed())
				return
			}
		case <-n.quit:
			return
		}
	}
}

// beginTerm makes a new leader ready: it commits an entry of its own term and applies
// everything before it. Only then does it know what its predecessors acknowledged.
func (n *Node) beginTerm(ctx context.Context) {
	for ctx.Err() == nil {
		n.yieldLead(ctx)
		term := n.raft.CurrentTerm()
		err := n.barrier(ctx)
		if err == nil && n.raft.State() == raft.Leader && n.raft.CurrentTerm() == term && n.Isolated() == nil {
			n.take(ctx, term)
			return
		}
		if errors.Is(err, raft.ErrNotLeader) || errors.Is(err, raft.ErrRaftShutdown) {
			return
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

func (n *Node) barrier(ctx context.Context) error {
	f := n.raft.Barrier(0)
	done := make(chan error, 1)
	go func() { done <- f.Error() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (n *Node) take(ctx context.Context, term uint64) {
	l := &leadership{term: term}
	l.ctx, l.end = context.WithCancel(fsm.FencedBy(ctx, term))
	n.leadMu.Lock()
	if ctx.Err() != nil {
		n.leadMu.Unlock()
		l.end()
		return
	}
	n.lead = l
	n.readyTerm.Store(term)
	n.leadMu.Unlock()
	n.changed.broadcast()
	n.loops.Go(func() { n.storeAuthority(l.ctx) })
	n.loops.Go(func() { n.roster.Lead(l.ctx) })
	n.loops.Go(func() { n.compare.Lead(l.ctx) })
	n.loops.Go(func() { n.rotateAuthority(l.ctx) })
	n.loops.Go(func() { n.features.Lead(l.ctx) })
}

func (n *Node) endTerm() {
	n.leadMu.Lock()
	l := n.lead
	n.lead = nil
	n.readyTerm.Store(0)
	n.leadMu.Unlock()
	if l != nil {
		l.end()
	}
	n.changed.broadcast()
}

// Lead returns once this node leads and has applied everything that earlier leaders
// acknowledged. The context it returns ends with the leadership or with ctx, and
// updates made under it are fenced by the term. Lead's error is that of ctx.
func (n *Node) Lead(ctx context.Context) (context.Context, error) {
	for ctx.Err() == nil {
		changed := n.changed.wait()
		n.leadMu.Lock()
		l := n.lead
		n.leadMu.Unlock()
		if l != nil && l.ctx.Err() == nil {
			term, end := context.WithCancel(l.ctx)
			forget := context.AfterFunc(ctx, end)
			context.AfterFunc(term, func() { forget() })
			return term, nil
		}
		select {
		case <-changed:
		case <-n.quit:
			return nil, fmt.Errorf("lead: %w", errStopping)
		case <-ctx.Done():
		}
	}
	return nil, fmt.Errorf("lead: %w", ctx.Err())
}

// storeAuthority puts the authority into the store, once.
func (n *Node) storeAuthority(ctx context.Context) {
	for ctx.Err() == nil {
		err := n.self.Identity().Authority().Store(ctx, n.cfg.DB)
		if err == nil {
			return
		}
		if ctx.Err() == nil {
			n.log.Warn("cluster authority not stored yet", "error", err)
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}
