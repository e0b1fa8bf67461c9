package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/quis-idp/quis/cluster/wire"
)

// establish makes a new cluster of founders and keeps it; found tells the others.
func (n *Node) establish(founders []founder) error {
	n.forming.mu.Lock()
	defer n.forming.mu.Unlock()
	if n.id.Load() != nil {
		return nil // another founder was quicker
	}
	a, err := wire.NewAuthority(newClusterID(), time.Now())
	if err != nil {
		return err
	}
	row, err := wrapAuthority(a, n.cfg.Root)
	if err != nil {
		return err
	}
	id, err := issueIdentity(n.cfg.NodeID, row, n.cfg.Root)
	if err != nil {
		return err
	}
	id.secret.Founding = founders
	if err := id.save(n.cfg.DataDir, n.cfg.Root); err != nil {
		return err
	}
	n.forming.open = false
	n.adopt(id)
	n.log.Info("cluster founded", "cluster", id.clusterID, "founders", len(founders))
	return nil
}

// found makes the other founders members of the cluster. They all must have agreed
// before the first entry is written: until then nothing is lost by beginning again.
func (n *Node) found(ctx context.Context) error {
	id := n.id.Load()
	todo := slices.DeleteFunc(slices.Clone(id.secret.Founding), func(f founder) bool { return f.ID == n.cfg.NodeID })
	q := foundRequest{Authority: id.secret.Authority, Founder: n.cfg.NodeID}
	for {
		var last error
		todo = slices.DeleteFunc(todo, func(f founder) bool {
			err := n.tell(ctx, f, &q)
			if err != nil {
				last = fmt.Errorf("founder %s at %s: %w", f.ID, f.Address, err)
			}
			return err == nil
		})
		if len(todo) == 0 {
			return nil
		}
		if fault := (*wire.Fault)(nil); errors.As(last, &fault) && fault.Code == codeRefused {
			return last
		}
		n.log.Info("a founder does not answer yet", "error", last)
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("found the cluster: %w: %w", last, ctx.Err())
		}
	}
}

func (n *Node) tell(ctx context.Context, f founder, q *foundRequest) error {
	c, err := n.port.DialJoin(ctx, f.Address)
	if err != nil {
		return err
	}
	defer c.Close()
	return c.Call(ctx, methodFound, q, nil)
}

// handleFound makes this node a founder, if it belongs to no cluster.
func (n *Node) handleFound(_ context.Context, _ wire.Peer, q *foundRequest) (any, error) {
	n.forming.mu.Lock()
	defer n.forming.mu.Unlock()
	if id := n.id.Load(); id != nil {
		if id.clusterID == q.Authority.ClusterID {
			return nil, nil // told before
		}
		return nil, &wire.Fault{Code: codeRefused, Detail: fmt.Sprintf("node %s belongs to cluster %s already, not to %s", n.cfg.NodeID, id.clusterID, q.Authority.ClusterID)}
	}
	if !n.forming.open {
		return nil, &wire.Fault{Code: codeNotLeader, Detail: "node is starting"}
	}
	id, err := issueIdentity(n.cfg.NodeID, &q.Authority, n.cfg.Root)
	if err != nil {
		return nil, err
	}
	if err := id.save(n.cfg.DataDir, n.cfg.Root); err != nil {
		return nil, err
	}
	n.forming.open = false
	n.adopt(id)
	n.log.Info("made a founder", "cluster", id.clusterID, "by", q.Founder)
	return nil, nil
}
