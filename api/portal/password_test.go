package portal

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/settings"
)

const another = "analytical engine no. 2"

func TestPassword(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s, other := h.enter("ada"), h.enter("ada")
	s.get("/account/security").want(t, 200, "Password", "Set on ", `href="/account/security/password"`)
	s.get("/account/security/password").want(t, 200, `autocomplete="current-password"`, `autocomplete="new-password"`)
	change := func(current, fresh, repeat string) answer {
		a := s.post("/account/security/password", url.Values{"current": {current}, "password": {fresh}, "repeat": {repeat}})
		if strings.Contains(a.body, another) || strings.Contains(a.body, secret) {
			t.Error("a password came back")
		}
		return a
	}
	change(secret, another, another+"!").want(t, 422, `id="repeat-error"`)
	change("not this one", another, another).want(t, 422, `id="current-error"`, "not your present password")
	change(secret, "short", "short").want(t, 422, `id="password-error"`)
	change(secret, "ada@example.com", "ada@example.com").want(t, 422, `id="password-error"`)
	other.get("/account").want(t, 200)
	to := change(secret, another, another).want(t, 303).Header.Get("Location")
	s.get(to).want(t, 200, "Your password is changed")
	other.get("/account").want(t, 303)
	fresh := h.someone()
	fresh.signIn(fresh.get("/account"), "", "ada", another)
}

// Whoever has found a browser open cannot guess the password from there for long.
func TestPresentPasswordCannotBeGuessedAtWill(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.enter("ada")
	f := url.Values{"current": {"guess"}, "password": {another}, "repeat": {another}}
	for range PerUser.Burst {
		s.post("/account/security/password", f).want(t, 422)
	}
	if a := s.post("/account/security/password", f).want(t, 429); a.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	h.enter("grace").post("/account/security/password", f).want(t, 422)
}

// Whoever has no password yet sets one after a recent proof of another kind.
func TestFirstPasswordWantsAFreshProof(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.enter("ada")
	h.update(func(tx *fsm.Tx) error { return credential.DeleteAllOf(tx, identity.DefaultTenant, h.users["ada"]) })
	s.get("/account/security").want(t, 200, "You have no password", "Set a password")
	s.get("/account/security/password").want(t, 200)
	h.pass(settings.Default("").Session.SensitiveTime() + time.Second)
	for _, a := range []answer{
		s.get("/account/security/password"), s.post("/account/security/password", url.Values{"password": {another}, "repeat": {another}}),
	} {
		if to := a.want(t, 303).Header.Get("Location"); !strings.HasPrefix(to, "/login?flow=") {
			t.Errorf("leads to %s", to)
		}
	}
}
