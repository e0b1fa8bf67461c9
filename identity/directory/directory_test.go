package directory_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/fsm/fsmtest"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
)

const ten = identity.DefaultTenant

func cluster(t testing.TB, n int) *fsmtest.Cluster {
	t.Helper()
	c := fsmtest.NewCluster(t, n, append(append([]fsm.Definition{}, directory.Tables...), event.Tables...)...)
	update(t, c.DB[0], directory.EnsureDefault)
	return c
}

func update(t testing.TB, db *fsm.DB, fn func(tx *fsm.Tx) error) {
	t.Helper()
	if err := db.Update(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

func view(t testing.TB, db *fsm.DB, fn func(tx *fsm.Tx) error) {
	t.Helper()
	if err := db.View(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

func create(t testing.TB, db *fsm.DB, u directory.User) *directory.User {
	t.Helper()
	var made *directory.User
	update(t, db, func(tx *fsm.Tx) (err error) {
		made, err = directory.CreateUser(tx, ten, u)
		return err
	})
	return made
}

func group(t testing.TB, db *fsm.DB, name string) *directory.Group {
	t.Helper()
	var made *directory.Group
	update(t, db, func(tx *fsm.Tx) (err error) {
		made, err = directory.CreateGroup(tx, ten, directory.Group{Name: name})
		return err
	})
	return made
}

func events(t testing.TB, db *fsm.DB, tenant string) []event.Event {
	t.Helper()
	var page []event.Event
	view(t, db, func(tx *fsm.Tx) (err error) {
		page, _, err = event.List(tx, tenant, event.Query{Limit: 500})
		return err
	})
	return page
}

func TestEnsureDefaultOnce(t *testing.T) {
	t.Parallel()
	db := cluster(t, 1).DB[0]
	update(t, db, directory.EnsureDefault)
	view(t, db, func(tx *fsm.Tx) error {
		got, err := directory.TenantBySlug(tx, "")
		if err == nil && got.ID != ten {
			t.Errorf("got %s", got.ID)
		}
		return err
	})
	if n := len(events(t, db, ten)); n != 1 {
		t.Errorf("%d events, want 1", n)
	}
}

func TestTenantLife(t *testing.T) {
	t.Parallel()
	db := cluster(t, 1).DB[0]
	var a *directory.Tenant
	update(t, db, func(tx *fsm.Tx) (err error) {
		a, err = directory.CreateTenant(tx, directory.Tenant{Slug: "acme", Name: " Acme\tInc. "})
		return err
	})
	if a.Name != "Acme Inc." {
		t.Errorf("name is %q", a.Name)
	}
	try := func(want error, fn func(tx *fsm.Tx) error) {
		t.Helper()
		if err := db.Update(t.Context(), fn); !errors.Is(err, want) {
			t.Errorf("got %v, want %v", err, want)
		}
	}
	try(fsm.ErrExists, func(tx *fsm.Tx) error {
		_, err := directory.CreateTenant(tx, directory.Tenant{Slug: "acme", Name: "Other"})
		return err
	})
	try(identity.ErrInvalid, func(tx *fsm.Tx) error {
		_, err := directory.UpdateTenant(tx, ten, 0, func(t *directory.Tenant) error { t.Disabled = true; return nil })
		return err
	})
	try(identity.ErrDenied, func(tx *fsm.Tx) error { return directory.DeleteTenant(tx, ten, 0) })
	try(fsm.ErrNotFound, func(tx *fsm.Tx) error {
		_, err := directory.CreateUser(tx, "ten_nowhere", directory.User{Username: "x"})
		return err
	})
	var u *directory.User
	update(t, db, func(tx *fsm.Tx) (err error) {
		u, err = directory.CreateUser(tx, a.ID, directory.User{Username: "x"})
		return err
	})
	try(identity.ErrDenied, func(tx *fsm.Tx) error { return directory.DeleteTenant(tx, a.ID, 0) })
	try(fsm.ErrNotFound, func(tx *fsm.Tx) error { return directory.DeleteUser(tx, ten, u.ID, 0) }) // another tenant's
	update(t, db, func(tx *fsm.Tx) error {
		return errors.Join(directory.DeleteUser(tx, a.ID, u.ID, 0), directory.DeleteTenant(tx, a.ID, 0))
	})
	view(t, db, func(tx *fsm.Tx) error {
		all, next, err := directory.ListTenants(tx, "", 0)
		if len(all) != 1 || next != "" {
			t.Errorf("%d tenants left, want 1", len(all))
		}
		return err
	})
}

func TestSlugs(t *testing.T) {
	t.Parallel()
	db := cluster(t, 1).DB[0]
	for slug, good := range map[string]bool{
		"a": true, "acme-2": true, strings.Repeat("a", 40): true,
		"": false, strings.Repeat("a", 41): false, "Acme": false, "a_b": false, "-a": false, "a-": false, "a--b": false,
		"admin": false, "t": false, "é": false, "a/b": false, "..": false,
	} {
		err := db.Update(t.Context(), func(tx *fsm.Tx) error {
			_, err := directory.CreateTenant(tx, directory.Tenant{Slug: slug, Name: "x"})
			return err
		})
		if good != (err == nil) || err != nil && !errors.Is(err, identity.ErrInvalid) {
			t.Errorf("%q: got %v", slug, err)
		}
	}
}

func TestUpdateUserByRevision(t *testing.T) {
	t.Parallel()
	c := cluster(t, 2)
	u := create(t, c.DB[0], directory.User{Username: "ann", Email: "a@example.com", EmailVerified: true})
	rename := func(db *fsm.DB, rev uint64, name string) error {
		return db.Update(t.Context(), func(tx *fsm.Tx) error {
			_, err := directory.UpdateUser(tx, ten, u.ID, rev, func(u *directory.User) error { u.Name = name; return nil })
			return err
		})
	}
	revision := func(db *fsm.DB) (rev uint64) {
		view(t, db, func(tx *fsm.Tx) (err error) {
			_, rev, err = directory.GetUser(tx, ten, u.ID)
			return err
		})
		return rev
	}
	first := revision(c.DB[0])
	if err := rename(c.DB[0], first, "One"); err != nil {
		t.Fatal(err)
	}
	if err := rename(c.DB[1], first, "Two"); !errors.Is(err, identity.ErrPrecondition) {
		t.Errorf("old revision: got %v, want ErrPrecondition", err)
	}
	if err := rename(c.DB[1], revision(c.DB[0])+1000, "Two"); !errors.Is(err, identity.ErrPrecondition) {
		t.Errorf("invented revision: got %v, want ErrPrecondition", err)
	}
	// A node that lags must not take a new revision for a wrong one.
	c.Pause(1)
	if err := rename(c.DB[0], 0, "Three"); err != nil {
		t.Fatal(err)
	}
	if err := rename(c.DB[1], revision(c.DB[0]), "Four"); err != nil {
		t.Errorf("revision ahead of the node: %v", err)
	}
}

func TestUpdateUserEvents(t *testing.T) {
	t.Parallel()
	c := cluster(t, 1)
	db := c.DB[0]
	u := create(t, db, directory.User{Username: "ann", Email: "a@example.com", EmailVerified: true})
	edit := func(change func(u *directory.User)) {
		update(t, db, func(tx *fsm.Tx) error {
			_, err := directory.UpdateUser(tx, ten, u.ID, 0, func(u *directory.User) error { change(u); return nil })
			return err
		})
	}
	before := c.Entries()
	edit(func(u *directory.User) { u.Name = ""; u.ID = "usr_other"; u.Tenant = "b" })
	if got := c.Entries() - before; got != 0 {
		t.Errorf("no change wrote %d entries", got)
	}
	edit(func(u *directory.User) { u.Admin, u.Email = true, "b@example.com" })
	want := []event.Change{
		{Field: "email", Before: "a@example.com", After: "b@example.com"},
		{Field: "email_verified", Before: "true", After: "false"},
		{Field: "admin", Before: "false", After: "true"},
	}
	got := events(t, db, ten)[0]
	if diff := cmp.Diff(want, got.Changes); diff != "" || got.Type != event.UserUpdated || got.Target.ID != u.ID {
		t.Errorf("%s of %s: %s", got.Type, got.Target.ID, diff)
	}
	edit(func(u *directory.User) { u.Email, u.EmailVerified = "c@example.com", true })
	view(t, db, func(tx *fsm.Tx) error {
		u, _, err := directory.GetUser(tx, ten, u.ID)
		if err == nil && !u.EmailVerified {
			t.Error("an address said to be verified is not")
		}
		return err
	})
}
