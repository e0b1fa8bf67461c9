package portal_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/quis-idp/quis/api/portal"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/session"
)

func TestStrangersSignInFirst(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	before := h.Cluster.Entries()
	s := h.someone()
	s.Post("/account/sessions", url.Values{"others": {"yes"}}).Want(t, 303)
	for path, back := range map[string]string{
		"/account/sessions?done=one": "/account/sessions?done=one", "/account": "/account",
		"/account/security?x=" + strings.Repeat("x", 5000): "/account",
	} {
		s := h.someone()
		a := s.Get(path)
		if h.Cluster.Entries() != before {
			t.Errorf("%s: a stranger's request is in the log", path)
		}
		got := s.SignIn(a, "", "ada", secret)
		before = h.Cluster.Entries()
		if got = s.Get(got).Want(t, 303).Header.Get("Location"); got != back {
			t.Errorf("%.40s leads back to %q", path, got)
		}
	}
	in := h.someone()
	in.SignIn(in.Get("/t/acme/account"), "/t/acme", "ada", secret)
	in.Get("/t/acme/account").Want(t, 200, `href="/t/acme/account/security"`, `action="/t/acme/account"`)
	in.Get("/account").Want(t, 303) // another tenant's session is none
}

func TestFormsOfOtherSitesAreRefused(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.enter("ada")
	h.enter("ada")
	for _, header := range []http.Header{
		{"Sec-Fetch-Site": {"cross-site"}}, {"Sec-Fetch-Site": {"same-site"}}, {"Origin": {"https://evil.example"}},
	} {
		s.Send("POST", "/account/sessions", url.Values{"others": {"yes"}}, header).Want(t, 403, "another site")
	}
	s.Post("/account/sessions?others=yes", url.Values{}).Want(t, 303) // what a link can set is not looked at
	if n := h.count("ada"); n != 2 {
		t.Errorf("%d sessions", n)
	}
}

func TestProfile(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.enter("ada")
	form := func() url.Values {
		a := s.Get("/account").Want(t, 200, "ada@example.com", "not confirmed")
		return url.Values{"revision": a.Hidden("revision"), "name": {"Ada <Lovelace>"}, "given_name": {" Ada "}, "family_name": {"Lovelace"}, "locale": {"en"}}
	}
	f := form()
	s.done("/account", f).Want(t, 200, "Your profile is saved", "Ada &lt;Lovelace&gt;", `<option value="en" lang="en" selected>`)
	s.Post("/account", f).Want(t, 409, "in the meantime", `value="Ada &lt;Lovelace&gt;"`)
	long := form()
	long.Set("name", strings.Repeat("a", 2000))
	s.Post("/account", long).Want(t, 422, `id="name-error"`)
	bad := form()
	bad.Set("locale", "../x")
	s.Post("/account", bad).Want(t, 422, `role="alert"`)
	more := form() // what the form has no field for stays
	more.Set("admin", "true")
	more.Set("email", "grace@example.com")
	more.Set("username", "root")
	more.Set("locale", "de") // and is spoken to in it at once
	s.done("/account", more).Want(t, 200, "Ihr Profil ist gespeichert", `<html lang="de"`)
	h.view(func(tx *fsm.Tx) error {
		u, _, err := directory.GetUser(tx, identity.DefaultTenant, h.Users["ada"])
		if err != nil || u.Admin || u.Username != "ada" || u.Email != "ada@example.com" || u.GivenName != "Ada" {
			t.Errorf("%+v", u)
		}
		return err
	})
}

func TestSessions(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	here, there := h.enter("ada"), h.someone()
	there.Agent = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1"
	there.SignIn(there.Get("/account"), "", "ada", secret)
	grace := h.enter("grace")
	list := here.Get("/account/sessions").Want(t, 200, "Firefox on Linux", "Safari on iPhone", "this device", "just now", "Sign out everywhere else")
	ids := list.Hidden("session")
	if len(ids) != 1 || strings.Count(list.Page, "this device") != 1 {
		t.Fatalf("%d other sessions: %s", len(ids), list.Page)
	}
	grace.Post("/account/sessions", url.Values{"session": ids}).Want(t, 303)
	there.Get("/account").Want(t, 200) // hers to end, not Grace's
	here.done("/account/sessions", url.Values{"session": ids}).Want(t, 200, "You are signed out there")
	there.Get("/account").Want(t, 303)
	here.Post("/account/sessions", url.Values{"session": ids}).Want(t, 303) // gone already
	h.enter("ada")
	h.enter("ada")
	here.done("/account/sessions", url.Values{"others": {"yes"}}).Want(t, 200, "everywhere but here")
	if ada, other := h.count("ada"), h.count("grace"); ada != 1 || other != 1 {
		t.Errorf("%d and %d sessions", ada, other)
	}
}

// A session that ends after its page was asked for changes nothing more.
func TestEndedSessionChangesNothing(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.enter("ada")
	h.view(func(tx *fsm.Tx) error {
		all, err := h.Sessions.ListOf(tx, identity.DefaultTenant, h.Users["ada"])
		if err != nil || len(all) != 1 {
			t.Fatal(err, len(all))
		}
		v := portal.VisitorOf(portal.Config{DB: h.DB, Sessions: h.Sessions}, &all[0])
		h.Update(func(tx *fsm.Tx) error { return session.End(tx, v.Tenant, v.ID) })
		err = v.Update(t.Context(), func(*fsm.Tx) error { t.Error("it ran"); return nil })
		if err == nil {
			t.Error("no error")
		}
		return nil
	})
	s.Get("/account").Want(t, 303)
}
