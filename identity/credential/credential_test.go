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
	var replaced []bool
	create := func() (secret string) {
		former := false
		update(t, c.DB[0], func(tx *fsm.Tx) (err error) { secret, former, err = credential.CreateSetup(tx); return err })
		replaced = append(replaced, former)
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
	create()
	if diff := cmp.Diff([]bool{false, true, false, false}, replaced); diff != "" {
		t.Errorf("one replaced, one used and one that ended by itself: %s", diff)
	}
}
