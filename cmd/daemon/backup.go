package daemon

import (
	"context"
	"errors"

	"github.com/quis-idp/quis/cluster/backup"
	"github.com/quis-idp/quis/cmd/daemon/restored"
)

// RestoreFile is where `quis restore --data-dir` leaves an archive for a node that has
// not founded its cluster yet. It goes when it has been restored.
const RestoreFile = "restore.backup"

func (n *Node) openBackups() {
	n.backups = &backup.Keeper{
		Node: n.cluster, DB: n.db, Root: n.root, Dir: n.cfg.DataDir, NodeID: n.cfg.NodeID, Cluster: n.cluster.ClusterID(), Version: Version, Logger: n.log,
		After: func(ctx context.Context) error { return restored.Wait(ctx, n.db) },
	}
	n.metrics.Registry.MustRegister(n.backups)
}

func (n *Node) findArchive() error {
	n.archive = &restored.Archive{Path: n.dir.file(RestoreFile), NodeID: n.cfg.NodeID, Log: n.log}
	return n.archive.Find()
}

// restoreLeft restores the archive that was left for this node's founding, if there is one.
func (n *Node) restoreLeft(ctx context.Context) error {
	return n.archive.Restore(asSystem(ctx), n.backups, func(ctx context.Context) error {
		return errors.Join(n.cluster.Ready(), n.checkSetup(ctx))
	})
}
