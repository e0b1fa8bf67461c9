package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"

	"github.com/quis-idp/quis/cluster/group"
	"github.com/quis-idp/quis/cluster/wire"
	"github.com/quis-idp/quis/fsm"
)

var (
	errStopping = errors.New("node is stopping")
	errNoLeader = errors.New("no leader")
	errMoved    = errors.New("leader has changed")
)

// giveUpShare is how much of the time limit is spent on attempts that certainly did
// not reach the log; an election takes less.
const giveUpShare = 0.6

// Propose gives batch to the log and returns what was decided about it, when this
// node has applied it. It tries again, on this leader or the next, until ctx ends or
// Config.ProposeTimeout has passed; the store gives a batch that arrives twice its
// first outcome. It reports fsm.ErrUnavailable (not applied), fsm.ErrUnknown
// (perhaps applied, perhaps yet to be) or fsm.ErrRefused (too large).
func (n *Node) Propose(ctx context.Context, batch []byte) (fsm.Outcome, error) {
	if len(batch) > fsm.MaxBatch {
		return fsm.Outcome{}, fmt.Errorf("propose %d bytes: %w", len(batch), fsm.ErrRefused)
	}
	if err := n.Isolated(); err != nil {
		return fsm.Outcome{}, fmt.Errorf("propose: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, n.cfg.ProposeTimeout)
	defer cancel()
	begun := time.Now()
	perhaps := false // some attempt may have put it into the log
	for {
		changed := n.changed.wait()
		r := n.attempt(ctx, batch)
		switch r.Fate {
		case group.Decided:
			if perhaps && r.Out.Verdict == fsm.Late {
				return fsm.Outcome{}, fmt.Errorf("propose: answer came after the batch's deadline: %w", fsm.ErrUnknown)
			}
			if err := n.cfg.DB.WaitApplied(ctx, r.Out.Index); err != nil {
				return fsm.Outcome{}, fmt.Errorf("propose: decided at %d, but not applied here yet: %w", r.Out.Index, fsm.ErrUnknown)
			}
			return r.Out, nil
		case group.Maybe:
			perhaps = true
		}
		over := r.Fate == group.Hopeless || ctx.Err() != nil ||
			!perhaps && time.Since(begun) > time.Duration(giveUpShare*float64(n.cfg.ProposeTimeout))
		if !over {
			over = !n.pause(ctx, changed)
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
func (n *Node) pause(ctx context.Context, changed <-chan struct{}) bool {
	t := time.NewTimer(25 * time.Millisecond)
	defer t.Stop()
	select {
	case <-changed:
	case <-t.C:
	case <-n.quit:
		return false
	case <-ctx.Done():
		return false
	}
	return true
}

// attempt queues batch once and waits for what becomes of it.
func (n *Node) attempt(ctx context.Context, batch []byte) group.Result {
	p := group.NewBatch(batch, false)
	if !n.proposals.Add(p) {
		return group.Result{Fate: group.Hopeless, Err: group.ErrFull}
	}
	return p.Wait(ctx, n.quit, errStopping)
}

func (n *Node) stopping() error {
	select {
	case <-n.quit:
		return errStopping
	default:
		return nil
	}
}

// flush brings one group into the log: here if this node leads, otherwise through
// the leader.
func (n *Node) flush(batches []*group.Batch) {
	if err := n.noRoom(); err != nil && n.raft.State() == raft.Leader {
		r := group.Result{Fate: group.NotApplied, Err: err}
		if n.alone() {
			r.Fate = group.Hopeless
		}
		n.answerAll(batches, r)
		return
	}
	if n.raft.State() == raft.Leader && n.Isolated() == nil {
		n.appendEntry(batches)
		return
	}
	mine := batches[:0]
	for _, p := range batches {
		if p.Forwarded {
			p.Answer(group.Result{Fate: group.NotApplied, Err: errNoLeader})
		} else {
			mine = append(mine, p)
		}
	}
	if len(mine) > 0 {
		n.forward(mine)
	}
}

// appendEntry makes a log entry of batches and waits until it has been applied.
func (n *Node) appendEntry(batches []*group.Batch) {
	bodies := make([][]byte, len(batches))
	for i, p := range batches {
		bodies[i] = p.Bytes
	}
	n.metrics.Packed.Observe(float64(len(bodies)))
	state := n.cfg.DB.Position().Time
	data := fsm.EncodeEntry(n.clock.Next(n.roster.Time(state), time.Since(n.begun), state), bodies)
	future := n.raft.ApplyLog(raft.Log{Data: data}, n.cfg.ProposeTimeout)
	settled := make(chan error, 1)
	go func() { settled <- future.Error() }() // Raft may drop a future when it shuts down
	var err error
	select {
	case err = <-settled:
	case <-n.quit:
		err = errStopping
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

// forward sends batches to the leader in one call. When the leader changes meanwhile
// the answer is not waited for: the next leader is asked, and the store gives a
// repetition its first outcome.
func (n *Node) forward(batches []*group.Batch) {
	ctx, cancel := context.WithTimeout(n.ctx, n.cfg.ProposeTimeout)
	defer cancel()
	id, address := n.Leader()
	if id == "" || id == n.cfg.NodeID {
		n.answerAll(batches, group.Result{Fate: group.NotApplied, Err: errNoLeader})
		return
	}
	go n.whileLeader(ctx, cancel, id, address)
	q := proposeRequest{Batches: make([][]byte, len(batches))}
	for i, p := range batches {
		q.Batches[i] = p.Bytes
	}
	var a proposeAnswer
	err := n.port.Caller().Call(ctx, id, address, methodPropose, &q, &a)
	var fault *wire.Fault
	switch {
	case err == nil && len(a.Results) == len(batches):
		go n.nudge(a.Commit, id, address)
		for i, p := range batches {
			r := a.Results[i]
			p.Answer(group.Result{Fate: group.Fate(min(r.Fate, uint8(group.Hopeless))), Out: fsm.Outcome{Index: r.Index, Verdict: fsm.Verdict(r.Verdict)}, Err: r.err()})
		}
	case errors.As(err, &fault) && fault.Code == codeNotLeader, errors.Is(err, wire.ErrNotSent):
		n.answerAll(batches, group.Result{Fate: group.NotApplied, Err: err})
	case err == nil:
		n.answerAll(batches, group.Result{Fate: group.Maybe, Err: errors.New("answer does not fit the question")})
	default:
		n.answerAll(batches, group.Result{Fate: group.Maybe, Err: err})
	}
}

func (n *Node) answerAll(batches []*group.Batch, r group.Result) {
	for _, p := range batches {
		p.Answer(r)
	}
}

// whileLeader cancels ctx, and ends calls stuck on their way to id, once another leads.
func (n *Node) whileLeader(ctx context.Context, cancel func(), id, address string) {
	for {
		changed := n.changed.wait()
		if now, _ := n.Leader(); now != id && now != "" {
			cancel()
			n.port.Caller().Drop(id, address)
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

const methodPropose = "propose"

type proposeRequest struct {
	Batches [][]byte `cbor:"1,keyasint"`
}

type proposeAnswer struct {
	Results []proposeResult `cbor:"1,keyasint"`
	Commit  commitNote      `cbor:"2,keyasint"`
}

type proposeResult struct {
	Fate    uint8  `cbor:"1,keyasint,omitempty"`
	Index   uint64 `cbor:"2,keyasint,omitempty"`
	Verdict uint8  `cbor:"3,keyasint,omitempty"`
	Detail  string `cbor:"4,keyasint,omitempty"`
}

func (r *proposeResult) err() error {
	if r.Fate == uint8(group.Decided) {
		return nil
	}
	return errors.New("leader: " + r.Detail)
}

// handlePropose takes a group that another node forwards.
func (n *Node) handlePropose(ctx context.Context, from wire.Peer, q *proposeRequest) (any, error) {
	if err := n.leading(from); err != nil {
		return nil, err
	}
	if len(q.Batches) > group.Max {
		return nil, &wire.Fault{Code: codeRefused, Detail: "too many batches"}
	}
	waits := make([]*group.Batch, len(q.Batches))
	a := proposeAnswer{Results: make([]proposeResult, len(q.Batches))}
	for i, b := range q.Batches {
		p := group.NewBatch(b, true)
		if err := fsm.CheckBatch(b); err != nil { // it would stop every replica, or cost all of them for nothing
			p.Answer(group.Result{Fate: group.Decided, Out: fsm.Outcome{Verdict: fsm.Refused}})
		} else if !n.proposals.Add(p) {
			p.Answer(group.Result{Fate: group.Hopeless, Err: group.ErrFull})
		}
		waits[i] = p
	}
	var last uint64
	for i, p := range waits {
		r := p.Wait(ctx, n.quit, errStopping)
		last = max(last, r.Out.Index)
		a.Results[i] = proposeResult{Fate: uint8(r.Fate), Index: r.Out.Index, Verdict: uint8(r.Out.Verdict)}
		if r.Err != nil {
			a.Results[i].Detail = r.Err.Error()
		}
	}
	if last > 0 {
		a.Commit = n.note(last)
	}
	return &a, nil
}
