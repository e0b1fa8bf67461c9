package ask

import (
	"context"
	"errors"

	"github.com/quis-idp/quis/cluster/form"
	"github.com/quis-idp/quis/cluster/group"
	"github.com/quis-idp/quis/cluster/wire"
	"github.com/quis-idp/quis/fsm"
)

// forward sends batches to the leader in one call. When the leader changes meanwhile
// the answer is not waited for: the next leader is asked, and the store gives a
// repetition its first outcome.
func (l *Leader) forward(batches []*group.Batch) {
	ctx, cancel := context.WithTimeout(l.life.ctx, l.cfg.Timeout)
	defer cancel()
	id, address := l.cfg.Leader()
	if id == "" || id == l.cfg.NodeID {
		l.answerAll(batches, group.Result{Fate: group.NotApplied, Err: ErrNoLeader})
		return
	}
	go l.whileLeader(ctx, cancel, id, address)
	q := proposeRequest{Batches: make([][]byte, len(batches))}
	for i, p := range batches {
		q.Batches[i] = p.Bytes
	}
	var a proposeAnswer
	err := l.life.caller.Call(ctx, id, address, methodPropose, &q, &a)
	var fault *wire.Fault
	switch {
	case err == nil && len(a.Results) == len(batches):
		go l.nudge(a.Commit, id, address)
		for i, p := range batches {
			r := a.Results[i]
			p.Answer(group.Result{Fate: group.Fate(min(r.Fate, uint8(group.Hopeless))), Out: fsm.Outcome{Index: r.Index, Verdict: fsm.Verdict(r.Verdict)}, Err: r.err()})
		}
	case errors.As(err, &fault) && fault.Code == form.CodeNotLeader, errors.Is(err, wire.ErrNotSent):
		l.answerAll(batches, group.Result{Fate: group.NotApplied, Err: err})
	case err == nil:
		l.answerAll(batches, group.Result{Fate: group.Maybe, Err: errors.New("answer does not fit the question")})
	default:
		l.answerAll(batches, group.Result{Fate: group.Maybe, Err: err})
	}
}

func (l *Leader) answerAll(batches []*group.Batch, r group.Result) {
	for _, p := range batches {
		p.Answer(r)
	}
}

// whileLeader cancels ctx, and ends calls stuck on their way to id, once another leads.
func (l *Leader) whileLeader(ctx context.Context, cancel func(), id, address string) {
	for {
		changed := l.cfg.Changed()
		if now, _ := l.cfg.Leader(); now != id && now != "" {
			cancel()
			l.life.caller.Drop(id, address)
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
	Commit  CommitNote      `cbor:"2,keyasint"`
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
func (l *Leader) handlePropose(ctx context.Context, from wire.Peer, q *proposeRequest) (any, error) {
	if err := l.cfg.Leads(from); err != nil {
		return nil, err
	}
	if len(q.Batches) > group.Max {
		return nil, &wire.Fault{Code: form.CodeRefused, Detail: "too many batches"}
	}
	waits := make([]*group.Batch, len(q.Batches))
	a := proposeAnswer{Results: make([]proposeResult, len(q.Batches))}
	for i, b := range q.Batches {
		p := group.NewBatch(b, true)
		if err := fsm.CheckBatch(b); err != nil { // it would stop every replica, or cost all of them for nothing
			p.Answer(group.Result{Fate: group.Decided, Out: fsm.Outcome{Verdict: fsm.Refused}})
		} else if !l.life.queue.Add(p) {
			p.Answer(group.Result{Fate: group.Hopeless, Err: group.ErrFull})
		}
		waits[i] = p
	}
	var last uint64
	for i, p := range waits {
		r := p.Wait(ctx, l.cfg.Quit, ErrStopping)
		last = max(last, r.Out.Index)
		a.Results[i] = proposeResult{Fate: uint8(r.Fate), Index: r.Out.Index, Verdict: uint8(r.Out.Verdict)}
		if r.Err != nil {
			a.Results[i].Detail = r.Err.Error()
		}
	}
	if last > 0 {
		a.Commit = l.Vouch(last)
	}
	return &a, nil
}
