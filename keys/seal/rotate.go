package seal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/quis-idp/quis/fsm"
)

// Rotate adds a sealing key, which all nodes begin to use 30 seconds later. Older
// keys go on opening. Of several nodes that rotate at once, one adds a key.
func (r *Ring) Rotate(ctx context.Context) error {
	if err := r.look(ctx); err != nil {
		return fmt.Errorf("rotate sealing key: %w", err)
	}
	before := r.keys.Load().newest
	err := r.db.Update(ctx, func(tx *fsm.Tx) error {
		newest, err := newestKey(tx)
		if err != nil {
			return err
		}
		if newest > before {
			return nil // another node was first
		}
		return addKey(tx, r.wrapper, newest+1, tx.Now().Add(settling))
	})
	if err != nil {
		return fmt.Errorf("rotate sealing key: %w", err)
	}
	return r.look(ctx)
}

func newestKey(tx *fsm.Tx) (uint32, error) {
	for k, err := range sealingKeys.List(tx, fsm.Global, fsm.Reverse()) {
		if err != nil {
			return 0, err
		}
		return k.ID, nil
	}
	return 0, fmt.Errorf("the ring is empty: %w", fsm.ErrUnavailable)
}

// RotateOlder is Rotate if the newest key is older than age: the body of a duty.
func (r *Ring) RotateOlder(ctx context.Context, age time.Duration) error {
	due := false
	err := r.db.View(ctx, func(tx *fsm.Tx) error {
		for k, err := range sealingKeys.List(tx, fsm.Global, fsm.Reverse()) {
			due = err == nil && tx.Now().Sub(k.Created) > age
			return err
		}
		return nil
	})
	if err != nil || !due {
		return err
	}
	return r.Rotate(ctx)
}

// Retire removes sealing keys that were superseded longer ago than keep and returns
// their ids. Whatever they sealed is then lost for good, so inUse must answer for all
// rooms that store boxes or MACs; a key it claims stays. The newest settled key always stays.
func (r *Ring) Retire(ctx context.Context, keep time.Duration, inUse func(tx *fsm.Tx, id uint32) (bool, error)) ([]uint32, error) {
	if inUse == nil {
		return nil, errors.New("retire sealing keys: nobody says which are in use")
	}
	var gone []uint32
	err := r.db.Update(ctx, func(tx *fsm.Tx) error {
		gone = nil
		var older *sealingKey
		for k, err := range sealingKeys.List(tx, fsm.Global) {
			if err != nil {
				return err
			}
			// A key is superseded when its successor comes into use.
			if older != nil && tx.Now().Sub(k.NotBefore) > keep {
				used, err := inUse(tx, older.ID)
				if err != nil {
					return err
				}
				if !used {
					gone = append(gone, older.ID)
				}
			}
			older = k
		}
		for _, id := range gone {
			if err := sealingKeys.Delete(tx, fsm.Global, fsm.Key("").Uint(uint64(id))); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("retire sealing keys: %w", err)
	}
	return gone, r.look(ctx)
}
