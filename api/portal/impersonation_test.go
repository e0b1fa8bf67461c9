package portal_test

import (
	"context"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/quis-idp/quis/api/page/pagetest"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/settings"
)

// ticket is what grace, an administrator, is given to act as ada.
func (h *house) ticket() string {
	h.T.Helper()
	h.Update(func(tx *fsm.Tx) error {
		a, _, err := settings.Get(tx, identity.DefaultTenant)
		if err != nil {
			return err
		}
		a.AllowImpersonation = true
		if err := settings.Put(tx, 0, *a); err != nil {
			return err
		}
		_, err = directory.UpdateUser(tx, identity.DefaultTenant, h.Users["grace"], 0, func(u *directory.User) error { u.Admin = true; return nil })
		return err
	})
	ctx := identity.WithActor(context.WithoutCancel(h.T.Context()), identity.Actor{Kind: identity.ActorUser, ID: h.Users["grace"]})
	ticket, _, err := h.offers.Make(ctx, identity.DefaultTenant, h.Users["ada"], "ticket 4711 <b>", time.Hour)
	if err != nil {
		h.T.Fatal(err)
	}
	return ticket
}

// acting is grace's browser, in which she acts as ada.
func (h *house) acting() *someone {
	h.T.Helper()
	s := h.enter("grace")
	s.Post("/impersonate/"+h.ticket(), url.Values{}).Leads(h.T, "/account")
	return s
}

func TestActingAsSomebodyElse(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ada, s := h.enter("ada"), h.enter("grace")
	ticket := h.ticket()
	before := h.Cluster.Entries()
	ask := s.Get("/impersonate/"+ticket).Want(t, 200, "Act as ada?", "ticket 4711 &lt;b&gt;", "ada@example.com", "grace@example.com", "for an hour at most")
	pagetest.Check(t, "impersonate", ask.Page)
	if h.Cluster.Entries() != before {
		t.Error("following the link wrote to the log")
	}
	s.Post("/impersonate/"+ticket, url.Values{}).Leads(t, "/account")
	for _, path := range []string{"/account", "/account/security", "/account/sessions", "/account/activity", "/account/tokens", "/apps", "/"} {
		a := s.Get(path).Want(t, 200, "You are acting as this person", `action="/impersonate/end"`, "Stop acting as this person")
		pagetest.Check(t, path, a.Page)
		for _, refused := range []string{`<button class`, `href="/account/email"`, `href="/account/tokens/new"`, `href="/account/security/`} {
			if n := strings.Count(a.Page, refused); n > 1 || n == 1 && refused != `<button class` { // the one that ends it
				t.Errorf("%s: %q is offered %d times", path, refused, n)
			}
		}
		if a := ada.Get(path); strings.Contains(a.Page, "You are acting") {
			t.Errorf("%s: the person themselves is told that they act as somebody", path)
		}
	}
	to := h.someone().Get("/account").Header.Get("Location")
	for _, path := range []string{"/logout", to + "&accounts=yes"} { // and where what is done ends it, or leads to somebody else
		pagetest.Check(t, path, s.Get(path).Want(t, 200, "You are acting as this person", `action="/impersonate/end"`).Page)
	}

	s.Get("/account").Want(t, 200, "ada@example.com")
	ada.Get("/account/sessions").Want(t, 200, "An administrator, acting as you")
	h.someone().Post("/impersonate/"+ticket, url.Values{}).Want(t, 410, "no longer works")
	s.Post("/impersonate/end", url.Values{}).Leads(t, "/")
	if a := s.Get("/account").Want(t, 200, "grace@example.com"); strings.Contains(a.Page, "You are acting") {
		t.Error("the banner stays")
	}
	s.Post("/impersonate/end", url.Values{}).Leads(t, "/") // a second click ends nothing of her own
	s.Get("/account").Want(t, 200, "grace@example.com")
	list := ada.Get("/account/activity").Want(t, 200, "An administrator began to act as you", "An administrator stopped acting as you", "A session ended")
	if n := strings.Count(list.Page, "by an administrator"); n != 1 { // of the session: the other sentences say it themselves
		t.Errorf("%d times by an administrator", n)
	}
	if strings.Contains(list.Page, "ticket 4711") {
		t.Error("the activity tells the reason")
	}
}

// What cannot be saved cannot be typed either.
func TestActingTypesNothing(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	own, seen := h.enter("ada").Get("/account").Want(t, 200), h.acting().Get("/account").Want(t, 200)
	input := regexp.MustCompile(`<(?:input id|select)[^>]*>`)
	for page, fixed := range map[string]bool{own.Page: false, seen.Page: true} {
		all := input.FindAllString(page, -1)
		if len(all) != 4 || strings.Contains(page, ">Save</button>") == fixed {
			t.Errorf("%d fields, and a button %v", len(all), !fixed)
		}
		for _, one := range all {
			if is := strings.Contains(one, " readonly") || strings.Contains(one, " disabled"); is != fixed {
				t.Errorf("fixed %v, want %v: %s", is, fixed, one)
			}
		}
	}
}

// Attack: nothing that makes the account easier to enter, or harder to keep, can be done by who acts as its
// person; nor can anything else be changed here.
func TestActingChangesNothing(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ada := h.enter("ada")
	s := h.acting()
	before := h.Cluster.Entries()
	for path, form := range map[string]url.Values{
		"/account":                   {"revision": {"1"}, "name": {"Eve"}},
		"/account/security/password": {"current": {secret}, "password": {another}, "repeat": {another}},
		"/account/tokens/new":        {"name": {"x"}, "scope": {"me"}, "days": {"7"}},
		"/account/tokens":            {"token": {"tok_x"}},
		"/account/sessions":          {"others": {"yes"}},
		"/account/activity":          {"event": {"evt_x"}},
	} {
		a := s.Post(path, form).Want(t, 403, "you can only look", `action="/impersonate/end"`, "Stop acting as this person")
		if strings.Contains(a.Page, "administrator") {
			t.Errorf("%s: the administrator is sent to one", path)
		}
	}
	for _, path := range []string{"/account/security/password", "/account/tokens/new"} {
		s.Get(path).Want(t, 403, "you can only look")
	}
	if n := h.Cluster.Entries() - before; n != 0 {
		t.Errorf("%d entries", n)
	}
	ada.Get("/account").Want(t, 200)
	s.Post("/logout", url.Values{"everywhere": {"yes"}}).Leads(t, "/") // ends the impersonation, and no session of hers
	ada.Get("/account").Want(t, 200)
	s.Get("/account").Want(t, 200, "grace@example.com")
	h.view(func(tx *fsm.Tx) error {
		for t, err := range credential.ListTokens(tx, identity.DefaultTenant, h.Users["ada"]) {
			if err != nil {
				return err
			}
			h.T.Errorf("token %s", t.Name)
		}
		return nil
	})
}

// Every event of such a session names who acted, and its end comes without anybody's doing.
func TestActingIsOnRecordAndEnds(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.acting()
	s.Get("/account").Want(t, 200, "You are acting")
	h.Pass(61 * time.Minute)
	s.Get("/account").Leads(t, "/login?flow=")
	h.view(func(tx *fsm.Tx) error {
		page, _, err := event.List(tx, identity.DefaultTenant, event.Query{Type: "impersonation."})
		for _, e := range page {
			if e.Type != event.ImpersonationOffered && e.Actor.Impersonator != h.Users["grace"] {
				t.Errorf("%+v", e)
			}
		}
		if len(page) != 2 {
			t.Errorf("%d events", len(page))
		}
		return err
	})
}

// Attack: whoever acts as one person cannot go on from there to another, and other sites cannot begin or end it.
func TestActingIsNotChained(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.acting()
	s.Post("/impersonate/"+h.ticket(), url.Values{}).Want(t, 403, "you can only look")
	s.Send("POST", "/impersonate/end", url.Values{}, http.Header{"Sec-Fetch-Site": {"cross-site"}}).Want(t, 403)
	s.Get("/account").Want(t, 200, "You are acting")
	h.enter("ada").Send("POST", "/impersonate/"+h.ticket(), url.Values{}, http.Header{"Sec-Fetch-Site": {"cross-site"}}).Want(t, 403)
	h.someone().Get("/impersonate/"+strings.Repeat("A", 200)).Want(t, 410)
}
