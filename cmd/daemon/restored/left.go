package restored

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/quis-idp/quis/cluster/backup"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/keys/seal"
)

// An Archive may have been left for a node that founds its cluster. While it waits to be
// restored nobody in the cluster is ready or grants anything.
type Archive struct {
	Path, NodeID string
	Log          *slog.Logger

	left atomic.Bool
}

// Find looks whether there is one.
func (a *Archive) Find() error {
	_, err := os.Stat(a.Path)
	a.left.Store(err == nil)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Say tells the cluster, in the transaction by which it is set up or any other, whether
// there is one to wait for.
func (a *Archive) Say(tx *fsm.Tx) error {
	if a.left.Load() {
		return seal.Await(tx, a.NodeID)
	}
	return seal.Forgo(tx, a.NodeID)
}

// Check is the readiness check of what follows a restore, and of archives that wait to
// be restored: what a node granted now would be void in a moment.
func (a *Archive) Check(ctx context.Context, db *fsm.DB) error {
	if a.left.Load() {
		return errors.New("this node has a backup to restore first")
	}
	return db.View(ctx, seal.Settled)
}

// Wait waits until what follows a restore has been done.
func Wait(ctx context.Context, db *fsm.DB) error {
	for {
		changed := db.Changed()
		err := db.View(ctx, seal.Settled)
		if err == nil || errors.Is(err, fsm.ErrClosed) {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		}
	}
}

// Restore restores the archive, if there is one, when ready says that the cluster is
// there. It goes on until that is done, ctx ends, or it cannot be.
func (a *Archive) Restore(ctx context.Context, k *backup.Keeper, ready func(context.Context) error) error {
	patiently(ctx, func(ctx context.Context) (bool, error) {
		return k.DB.Update(ctx, a.Say) == nil, nil
	})
	if !a.left.Load() {
		return nil
	}
	f, err := os.Open(a.Path)
	if err != nil {
		return fmt.Errorf("the backup left for this node: %w", err)
	}
	defer f.Close()
	return patiently(ctx, func(ctx context.Context) (bool, error) {
		if ready(ctx) != nil {
			return false, nil
		}
		err := a.once(ctx, k, f)
		if err == nil {
			err = os.Remove(a.Path)
			a.left.Store(err != nil)
			return true, err
		}
		a.Log.Error("the backup left for this node is not restored yet", "file", a.Path, "error", err)
		if errors.Is(err, backup.ErrKey) || errors.Is(err, backup.ErrDamaged) {
			return false, fmt.Errorf("%s: %w", a.Path, err)
		}
		return false, nil
	})
}

// once restores the archive unless that has been done: a node may fall between the
// restore and the removal of the file.
func (a *Archive) once(ctx context.Context, k *backup.Keeper, f *os.File) error {
	if _, err := f.Seek(0, 0); err != nil {
		return err
	}
	head, err := backup.ReadHeader(f)
	if err != nil {
		return err
	}
	var latest *seal.Restoration
	err = k.DB.Read(ctx, func(tx *fsm.Tx) (err error) {
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
	i, err := k.Restore(ctx, f, string(identity.ActorOperator), true)
	if err == nil {
		a.Log.Info("the backup left for this node was restored", "backup", i.ID, "index", i.Index)
	}
	return err
}

// patiently repeats try, ever less often, until it is done, fails, or ctx ends.
func patiently(ctx context.Context, try func(ctx context.Context) (done bool, err error)) error {
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
