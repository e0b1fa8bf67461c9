package setup

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
)

func TestSetup(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	link := h.link(operator)
	s := h.someone()
	s.Get(link).Want(t, 200, "You go first")
	form := url.Values{"username": {"ada"}, "email": {"ada@example.com"}, "name": {"Ada Lovelace"}, "password": {secret}, "repeat": {"another password"}}
	a := s.Post(link, form)
	a.Want(t, 422, "not the same", `value="ada"`, `value="Ada Lovelace"`, `id="repeat-error"`)
	if strings.Contains(a.Page, secret) {
		t.Error("the password came back")
	}
	wrong := url.Values{"username": {"a b"}, "email": {"ada"}, "password": {"short"}, "repeat": {"shorter"}}
	s.Post(link, wrong).Want(t, 422, `id="username-error"`, `id="email-error"`, `id="password-error"`, `id="repeat-error"`)
	form.Set("repeat", secret)
	form.Set("username", "tester")
	s.Post(link, form).Want(t, 422, `id="username-error"`)
	form.Set("username", "ada")
	form.Set("password", "short")
	form.Set("repeat", "short")
	s.Post(link, form).Want(t, 422, `id="password-error"`)
	form.Set("password", secret)
	form.Set("repeat", secret)
	a = s.Post(link, form)
	a.Want(t, 200, "Signing you in")
	if a.Header.Get("Refresh") != "0; url=/" {
		t.Errorf("Refresh: %q", a.Header.Get("Refresh"))
	}
	s.Get("/").Want(t, 200, "Hello, Ada Lovelace")
	h.update(func(tx *fsm.Tx) error {
		u, err := directory.UserByUsername(tx, identity.DefaultTenant, "ada")
		if err == nil && !u.Admin {
			t.Error("the first administrator is none")
		}
		return err
	})
	form.Set("username", "eve")
	form.Set("email", "eve@example.com")
	h.someone().Post(link, form).Want(t, 410, "This link no longer works")
	h.someone().Get(link).Want(t, 410, "only until a newer one is made", "quis setup-link")
	h.someone().Get("/setup/guess").Want(t, 410)
	a = h.someone().Get(h.link(operator))
	a.Want(t, 200, "<h1>Another administrator</h1>")
	if strings.Contains(a.Page, "irst") {
		t.Error("who comes second is told to be the first")
	}
}

// Attack: an administrator follows a setup link of their own, to be the second one whom some
// things need. Whoever comes in by it was appointed by who made the link.
func TestASetupLinkOfOnesOwnMakesNoSecondAdministrator(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for _, by := range []identity.Actor{operator, {Kind: identity.ActorUser, ID: "usr_root"}} {
		name := "by-" + string(by.Kind)
		h.someone().Post(h.link(by), url.Values{"username": {name}, "password": {secret}, "repeat": {secret}}).Want(t, 200, "Signing you in")
		h.update(func(tx *fsm.Tx) error {
			u, err := directory.UserByUsername(tx, identity.DefaultTenant, name)
			if err == nil && (!u.Admin || u.Appointed.IsZero() != (by.Kind == identity.ActorOperator)) {
				t.Errorf("%s: appointed at %s", name, u.Appointed)
			}
			if err != nil {
				return err
			}
			events, _, err := event.About(tx, identity.DefaultTenant, u.ID, "", 10)
			for _, e := range events {
				if e.Type == event.PasswordSet && (e.Actor.Kind != identity.ActorUser || e.Actor.ID != u.ID) {
					t.Errorf("%s: the password that they have typed themselves is told as set by %+v", name, e.Actor)
				}
			}
			return err
		})
	}
}

// TestGuessesAreLimited: an address that has tried too many links has to wait, even with one that works.
func TestGuessesAreLimited(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	link := h.link(operator)
	for range tries + 1 { // those that work do not count
		h.someone().Get(link).Want(t, http.StatusOK)
	}
	for range tries {
		h.someone().Get("/setup/guess").Want(t, http.StatusGone)
	}
	h.someone().Get(link).Want(t, http.StatusTooManyRequests)
	h.someone().Post(link, url.Values{"username": {"ada"}, "password": {secret}, "repeat": {secret}}).Want(t, http.StatusTooManyRequests)
}

// TestOnlyTheHouseIsSetUp: administrators of other tenants are appointed by those that there are.
func TestOnlyTheHouseIsSetUp(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	link := h.link(operator)
	h.someone().Get("/t/acme"+link).Want(t, http.StatusNotFound)
	h.someone().Post("/t/acme"+link, nil).Want(t, http.StatusNotFound)
	h.someone().Get(link).Want(t, http.StatusOK)
}
