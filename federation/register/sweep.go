package register

import (
	"context"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/consent"
	"github.com/quis-idp/quis/fsm"
)

const sweptAtOnce = 200

// Sweep deletes applications that registered themselves and that nobody has allowed
// anything in their time. It runs on the leader.
func Sweep(ctx context.Context, db *fsm.DB) error {
	var due []federation.Application
	err := db.View(ctx, func(tx *fsm.Tx) error {
		for a, err := range federation.Expired(tx) {
			if err != nil || len(due) == sweptAtOnce {
				return err
			}
			used, err := isUsed(tx, a)
			if err != nil {
				return err
			}
			if !used {
				due = append(due, *a)
			}
		}
		return nil
	})
	if err != nil || len(due) == 0 {
		return err
	}
	return db.Update(ctx, func(tx *fsm.Tx) error {
		for i := range due {
			if used, err := isUsed(tx, &due[i]); err != nil || used {
				if err != nil {
					return err
				}
				continue
			}
			if err := federation.Delete(tx, due[i].Tenant, due[i].ID, 0); err != nil {
				return err
			}
		}
		return nil
	})
}

// isUsed reports whether somebody has allowed the application something. Of one that
// asks nobody, or everybody each time, it cannot be known: it stays.
func isUsed(tx *fsm.Tx, a *federation.Application) (bool, error) {
	if a.Consent != federation.ConsentExplicit {
		return true, nil
	}
	given, _, err := consent.ListTo(tx, a.Tenant, a.ID, "", 1)
	return len(given) > 0, err
}
