package portal

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/session"
)

func TestStrangersSignInFirst(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	before := h.cluster.Entries()
	s := h.someone()
	s.post("/account/sessions", url.Values{"others": {"yes"}}).want(t, 303)
	for path, back := range map[string]string{
		"/account/sessions?done=one": "/account/sessions?done=one", "/account": "/account",
		"/account/security?x=" + strings.Repeat("x", 5000): "/account",
	} {
		s := h.someone()
		a := s.get(path)
		if h.cluster.Entries() != before {
			t.Errorf("%s: a stranger's request is in the log", path)
		}
		got := s.signIn(a, "", "ada", secret)
		before = h.cluster.Entries()
		if got = s.get(got).want(t, 303).Header.Get("Location"); got != back {
			t.Errorf("%.40s leads back to %q", path, got)
		}
	}
	in := h.someone()
	in.signIn(in.get("/t/acme/account"), "/t/acme", "ada", secret)
	in.get("/t/acme/account").want(t, 200, `href="/t/acme/account/security"`, `action="/t/acme/account"`)
	in.get("/account").want(t, 303) // another tenant's session is none
}

func TestFormsOfOtherSitesAreRefused(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.enter("ada")
	h.enter("ada")
	for _, header := range []http.Header{
		{"Sec-Fetch-Site": {"cross-site"}}, {"Sec-Fetch-Site": {"same-site"}}, {"Origin": {"https://evil.example"}},
	} {
		s.send("POST", "/account/sessions", url.Values{"others": {"yes"}}, header).want(t, 403, "another site")
	}
	s.post("/account/sessions?others=yes", url.Values{}).want(t, 303) // what a link can set is not looked at
	if n := h.count("ada"); n != 2 {
		t.Errorf("%d sessions", n)
	}
}

func TestProfile(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.enter("ada")
	form := func() url.Values {
		a := s.get("/account").want(t, 200, "ada@example.com", "not confirmed")
		return url.Values{"revision": a.hidden("revision"), "name": {"Ada <Lovelace>"}, "given_name": {" Ada "}, "family_name": {"Lovelace"}, "locale": {"en"}}
	}
	f := form()
	s.done("/account", f).want(t, 200, "Your profile is saved", "Ada &lt;Lovelace&gt;", `<option value="en" lang="en" selected>`)
	s.post("/account", f).want(t, 409, "in the meantime", `value="Ada &lt;Lovelace&gt;"`)
	long := form()
	long.Set("name", strings.Repeat("a", 2000))
	s.post("/account", long).want(t, 422, `id="name-error"`)
	bad := form()
	bad.Set("locale", "../x")
	s.post("/account", bad).want(t, 422, `role="alert"`)
	more := form() // what the form has no field for stays
	more.Set("admin", "true")
	more.Set("email", "grace@example.com")
	more.Set("username", "root")
	more.Set("locale", "de") // and is spoken to in it at once
	s.done("/account", more).want(t, 200, "Ihr Profil ist gespeichert", `<html lang="de"`)
	h.view(func(tx *fsm.Tx) error {
		u, _, err := directory.GetUser(tx, identity.DefaultTenant, h.users["ada"])
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
	there.agent = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1"
	there.signIn(there.get("/account"), "", "ada", secret)
	grace := h.enter("grace")
	list := here.get("/account/sessions").want(t, 200, "Firefox on Linux", "Safari on iPhone", "this device", "just now", "Sign out everywhere else")
	ids := list.hidden("session")
	if len(ids) != 1 || strings.Count(list.body, "this device") != 1 {
		t.Fatalf("%d other sessions: %s", len(ids), list.body)
	}
	grace.post("/account/sessions", url.Values{"session": ids}).want(t, 303)
	there.get("/account").want(t, 200) // hers to end, not Grace's
	here.done("/account/sessions", url.Values{"session": ids}).want(t, 200, "You are signed out there")
	there.get("/account").want(t, 303)
	here.post("/account/sessions", url.Values{"session": ids}).want(t, 303) // gone already
	h.enter("ada")
	h.enter("ada")
	here.done("/account/sessions", url.Values{"others": {"yes"}}).want(t, 200, "everywhere but here")
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
		all, err := h.sessions.ListOf(tx, identity.DefaultTenant, h.users["ada"])
		if err != nil || len(all) != 1 {
			t.Fatal(err, len(all))
		}
		v := &Visitor{Session: &all[0], portal: &Portal{cfg: Config{DB: h.db, Sessions: h.sessions}}}
		h.update(func(tx *fsm.Tx) error { return session.End(tx, v.Tenant, v.ID) })
		err = v.Update(t.Context(), func(*fsm.Tx) error { t.Error("it ran"); return nil })
		if err == nil {
			t.Error("no error")
		}
		return nil
	})
	s.get("/account").want(t, 303)
}
