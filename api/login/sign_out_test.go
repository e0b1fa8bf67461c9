package login

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
)

func TestSignOut(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	here, there := h.someone(), h.someone()
	here.signIn()
	there.signIn()
	here.Get("/logout").Want(t, 200, "Sign out?", "tester@example.com", `name="everywhere"`)
	if h.sessions() != 2 {
		t.Fatal("asking has signed somebody out")
	}
	a := here.Post("/logout", nil)
	a.Want(t, 200, "You are signed out", "on this device")
	if c := a.Cookies(); len(c) != 1 || c[0].Name != "quis_session" || c[0].MaxAge >= 0 {
		t.Errorf("cookies %v", c)
	}
	here.Get("/").Want(t, 200, "Who are you?")
	there.Get("/").Want(t, 200, "Hello, Test User")

	here.signIn()
	here.Post("/logout", url.Values{"everywhere": {"yes"}}).Want(t, 200, "on every device")
	there.Get("/").Want(t, 200, "Who are you?")
	if h.sessions() != 0 {
		t.Errorf("%d sessions left", h.sessions())
	}
	here.Get("/logout").Want(t, 200, "You are signed out")
	here.Post("/logout", nil).Want(t, 200, "You are signed out")

	r, err := http.NewRequest(http.MethodPost, h.url+"/logout", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	there.Do(r).Want(t, 403, "sent from another site")
}

// An application sends a person to sign out and waits for them: OIDC's end-session
// endpoint asks here first, and is gone back to.
func TestSignOutForAnApplication(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	const back = "/oauth2/logout?client_id=web&state=a%26b"
	s := h.someone()
	s.signIn()
	s.Get("/logout?return_to="+url.QueryEscape(back)).Want(t, 200, `name="return_to" value="/oauth2/logout?client_id=web&amp;state=a%26b"`)
	a := s.Post("/logout", url.Values{"return_to": {back}})
	a.Want(t, 200, "You are signed out", "Continue")
	if got := a.Header.Get("Refresh"); got != "0; url="+back {
		t.Errorf("Refresh: %q", got)
	}
	if a := s.Get("/logout?return_to=" + url.QueryEscape(back)); a.StatusCode != 303 || a.Header.Get("Location") != back {
		t.Errorf("nobody signed in: %d %q", a.StatusCode, a.Header.Get("Location"))
	}
	for _, bad := range []string{
		"https://evil.example/", "//evil.example/oauth2/logout?", "/oauth2/logout", "/\\evil.example", "/login",
		"/oauth2/logout?\r\nx", "/oauth2/logout?" + strings.Repeat("x", 9000), "/t/acme/oauth2/logout?",
	} {
		if a := s.Post("/logout", url.Values{"return_to": {bad}}); a.StatusCode != 200 || a.Header.Get("Refresh") != "" {
			t.Errorf("%q: %d, Refresh %q", bad, a.StatusCode, a.Header.Get("Refresh"))
		}
	}
}

func TestSetup(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	var token string
	h.update(func(tx *fsm.Tx) (err error) {
		token, err = credential.CreateSetup(tx)
		return err
	})
	s := h.someone()
	s.Get("/setup/"+token).Want(t, 200, "You go first")
	form := url.Values{"username": {"ada"}, "email": {"ada@example.com"}, "name": {"Ada Lovelace"}, "password": {secret}, "repeat": {"another password"}}
	a := s.Post("/setup/"+token, form)
	a.Want(t, 422, "not the same", `value="ada"`, `value="Ada Lovelace"`, `id="repeat-error"`)
	if strings.Contains(a.Page, secret) {
		t.Error("the password came back")
	}
	form.Set("repeat", secret)
	form.Set("username", "tester")
	s.Post("/setup/"+token, form).Want(t, 422, `id="username-error"`)
	form.Set("username", "ada")
	form.Set("password", "short")
	form.Set("repeat", "short")
	s.Post("/setup/"+token, form).Want(t, 422, `id="password-error"`)
	form.Set("password", secret)
	form.Set("repeat", secret)
	a = s.Post("/setup/"+token, form)
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
	h.someone().Post("/setup/"+token, form).Want(t, 410, "This link no longer works")
	h.someone().Get("/setup/"+token).Want(t, 410, "quis setup-link")
	h.someone().Get("/setup/guess").Want(t, 410)
	h.update(func(tx *fsm.Tx) (err error) {
		token, err = credential.CreateSetup(tx)
		return err
	})
	a = h.someone().Get("/setup/" + token)
	a.Want(t, 200, "<h1>Another administrator</h1>")
	if strings.Contains(a.Page, "irst") {
		t.Error("who comes second is told to be the first")
	}
}

// Attack: an administrator follows a setup link of their own, to be the second one whom some
// things need. Whoever comes in by it was appointed by who made the link.
func TestASetupLinkOfOnesOwnMakesNoSecondAdministrator(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	for _, by := range []identity.Actor{{Kind: identity.ActorOperator}, {Kind: identity.ActorUser, ID: "usr_root"}} {
		var token string
		err := h.db.Update(identity.WithActor(t.Context(), by), func(tx *fsm.Tx) (err error) {
			token, err = credential.CreateSetup(tx)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		name := "by-" + string(by.Kind)
		h.someone().Post("/setup/"+token, url.Values{"username": {name}, "password": {secret}, "repeat": {secret}}).Want(t, 200, "Signing you in")
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
