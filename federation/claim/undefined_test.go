package claim

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/fsm/fsmtest"
	"github.com/quis-idp/quis/identity"
)

// TestUndefinedVariables: neither standard, nor literal text, nor the key of a role of this application.
func TestUndefinedVariables(t *testing.T) {
	t.Parallel()
	db := fsmtest.New(t, Tables...)
	app := App{Tenant: identity.DefaultTenant, ID: "app_1"}
	for _, r := range []Role{
		{Tenant: app.Tenant, Application: app.ID, Kind: KindUser, Target: "usr_1", Role: "5", Key: "level"},
		{Tenant: app.Tenant, Application: "app_2", Kind: KindUser, Target: "usr_1", Role: "it", Key: "dept"},
	} {
		if err := db.Update(t.Context(), func(tx *fsm.Tx) error { return roles.Put(tx, &r) }); err != nil {
			t.Fatal(err)
		}
	}
	mappings := []Mapping{
		{Claim: "a", Value: "${email} ${level} ${levle} ${levle}"}, {Claim: "b", Value: "${groups} ${not a variable}"}, {Claim: "c", Value: "x-${dept}"},
	}
	var got []Unknown
	err := db.View(t.Context(), func(tx *fsm.Tx) (err error) {
		got, err = Undefined(tx, app, mappings)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Unknown{{"a", "levle"}, {"c", "dept"}}, got); diff != "" {
		t.Error(diff)
	}
}
