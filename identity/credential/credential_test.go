package credential_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/fsm/fsmtest"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/settings"
)

const (
	tenant = "ten_a"
	alice  = "usr_alice"
	bob    = "usr_bob"
)

func newCluster(t testing.TB, n int) *fsmtest.Cluster {
	t.Helper()
	return fsmtest.NewCluster(t, n, slices.Concat(credential.Tables, settings.Tables, event.Tables)...)
}

func update(t testing.TB, db *fsm.DB, f func(tx *fsm.Tx) error) {
	t.Helper()
	if err := db.Update(t.Context(), f); err != nil {
		t.Fatal(err)
	}
}

func setPassword(t testing.TB, db *fsm.DB, user, phc string) {
	t.Helper()
	update(t, db, func(tx *fsm.Tx) error { return credential.SetPassword(tx, tenant, user, phc) })
}

// news lists the types of all events so far.
func news(t testing.TB, db *fsm.DB) []string {
	t.Helper()
	var types []string
	err := db.View(t.Context(), func(tx *fsm.Tx) error {
		page, _, err := event.List(tx, tenant, event.Query{Oldest: true})
		for _, e := range page {
			types = append(types, string(e.Type))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return types
}

func TestCheckPassword(t *testing.T) {
	t.Parallel()
	c, p := newCluster(t, 1), newPool(t, credential.Config{})
	db := c.DB[0]
	setPassword(t, db, alice, mustHash(t, p, right))
	before := c.Entries()
	check := func(tenant, user, password string, want error) {
		t.Helper()
		if err := credential.CheckPassword(t.Context(), db, p, tenant, user, password); !errors.Is(err, want) {
			t.Errorf("%s %s: got %v, want %v", tenant, user, err, want)
		}
	}
	check(tenant, alice, right, nil)
	check(tenant, alice, wrong, identity.ErrUnauthenticated)
	check(tenant, alice, "", identity.ErrUnauthenticated)
	check(tenant, bob, right, identity.ErrUnauthenticated)
	check(tenant, "", right, identity.ErrUnauthenticated)
	check("ten_b", alice, right, identity.ErrUnauthenticated)
	if c.Entries() != before {
		t.Error("checking passwords wrote to the log")
	}
	update(t, db, func(tx *fsm.Tx) error { return credential.DeleteAllOf(tx, tenant, alice) })
	check(tenant, alice, right, identity.ErrUnauthenticated)
}

// Same time is tested as same work: one hash, with the same parameters, whoever is asked for.
func TestEveryAnswerCostsOneHash(t *testing.T) {
	t.Parallel()
	db, p := newCluster(t, 1).DB[0], newPool(t, credential.Config{})
	setPassword(t, db, alice, mustHash(t, p, right))
	var hashes []credential.Params
	p.OnCompute(func(real func() []byte, params credential.Params) []byte {
		hashes = append(hashes, params)
		return real()
	})
	for _, c := range []struct{ user, password string }{
		{alice, right}, {alice, wrong}, {bob, right}, {"", right}, {"", ""},
	} {
		hashes = nil
		err := credential.CheckPassword(t.Context(), db, p, tenant, c.user, c.password)
		if (err == nil) != (c.user == alice && c.password == right) {
			t.Errorf("%+v: %v", c, err)
		}
		if want := []credential.Params{cheap}; !cmp.Equal(hashes, want) {
			t.Errorf("%+v: hashes %v, want %v", c, hashes, want)
		}
	}
}

func TestRehashWhenParametersChange(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2)
	old := newPool(t, credential.Config{})
	today := newPool(t, credential.Config{Params: credential.Params{Memory: 128, Time: 2, Threads: 1}})
	setPassword(t, c.DB[0], alice, mustHash(t, old, right))
	before := news(t, c.DB[0])

	if err := credential.CheckPassword(t.Context(), c.DB[0], today, tenant, alice, wrong); err == nil {
		t.Fatal("wrong password")
	}
	entries := c.Entries()
	if err := credential.CheckPassword(t.Context(), c.DB[0], today, tenant, alice, right); err != nil {
		t.Fatal(err)
	}
	if n := c.Entries() - entries; n != 1 {
		t.Errorf("renewing the hash took %d entries", n)
	}
	var hashes []credential.Params
	today.OnCompute(func(real func() []byte, p credential.Params) []byte { hashes = append(hashes, p); return real() })
	if err := credential.CheckPassword(t.Context(), c.DB[1], today, tenant, alice, right); err != nil {
		t.Fatal(err)
	}
	if len(hashes) != 1 || hashes[0].Memory != 128 {
		t.Errorf("hashes %v, want one with the new parameters", hashes)
	}
	if diff := cmp.Diff(before, news(t, c.DB[0])); diff != "" {
		t.Errorf("a renewed hash is news: %s", diff)
	}
}

func TestRehashNeverStandsInTheWay(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	setPassword(t, c.DB[0], alice, mustHash(t, newPool(t, credential.Config{}), right))
	today := newPool(t, credential.Config{Params: credential.Params{Memory: 128, Time: 2, Threads: 1}})
	c.SetLeader(false)
	if err := credential.CheckPassword(t.Context(), c.DB[0], today, tenant, alice, right); err != nil {
		t.Errorf("without a leader: %v", err)
	}
	c.SetLeader(true)
	// The password changes between the check and the renewal: the change must win.
	fresh := mustHash(t, today, "another password")
	var once sync.Once
	today.OnCompute(func(real func() []byte, p credential.Params) []byte {
		if p.Memory == 128 {
			once.Do(func() { setPassword(t, c.DB[0], alice, fresh) })
		}
		return real()
	})
	if err := credential.CheckPassword(t.Context(), c.DB[0], today, tenant, alice, right); err != nil {
		t.Fatal(err)
	}
	if err := credential.CheckPassword(t.Context(), c.DB[0], today, tenant, alice, "another password"); err != nil {
		t.Errorf("a renewal undid a change: %v", err)
	}
}

func TestSetPasswordTakesOnlyHashes(t *testing.T) {
	t.Parallel()
	db := newCluster(t, 1).DB[0]
	for user, phc := range map[string]string{alice: right, bob: "", "": mustHash(t, newPool(t, credential.Config{}), right)} {
		err := db.Update(t.Context(), func(tx *fsm.Tx) error { return credential.SetPassword(tx, tenant, user, phc) })
		if !errors.Is(err, identity.ErrInvalid) {
			t.Errorf("%q: %v", user, err)
		} else if strings.Contains(err.Error(), right) {
			t.Errorf("error repeats the password: %v", err)
		}
	}
}

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

func TestDeleteTenant(t *testing.T) {
	t.Parallel()
	db, p := newCluster(t, 1).DB[0], newPool(t, credential.Config{})
	setPassword(t, db, alice, mustHash(t, p, right))
	_, value := createToken(t, db, alice, "", time.Time{})
	var other string
	update(t, db, func(tx *fsm.Tx) (err error) {
		_, other, err = credential.CreateToken(tx, tenant+"x", alice, "x", "", time.Time{})
		return err
	})
	update(t, db, func(tx *fsm.Tx) error { return credential.DeleteTenant(tx, tenant) })
	if err := credential.CheckPassword(t.Context(), db, p, tenant, alice, right); !errors.Is(err, identity.ErrUnauthenticated) {
		t.Errorf("password outlives its tenant: %v", err)
	}
	if _, err := owner(t, db, value); !errors.Is(err, fsm.ErrNotFound) {
		t.Errorf("token outlives its tenant: %v", err)
	}
	if _, err := owner(t, db, other); err != nil {
		t.Errorf("token of a tenant with a longer name: %v", err)
	}
}

func TestSetupLink(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3)
	create := func() (secret string) {
		update(t, c.DB[0], func(tx *fsm.Tx) (err error) { secret, err = credential.CreateSetup(tx); return err })
		return secret
	}
	use := func(db *fsm.DB, secret string) error {
		return db.Update(t.Context(), func(tx *fsm.Tx) error { return credential.UseSetup(tx, secret) })
	}
	voided, secret := create(), create()
	if len(secret) < 40 || voided == secret {
		t.Errorf("secret %q", secret)
	}
	for _, bad := range []string{"", voided, secret + "x", strings.Repeat("A", 43), strings.Repeat("x", 1<<20)} {
		err := use(c.DB[0], bad)
		var e *identity.Error
		if !errors.Is(err, fsm.ErrNotFound) || !errors.As(err, &e) || !strings.Contains(e.Detail, "quis setup-link") {
			t.Errorf("%.40q: %v", bad, err)
		}
	}
	var won atomic.Int32
	var wg sync.WaitGroup
	for _, db := range c.DB {
		wg.Go(func() {
			if err := use(db, secret); err == nil {
				won.Add(1)
			} else if !errors.Is(err, fsm.ErrNotFound) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("the link was used %d times", won.Load())
	}
	late := create()
	c.Advance(59 * time.Minute)
	update(t, c.DB[0], func(tx *fsm.Tx) error { // any write brings the new time
		_, _, err := credential.CreateToken(tx, tenant, alice, "x", "", time.Time{})
		return err
	})
	if err := c.DB[0].View(t.Context(), func(tx *fsm.Tx) error { _, err := credential.FindSetup(tx, late); return err }); err != nil {
		t.Errorf("after 59 minutes: %v", err)
	}
	c.Advance(2 * time.Minute)
	update(t, c.DB[0], func(tx *fsm.Tx) error {
		_, _, err := credential.CreateToken(tx, tenant, alice, "x", "", time.Time{})
		return err
	})
	if err := use(c.DB[0], late); !errors.Is(err, fsm.ErrNotFound) {
		t.Errorf("after 61 minutes: %v", err)
	}
}
