package claim

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/fsm/fsmtest"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
)

func TestRoles(t *testing.T) {
	t.Parallel()
	var all []fsm.Definition
	for _, tables := range [][]fsm.Definition{directory.Tables, event.Tables, Tables} {
		all = append(all, tables...)
	}
	c := fsmtest.NewCluster(t, 1, all...)
	app := App{Tenant: identity.DefaultTenant, ID: "app_1", ClientID: "web", Name: "Web"}
	update := func(fn func(tx *fsm.Tx) error) error { return c.DB[0].Update(t.Context(), fn) }
	var user *directory.User
	var group *directory.Group
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(update(func(tx *fsm.Tx) (err error) {
		if err = directory.EnsureDefault(tx); err != nil {
			return err
		}
		if user, err = directory.CreateUser(tx, app.Tenant, directory.User{Username: "ann"}); err != nil {
			return err
		}
		if group, err = directory.CreateGroup(tx, app.Tenant, directory.Group{Name: "staff"}); err != nil {
			return err
		}
		return directory.AddMember(tx, app.Tenant, group.ID, user.ID)
	}))
	assign := func(r Role) error { return update(func(tx *fsm.Tx) error { return Assign(tx, app, r) }) }
	must(assign(Role{Kind: KindUser, Target: user.ID, Role: "writer", Key: "level"}))
	must(assign(Role{Kind: KindGroup, Target: group.ID, Role: "reader", Key: "level"}))
	before := c.Entries()
	must(assign(Role{Kind: KindGroup, Target: group.ID, Role: "reader", Key: "level"}))
	if n := c.Entries() - before; n != 0 {
		t.Errorf("a role that is there already cost %d entries", n)
	}
	for _, r := range []Role{
		{Kind: "robot", Target: user.ID, Role: "x"}, {Kind: KindUser, Target: user.ID}, {Kind: KindUser, Target: user.ID, Role: "a\nb"},
		{Kind: KindUser, Target: user.ID, Role: "x", Key: "no spaces"}, {Kind: KindUser, Target: user.ID, Role: "x", Key: "email"},
	} {
		if err := assign(r); !errors.Is(err, identity.ErrInvalid) {
			t.Errorf("%v: %v", r, err)
		}
	}
	if err := assign(Role{Kind: KindGroup, Target: user.ID, Role: "x"}); !errors.Is(err, fsm.ErrNotFound) {
		t.Errorf("a role for nobody: %v", err)
	}
	have := func(application string) (names []string) {
		must(c.DB[0].View(t.Context(), func(tx *fsm.Tx) error {
			groups, err := directory.GroupsOf(tx, app.Tenant, user.ID)
			if err != nil {
				return err
			}
			list, err := RolesOf(tx, app.Tenant, application, user.ID, groups)
			names = RoleNames(list)
			return err
		}))
		return names
	}
	if d := cmp.Diff([]string{"reader", "writer"}, have("app_1")); d != "" {
		t.Error(d)
	}
	if got := have("app_2"); len(got) != 0 {
		t.Errorf("roles of another application: %v", got)
	}
	must(update(func(tx *fsm.Tx) error {
		return Withdraw(tx, app, Role{Kind: KindUser, Target: user.ID, Role: "writer"})
	}))
	if err := update(func(tx *fsm.Tx) error {
		return Withdraw(tx, app, Role{Kind: KindUser, Target: user.ID, Role: "writer"})
	}); !errors.Is(err, fsm.ErrNotFound) {
		t.Errorf("taken back twice: %v", err)
	}
	if d := cmp.Diff([]string{"reader"}, have("app_1")); d != "" {
		t.Error(d)
	}
	for i := range maxTarget {
		must(assign(Role{Kind: KindUser, Target: user.ID, Role: fmt.Sprint("r", i)}))
	}
	if err := assign(Role{Kind: KindUser, Target: user.ID, Role: "one more"}); !errors.Is(err, identity.ErrInvalid) {
		t.Errorf("more than %d roles: %v", maxTarget, err)
	}
	must(update(func(tx *fsm.Tx) error { return Clear(tx, app.Tenant, app.ID) }))
	if got := have("app_1"); len(got) != 0 {
		t.Errorf("left after the application: %v", got)
	}
}
