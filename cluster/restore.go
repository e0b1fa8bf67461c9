package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/raft"

	"github.com/quis-idp/quis/cluster/feature"
	"github.com/quis-idp/quis/fsm"
)

// ClusterID names the cluster that this node belongs to.
func (n *Node) ClusterID() string { return n.self.Identity().ClusterID }

// announceWithin is how long a node that has just started may take to announce what it reads.
const announceWithin = 30 * time.Second

// CanRestore reports fsm.ErrRefused, with what to do, while a member is too old to
// understand a restored state, in which these features are in use. It waits for members
// that have just started.
func (n *Node) CanRestore(ctx context.Context, uses []string) error {
	for _, name := range uses {
		if !slices.Contains(n.features.Reads(), name) {
			return fmt.Errorf("restore: the backup uses %s, which this release does not read: run the release that made it here first: %w", name, fsm.ErrRefused)
		}
	}
	patient, cancel := context.WithTimeout(ctx, announceWithin)
	defer cancel()
	for {
		changed := n.cfg.DB.Changed()
		var missing []string
		err := n.cfg.DB.Read(ctx, func(tx *fsm.Tx) error {
			missing = nil
			for _, name := range append([]string{feature.Epoch}, uses...) {
				without, err := feature.Missing(tx, n.memberIDs(), name)
				if err != nil {
					return err
				}
				for _, id := range without {
					missing = append(missing, id+" ("+name+")")
				}
			}
			return nil
		})
		if err != nil || len(missing) == 0 {
			return err
		}
		select {
		case <-changed:
		case <-patient.Done():
			return fmt.Errorf("restore: not every member reads what the restored state would have in it; run this release there first: %s: %w", strings.Join(missing, ", "), fsm.ErrRefused)
		}
	}
}

// Restore replaces the state of the whole cluster by a stream of size bytes that
// fsm.DB.Adopt has written here, standing at index. It makes this node the leader first,
// and returns when a majority has the new state. Everything that was applied between
// Adopt and Restore is lost. Without an error it is done; fsm.ErrUnavailable: nothing
// has changed; any other: it may be either, but on every node the same in the end.
func (n *Node) Restore(ctx context.Context, stream io.Reader, size int64, index uint64) error {
	if err := n.leadFor(ctx); err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	begun := n.raft.CurrentTerm()
	meta := &raft.SnapshotMeta{Version: raft.SnapshotVersionMax, Index: index - 1, Term: begun, Size: size}
	done := make(chan error, 1)
	go func() { done <- n.raft.Restore(meta, io.LimitReader(stream, size+1), 0) }()
	var err error
	select {
	case err = <-done:
	case <-n.quit:
		err = errStopping
	}
	switch {
	case errors.Is(err, raft.ErrNotLeader):
		return fmt.Errorf("restore: another node leads now: %w", fsm.ErrUnavailable)
	case err != nil:
		return fmt.Errorf("restore: %w: %w", fsm.ErrUnknown, err)
	}
	n.log.Info("state restored", "index", n.cfg.DB.Position().Index)
	return nil
}

// leadFor makes this node the leader, for the one thing that only a leader can do with
// what lies on its own disk.
func (n *Node) leadFor(ctx context.Context) error {
	for {
		changed := n.changed.wait()
		if n.readyTerm.Load() != 0 {
			return nil
		}
		if id, _ := n.Leader(); id != n.cfg.NodeID {
			if err := n.Transfer(ctx, n.cfg.NodeID); err != nil {
				return err
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("become leader: %w: %w", fsm.ErrUnavailable, ctx.Err())
		case <-n.quit:
			return errStopping
		}
	}
}
