package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"

	"github.com/quis-idp/quis/cluster/wire"
	"github.com/quis-idp/quis/fsm"
)

var (
	errStopping = errors.New("node is stopping")
	errNoLeader = errors.New("no leader")
	errMoved    = errors.New("leader has changed")
	errFull     = errors.New("too many writes are waiting")
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
	ctx, cancel := context.WithTimeout(ctx, n.cfg.ProposeTimeout)
	defer cancel()
	begun := time.Now()
	perhaps := false // some attempt may have put it into the log
	for {
		changed := n.changed.wait()
		r := n.attempt(ctx, batch)
		switch r.fate {
		case decided:
			if perhaps && r.out.Verdict == fsm.Late {
				return fsm.Outcome{}, fmt.Errorf("propose: answer came after the batch's deadline: %w", fsm.ErrUnknown)
			}
			if err := n.cfg.DB.WaitApplied(ctx, r.out.Index); err != nil {
				return fsm.Outcome{}, fmt.Errorf("propose: decided at %d, but not applied here yet: %w", r.out.Index, fsm.ErrUnknown)
			}
			return r.out, nil
		case maybe:
			perhaps = true
		}
		over := r.fate == hopeless || ctx.Err() != nil ||
			!perhaps && time.Since(begun) > time.Duration(giveUpShare*float64(n.cfg.ProposeTimeout))
		if !over {
			over = !n.pause(ctx, changed)
		}
		if over && perhaps {
			return fsm.Outcome{}, fmt.Errorf("propose: %w: %w", fsm.ErrUnknown, r.err)
		}
		if over {
			return fsm.Outcome{}, fmt.Errorf("propose: %w: %w", fsm.ErrUnavailable, r.err)
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
func (n *Node) attempt(ctx context.Context, batch []byte) result {
	p := &pending{batch: batch, done: make(chan result, 1)}
	if !n.proposals.add(p) {
		return result{fate: hopeless, err: errFull}
	}
	return n.await(ctx, p)
}

func (n *Node) await(ctx context.Context, p *pending) result {
	select {
	case r := <-p.done:
		return r
	case <-ctx.Done():
	case <-n.quit:
	}
	if p.state.CompareAndSwap(waiting, given) {
		return result{fate: notApplied, err: errors.Join(ctx.Err(), n.stopping())}
	}
	select {
	case r := <-p.done:
		return r
	default:
		return result{fate: maybe, err: errors.Join(ctx.Err(), n.stopping())}
	}
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
func (n *Node) flush(group []*pending) {
	if n.raft.State() == raft.Leader {
		n.appendEntry(group)
		return
	}
	mine := group[:0]
	for _, p := range group {
		if p.forwarded {
			p.done <- result{fate: notApplied, err: errNoLeader}
		} else {
			mine = append(mine, p)
		}
	}
	if len(mine) > 0 {
		n.forward(mine)
	}
}

// appendEntry makes a log entry of group and waits until it has been applied.
func (n *Node) appendEntry(group []*pending) {
	batches := make([][]byte, len(group))
	for i, p := range group {
		batches[i] = p.batch
	}
	data := fsm.EncodeEntry(n.clock.next(time.Now(), time.Since(n.begun), n.cfg.DB.Position().Time), batches)
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
		r := result{fate: maybe, err: err}
		if errors.Is(err, raft.ErrNotLeader) || errors.Is(err, raft.ErrLeadershipTransferInProgress) || errors.Is(err, raft.ErrEnqueueTimeout) {
			r.fate = notApplied
		}
		for _, p := range group {
			p.done <- r
		}
		return
	}
	verdicts, _ := future.Response().([]fsm.Verdict)
	for i, p := range group {
		if i < len(verdicts) {
			p.done <- result{out: fsm.Outcome{Index: future.Index(), Verdict: verdicts[i]}}
		} else {
			p.done <- result{fate: maybe, err: errors.New("entry has no verdict")}
		}
	}
}

// forward sends group to the leader in one call. When the leader changes meanwhile
// the answer is not waited for: the next leader is asked, and the store gives a
// repetition its first outcome.
func (n *Node) forward(group []*pending) {
	ctx, cancel := context.WithTimeout(n.ctx, n.cfg.ProposeTimeout)
	defer cancel()
	id, address := n.Leader()
	if id == "" || id == n.cfg.NodeID {
		n.answerAll(group, result{fate: notApplied, err: errNoLeader})
		return
	}
	go n.whileLeader(ctx, cancel, id, address)
	q := proposeRequest{Batches: make([][]byte, len(group))}
	for i, p := range group {
		q.Batches[i] = p.batch
	}
	var a proposeAnswer
	err := n.port.Caller().Call(ctx, id, address, methodPropose, &q, &a)
	var fault *wire.Fault
	switch {
	case err == nil && len(a.Results) == len(group):
		go n.nudge(a.Commit, id, address)
		for i, p := range group {
			r := a.Results[i]
			p.done <- result{fate: fate(min(r.Fate, uint8(hopeless))), out: fsm.Outcome{Index: r.Index, Verdict: fsm.Verdict(r.Verdict)}, err: r.err()}
		}
	case errors.As(err, &fault) && fault.Code == codeNotLeader, errors.Is(err, wire.ErrNotSent):
		n.answerAll(group, result{fate: notApplied, err: err})
	case err == nil:
		n.answerAll(group, result{fate: maybe, err: errors.New("answer does not fit the question")})
	default:
		n.answerAll(group, result{fate: maybe, err: err})
	}
}

func (n *Node) answerAll(group []*pending, r result) {
	for _, p := range group {
		p.done <- r
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
	if r.Fate == uint8(decided) {
		return nil
	}
	return errors.New("leader: " + r.Detail)
}

// handlePropose takes a group that another node forwards.
func (n *Node) handlePropose(ctx context.Context, from wire.Peer, q *proposeRequest) (any, error) {
	if err := n.leading(from); err != nil {
		return nil, err
	}
	if len(q.Batches) > maxGroup {
		return nil, &wire.Fault{Code: codeRefused, Detail: "too many batches"}
	}
	waits := make([]*pending, len(q.Batches))
	a := proposeAnswer{Results: make([]proposeResult, len(q.Batches))}
	for i, b := range q.Batches {
		p := &pending{batch: b, forwarded: true, done: make(chan result, 1)}
		if err := fsm.CheckBatch(b); err != nil { // it would stop every replica, or cost all of them for nothing
			p.done <- result{fate: decided, out: fsm.Outcome{Verdict: fsm.Refused}}
		} else if !n.proposals.add(p) {
			p.done <- result{fate: hopeless, err: errFull}
		}
		waits[i] = p
	}
	var last uint64
	for i, p := range waits {
		r := n.await(ctx, p)
		last = max(last, r.out.Index)
		a.Results[i] = proposeResult{Fate: uint8(r.fate), Index: r.out.Index, Verdict: uint8(r.out.Verdict)}
		if r.err != nil {
			a.Results[i].Detail = r.err.Error()
		}
	}
	if last > 0 {
		a.Commit = n.note(last)
	}
	return &a, nil
}
