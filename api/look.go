package api

import (
	"context"
	"log/slog"

	"github.com/quis-idp/quis/api/page"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/settings"
)

// TenantLook reads from db what tenants have decided about their pages. Without an answer
// they look like ours: a page about a fault must not fail by it.
func TenantLook(db *fsm.DB) func(context.Context) page.Look {
	return func(ctx context.Context) (look page.Look) {
		err := db.View(ctx, func(tx *fsm.Tx) error {
			a, _, err := settings.Get(tx, identity.TenantFrom(ctx).ID)
			if err != nil {
				return err
			}
			look = page.Look{Name: a.BrandName, Color: a.BrandColor}
			look.Languages, look.Default = a.Spoken()
			return nil
		})
		if err != nil {
			slog.WarnContext(ctx, "pages look like ours: the tenant's settings cannot be read", "error", err)
		}
		return look
	}
}
