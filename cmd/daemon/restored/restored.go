// Package restored does what follows the restore of a backup.
//
// What must hold from the first request on is in the restored state itself (package
// keys/seal); what is here comes a moment later, from whichever node leads, and may
// be begun twice: it is noted as done in one transaction with the event that tells of it.
// Until then no node is ready or grants anything (seal.Settled), for it voids whatever
// was granted before. So it must never run beside itself: it is a duty, fenced by the term.
package restored

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/keys"
	"github.com/quis-idp/quis/keys/seal"
)

// Settle does what follows the restore of a backup, once: the signing keys of
// before are gone, those too that had been destroyed after the backup was made, and
// the record of events says what happened. What is sealed is void without it.
func Settle(ctx context.Context, db *fsm.DB, ring *keys.Keys) error {
	var r *seal.Restoration
	err := db.View(ctx, func(tx *fsm.Tx) (err error) {
		r, err = seal.LatestRestoration(tx)
		return err
	})
	if errors.Is(err, fsm.ErrNotFound) || err == nil && (r.Done || r.Awaits != "") {
		return nil
	}
	if err != nil {
		return err
	}
	if err := replaceSigningKeys(ctx, db, ring); err != nil {
		return fmt.Errorf("after a restore: %w", err)
	}
	return db.Update(ctx, func(tx *fsm.Tx) error {
		now, err := seal.LatestRestoration(tx)
		if err != nil || now.Done || !bytes.Equal(now.ID, r.ID) {
			return err // another restore has come between: once more, from the beginning
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

func replaceSigningKeys(ctx context.Context, db *fsm.DB, ring *keys.Keys) error {
	for after := ""; ; {
		var tenants []directory.Tenant
		err := db.View(ctx, func(tx *fsm.Tx) (err error) {
			tenants, after, err = directory.ListTenants(tx, after, 100)
			return err
		})
		if err != nil {
			return err
		}
		for _, t := range tenants {
			have, err := ring.List(ctx, t.ID)
			if err != nil {
				return err
			}
			done := map[keys.Alg]bool{}
			for _, k := range have {
				if k.State == keys.Gone || done[k.Alg] {
					continue
				}
				done[k.Alg] = true
				if err := ring.RotateEmergency(ctx, t.ID, k.Alg); err != nil {
					return err
				}
			}
		}
		if after == "" {
			return nil
		}
	}
}
