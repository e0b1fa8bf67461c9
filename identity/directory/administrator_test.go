package directory_test

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/fsm/fsmtest"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/directory"
)

// losses are how an administrator stops being one.
var losses = map[string]func(tx *fsm.Tx, tenant, id string) error{
	"deleted":  func(tx *fsm.Tx, tenant, id string) error { return directory.DeleteUser(tx, tenant, id, 0) },
	"disabled": changing(func(u *directory.User) { u.Disabled = true }),
	"demoted":  changing(func(u *directory.User) { u.Admin = false }),
}

func changing(change func(*directory.User)) func(tx *fsm.Tx, tenant, id string) error {
	return func(tx *fsm.Tx, tenant, id string) error {
		_, err := directory.UpdateUser(tx, tenant, id, 0, func(u *directory.User) error { change(u); return nil })
		return err
	}
}

func administered(t *testing.T, db *fsm.DB) (yes bool) {
	t.Helper()
	err := db.Read(t.Context(), func(tx *fsm.Tx) (err error) {
		yes, err = directory.Administered(tx, ten)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return yes
}

func TestTheLastAdministratorStays(t *testing.T) {
	t.Parallel()
	for name, lose := range losses {
		db := cluster(t, 1).DB[0]
		create(t, db, directory.User{Username: "plain"})
		create(t, db, directory.User{Username: "away", Admin: true, Disabled: true})
		if administered(t, db) {
			t.Fatal("administered by nobody")
		}
		root := create(t, db, directory.User{Username: "root", Admin: true})
		refused := func() {
			t.Helper()
			err := db.Update(t.Context(), func(tx *fsm.Tx) error { return lose(tx, ten, root.ID) })
			if !errors.Is(err, identity.ErrDenied) || !strings.Contains(err.Error(), "root is the last administrator") {
				t.Errorf("%s: %v", name, err)
			}
			if !administered(t, db) {
				t.Errorf("%s: nobody is left", name)
			}
		}
		refused()
		second := create(t, db, directory.User{Username: "second", Admin: true})
		update(t, db, func(tx *fsm.Tx) error { return lose(tx, ten, second.ID) })
		refused()
		create(t, db, directory.User{Username: "third", Admin: true})
		update(t, db, func(tx *fsm.Tx) error { return lose(tx, ten, root.ID) })
	}
}

// Other changes of the last administrator go on, and another tenant is administered from the default one.
func TestOnlyTheLastOneOfTheInstallationStays(t *testing.T) {
	t.Parallel()
	db := cluster(t, 1).DB[0]
	root := create(t, db, directory.User{Username: "root", Admin: true})
	update(t, db, func(tx *fsm.Tx) error { return changing(func(u *directory.User) { u.Name = "Root" })(tx, ten, root.ID) })
	for name, lose := range losses {
		update(t, db, func(tx *fsm.Tx) error {
			a, err := directory.CreateTenant(tx, directory.Tenant{Slug: name, Name: name})
			if err != nil {
				return err
			}
			boss, err := directory.CreateUser(tx, a.ID, directory.User{Username: "boss", Admin: true})
			if err != nil {
				return err
			}
			return lose(tx, a.ID, boss.ID)
		})
	}
}

// A node that does not know of the other administrator yet looks again.
func TestTheLastAdministratorIsNotTheLastOfANodeThatIsBehind(t *testing.T) {
	t.Parallel()
	c := cluster(t, 2)
	ann := administrator(t, c, "ann", true)
	c.Pause(1)
	create(t, c.DB[0], directory.User{Username: "bob", Admin: true})
	behind := true
	err := c.DB[1].Update(t.Context(), func(tx *fsm.Tx) error {
		err := directory.DeleteUser(tx, ten, ann, 0)
		if behind {
			behind = false
			if !errors.Is(err, identity.ErrDenied) {
				t.Errorf("the node is not behind: %v", err)
			}
			c.Resume(t, 1)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// Two administrators on two nodes who remove each other at once leave one of them.
func TestTwoAdministratorsRemoveEachOther(t *testing.T) {
	t.Parallel()
	for name, lose := range losses {
		for _, indexed := range []bool{true, false} {
			c := cluster(t, 3)
			pair := make([]string, 2)
			for i, name := range []string{"ann", "bob"} {
				pair[i] = administrator(t, c, name, indexed)
			}
			var both, done sync.WaitGroup // both have looked before either has written
			both.Add(2)
			errs := make([]error, 2)
			for i, other := range []string{pair[1], pair[0]} {
				done.Go(func() {
					first := true
					errs[i] = c.DB[i].Update(t.Context(), func(tx *fsm.Tx) error {
						err := lose(tx, ten, other)
						if first {
							first = false
							both.Done()
							both.Wait()
						}
						return err
					})
				})
			}
			done.Wait()
			if (errs[0] == nil) == (errs[1] == nil) || !errors.Is(errors.Join(errs...), identity.ErrDenied) {
				t.Errorf("%s, indexed %v: %v", name, indexed, errs)
			}
			if !administered(t, c.DB[0]) {
				t.Errorf("%s, indexed %v: nobody is left", name, indexed)
			}
		}
	}
}

// bare are rows of users as they were before it was kept who administers.
var bare = fsm.NewTable(41, "users", fsm.Spec[directory.User]{
	Scope: func(u *directory.User) fsm.Scope { return fsm.Scope(u.Tenant) },
	Key:   func(u *directory.User) fsm.Key { return fsm.K(u.ID) },
})

// administrator makes one whom every node knows.
func administrator(t *testing.T, c *fsmtest.Cluster, name string, indexed bool) (id string) {
	t.Helper()
	u := create(t, c.DB[0], directory.User{Username: name, Admin: true})
	if !indexed {
		update(t, c.DB[0], func(tx *fsm.Tx) error { return bare.Put(tx, u) })
	}
	for _, db := range c.DB {
		if !administered(t, db) {
			t.Fatal("nobody administers")
		}
	}
	return u.ID
}
