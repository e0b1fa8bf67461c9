package notify

import (
	"errors"

	"github.com/quis-idp/quis/fsm"
)

// DeleteAllOf forgets what is kept of a user that is gone. Notices that wait for them are not
// sent, and expire.
func DeleteAllOf(tx *fsm.Tx, tenant, user string) error {
	return forget(tx, tenant, fsm.Prefix(fsm.K(user)))
}

// deletedAtOnce bounds a transaction.
const deletedAtOnce = 1000

// DeleteTenant forgets what is kept of a tenant that is being deleted: how it sent mail, its
// people's browsers and its notices; of very many notices, the rest expires within days.
func DeleteTenant(tx *fsm.Tx, tenant string) error {
	if err := mailSettings.Delete(tx, fsm.Scope(tenant), settingsKey); err != nil {
		return err
	}
	var ids []string
	for d, err := range deliveries.List(tx, fsm.Scope(tenant)) {
		if err != nil {
			return err
		}
		if ids = append(ids, d.ID); len(ids) == deletedAtOnce {
			break
		}
	}
	for _, id := range ids {
		if err := deliveries.Delete(tx, fsm.Scope(tenant), fsm.K(id)); err != nil {
			return err
		}
	}
	return forget(tx, tenant)
}

func forget(tx *fsm.Tx, tenant string, which ...fsm.ListOption) error {
	var all []*browser
	for b, err := range browsers.List(tx, fsm.Scope(tenant), which...) {
		if err != nil {
			return err
		}
		all = append(all, b)
	}
	for _, b := range all {
		err := browsers.Delete(tx, fsm.Scope(tenant), fsm.K(b.UserID, string(b.Hash)))
		if err != nil && !errors.Is(err, fsm.ErrNotFound) {
			return err
		}
	}
	return nil
}
