package backup

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/keys/seal"
)

// Opener returns the fingerprint of that of root's keys which the secret of the schedule
// is wrapped under, empty for one that root does not know. Without a secret ok is false.
func Opener(tx *fsm.Tx, root *seal.RootKey) (id string, ok bool, err error) {
	s, err := LoadSchedule(tx)
	if errors.Is(err, fsm.ErrNotFound) || err == nil && len(s.Sealed) == 0 {
		return "", false, nil
	}
	if err != nil {
		return "", false, err
	}
	return root.Opener(s.Sealed, secretContext), true, nil
}

// Rewrap brings the secret of the schedule under root's key in use. One that none of
// root's keys opens stays as it is: it has to be given again.
func Rewrap(tx *fsm.Tx, root *seal.RootKey) (news bool, err error) {
	s, err := LoadSchedule(tx)
	if errors.Is(err, fsm.ErrNotFound) {
		return false, nil
	}
	if err != nil || root.Opener(s.Sealed, secretContext) == "" {
		return false, err
	}
	next := *s
	if next.Sealed, news, err = root.Rewrap(s.Sealed, secretContext); err != nil || !news {
		return false, err
	}
	return true, schedules.Put(tx, &next)
}

// everybodyKnows refuses data that a member could not read: it has dropped a former root
// key already.
func (k *Keeper) everybodyKnows(ctx context.Context, root string) error {
	if len(k.Root.IDs()) == 1 {
		return nil // and others know at least that
	}
	for _, m := range k.Node.Stands(ctx) {
		if m.Stand == nil || !slices.Contains(m.Stand.Roots, root) {
			return fmt.Errorf("the backup needs root key %s, which node %s does not know or does not say: put the same root key file on every node: %w", root, m.Node, fsm.ErrRefused)
		}
	}
	return nil
}
