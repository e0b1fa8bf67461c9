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
// moment the first time. It reports fsm.ErrUnavailable, with the reason, while a member
// does not read it. What is active stays so: the caller need not look again when it writes.
func (k *Keeper) Use(ctx context.Context, name string) error {
	if k.Active(name) {
		return nil
	}
	err := k.cfg.DB.Update(ctx, func(tx *fsm.Tx) error {
		missing, err := Missing(tx, k.cfg.Members(), name)
		if err != nil {
			return err
		}
		if len(missing) > 0 {
			return fmt.Errorf("this needs the present release on every node, and %q runs an older one: %w", missing, fsm.ErrUnavailable)
		}
		return Want(tx, name)
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, useWithin)
	defer cancel()
	for {
		changed := k.cfg.DB.Changed()
		active := false
		err := k.cfg.DB.View(ctx, func(tx *fsm.Tx) (err error) {
			active, err = Active(tx, name)
			return err
		})
		if err != nil || active {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("the cluster has not agreed on %s yet: %w", name, fsm.ErrUnavailable)
		}
	}
}
