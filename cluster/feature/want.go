package feature

import (
	"context"
	"fmt"
	"time"

	"github.com/quis-idp/quis/fsm"
)

// A wanted row asks the leader to activate a feature that waits until somebody needs it.
type wanted struct {
	Name string `cbor:"1,keyasint,omitempty"`
}

var wishes = fsm.NewTable(159, "wanted_features", fsm.Spec[wanted]{Key: func(w *wanted) fsm.Key { return fsm.K(w.Name) }, Own: true})

// Want asks that a feature with OnDemand be activated; the leader does so once every
// member reads it. A new cluster wants at once what all its founders read; one that
// was upgraded can be taken back to the older release until somebody needs the feature.
func Want(tx *fsm.Tx, name string) error {
	for _, has := range []func(*fsm.Tx, fsm.Scope, fsm.Key) (bool, error){activations.Has, wishes.Has} {
		if is, err := has(tx, fsm.Global, fsm.K(name)); err != nil || is {
			return err
		}
	}
	return wishes.Put(tx, &wanted{name})
}

// due reports whether the leader should activate the feature now.
func due(tx *fsm.Tx, f Feature) (bool, error) {
	if f.Base {
		return false, nil
	}
	for _, has := range []struct {
		of   func(*fsm.Tx, fsm.Scope, fsm.Key) (bool, error)
		want bool
	}{{activations.Has, false}, {wishes.Has, true}} {
		if has.want && !f.OnDemand {
			continue
		}
		if is, err := has.of(tx, fsm.Global, fsm.K(f.Name)); err != nil || is != has.want {
			return false, err
		}
	}
	return true, nil
}

// useWithin is how long Use waits for the leader.
const useWithin = 10 * time.Second

// Use makes sure that a feature with OnDemand is active, which costs an entry and a
// moment the first time. It waits for members that have not said yet that they read it,
// as in a cluster that has just started, and reports fsm.ErrUnavailable, with the reason,
// if they do not. Nothing is wanted before they do. What is active stays so: the caller need not look again when it writes.
func (k *Keeper) Use(ctx context.Context, name string) error {
	if k.Active(name) {
		return nil
	}
	wait, cancel := context.WithTimeout(ctx, useWithin)
	defer cancel()
	for wanted := false; ; {
		changed := k.cfg.DB.Changed()
		active, missing, err := k.stands(ctx, name)
		if err != nil || active {
			return err
		}
		if len(missing) == 0 && !wanted {
			if err := k.cfg.DB.Update(ctx, func(tx *fsm.Tx) error { return Want(tx, name) }); err != nil {
				return err
			}
			wanted = true
			continue
		}
		select {
		case <-changed:
		case <-wait.Done():
			return notYet(name, missing)
		}
	}
}

// Announced is Newest of the members.
func (k *Keeper) Announced(ctx context.Context) (rev uint64, err error) {
	err = k.cfg.DB.View(ctx, func(tx *fsm.Tx) (err error) {
		rev, err = Newest(tx, k.cfg.Members())
		return err
	})
	return rev, err
}

// stands says whether a feature is active, and which members do not read it.
func (k *Keeper) stands(ctx context.Context, name string) (active bool, missing []string, err error) {
	err = k.cfg.DB.View(ctx, func(tx *fsm.Tx) (err error) {
		if active, err = Active(tx, name); err != nil || active {
			return err
		}
		missing, err = Missing(tx, k.cfg.Members(), name)
		return err
	})
	return active, missing, err
}

// notYet says for whom a feature waits.
func notYet(name string, missing []string) error {
	if len(missing) == 0 {
		return fmt.Errorf("the nodes are about to agree on %s: %w", name, fsm.ErrUnavailable)
	}
	return fmt.Errorf("this needs the present release on every node; not known of %q: %w", missing, fsm.ErrUnavailable)
}
