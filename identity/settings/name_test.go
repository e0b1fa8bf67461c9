package settings_test

import (
	"context"
	"testing"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/settings"
)

// Authenticator apps and passkeys show the name for years: it is never "Default".
func TestNameOf(t *testing.T) {
	t.Parallel()
	db := open(t)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	at := identity.WithTenant(t.Context(), identity.Tenant{ID: ten, Issuer: "https://id.example.com:8443"})
	called := func(ctx context.Context, want string) {
		t.Helper()
		var got string
		must(db.View(ctx, func(tx *fsm.Tx) (err error) {
			got, err = settings.NameOf(tx, ten)
			return err
		}))
		if got != want {
			t.Errorf("called %q, want %q", got, want)
		}
	}
	must(db.Update(t.Context(), directory.EnsureDefault))
	called(at, "id.example.com")
	called(t.Context(), "quis") // of no request
	must(db.Update(t.Context(), func(tx *fsm.Tx) error {
		_, err := directory.UpdateTenant(tx, ten, 0, func(d *directory.Tenant) error { d.Name = "Example House"; return nil })
		return err
	}))
	called(at, "Example House")
	a, rev := get(t, db)
	a.BrandName = "Acme"
	must(put(t, db, rev, *a))
	called(at, "Acme")
}
