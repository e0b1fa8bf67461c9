package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"time"

	"github.com/quis-idp/quis/cluster/backup"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/keys"
	"github.com/quis-idp/quis/keys/seal"
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

// afterRestore does what follows the restore of a backup, once: the signing keys of
// before are gone, those too that had been destroyed after the backup was made, and
// the record of events says what happened. What is sealed is void without it.
func (n *Node) afterRestore(ctx context.Context) error {
	var r *seal.Restoration
	err := n.db.View(ctx, func(tx *fsm.Tx) (err error) {
		r, err = seal.LatestRestoration(tx)
		return err
	})
	if errors.Is(err, fsm.ErrNotFound) || err == nil && r.Done {
		return nil
	}
	if err != nil {
		return err
	}
	if err := n.replaceSigningKeys(ctx); err != nil {
		return fmt.Errorf("after a restore: %w", err)
	}
	return n.db.Update(ctx, func(tx *fsm.Tx) error {
		now, err := seal.LatestRestoration(tx)
		if err != nil || now.Done {
			return err
		}
		if err := now.Settle(tx); err != nil {
			return err
		}
		return event.Append(tx, event.Event{
			Tenant: identity.DefaultTenant, Type: event.ClusterRestored, Target: event.Target{Kind: "backup", ID: now.Archive},
			Data: map[string]string{
				"by": now.By, "made_by": now.Cluster, "made": now.Made.Format(time.RFC3339), "restored": now.At.Format(time.RFC3339),
				"backup_index": strconv.FormatUint(now.Index, 10), "index_before": strconv.FormatUint(now.Before, 10),
			},
		})
	})
}

func (n *Node) replaceSigningKeys(ctx context.Context) error {
	for after := ""; ; {
		var tenants []directory.Tenant
		err := n.db.View(ctx, func(tx *fsm.Tx) (err error) {
			tenants, after, err = directory.ListTenants(tx, after, 100)
			return err
		})
		if err != nil {
			return err
		}
		for _, t := range tenants {
			have, err := n.keys.List(ctx, t.ID)
			if err != nil {
				return err
			}
			done := map[keys.Alg]bool{}
			for _, k := range have {
				if k.State == keys.Gone || done[k.Alg] {
					continue
				}
				done[k.Alg] = true
				if err := n.keys.RotateEmergency(ctx, t.ID, k.Alg); err != nil {
					return err
				}
			}
		}
		if after == "" {
			return nil
		}
	}
}
