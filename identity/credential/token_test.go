package credential_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/event"
)

func createToken(t testing.TB, db *fsm.DB, user, value string, expires time.Time) (tok *credential.Token, got string) {
	t.Helper()
	update(t, db, func(tx *fsm.Tx) (err error) {
		tok, got, err = credential.CreateToken(tx, tenant, user, "laptop", value, expires)
		return err
	})
	return tok, got
}

func owner(t testing.TB, db *fsm.DB, value string) (tok *credential.Token, err error) {
	err = db.Read(t.Context(), func(tx *fsm.Tx) (err error) { tok, err = credential.TokenOwner(tx, value); return err })
	return tok, err
}

func TestTokens(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2)
	a, value := createToken(t, c.DB[0], alice, "", time.Time{})
	b, given := createToken(t, c.DB[0], alice, "quis_pat_0123456789abcdef", time.Now().Add(time.Hour))
	if !strings.HasPrefix(value, credential.TokenPrefix) || len(value) < 50 || given != "quis_pat_0123456789abcdef" {
		t.Errorf("values %q, %q", value, given)
	}
	got, err := owner(t, c.DB[1], value)
	if err != nil || got.Tenant != tenant || got.UserID != alice || got.ID != a.ID {
		t.Errorf("owner %+v, %v", got, err)
	}
	for _, bad := range []string{"", "quis_pat_", value + "x", value[:len(value)-1], strings.ToUpper(value), "x" + value, strings.Repeat("x", 1<<20)} {
		if _, err := owner(t, c.DB[0], bad); !errors.Is(err, fsm.ErrNotFound) {
			t.Errorf("%.40q: %v", bad, err)
		}
	}
	for _, e := range c.Log() {
		if strings.Contains(string(e.Data), value) || strings.Contains(string(e.Data), given) {
			t.Error("a token's value is in the log")
		}
	}
	list := func() (ids []string) {
		err := c.DB[0].View(t.Context(), func(tx *fsm.Tx) error {
			for t, err := range credential.ListTokens(tx, tenant, alice) {
				if err != nil {
					return err
				}
				ids = append(ids, t.ID)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return ids
	}
	if diff := cmp.Diff([]string{a.ID, b.ID}, list()); diff != "" {
		t.Error(diff)
	}
	c.Advance(2 * time.Hour)
	createToken(t, c.DB[0], bob, "", time.Time{})
	if _, err := owner(t, c.DB[0], given); !errors.Is(err, fsm.ErrNotFound) {
		t.Errorf("expired token: %v", err)
	}
	del := func(user, id string) error {
		return c.DB[0].Update(t.Context(), func(tx *fsm.Tx) error { return credential.DeleteToken(tx, tenant, user, id) })
	}
	if err := del(bob, a.ID); !errors.Is(err, fsm.ErrNotFound) {
		t.Errorf("deleted somebody else's token: %v", err)
	}
	if err := del(alice, a.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := owner(t, c.DB[1], value); !errors.Is(err, fsm.ErrNotFound) {
		t.Errorf("deleted token: %v", err)
	}
	if diff := cmp.Diff([]string{"token.created", "token.created", "token.created", "token.deleted"}, news(t, c.DB[0])); diff != "" {
		t.Error(diff)
	}
}

// The event of a token says what the token is good for, and until when, for whoever is told of it.
func TestATokenIsMadeOnTheRecord(t *testing.T) {
	t.Parallel()
	db := newCluster(t, 1).DB[0]
	var got []map[string]string
	err := db.Update(t.Context(), func(tx *fsm.Tx) error {
		if _, _, err := credential.CreateToken(tx, tenant, alice, "backups", "", tx.Now().Add(time.Hour), "me", "read"); err != nil {
			return err
		}
		_, _, err := credential.CreateToken(tx, tenant, alice, "all", "", time.Time{})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var ends []time.Time
	err = db.View(t.Context(), func(tx *fsm.Tx) error {
		for tok, err := range credential.ListTokens(tx, tenant, alice) {
			if err != nil {
				return err
			}
			ends = append(ends, tok.Expires)
		}
		page, _, err := event.List(tx, tenant, event.Query{Oldest: true})
		for _, e := range page {
			got = append(got, e.Data)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []map[string]string{{"user_id": alice, "scopes": "me read", "expires": ends[0].UTC().Format(time.RFC3339)}, {"user_id": alice, "scopes": "write"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestCreateTokenRefuses(t *testing.T) {
	t.Parallel()
	db := newCluster(t, 1).DB[0]
	for _, c := range []struct {
		name, value string
		expires     time.Time
		want        error
	}{
		{"x", "pat_0123456789abcdef0123456789abcdef", time.Time{}, identity.ErrInvalid},
		{"x", "quis_pat_short", time.Time{}, identity.ErrInvalid},
		{"x", "quis_pat_0123456789abcdef 123456789abcdef", time.Time{}, identity.ErrInvalid},
		{"x", "quis_pat_" + strings.Repeat("x", 300), time.Time{}, identity.ErrInvalid},
		{" ", "", time.Time{}, identity.ErrInvalid},
		{"x", "", time.Now().Add(-time.Hour), identity.ErrInvalid},
	} {
		err := db.Update(t.Context(), func(tx *fsm.Tx) error {
			_, _, err := credential.CreateToken(tx, tenant, alice, c.name, c.value, c.expires)
			return err
		})
		if !errors.Is(err, c.want) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	_, value := createToken(t, db, alice, "", time.Time{})
	err := db.Update(t.Context(), func(tx *fsm.Tx) error {
		_, _, err := credential.CreateToken(tx, "ten_b", bob, "x", value, time.Time{})
		return err
	})
	if !errors.Is(err, fsm.ErrExists) {
		t.Errorf("one value for two users: %v", err)
	}
	update(t, db, func(tx *fsm.Tx) error {
		for range 99 {
			if _, _, err := credential.CreateToken(tx, tenant, alice, "x", "", time.Time{}); err != nil {
				return err
			}
		}
		if _, _, err := credential.CreateToken(tx, tenant, alice, "x", "", time.Time{}); !errors.Is(err, identity.ErrInvalid) {
			t.Errorf("the 101st token: %v", err)
		}
		return nil
	})
}
