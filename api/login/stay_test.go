package login

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/quis-idp/quis/api/page/pagetest"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/authn"
	"github.com/quis-idp/quis/identity/settings"
)

// decide changes the settings of the default tenant.
func (h *house) decide(change func(a *settings.Authentication)) {
	h.t.Helper()
	h.update(func(tx *fsm.Tx) error {
		a, _, err := settings.Get(tx, identity.DefaultTenant)
		if err != nil {
			return err
		}
		change(a)
		return settings.Put(tx, 0, *a)
	})
}

// kept is for how long the browser keeps the session cookie of an answer.
func kept(t *testing.T, a pagetest.Answer) time.Duration {
	t.Helper()
	for _, c := range a.Cookies() {
		if c.Name == "quis_session" {
			return time.Duration(c.MaxAge) * time.Second
		}
	}
	t.Fatalf("no session: %d %s", a.StatusCode, a.Page)
	return 0
}

// A session cookie ends with the browser, unless the person may stay signed in and asks for it.
func TestStaySignedIn(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	in := func(s *someone, stay bool) pagetest.Answer {
		f := url.Values{"flow": {s.form("/login")}, "username": {"tester"}, "password": {secret}}
		if stay {
			f.Set("stay", "yes")
		}
		return s.Post("/login", f)
	}
	if a := h.someone().Get("/login"); strings.Contains(a.Page, `name="stay"`) {
		t.Error("it is offered although the tenant does not")
	}
	if life := kept(t, in(h.someone(), true)); life != 0 {
		t.Errorf("kept for %v although the tenant does not offer it", life)
	}
	h.decide(func(a *settings.Authentication) { a.Session.RememberMe = 14 })
	h.someone().Get("/login").Want(t, 200, `<input type="checkbox" name="stay" value="yes" data-with-answer> Stay signed in on this browser for 14 days`)
	if life := kept(t, in(h.someone(), false)); life != 0 {
		t.Errorf("kept for %v without being asked to", life)
	}
	s := h.someone()
	if life := kept(t, in(s, true)); life != 14*24*time.Hour {
		t.Errorf("kept for %v", life)
	}
	wrong := h.someone()
	a := wrong.Post("/login", url.Values{"flow": {wrong.form("/login")}, "username": {"tester"}, "password": {"wrong"}, "stay": {"yes"}})
	a.Want(t, 401, `data-with-answer checked>`) // what was chosen comes back
	h.decide(func(a *settings.Authentication) { a.Session.RememberMe = 0 })
	s.Get("/").Want(t, 200, "Hello, Test User") // it is younger than any other may be
}

// Who has proved who they are, and cannot go on, is told why, with an ID; who has not is told
// nothing that a stranger to the place would not be.
func TestDeniedByPolicy(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	h.decide(func(a *settings.Authentication) { a.MFAMethods = []string{settings.MethodTOTP} })
	try := func(name, password string) pagetest.Answer {
		s := h.someone()
		return s.try(s.form("/login?flow="+h.begin(authn.Need{ReturnTo: "/", MFA: settings.MFAPasskey})), name, password)
	}
	a := try("tester", secret).Want(t, http.StatusForbidden, "You cannot go on from here", "What you entered is right", "An administrator can help", "<code>req_", "Reference")
	pagetest.Check(t, "refused", a.Page)
	if len(a.Header.Values("Set-Cookie")) != 0 || h.sessions() != 0 {
		t.Error("there is a session")
	}
	pages := map[string]string{}
	for _, name := range []string{"tester", "nobody"} {
		pages[name] = strings.ReplaceAll(random.ReplaceAllString(try(name, "wrong").Want(t, 401).Page, "$1"), name, "NAME")
	}
	if pages["tester"] != pages["nobody"] {
		t.Errorf("the pages differ:\n%s\n%s", pages["tester"], pages["nobody"])
	}
}
