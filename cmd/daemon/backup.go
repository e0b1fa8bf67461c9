package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/quis-idp/quis/cluster/backup"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/keys/seal"
)

// RestoreFile is where `quis restore --data-dir` leaves an archive for a node that has
// not founded its cluster yet. It goes when it has been restored.
const RestoreFile = "restore.backup"

func (n *Node) openBackups() {
	n.backups = &backup.Keeper{
		Node: n.cluster, DB: n.db, Root: n.root, Dir: n.cfg.DataDir, NodeID: n.cfg.NodeID, Cluster: n.cluster.ClusterID(), Version: Version, Logger: n.log,
		After: n.awaitRestored,
	}
	n.metrics.Registry.MustRegister(n.backups)
}

// checkRestored is the readiness check of what follows a restore, and of archives that
// wait to be restored: what a node granted now would be void in a moment.
func (n *Node) checkRestored(ctx context.Context) error {
	if n.archive.Load() {
		return errors.New("this node has a backup to restore first")
	}
	return n.db.View(ctx, seal.Settled)
}

// awaitRestored waits until what follows a restore has been done.
func (n *Node) awaitRestored(ctx context.Context) error {
	for {
		changed := n.db.Changed()
		err := n.db.View(ctx, seal.Settled)
		if err == nil {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-n.living.Done():
			return err
		}
	}
}

func (n *Node) findArchive() error {
	_, err := os.Stat(n.dir.file(RestoreFile))
	n.archive.Store(err == nil)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// restoreLeft restores the archive that was left for this node's founding, if there is
// one. Until then nobody in the cluster is ready.
func (n *Node) restoreLeft(ctx context.Context) error {
	path, say := n.dir.file(RestoreFile), seal.Forgo
	if n.archive.Load() {
		say = seal.Await
	}
	n.patiently(ctx, func(ctx context.Context) (bool, error) {
		err := n.db.Update(asSystem(ctx), func(tx *fsm.Tx) error { return say(tx, n.cfg.NodeID) })
		return err == nil, nil
	})
	if !n.archive.Load() {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("the backup left for this node: %w", err)
	}
	defer f.Close()
	return n.patiently(ctx, func(ctx context.Context) (bool, error) {
		if n.cluster.Ready() != nil || n.checkSetup(ctx) != nil {
			return false, nil
		}
		err := n.restoreOnce(ctx, f)
		if err == nil {
			err = os.Remove(path)
			n.archive.Store(err != nil)
			return true, err
		}
		n.log.Error("the backup left for this node is not restored yet", "file", path, "error", err)
		if errors.Is(err, backup.ErrKey) || errors.Is(err, backup.ErrDamaged) {
			return false, fmt.Errorf("%s: %w", path, err)
		}
		return false, nil
	})
}

// restoreOnce restores an archive unless that has been done: a node may fall between the
// restore and the removal of the file.
func (n *Node) restoreOnce(ctx context.Context, f *os.File) error {
	if _, err := f.Seek(0, 0); err != nil {
		return err
	}
	head, err := backup.ReadHeader(f)
	if err != nil {
		return err
	}
	var latest *seal.Restoration
	err = n.db.Read(ctx, func(tx *fsm.Tx) (err error) {
		latest, err = seal.LatestRestoration(tx)
		return err
	})
	if err == nil && latest.Awaits == "" && latest.Archive == head.ID {
		return nil
	}
	if err != nil && !errors.Is(err, fsm.ErrNotFound) {
		return err
	}
	if _, err := f.Seek(0, 0); err != nil {
		return err
	}
	i, err := n.backups.Restore(ctx, f, string(identity.ActorOperator))
	if err == nil {
		n.log.Info("the backup left for this node was restored", "backup", i.ID, "index", i.Index)
	}
	return err
}

// patiently repeats try, ever less often, until it is done, fails, or ctx ends.
func (n *Node) patiently(ctx context.Context, try func(ctx context.Context) (done bool, err error)) error {
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		if done, err := try(ctx); done || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}
