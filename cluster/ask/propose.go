package ask

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"

	"github.com/quis-idp/quis/cluster/group"
	"github.com/quis-idp/quis/fsm"
)

// ErrStopping reports that the node ends.
var ErrStopping = errors.New("node is stopping")

// ErrNoLeader reports that nobody is known to lead.
var ErrNoLeader = errors.New("no leader")

var errMoved = errors.New("leader has changed")

// giveUpShare is how much of the time limit is spent on attempts that certainly did
// not reach the log; an election takes less.
const giveUpShare = 0.6

// Propose gives batch to the log and returns what was decided about it, when this
// node has applied it. It tries again, on this leader or the next, until ctx ends or
// Config.Timeout has passed; the store gives a batch that arrives twice its
// first outcome. It reports fsm.ErrUnavailable (not applied), fsm.ErrUnknown
// (perhaps applied, perhaps yet to be) or fsm.ErrRefused (too large).
func (l *Leader) Propose(ctx context.Context, batch []byte) (fsm.Outcome, error) {
	if len(batch) > fsm.MaxBatch {
		return fsm.Outcome{}, fmt.Errorf("propose %d bytes: %w", len(batch), fsm.ErrRefused)
	}
	if err := l.cfg.Isolated(); err != nil {
		return fsm.Outcome{}, fmt.Errorf("propose: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, l.cfg.Timeout)
	defer cancel()
	begun := time.Now()
	perhaps := false // some attempt may have put it into the log
	for {
		changed := l.cfg.Changed()
		r := l.attempt(ctx, batch)
		switch r.Fate {
		case group.Decided:
			if perhaps && r.Out.Verdict == fsm.Late {
				return fsm.Outcome{}, fmt.Errorf("propose: answer came after the batch's deadline: %w", fsm.ErrUnknown)
			}
			if err := l.cfg.DB.WaitApplied(ctx, r.Out.Index); err != nil {
				return fsm.Outcome{}, fmt.Errorf("propose: decided at %d, but not applied here yet: %w", r.Out.Index, fsm.ErrUnknown)
			}
			return r.Out, nil
		case group.Maybe:
			perhaps = true
		}
		over := r.Fate == group.Hopeless || ctx.Err() != nil ||
			!perhaps && time.Since(begun) > time.Duration(giveUpShare*float64(l.cfg.Timeout))
		if !over {
			over = !l.pause(ctx, changed)
		}
		if over && perhaps {
			return fsm.Outcome{}, fmt.Errorf("propose: %w: %w", fsm.ErrUnknown, r.Err)
		}
		if over {
			return fsm.Outcome{}, fmt.Errorf("propose: %w: %w", fsm.ErrUnavailable, r.Err)
		}
	}
}

// pause waits for a change of leader, or a moment, whichever is first.
func (l *Leader) pause(ctx context.Context, changed <-chan struct{}) bool {
	t := time.NewTimer(25 * time.Millisecond)
	defer t.Stop()
	select {
	case <-changed:
	case <-t.C:
	case <-l.cfg.Quit:
		return false
	case <-ctx.Done():
		return false
	}
	return true
}

// attempt queues batch once and waits for what becomes of it.
func (l *Leader) attempt(ctx context.Context, batch []byte) group.Result {
	p := group.NewBatch(batch, false)
	if !l.life.queue.Add(p) {
		return group.Result{Fate: group.Hopeless, Err: group.ErrFull}
	}
	return p.Wait(ctx, l.cfg.Quit, ErrStopping)
}

// flush brings one group into the log: here if this node leads, otherwise through
// the leader.
func (l *Leader) flush(batches []*group.Batch) {
	if err := l.cfg.NoRoom(); err != nil && l.life.raft.State() == raft.Leader {
		r := group.Result{Fate: group.NotApplied, Err: err}
		if l.cfg.Alone() {
			r.Fate = group.Hopeless
		}
		l.answerAll(batches, r)
		return
	}
	if l.life.raft.State() == raft.Leader && l.cfg.Isolated() == nil {
		l.appendEntry(batches)
		return
	}
	mine := batches[:0]
	for _, p := range batches {
		if p.Forwarded {
			p.Answer(group.Result{Fate: group.NotApplied, Err: ErrNoLeader})
		} else {
			mine = append(mine, p)
		}
	}
	if len(mine) > 0 {
		l.forward(mine)
	}
}

// appendEntry makes a log entry of batches and waits until it has been applied.
func (l *Leader) appendEntry(batches []*group.Batch) {
	bodies := make([][]byte, len(batches))
	for i, p := range batches {
		bodies[i] = p.Bytes
	}
	l.cfg.Packed.Observe(float64(len(bodies)))
	data := fsm.EncodeEntry(l.cfg.Stamp(), bodies)
	future := l.life.raft.ApplyLog(raft.Log{Data: data}, l.cfg.Timeout)
	settled := make(chan error, 1)
	go func() { settled <- future.Error() }() // Raft may drop a future when it shuts down
	var err error
	select {
	case err = <-settled:
	case <-l.cfg.Quit:
		err = ErrStopping
	}
	if err != nil {
		r := group.Result{Fate: group.Maybe, Err: err}
		if errors.Is(err, raft.ErrNotLeader) || errors.Is(err, raft.ErrLeadershipTransferInProgress) || errors.Is(err, raft.ErrEnqueueTimeout) {
			r.Fate = group.NotApplied
		}
		for _, p := range batches {
			p.Answer(r)
		}
		return
	}
	verdicts, _ := future.Response().([]fsm.Verdict)
	for i, p := range batches {
		if i < len(verdicts) {
			p.Answer(group.Result{Out: fsm.Outcome{Index: future.Index(), Verdict: verdicts[i]}})
		} else {
			p.Answer(group.Result{Fate: group.Maybe, Err: errors.New("entry has no verdict")})
		}
	}
}
