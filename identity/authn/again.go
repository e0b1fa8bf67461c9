package authn

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/keys/seal"
)

// An Ended flow is one of this browser's that has run out of time, or has made its session.
type Ended struct {
	ReturnTo string // the need's: who goes there begins anew, or goes on with the session that was made
	Used     bool   // it has made its session
}

// Ended tells whoever comes back to a flow that is dead how they can go on. It is nil for a
// flow that is alive, belongs to another browser, or was never one: of those nothing is known. Nor has who
// comes after Need.Until anywhere to go.
func (fs *Flows) Ended(ctx context.Context, sealed, binding string) (*Ended, error) {
	f, err := fs.open(identity.TenantFrom(ctx).ID, sealed)
	if errors.Is(err, ErrDeadFlow) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if hash := sha256.Sum256([]byte(binding)); f.Bound() && subtle.ConstantTimeCompare(hash[:], f.Binding) != 1 {
		return nil, nil
	}
	var e *Ended
	err = fs.cfg.DB.View(ctx, func(tx *fsm.Tx) error {
		e = nil
		if err := seal.Check(tx, f.epoch); errors.Is(err, seal.ErrBox) {
			return nil
		} else if err != nil {
			return err
		}
		used, err := spent.Has(tx, fsm.Scope(f.Need.Tenant), fsm.K(f.ID))
		if err != nil {
			return err
		}
		if until := f.Need.Until; !until.IsZero() && !tx.Now().Before(until) {
			return nil
		}
		if used || !tx.Now().Before(f.Expires) {
			e = &Ended{ReturnTo: f.Need.ReturnTo, Used: used}
		}
		return nil
	})
	return e, err
}
