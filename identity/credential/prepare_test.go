package credential_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/crypto/bcrypt"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/credential/strength"
	"github.com/quis-idp/quis/identity/settings"
)

// decide sets what the tenant asks of passwords.
func decide(t testing.TB, db *fsm.DB, change func(*settings.Password)) {
	t.Helper()
	update(t, db, func(tx *fsm.Tx) error {
		a, _, err := settings.Get(tx, tenant)
		if err != nil {
			return err
		}
		change(&a.Password)
		return settings.Put(tx, 0, *a)
	})
}

func detail(err error) string {
	var e *identity.Error
	if errors.As(err, &e) && e.Field == "password" {
		return e.Detail
	}
	return fmt.Sprint(err)
}

func TestPrepare(t *testing.T) {
	t.Parallel()
	db, p := newCluster(t, 1).DB[0], newPool(t, credential.Config{})
	var asked []string
	checks := credential.Checks{Breached: func(_ context.Context, password string) (int, error) {
		asked = append(asked, password)
		switch password {
		case "battery staple horse":
			return 12, nil
		case "the network is down now":
			return 0, errors.New("down")
		}
		return 0, nil
	}}
	who := credential.Person{Tenant: tenant, UserID: alice, About: strength.About{Username: "alice in the mirror"}}
	prepare := func(password string) error {
		phc, err := credential.Prepare(t.Context(), db, p, checks, who, password)
		if err == nil {
			setPassword(t, db, alice, phc)
			err = credential.CheckPassword(t.Context(), db, p, tenant, alice, password)
		}
		return err
	}
	for password, want := range map[string]string{
		right: "", "the network is down now": "", "seven": "at least 15", "alice in the mirror": "username", "battery staple horse": "leak",
	} {
		err := prepare(password)
		if (err == nil) != (want == "") || err != nil && (!errors.Is(err, identity.ErrInvalid) || !strings.Contains(detail(err), want)) {
			t.Errorf("%q: %v", password, err)
		}
		if err != nil && strings.Contains(err.Error(), password) {
			t.Errorf("%q: the error repeats it: %v", password, err)
		}
	}
	if len(asked) != 3 {
		t.Errorf("asked about %q: what is refused anyway is nobody's business", asked)
	}
	decide(t, db, func(p *settings.Password) { p.MinLength, p.Strength, p.Breached = 8, 0, false })
	for _, password := range []string{"battery staple horse", "eight ch"} {
		if err := prepare(password); err != nil {
			t.Errorf("%q, which the tenant allows: %v", password, err)
		}
	}
	decide(t, db, func(p *settings.Password) { p.Blocklist = []string{"battery staple horse"} })
	if err := prepare("2026 Battery Staple Horse!"); detail(err) != strength.NewFault(strength.Blocked, 0).Text {
		t.Errorf("a word that the tenant keeps out: %v", err)
	}
	if err := prepare("battery staple horses"); err != nil {
		t.Errorf("another word: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := credential.Prepare(ctx, db, p, checks, who, right); !errors.Is(err, context.Canceled) {
		t.Errorf("after the request ended: %v", err)
	}
}

func TestHistory(t *testing.T) {
	t.Parallel()
	c, p := newCluster(t, 2), newPool(t, credential.Config{})
	db := c.DB[0]
	decide(t, db, func(p *settings.Password) { p.History, p.MinLength, p.Strength = 3, 8, 0 })
	who := credential.Person{Tenant: tenant, UserID: alice}
	change := func(password string) error {
		phc, err := credential.Prepare(t.Context(), db, p, credential.Checks{}, who, password)
		if err == nil {
			setPassword(t, db, alice, phc)
		}
		return err
	}
	for _, s := range []struct {
		password string
		ok       bool
	}{
		{"first password!", true}, {"first password!", false}, {"second password", true}, {"third password!", true},
		{"first password!", false}, {"second password", false}, {"third password!", false}, {"fourth password", true}, {"first password!", true},
	} {
		if err := change(s.password); (err == nil) != s.ok || err != nil && !strings.Contains(detail(err), "before") {
			t.Errorf("%q: %v", s.password, err)
		}
	}
	hashes := 0
	p.OnCompute(func(real func() []byte, _ credential.Params) []byte { hashes++; return real() })
	if err := change("something else!"); err != nil || hashes != 4 {
		t.Errorf("%v after %d hashes, want three former ones and the new", err, hashes)
	}
	// Somebody else has no part in it, nor has who comes after a deletion.
	if _, err := credential.Prepare(t.Context(), db, p, credential.Checks{}, credential.Person{Tenant: tenant, UserID: bob}, "first password!"); err != nil {
		t.Error(err)
	}
	update(t, db, func(tx *fsm.Tx) error { return credential.DeleteAllOf(tx, tenant, alice) })
	if err := change("something else!"); err != nil {
		t.Errorf("history outlives its user: %v", err)
	}
	decide(t, db, func(p *settings.Password) { p.History = 0 })
	for range 2 {
		if err := change("something else!"); err != nil {
			t.Errorf("without a history: %v", err)
		}
	}
	decide(t, db, func(p *settings.Password) { p.History = 3 })
	if err := change("first password!"); err != nil {
		t.Errorf("what was not to be remembered was: %v", err)
	}
}

// Who removes a password cannot take it again at once, where the policy remembers even one.
func TestRemovedPasswordIsRemembered(t *testing.T) {
	t.Parallel()
	c, p := newCluster(t, 1), newPool(t, credential.Config{})
	db := c.DB[0]
	decide(t, db, func(p *settings.Password) { p.History, p.MinLength, p.Strength = 1, 8, 0 })
	remove := func() error {
		return db.Update(t.Context(), func(tx *fsm.Tx) error { return credential.RemovePassword(tx, tenant, alice) })
	}
	if err := remove(); !errors.Is(err, fsm.ErrNotFound) {
		t.Errorf("a password that there is not: %v", err)
	}
	who := credential.Person{Tenant: tenant, UserID: alice}
	change := func(password string) error {
		phc, err := credential.Prepare(t.Context(), db, p, credential.Checks{}, who, password)
		if err == nil {
			setPassword(t, db, alice, phc)
		}
		return err
	}
	for _, password := range []string{"first password!", "second password"} {
		if err := change(password); err != nil {
			t.Fatal(err)
		}
	}
	if err := remove(); err != nil {
		t.Fatal(err)
	}
	if err := credential.CheckPassword(t.Context(), db, p, tenant, alice, "second password"); !errors.Is(err, identity.ErrUnauthenticated) {
		t.Errorf("it still works: %v", err)
	}
	if err := change("second password"); err == nil {
		t.Error("it was taken again")
	}
	if err := change("first password!"); err != nil {
		t.Errorf("the one before: %v", err)
	}
	if diff := cmp.Diff([]string{"password.set", "password.set", "password.removed", "password.set"}, news(t, db)[1:]); diff != "" {
		t.Error(diff)
	}
}

func TestExpired(t *testing.T) {
	t.Parallel()
	c, p := newCluster(t, 1), newPool(t, credential.Config{})
	db := c.DB[0]
	expired := func(want string) {
		t.Helper()
		var why string
		update(t, db, func(tx *fsm.Tx) (err error) { why, err = credential.Expired(tx, tenant, alice); return err })
		if why != want {
			t.Errorf("expired: %q, want %q", why, want)
		}
	}
	require := func() error {
		return db.Update(t.Context(), func(tx *fsm.Tx) error { return credential.RequireChange(tx, tenant, alice) })
	}
	expired("")
	if err := require(); !errors.Is(err, fsm.ErrNotFound) {
		t.Errorf("of nobody: %v", err)
	}
	setPassword(t, db, alice, mustHash(t, p, right))
	expired("")
	for range 2 {
		if err := require(); err != nil {
			t.Fatal(err)
		}
	}
	expired(credential.Requested)
	if err := credential.CheckPassword(t.Context(), db, p, tenant, alice, right); err != nil {
		t.Errorf("the password still proves who they are: %v", err)
	}
	setPassword(t, db, alice, mustHash(t, p, "another password"))
	expired("")
	if diff := cmp.Diff([]string{"password.set", "password.change_required", "password.set"}, news(t, db)); diff != "" {
		t.Error(diff)
	}
	decide(t, db, func(p *settings.Password) { p.MaxAge = 30 })
	expired("")
	c.Advance(29 * 24 * time.Hour)
	decide(t, db, func(p *settings.Password) { p.Number = true }) // any write brings the new time
	expired("")
	c.Advance(2 * 24 * time.Hour)
	decide(t, db, func(p *settings.Password) { p.Number = false })
	expired(credential.TooOld)
}

func TestImportPassword(t *testing.T) {
	t.Parallel()
	c, p := newCluster(t, 2), newPool(t, credential.Config{})
	db := c.DB[0]
	load := func(encoded string) error {
		return db.Update(t.Context(), func(tx *fsm.Tx) error { return credential.ImportPassword(tx, tenant, alice, encoded) })
	}
	for _, bad := range []string{"", right, "$2b$31$" + strings.Repeat("a", 53), "$argon2id$v=19$m=4194304,t=9,p=1$c2FsdHNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"} {
		var e *identity.Error
		if err := load(bad); !errors.As(err, &e) || e.Field != "password_hash" || !errors.Is(err, identity.ErrInvalid) || bad != "" && strings.Contains(err.Error(), bad) {
			t.Errorf("%.30q: %v", bad, err)
		}
	}
	const encoded = "{SSHA}+zgJCcduvLFhD+Rk7/v3C0FqyKpzYWx0c2FsdA==" // sha1 of right and saltsalt
	if err := load(encoded); err != nil {
		t.Fatal(err)
	}
	var ours int
	p.OnCompute(func(real func() []byte, _ credential.Params) []byte { ours++; return real() })
	check := func(db *fsm.DB, password string, want error) {
		t.Helper()
		if err := credential.CheckPassword(t.Context(), db, p, tenant, alice, password); !errors.Is(err, want) {
			t.Errorf("%q: %v", password, err)
		}
	}
	check(db, wrong, identity.ErrUnauthenticated)
	if ours != 1 {
		t.Errorf("a cheap hash failed without one of ours: %d", ours)
	}
	entries := c.Entries()
	check(db, right, nil)
	if c.Entries() != entries+1 || ours != 2 {
		t.Errorf("%d entries, %d hashes: it was not renewed", c.Entries()-entries, ours)
	}
	check(c.DB[1], right, nil)
	check(c.DB[1], wrong, identity.ErrUnauthenticated)
	if c.Entries() != entries+1 {
		t.Error("it was renewed twice")
	}
	if err := load(mustHash(t, newPool(t, credential.Config{}), "from a twin of ours")); err != nil {
		t.Error(err)
	}
	check(db, "from a twin of ours", nil)
	if diff := cmp.Diff([]string{"password.imported", "password.imported"}, news(t, db)); diff != "" {
		t.Error(diff)
	}
}

// TestCheckThatCanOnlyFail takes the work of the user's own hash, of whatever system it is, says nothing of it, and renews nothing.
func TestCheckThatCanOnlyFail(t *testing.T) {
	t.Parallel()
	c, reg := newCluster(t, 1), prometheus.NewRegistry()
	db, p := c.DB[0], credential.NewPool(credential.Config{Params: cheap}, reg)
	imported, err := bcrypt.GenerateFromPassword([]byte(right), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	update(t, db, func(tx *fsm.Tx) error { return credential.ImportPassword(tx, tenant, alice, string(imported)) })
	setPassword(t, db, bob, mustHash(t, p, right))
	var ours int
	p.OnCompute(func(real func() []byte, _ credential.Params) []byte { ours++; return real() })
	for user, theirs := range map[string]uint64{alice: 1, bob: 0, "": 0, "nobody": 0} {
		for _, password := range []string{right, wrong} {
			ours = 0
			entries, foreign := c.Entries(), computed(t, reg, "bcrypt")
			if err := credential.FailPassword(t.Context(), db, p, tenant, user, password); !errors.Is(err, identity.ErrUnauthenticated) {
				t.Errorf("%q: %v", user, err)
			}
			if n := computed(t, reg, "bcrypt") - foreign; n != theirs || ours != 1 || c.Entries() != entries {
				t.Errorf("%q: %d hashes of bcrypt, %d of ours, %d entries", user, n, ours, c.Entries()-entries)
			}
		}
	}
}

// computed is how many hashes of an algorithm a pool has computed.
func computed(t *testing.T, reg *prometheus.Registry, alg string) (n uint64) {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "quis_password_hash_duration_seconds" && m.GetLabel()[0].GetValue() == alg {
				n += m.GetHistogram().GetSampleCount()
			}
		}
	}
	return n
}

// TestLeaked asks only what this node knows by itself, and where the tenant minds.
func TestLeaked(t *testing.T) {
	t.Parallel()
	db := newCluster(t, 1).DB[0]
	known := func(n int, err error) credential.Checks {
		return credential.Checks{
			Breached:     func(context.Context, string) (int, error) { t.Error("the service was asked"); return 0, nil },
			BreachedHere: func(context.Context, string) (int, error) { return n, err },
		}
	}
	for _, c := range []struct {
		checks credential.Checks
		want   bool
	}{{known(3, nil), true}, {known(0, nil), false}, {known(3, errors.New("unreadable")), false}, {credential.Checks{}, false}} {
		if got := credential.Leaked(t.Context(), db, c.checks, tenant, right); got != c.want {
			t.Errorf("%+v: %v", c.checks, got)
		}
	}
	decide(t, db, func(p *settings.Password) { p.Breached = false })
	if credential.Leaked(t.Context(), db, known(3, nil), tenant, right) {
		t.Error("a tenant that does not mind is asked for another")
	}
}
