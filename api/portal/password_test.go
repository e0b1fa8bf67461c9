package portal_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/quis-idp/quis/api/page/pagetest"
	"github.com/quis-idp/quis/api/portal"
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
	s.Get("/account/security").Want(t, 200, "Password", "Set on ", `href="/account/security/password"`)
	s.Get("/account/security/password").Want(t, 200, `autocomplete="current-password"`, `autocomplete="new-password"`)
	change := func(current, fresh, repeat string) pagetest.Answer {
		a := s.Post("/account/security/password", url.Values{"current": {current}, "password": {fresh}, "repeat": {repeat}})
		if strings.Contains(a.Page, another) || strings.Contains(a.Page, secret) {
			t.Error("a password came back")
		}
		return a
	}
	change(secret, another, another+"!").Want(t, 422, `id="repeat-error"`)
	change("not this one", another, another).Want(t, 422, `id="current-error"`, "not your current password")
	change(secret, secret, secret).Want(t, 422, `id="password-error"`, "This is your current password")
	change("not this one", "not this one", "not this one").Want(t, 422, `id="current-error"`)
	change(secret, "short", "short").Want(t, 422, `id="password-error"`)
	change(secret, "ada@example.com", "ada@example.com").Want(t, 422, `id="password-error"`)
	other.Get("/account").Want(t, 200)
	to := change(secret, another, another).Want(t, 303).Header.Get("Location")
	s.Get(to).Want(t, 200, "Your password is changed")
	other.Get("/account").Want(t, 303)
	fresh := h.someone()
	fresh.SignIn(fresh.Get("/account"), "", "ada", another)
}

// Whoever has found a browser open cannot guess the password from there for long.
func TestPresentPasswordCannotBeGuessedAtWill(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.enter("ada")
	f := url.Values{"current": {"guess"}, "password": {another}, "repeat": {another}}
	for range portal.PerUser.Burst {
		s.Post("/account/security/password", f).Want(t, 422)
	}
	if a := s.Post("/account/security/password", f).Want(t, 429); a.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	h.enter("grace").Post("/account/security/password", f).Want(t, 422)
}

// Whoever has no password yet sets one after a recent proof of another kind.
func TestFirstPasswordWantsAFreshProof(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.enter("ada")
	h.Update(func(tx *fsm.Tx) error { return credential.DeleteAllOf(tx, identity.DefaultTenant, h.Users["ada"]) })
	s.Get("/account/security").Want(t, 200, "You have no password, and nothing else", `class="button small" href="/account/security/password">Set a password`)
	s.Get("/account/security/password").Want(t, 200)
	h.Pass(settings.Default("").Session.SensitiveTime() + time.Second)
	for _, a := range []pagetest.Answer{
		s.Get("/account/security/password"), s.Post("/account/security/password", url.Values{"password": {another}, "repeat": {another}}),
	} {
		if to := a.Want(t, 303).Header.Get("Location"); !strings.HasPrefix(to, "/login?flow=") {
			t.Errorf("leads to %s", to)
		}
	}
}
