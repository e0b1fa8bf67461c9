package form

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/quis-idp/quis/cluster/wire"
)

// Establish makes a new cluster of founders and keeps it; Found tells the others.
func (s *Self) Establish(founders []Founder) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.id.Load() != nil {
		return nil // another founder was quicker
	}
	a, err := wire.NewAuthority(newClusterID(), time.Now())
	if err != nil {
		return err
	}
	row, err := wrapAuthority(a, s.cfg.Root)
	if err != nil {
		return err
	}
	id, err := issueIdentity(s.cfg.NodeID, row, s.cfg.Root, s.cfg.CertLife)
	if err != nil {
		return err
	}
	id.secret.Founding = founders
	if err := s.become(id); err != nil {
		return err
	}
	s.cfg.Logger.Info("cluster founded", "cluster", id.ClusterID, "founders", len(founders))
	return nil
}

// Found makes the other founders members of the cluster. They all must have agreed
// before the first entry is written: until then nothing is lost by beginning again.
func (s *Self) Found(ctx context.Context) error {
	id := s.id.Load()
	todo := slices.DeleteFunc(slices.Clone(id.secret.Founding), func(f Founder) bool { return f.ID == s.cfg.NodeID })
	q := foundRequest{Authority: id.secret.Authority, Founder: s.cfg.NodeID}
	for {
		var last error
		todo = slices.DeleteFunc(todo, func(f Founder) bool {
			err := s.tell(ctx, f, &q)
			if err != nil {
				last = fmt.Errorf("founder %s at %s: %w", f.ID, f.Address, err)
			}
			return err == nil
		})
		if len(todo) == 0 {
			return nil
		}
		if fault := (*wire.Fault)(nil); errors.As(last, &fault) && fault.Code == CodeRefused {
			return last
		}
		s.cfg.Logger.Info("a founder does not answer yet", "error", last)
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("found the cluster: %w: %w", last, ctx.Err())
		}
	}
}

func (s *Self) tell(ctx context.Context, f Founder, q *foundRequest) error {
	c, err := s.port.DialJoin(ctx, f.Address)
	if err != nil {
		return err
	}
	defer c.Close()
	mine := *q
	mine.Instead = f.Instead
	return c.Call(ctx, methodFound, &mine, nil)
}

// handleFound makes this node a founder, if it belongs to no cluster, or if it holds
// nothing of the one that the caller says has come to nothing.
func (s *Self) handleFound(_ context.Context, _ wire.Peer, q *foundRequest) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if id := s.id.Load(); id != nil {
		if id.ClusterID == q.Authority.ClusterID {
			return nil, nil // told before
		}
		if q.Instead == id.ClusterID && len(id.secret.Founding) == 0 && s.pristine() {
			return nil, s.beginAnew(id, q)
		}
		return nil, &wire.Fault{Code: CodeRefused, Detail: fmt.Sprintf("node %s belongs to cluster %s already, not to %s", s.cfg.NodeID, id.ClusterID, q.Authority.ClusterID)}
	}
	if !s.open {
		return nil, &wire.Fault{Code: CodeNotLeader, Detail: "node is starting"}
	}
	id, err := issueIdentity(s.cfg.NodeID, &q.Authority, s.cfg.Root, s.cfg.CertLife)
	if err != nil {
		return nil, err
	}
	if err := s.become(id); err != nil {
		return nil, err
	}
	s.cfg.Logger.Info("made a founder", "cluster", id.ClusterID, "by", q.Founder)
	return nil, nil
}

// beginAnew writes down that this node, which holds nothing of its cluster, is a founder of
// another, and ends the process: what runs was told of the first one.
func (s *Self) beginAnew(old *Identity, q *foundRequest) error {
	next, err := issueIdentity(s.cfg.NodeID, &q.Authority, s.cfg.Root, s.cfg.CertLife)
	if err != nil {
		return err
	}
	if err := s.cfg.Forget(); err != nil {
		return err
	}
	if err := next.Save(s.cfg.DataDir, s.cfg.Root); err != nil {
		return err
	}
	s.id.Store(next) // whoever asks now is told so; nothing else goes by it any more
	s.cfg.Anew(fmt.Errorf("the founding of cluster %s came to nothing, and node %s founded cluster %s instead: this node ends and goes on with that when it is started again",
		old.ClusterID, q.Founder, next.ClusterID))
	return nil
}
