package directory_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/directory"
)

func TestUsernames(t *testing.T) {
	t.Parallel()
	db := cluster(t, 1).DB[0]
	for name, good := range map[string]bool{
		"ann": true, "Ann.B_c-d+1": false /* taken below */, "岡田": true, "мария": true, "かなカナ漢字": true, "josé": true,
		"": false, " ": false, "a b": false, ".a": false, "a/b": false, "a\x00b": false, "a\u200db": false,
		"аnn" /* Cyrillic а */ : false, "ann@example.com": false, "ﬁona" /* ligature */ : false, strings.Repeat("x", 129): false,
		"a\u202eb": false, "\xff": false, "@": false,
	} {
		if name == "Ann.B_c-d+1" {
			create(t, db, directory.User{Username: "ann.b_C-d+1"})
		}
		err := db.Update(t.Context(), func(tx *fsm.Tx) error {
			_, err := directory.CreateUser(tx, ten, directory.User{Username: name})
			return err
		})
		if good != (err == nil) {
			t.Errorf("%q: got %v", name, err)
		}
	}
	for _, same := range []string{"JOSÉ", "jose\u0301", " josé ", "ｊｏｓé"} {
		err := db.Update(t.Context(), func(tx *fsm.Tx) error {
			_, err := directory.CreateUser(tx, ten, directory.User{Username: same})
			return err
		})
		if !errors.Is(err, fsm.ErrExists) {
			t.Errorf("%q beside josé: got %v, want ErrExists", same, err)
		}
		view(t, db, func(tx *fsm.Tx) error {
			_, err := directory.UserByLogin(tx, ten, same)
			return err
		})
	}
}

func TestEmails(t *testing.T) {
	t.Parallel()
	db := cluster(t, 1).DB[0]
	create(t, db, directory.User{Username: "first", Email: "Ann@Example.COM"})
	create(t, db, directory.User{Username: "idn", Email: "a@XN--bcher-kva.example"})
	i := 0
	for mail, want := range map[string]error{
		"o'neil+tag@sub.example.org": nil, "ann@EXAMPLE.com": fsm.ErrExists, "a@xn--bcher-kva.example": fsm.ErrExists,
		"ann": identity.ErrInvalid, "a@bücher.example": identity.ErrInvalid, "a@b@c": identity.ErrInvalid, "@b": identity.ErrInvalid, "a@": identity.ErrInvalid,
		"a b@c.d": identity.ErrInvalid, "a..b@c.d": identity.ErrInvalid, `"a"@c.d`: identity.ErrInvalid, "a@c..d": identity.ErrInvalid,
		"a@c.d\nbcc:x": identity.ErrInvalid, "ä@c.d": identity.ErrInvalid, strings.Repeat("x", 65) + "@c.d": identity.ErrInvalid,
		"a@[127.0.0.1]": identity.ErrInvalid, "a@.": identity.ErrInvalid, "<a@c.d>": identity.ErrInvalid,
	} {
		i++
		err := db.Update(t.Context(), func(tx *fsm.Tx) error {
			_, err := directory.CreateUser(tx, ten, directory.User{Username: fmt.Sprint("u", i), Email: mail})
			return err
		})
		if !errors.Is(err, want) {
			t.Errorf("%q: got %v, want %v", mail, err, want)
		}
	}
	view(t, db, func(tx *fsm.Tx) error {
		u, err := directory.UserByLogin(tx, ten, " ANN@example.com")
		if err == nil && u.Username != "first" {
			t.Errorf("got %s", u.Username)
		}
		return err
	})
}

// An account must not be found by an address that is another's.
func TestNobodyTakesAnAddressForAName(t *testing.T) {
	t.Parallel()
	db := cluster(t, 1).DB[0]
	victim := create(t, db, directory.User{Username: "ann@example.com", Email: "ann@example.com"})
	for _, u := range []directory.User{
		{Username: "ANN@example.com", Email: "evil@example.com"}, {Username: "ann@example.com"}, {Username: "bob@example.com"},
	} {
		err := db.Update(t.Context(), func(tx *fsm.Tx) error {
			_, err := directory.CreateUser(tx, ten, u)
			return err
		})
		if err == nil {
			t.Errorf("%+v was created", u)
		}
	}
	// Nor may its owner keep the name when the address goes.
	err := db.Update(t.Context(), func(tx *fsm.Tx) error {
		_, err := directory.UpdateUser(tx, ten, victim.ID, 0, func(u *directory.User) error { u.Email = "new@example.com"; return nil })
		return err
	})
	if !errors.Is(err, identity.ErrInvalid) {
		t.Errorf("got %v, want ErrInvalid", err)
	}
}

func TestAllBadFieldsAreNamed(t *testing.T) {
	t.Parallel()
	db := cluster(t, 1).DB[0]
	err := db.Update(t.Context(), func(tx *fsm.Tx) error {
		_, err := directory.CreateUser(tx, ten, directory.User{
			Username: "a b", Email: "x", Name: strings.Repeat("n", 201), Locale: "klingon", EmailVerified: true,
		})
		return err
	})
	var fields []string
	for _, e := range identity.Errors(err) {
		fields = append(fields, e.Field)
	}
	if diff := cmp.Diff([]string{"email", "username", "name", "locale"}, fields); diff != "" {
		t.Error(diff)
	}
}

func TestTwoNodesRaceForOneName(t *testing.T) {
	t.Parallel()
	c := cluster(t, 3)
	var wg sync.WaitGroup
	errs := make([]error, 3)
	for i, name := range []string{"Ann", "ann", "ANN"} {
		wg.Go(func() {
			errs[i] = c.DB[i].Update(t.Context(), func(tx *fsm.Tx) error {
				_, err := directory.CreateUser(tx, ten, directory.User{Username: name})
				return err
			})
		})
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
		} else if e := identity.Errors(err); !errors.Is(err, fsm.ErrExists) || len(e) != 1 || e[0].Field != "username" {
			t.Errorf("got %v", err)
		}
	}
	if won != 1 {
		t.Errorf("%d won, want 1", won)
	}
	if n := len(events(t, c.DB[0], ten)); n != 2 { // tenant, user
		t.Errorf("%d events, want 2", n)
	}
}

func TestListUsers(t *testing.T) {
	t.Parallel()
	db := cluster(t, 1).DB[0]
	for _, u := range []directory.User{
		{Username: "carol", Email: "al.carol@example.com"}, {Username: "Alice", Email: "alice@example.com"},
		{Username: "bob", Email: "bob@example.com"}, {Username: "alan"}, {Username: "dave", Email: "ALdave@example.com"},
	} {
		create(t, db, u)
	}
	for _, c := range []struct {
		prefix string
		want   []string
	}{
		{"", []string{"alan", "Alice", "bob", "carol", "dave"}}, {"AL", []string{"alan", "Alice", "carol", "dave"}},
		{"bob@", []string{"bob"}}, {"x", nil}, {"\x00", nil},
	} {
		for _, limit := range []int{1, 2, 3, 50} {
			var got []string
			q := directory.UserQuery{Search: c.prefix, Limit: limit}
			for {
				var page []directory.User
				view(t, db, func(tx *fsm.Tx) (err error) {
					page, q.After, err = directory.ListUsers(tx, ten, q)
					return err
				})
				for _, u := range page {
					got = append(got, u.Username)
				}
				if q.After == "" {
					break
				}
				if len(page) != limit {
					t.Errorf("a page of %d, want %d", len(page), limit)
				}
			}
			if c.prefix == "\x00" { // becomes a space, trimmed: everything
				continue
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("prefix %q by %d: %s", c.prefix, limit, diff)
			}
		}
	}
}

func FuzzListCursor(f *testing.F) {
	db := cluster(f, 1).DB[0]
	f.Add("uAAAA", "a")
	f.Add("e", "")
	f.Fuzz(func(t *testing.T, after, prefix string) {
		err := db.View(context.Background(), func(tx *fsm.Tx) error {
			_, _, err := directory.ListUsers(tx, ten, directory.UserQuery{After: after, Search: prefix})
			return err
		})
		if err != nil && !errors.Is(err, identity.ErrInvalid) {
			t.Errorf("cursor %q: %v", after, err)
		}
	})
}

// FuzzUserText creates users of any text: what is accepted must be found again by
// what was typed, and must be readable.
func FuzzUserText(f *testing.F) {
	f.Add("ann", "ann@example.com", "Ann")
	f.Add("ΑΣ", "a@ß.example", "\xff")
	f.Fuzz(func(t *testing.T, username, email, name string) {
		db := cluster(t, 1).DB[0]
		err := db.Update(context.Background(), func(tx *fsm.Tx) error {
			u, err := directory.CreateUser(tx, ten, directory.User{Username: username, Email: email, Name: name})
			if err != nil {
				return err
			}
			if _, err := directory.UpdateUser(tx, ten, u.ID, 0, func(u *directory.User) error { u.Admin = true; return nil }); err != nil {
				return fmt.Errorf("what was accepted is refused when stored: %w", err)
			}
			if _, err := directory.UserByUsername(tx, ten, username); err != nil {
				return fmt.Errorf("by username: %w", err)
			}
			if u.Email != "" {
				_, err = directory.UserByEmail(tx, ten, email)
			}
			return err
		})
		if err != nil && len(identity.Errors(err)) == 0 || errors.Is(err, fsm.ErrNotFound) {
			t.Errorf("%q %q: %v", username, email, err)
		}
	})
}
