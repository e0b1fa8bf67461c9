package directory_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
)

func join(t testing.TB, db *fsm.DB, g, u string) {
	t.Helper()
	update(t, db, func(tx *fsm.Tx) error { return directory.AddMember(tx, ten, g, u) })
}

func groupsOf(t testing.TB, db *fsm.DB, user string) (names []string) {
	t.Helper()
	view(t, db, func(tx *fsm.Tx) error {
		gs, err := directory.GroupsOf(tx, ten, user)
		for _, g := range gs {
			names = append(names, g.Name)
		}
		return err
	})
	return names
}

func membersOf(t testing.TB, db *fsm.DB, g string, limit int) (names []string) {
	t.Helper()
	for after := ""; ; {
		view(t, db, func(tx *fsm.Tx) error {
			us, next, err := directory.MembersOf(tx, ten, g, after, limit)
			for _, u := range us {
				names = append(names, u.Username)
			}
			after = next
			return err
		})
		if after == "" {
			return names
		}
	}
}

func TestMembershipBothWays(t *testing.T) {
	t.Parallel()
	c := cluster(t, 1)
	db := c.DB[0]
	ann, bob := create(t, db, directory.User{Username: "ann"}), create(t, db, directory.User{Username: "bob"})
	eng, ops := group(t, db, "eng"), group(t, db, "ops")
	join(t, db, eng.ID, ann.ID)
	join(t, db, eng.ID, bob.ID)
	join(t, db, ops.ID, ann.ID)
	before := c.Entries()
	join(t, db, ops.ID, ann.ID)
	if c.Entries() != before {
		t.Error("joining twice wrote something")
	}
	if diff := cmp.Diff([]string{"eng", "ops"}, groupsOf(t, db, ann.ID)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"ann", "bob"}, membersOf(t, db, eng.ID, 1)); diff != "" {
		t.Error(diff)
	}
	update(t, db, func(tx *fsm.Tx) error { return directory.RemoveMember(tx, ten, eng.ID, ann.ID) })
	if diff := cmp.Diff([]string{"bob"}, membersOf(t, db, eng.ID, 50)); diff != "" {
		t.Error(diff)
	}
	got := events(t, db, ten)[0]
	if got.Type != event.GroupMemberRemoved || got.Data["user_id"] != ann.ID || got.Target.Name != "eng" {
		t.Errorf("%+v", got)
	}
	update(t, db, func(tx *fsm.Tx) error { return directory.DeleteUser(tx, ten, ann.ID, 0) })
	if got := membersOf(t, db, ops.ID, 50); got != nil {
		t.Errorf("the deleted user is still in ops: %v", got)
	}
	update(t, db, func(tx *fsm.Tx) error { return directory.DeleteGroup(tx, ten, eng.ID, 0) })
	if got := groupsOf(t, db, bob.ID); got != nil {
		t.Errorf("bob is still in %v", got)
	}
	err := db.View(t.Context(), func(tx *fsm.Tx) error {
		_, _, err := directory.MembersOf(tx, ten, eng.ID, "", 0)
		return err
	})
	if !errors.Is(err, fsm.ErrNotFound) {
		t.Errorf("members of a deleted group: got %v, want ErrNotFound", err)
	}
	for _, pair := range [][2]string{{eng.ID, bob.ID}, {ops.ID, ann.ID}} {
		err := db.Update(t.Context(), func(tx *fsm.Tx) error { return directory.AddMember(tx, ten, pair[0], pair[1]) })
		if !errors.Is(err, fsm.ErrNotFound) {
			t.Errorf("joining what is gone: got %v, want ErrNotFound", err)
		}
	}
}

func TestGroupNames(t *testing.T) {
	t.Parallel()
	db := cluster(t, 1).DB[0]
	g := group(t, db, "Straße")
	for name, want := range map[string]error{"STRASSE": fsm.ErrExists, "": identity.ErrInvalid, "  ": identity.ErrInvalid, "Strasse 2": nil} {
		err := db.Update(t.Context(), func(tx *fsm.Tx) error {
			_, err := directory.CreateGroup(tx, ten, directory.Group{Name: name})
			return err
		})
		if !errors.Is(err, want) {
			t.Errorf("%q: got %v, want %v", name, err, want)
		}
	}
	view(t, db, func(tx *fsm.Tx) error {
		gs, _, err := directory.ListGroups(tx, ten, "stras", "", 0)
		if len(gs) != 2 {
			t.Errorf("%d groups begin with stras, want 2", len(gs))
		}
		return err
	})
	update(t, db, func(tx *fsm.Tx) error {
		_, err := directory.UpdateGroup(tx, ten, g.ID, 0, func(g *directory.Group) error { g.Name = "strasse"; return nil })
		return err
	})
}

// A member who joins while the group is being deleted must not stay behind.
func TestJoinRacesDelete(t *testing.T) {
	t.Parallel()
	c := cluster(t, 2)
	u, g := create(t, c.DB[0], directory.User{Username: "ann"}), group(t, c.DB[0], "eng")
	deleted := false
	err := c.DB[1].Update(t.Context(), func(tx *fsm.Tx) error {
		err := directory.AddMember(tx, ten, g.ID, u.ID)
		if !deleted {
			deleted = true
			update(t, c.DB[0], func(tx *fsm.Tx) error { return directory.DeleteGroup(tx, ten, g.ID, 0) })
		}
		return err
	})
	if !errors.Is(err, fsm.ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
}

func TestDeletingALargeGroup(t *testing.T) {
	t.Parallel()
	c := cluster(t, 1)
	db := c.DB[0]
	g, other := group(t, db, "all"), group(t, db, "other")
	const n = 700
	var ids []string
	for i := 0; i < n; i += 100 {
		update(t, db, func(tx *fsm.Tx) error {
			for k := range 100 {
				u, err := directory.CreateUser(tx, ten, directory.User{Username: fmt.Sprint("u", i+k)})
				if err != nil {
					return err
				}
				if err := directory.AddMember(tx, ten, g.ID, u.ID); err != nil {
					return err
				}
				ids = append(ids, u.ID)
			}
			return nil
		})
	}
	join(t, db, other.ID, ids[n-1])
	update(t, db, func(tx *fsm.Tx) error { return directory.DeleteGroup(tx, ten, g.ID, 0) })
	if diff := cmp.Diff([]string{"other"}, groupsOf(t, db, ids[n-1])); diff != "" {
		t.Error(diff)
	}
	before := c.Entries()
	if err := directory.Sweep(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	if got := c.Entries() - before; got != 2 { // 700 = 300 at once + 300 + 100
		t.Errorf("sweep took %d entries, want 2", got)
	}
	if err := directory.Sweep(t.Context(), db); err != nil || c.Entries() != before+2 {
		t.Errorf("a second sweep wrote: %v", err)
	}
}
