package ask

import (
	"context"
	"errors"
	"fmt"

	"github.com/hashicorp/raft"

	"github.com/quis-idp/quis/cluster/wire"
)

const methodTerm = "term"

type termAnswer struct {
	Term uint64 `cbor:"1,keyasint"`
}

// handleTerm says in which term this node is. A node writes a later term down before it
// votes in it, so whoever is told an earlier one has not been voted against by it yet.
func (l *Leader) handleTerm(_ context.Context, _ wire.Peer, _ *struct{}) (any, error) {
	if !l.begun.Load() {
		return nil, ErrNoLeader
	}
	return &termAnswer{l.life.raft.CurrentTerm()}, nil
}

// followed returns nil if a majority is in this leader's term, as they say after the
// call: nobody else can have been elected, and have acknowledged anything, before it.
//
// Raft's own VerifyLeader is not enough. It credits any answer of a follower that comes
// in after the question, also one that was on its way before, and so a leader deposed
// meanwhile passes where the network is slow.
func (l *Leader) followed(ctx context.Context, term uint64) error {
	f := l.life.raft.GetConfiguration()
	if err := f.Error(); err != nil {
		return err
	}
	var others []raft.Server
	voters := 0
	for _, s := range f.Configuration().Servers {
		if s.Suffrage != raft.Voter {
			continue
		}
		voters++
		if string(s.ID) != l.cfg.NodeID {
			others = append(others, s)
		}
	}
	need := voters/2 + 1 - (voters - len(others)) // this node's own word, if it has a vote, is had
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // the slow need not answer any more
	answers := make(chan error, len(others))
	for _, s := range others {
		go func() { answers <- l.inTerm(ctx, s, term) }()
	}
	var errs []error
	for left := len(others); need > 0 && left >= need; left-- {
		switch err := <-answers; {
		case err == nil:
			need--
		case errors.Is(err, errOlder):
			return l.verified(ctx)
		default:
			errs = append(errs, err)
		}
	}
	if need == 0 {
		return nil
	}
	return fmt.Errorf("no majority confirms this leader: %w", errors.Join(errs...))
}

// errOlder: the release of that node knows no such question.
var errOlder = errors.New("an older release")

func (l *Leader) inTerm(ctx context.Context, s raft.Server, term uint64) error {
	var a termAnswer
	err := l.life.caller.Call(ctx, string(s.ID), string(s.Address), methodTerm, &struct{}{}, &a)
	var fault *wire.Fault
	switch {
	case errors.As(err, &fault) && fault.Code == wire.NoMethod:
		return errOlder
	case err != nil:
		return err
	case a.Term != term:
		return fmt.Errorf("node %s is in term %d, not in %d: %w", s.ID, a.Term, term, errMoved)
	}
	return nil
}

// verified is what there is while a member is of an older release.
func (l *Leader) verified(ctx context.Context) error {
	done := make(chan error, 1)
	go func() { done <- l.life.raft.VerifyLeader().Error() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
