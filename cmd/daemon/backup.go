package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/quis-idp/quis/cluster/backup"
	"github.com/quis-idp/quis/identity"
)

// RestoreFile is where `quis restore --data-dir` leaves an archive for a node that has
// not founded its cluster yet. It goes when it has been restored.
const RestoreFile = "restore.backup"

func (n *Node) openBackups() {
	n.backups = &backup.Keeper{
		Node: n.cluster, DB: n.db, Root: n.root, Dir: n.cfg.DataDir, NodeID: n.cfg.NodeID, Cluster: n.cluster.ClusterID(), Version: Version, Logger: n.log,
	}
	n.metrics.Registry.MustRegister(n.backups)
}

// restoreLeft restores the archive that was left for this node's founding, if there is one.
func (n *Node) restoreLeft(ctx context.Context) error {
	path := n.dir.file(RestoreFile)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("the backup left for this node: %w", err)
	}
	defer f.Close()
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		if n.cluster.Ready() == nil && n.checkSetup(ctx) == nil {
			if _, err = f.Seek(0, 0); err != nil {
				return err
			}
			var i backup.Info
			if i, err = n.backups.Restore(ctx, f, string(identity.ActorOperator)); err == nil {
				n.log.Info("the backup left for this node was restored", "backup", i.ID, "index", i.Index)
				return os.Remove(path)
			}
			n.log.Error("the backup left for this node is not restored yet", "file", path, "error", err)
			if errors.Is(err, backup.ErrKey) || errors.Is(err, backup.ErrDamaged) {
				return fmt.Errorf("%s: %w", path, err)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}
