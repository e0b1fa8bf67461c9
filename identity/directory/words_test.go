package directory_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/directory"
)

// found is who a search finds, by pages of that many, in order.
func found(t *testing.T, db *fsm.DB, search string, limit int) (names []string) {
	t.Helper()
	q := directory.UserQuery{Search: search, Limit: limit}
	for {
		var page []directory.User
		view(t, db, func(tx *fsm.Tx) (err error) {
			page, q.After, err = directory.ListUsers(tx, ten, q)
			return err
		})
		for _, u := range page {
			names = append(names, u.Username)
		}
		if q.After == "" {
			return names
		}
		if len(page) > limit {
			t.Fatalf("a page of %d, at most %d", len(page), limit)
		}
	}
}

// crowd makes n users, a hundred in an entry.
func crowd(t testing.TB, db *fsm.DB, n int, of func(i int) directory.User) {
	t.Helper()
	for from := 0; from < n; from += 100 {
		update(t, db, func(tx *fsm.Tx) error {
			for i := from; i < min(from+100, n); i++ {
				if _, err := directory.CreateUser(tx, ten, of(i)); err != nil {
					return err
				}
			}
			return nil
		})
	}
}

func TestUsersAreFoundByTheirNames(t *testing.T) {
	t.Parallel()
	c := cluster(t, 2)
	for _, u := range []directory.User{
		{Username: "u1", Name: "Ada Lovelace", GivenName: "Ada", FamilyName: "Lovelace", Email: "u1@example.com"},
		{Username: "u2", Name: "Zoë Müller-Łuczak"}, {Username: "u3", GivenName: "Adam", FamilyName: "Adamczyk"},
		{Username: "adam4", Name: "Adam Who Is Found By Username"}, {Username: "u5", Name: "Adele", Email: "adele@example.com"},
		{Username: "u6", Name: "山田 太郎"}, {Username: "u7", Name: "ΜΑΡΊΑ Παπαδοπούλου"}, {Username: "u8", Name: "O’Brien, Straße"},
		{Username: "u9", Name: strings.Repeat("longname", 20) + " Short"}, {Username: "u10", Name: "김철수"},
	} {
		create(t, c.DB[0], u)
	}
	for search, want := range map[string][]string{
		"ada": {"adam4", "u1", "u3"}, "ADA": {"adam4", "u1", "u3"}, "ad": {"adam4", "u5", "u1", "u3"}, "lovel": {"u1"},
		"ada lo": {"u1"}, "lovelace ada": {"u1"}, "ada x": nil, "velace": nil, "adamczyk, adam": {"u3"},
		"zoe": {"u2"}, "zoé": {"u2"}, "muller": {"u2"}, "łucz": {"u2"}, "lucz": {"u2"}, "mu łu zo": {"u2"},
		"山": {"u6"}, "太郎": {"u6"}, "μαρια": {"u7"}, "παπα": {"u7"}, "brien": {"u8"}, "strasse": {"u8"}, "straß": {"u8"},
		strings.Repeat("longname", 20): {"u9"}, strings.Repeat("longname", 10) + "x": nil, "short": {"u9"}, "김": {"u10"},
		"lovelace@": nil, "’": nil,
	} {
		for _, limit := range []int{1, 2, 50} {
			if diff := cmp.Diff(want, found(t, c.DB[1], search, limit)); diff != "" {
				t.Errorf("%q by %d: %s", search, limit, diff)
			}
		}
	}
}

// Who has got another name is found by that, and who is gone by none.
func TestNamesInTheIndexAreThoseOfToday(t *testing.T) {
	t.Parallel()
	db := cluster(t, 1).DB[0]
	u := create(t, db, directory.User{Username: "x", Name: "Ada Lovelace"})
	update(t, db, func(tx *fsm.Tx) error {
		return changing(func(u *directory.User) { u.Name = "Ada King" })(tx, ten, u.ID)
	})
	if got := found(t, db, "lovelace", 50); len(got) != 0 || len(found(t, db, "king", 50)) != 1 {
		t.Errorf("found by the former name: %v", got)
	}
	update(t, db, func(tx *fsm.Tx) error { return directory.DeleteUser(tx, ten, u.ID, 0) })
	if got := found(t, db, "king", 50); len(got) != 0 {
		t.Errorf("found after the end: %v", got)
	}
}

// A page looks at so many and no more, and the pages together miss nobody.
func TestASearchLooksAtSoManyAtATime(t *testing.T) {
	t.Parallel()
	db := cluster(t, 1).DB[0]
	crowd(t, db, 1500, func(i int) directory.User {
		u := directory.User{Username: fmt.Sprintf("u%04d", i), Name: "Ann Other"}
		if i%500 == 250 {
			u.Name = "Ann Rare"
		}
		return u
	})
	var page []directory.User
	var next string
	view(t, db, func(tx *fsm.Tx) (err error) {
		page, next, err = directory.ListUsers(tx, ten, directory.UserQuery{Search: "ann ra"})
		return err
	})
	if len(page) != 2 || next == "" {
		t.Errorf("%d on the first page, next is %q", len(page), next)
	}
	if got := found(t, db, "ann ra", 50); len(got) != 3 {
		t.Errorf("found %v", got)
	}
	if got := found(t, db, "ann", 500); len(got) != 1500 {
		t.Errorf("found %d", len(got))
	}
}

func reindex(t *testing.T, db *fsm.DB, since uint64) error {
	t.Helper()
	return directory.Reindex(t.Context(), db, func(context.Context) (uint64, error) { return since, nil })
}

// What an older release has written is found once Reindex has come by, which changes nothing but that.
func TestReindex(t *testing.T) {
	t.Parallel()
	c := cluster(t, 2)
	var want []string
	var rev uint64
	for i := range 3 {
		u := create(t, c.DB[0], directory.User{Username: fmt.Sprint("old", i), Name: "Ada Older"})
		update(t, c.DB[0], func(tx *fsm.Tx) error { return bare.Put(tx, u) })
		want = append(want, u.Username)
	}
	fresh := create(t, c.DB[0], directory.User{Username: "new", Name: "Ada Newer"})
	view(t, c.DB[0], func(tx *fsm.Tx) (err error) { _, rev, err = directory.GetUser(tx, ten, fresh.ID); return err })
	if got := found(t, c.DB[0], "ada", 50); !cmp.Equal(got, []string{"new"}) {
		t.Fatalf("the index has them: %v", got)
	}
	told := len(events(t, c.DB[0], ten))
	for _, pass := range []struct {
		since  uint64
		writes int
	}{{7, 2}, {7, 0}, {9, 1}} { // the users and that it was done; nothing; that it was done again
		before := c.Entries()
		if err := reindex(t, c.DB[0], pass.since); err != nil {
			t.Fatal(err)
		}
		if got := found(t, c.DB[1], "older", 50); !cmp.Equal(got, want) {
			t.Errorf("found %v", got)
		}
		if n := c.Entries() - before; n != pass.writes || len(events(t, c.DB[0], ten)) != told {
			t.Errorf("%d entries, want %d; %d events", n, pass.writes, len(events(t, c.DB[0], ten))-told)
		}
	}
	view(t, c.DB[0], func(tx *fsm.Tx) error {
		_, now, err := directory.GetUser(tx, ten, fresh.ID)
		if now != rev {
			t.Error("who was in the index was written again")
		}
		return err
	})
	update(t, c.DB[0], func(tx *fsm.Tx) error { return bare.Put(tx, fresh) }) // a member has gone back
	if err := reindex(t, c.DB[0], 10); err != nil || len(found(t, c.DB[1], "newer", 50)) != 1 {
		t.Errorf("not found again: %v", err)
	}
}

// It goes through the users of all tenants, in parts, also where a tenant has nobody.
func TestReindexGoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	db := cluster(t, 1).DB[0]
	tenants := []string{ten}
	for _, slug := range []string{"nobody", "crowd"} {
		update(t, db, func(tx *fsm.Tx) error {
			made, err := directory.CreateTenant(tx, directory.Tenant{Slug: slug, Name: slug})
			if err == nil {
				tenants = append(tenants, made.ID)
			}
			return err
		})
	}
	update(t, db, func(tx *fsm.Tx) error {
		for i := range 120 {
			u, err := directory.CreateUser(tx, tenants[i%2*2], directory.User{Username: fmt.Sprint("old", i), Admin: true})
			if err != nil {
				return err
			}
			if err := bare.Put(tx, u); err != nil {
				return err
			}
		}
		return nil
	})
	if err := reindex(t, db, 1); err != nil {
		t.Fatal(err)
	}
	for i, want := range []int{60, 0, 60} {
		n := 0
		view(t, db, func(tx *fsm.Tx) error {
			for _, err := range directory.Administrators(tx, tenants[i]) {
				if err != nil {
					return err
				}
				n++
			}
			return nil
		})
		if n != want {
			t.Errorf("of tenant %d there are %d in the index, want %d", i, n, want)
		}
	}
}
