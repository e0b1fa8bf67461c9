package roster

import (
	"context"
	"fmt"

	"github.com/hashicorp/raft"

	"github.com/quis-idp/quis/cluster/feature"
	"github.com/quis-idp/quis/cluster/form"
	"github.com/quis-idp/quis/fsm"
)

// Dismiss takes a member out of the configuration and makes its certificates worthless.
// It is for the leader, with Changing held. While a member's release does not know of
// revocations, there are none: if that one led, it would sign certificates without a number.
func (r *Roster) Dismiss(ctx context.Context, id string) error {
	known, err := r.allRevoke(ctx)
	if err == nil && known {
		err = form.BeginRevocation(ctx, r.cfg.DB, id)
	}
	if err != nil {
		return fmt.Errorf("remove node %s: %w", id, err)
	}
	if err := wait(ctx, r.life.raft.RemoveServer(raft.ServerID(id), 0, r.cfg.Timeout)); err != nil {
		return fmt.Errorf("remove node %s: %w", id, err)
	}
	// Not before: what is signed while it is still a member must be worthless, too.
	if err := form.EndRevocation(ctx, r.cfg.DB, id); err != nil {
		return fmt.Errorf("revoke the certificates of node %s: %w", id, err)
	}
	return nil
}

// allRevoke says whether every member knows of revocations.
func (r *Roster) allRevoke(ctx context.Context) (all bool, err error) {
	var ids []string
	for _, s := range r.Servers() {
		ids = append(ids, string(s.ID))
	}
	err = r.cfg.DB.View(ctx, func(tx *fsm.Tx) (err error) {
		all, err = feature.All(tx, ids, feature.Revocation)
		return err
	})
	return all, err
}

// settle ends the revocations that a leader began and did not come to end.
func (r *Roster) settle(ctx context.Context) {
	pending, err := form.PendingRevocations(ctx, r.cfg.DB)
	if err != nil || len(pending) == 0 {
		return
	}
	r.cfg.Changing.Lock()
	defer r.cfg.Changing.Unlock()
	for _, id := range pending {
		if r.IsMember(id) {
			continue
		}
		if err := form.EndRevocation(ctx, r.cfg.DB, id); err != nil && ctx.Err() == nil {
			r.log.Warn("certificates of a removed node not revoked yet", "member", id, "error", err)
		}
	}
}
