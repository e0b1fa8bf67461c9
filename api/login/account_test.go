package login

import (
	"html"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/quis-idp/quis/api/page/pagetest"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/authn"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/credential/totp/totptest"
	"github.com/quis-idp/quis/identity/directory"
)

// second adds another user, with the same password.
func (h *house) second(username, name string) {
	h.t.Helper()
	h.update(func(tx *fsm.Tx) error {
		u, err := directory.CreateUser(tx, identity.DefaultTenant, directory.User{Username: username, Name: name})
		if err != nil {
			return err
		}
		return credential.SetPassword(tx, identity.DefaultTenant, u.ID, h.phc)
	})
}

// signInAndOut leaves a browser that remembers an account and has no session.
func (s *someone) signInAndOut(username string) {
	s.t.Helper()
	s.try(s.form("/login?another=yes"), username, secret).Want(s.t, 200)
	s.Post("/logout", url.Values{}).Want(s.t, 200)
}

// linkTo returns where a link with these words leads.
func linkTo(t *testing.T, a pagetest.Answer, words string) string {
	t.Helper()
	return html.UnescapeString(a.One(t, `href="([^"]*)">(?:<span class="name">)?`+words))
}

// One account that was here before is filled in; several are chosen from, without JavaScript,
// and each can be forgotten.
func TestBrowserRemembersAccounts(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	h.second("grace", "Grace Hopper")
	s := h.someone()
	if a := s.Get("/login").Want(t, 200, `value="" autocomplete="username webauthn"`); strings.Contains(a.Page, "accounts=yes") || strings.Contains(a.Page, "Last used") {
		t.Errorf("a new browser remembers: %s", a.Page)
	}
	s.signInAndOut("tester")
	s.Get("/login").Want(t, 200, `value="tester" autocomplete="username webauthn"`, "accounts=yes", `Sign in <span class="last">Last used</span>`)
	s.Get("/login?flow="+h.begin(authn.Need{ReturnTo: "/", LoginHint: "somebody"})).Want(t, 200, `value="somebody"`) // an application knows better
	s.signInAndOut("grace")
	before := h.cluster.Entries()

	a := s.Get("/login").Want(t, 200, "Which account?", "Test User", "tester@example.com", "Grace Hopper", "Use another account")
	if strings.Index(a.Page, "Grace Hopper") > strings.Index(a.Page, "Test User") {
		t.Error("who was here last is not the first")
	}
	s.Get(linkTo(t, a, "Test User")).Want(t, 200, `value="tester"`)
	s.Get(linkTo(t, a, "Grace Hopper")).Want(t, 200, `value="grace"`)
	s.Get(linkTo(t, a, "Use another account")).Want(t, 200, `value="" autocomplete="username webauthn"`)

	keys, flow := a.Hidden("account"), a.Hidden("flow")
	s.Post("/login/forget", url.Values{"flow": flow[:1], "account": {"nobody"}}).Leads(t, "/login?accounts=yes&flow=")
	to := s.Post("/login/forget", url.Values{"flow": flow[:1], "account": keys[:1]})
	to.Leads(t, "/login?accounts=yes&flow=")
	a = s.Get(to.Header.Get("Location")).Want(t, 200, "Which account?", "Test User")
	if strings.Contains(a.Page, "Grace") {
		t.Error("a forgotten account is remembered")
	}
	to = s.Post("/login/forget", url.Values{"flow": a.Hidden("flow")[:1], "account": a.Hidden("account")})
	s.Get(to.Header.Get("Location")).Want(t, 200, `name="password"`, `value="" autocomplete="username webauthn"`)
	if h.cluster.Entries() != before {
		t.Errorf("remembering wrote %d entries", h.cluster.Entries()-before)
	}
}

// What browsers remember is of one tenant, and of users who are still there; that somebody is
// disabled is not told.
func TestRememberedAccountsAreThoseOfTheTenant(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	h.second("grace", "Grace Hopper")
	s := h.someone()
	s.signInAndOut("tester")
	s.signInAndOut("grace")
	if a := s.Get("/t/acme/login").Want(t, 200, `value=""`); strings.Contains(a.Page, "accounts=yes") {
		t.Error("another tenant's accounts are remembered")
	}
	change := func(fn func(tx *fsm.Tx, u *directory.User) error) {
		h.update(func(tx *fsm.Tx) error {
			u, err := directory.UserByUsername(tx, identity.DefaultTenant, "grace")
			if err != nil {
				return err
			}
			return fn(tx, u)
		})
	}
	change(func(tx *fsm.Tx, u *directory.User) error {
		_, err := directory.UpdateUser(tx, identity.DefaultTenant, u.ID, 0, func(u *directory.User) error {
			u.Disabled = true
			return nil
		})
		return err
	})
	s.Get("/login").Want(t, 200, "Which account?", "Grace Hopper", "Test User")
	change(func(tx *fsm.Tx, u *directory.User) error {
		return directory.DeleteUser(tx, identity.DefaultTenant, u.ID, 0)
	})
	s.Get("/login").Want(t, 200, `value="tester"`)
}

// Who is signed in and shall choose sees the others that have signed in here, too.
func TestChooseAmongRememberedAccounts(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	h.second("grace", "Grace Hopper")
	s := h.someone()
	s.signInAndOut("grace")
	need := authn.Need{ReturnTo: "/oauth2/authorize?prompt=select_account", Application: "Web", Select: true}
	s.Get("/login?flow="+h.begin(need)).Want(t, 200, "Which account?", "Grace Hopper") // one, and nobody is signed in
	s.try(s.form("/login?another=yes"), "tester", secret).Want(t, 200)
	a := s.Get("/login?flow="+h.begin(need)).Want(t, 200, "Continue as Test User", "Grace Hopper")
	if strings.Count(a.Page, "Test User") != 1 {
		t.Errorf("who is signed in stands there twice: %s", a.Page)
	}
	form := s.Get(linkTo(t, a, "Grace Hopper")).Want(t, 200, `value="grace"`)
	done := s.try(form.Hidden("flow")[0], "grace", secret).Want(t, 200)
	if to := done.Header.Get("Refresh"); !strings.HasPrefix(to, "0; url="+need.ReturnTo+"&"+authn.TicketParameter+"=") {
		t.Errorf("Refresh %q", to)
	}
	need.Login = true // whoever it is has to prove it
	if a := s.Get("/login?flow="+h.begin(need)).Want(t, 200, "Which account?", "Grace Hopper", "Test User"); strings.Contains(a.Page, "/login/continue") {
		t.Error("who has to prove it may go on at once")
	}
}

func TestForgetIsRefusedFromAnotherSite(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	s := h.someone()
	s.signInAndOut("tester")
	key := s.Get("/login?accounts=yes").Hidden("account")
	r, err := http.NewRequest(http.MethodPost, h.url+"/login/forget", strings.NewReader(url.Values{"account": key}.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	s.Do(r).Want(t, 403)
	s.Get("/login").Want(t, 200, `value="tester"`)
}

// A form that stood open for ten minutes still works; later it says so kindly and leads on to
// what the person came for, as does one that they come back to.
func TestFlowsThatStoodOpen(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	s, other := h.someone(), h.someone()
	const to = "/oauth2/authorize?client_id=web&state=a"
	sealed := h.begin(authn.Need{ReturnTo: to, Application: "Web"})
	flow := s.form("/login?flow=" + sealed)
	h.cluster.Pass(t, 10*time.Minute)
	s.form("/login?flow=" + sealed) // a tab that is loaded again
	s.try(flow, "tester", "wrong").Want(t, 401)
	const link = `href="/oauth2/authorize?client_id=web&amp;state=a"`
	h.cluster.Pass(t, 6*time.Minute)
	s.try(flow, "tester", secret).Want(t, 410, "That took a little long", link, "Start again")
	s.Get("/login?flow="+sealed).Want(t, 410, "That took a little long", link)
	other.try(flow, "tester", secret).Want(t, 410, "This page no longer works") // not theirs

	flow = s.form("/login?flow=" + h.begin(authn.Need{ReturnTo: to}))
	s.try(flow, "tester", secret).Want(t, 200)
	s.Get("/login?flow="+flow).Want(t, 410, "You have been here already", link, "Continue")
	s.try(flow, "tester", secret).Want(t, 410, "You have been here already", link)
	if h.sessions() != 1 {
		t.Errorf("%d sessions", h.sessions())
	}
}

// Each page on which something is typed has a button for more time, which shows the page again, with
// the name that was typed and no password (WCAG 2.2, 2.2.1 and 3.3.7).
func TestMoreTime(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	h.update(func(tx *fsm.Tx) error {
		u, err := directory.UserByUsername(tx, identity.DefaultTenant, "tester")
		if err == nil {
			_, _, err = totptest.Add(tx, h.ring, identity.DefaultTenant, u.ID, "telephone")
		}
		return err
	})
	s := h.someone()
	flow := s.form("/login?flow=" + h.begin(authn.Need{ReturnTo: "/oauth2/authorize", Application: "Web"}))
	for range 3 {
		h.cluster.Pass(t, 13*time.Minute)
		a := s.Post("/login", url.Values{"flow": {flow}, "longer": {"yes"}, "username": {"tester"}, "password": {secret}})
		a.Want(t, 200, `value="tester"`, "to continue to Web", `name="longer"`, `class="soon in13"`)
		if strings.Contains(a.Page, secret) {
			t.Error("the password is on the page")
		}
		flow = a.Hidden("flow")[0]
	}
	a := s.try(flow, "tester", secret)
	a.Want(t, 200, `name="code"`, `name="longer"`)
	h.cluster.Pass(t, 13*time.Minute)
	a = s.Post("/login/second", url.Values{"flow": a.Hidden("flow"), "way": {"totp"}, "longer": {"yes"}})
	a.Want(t, 200, `name="code"`)
	h.cluster.Pass(t, 13*time.Minute)
	a = s.Post("/login/second", url.Values{"flow": a.Hidden("flow"), "way": {"totp"}, "code": {"000000"}}).Want(t, 401)
	h.cluster.Pass(t, 10*time.Minute) // 36 since the name and password were proved: nine are left of 45, and there is no more
	a = s.Post("/login/second", url.Values{"flow": a.Hidden("flow"), "way": {"totp"}, "longer": {"yes"}})
	if a.Want(t, 200, `class="soon in7"`, "There is no more to be had."); strings.Contains(a.Page, `name="longer"`) {
		t.Error("more time is offered where there is none")
	}
	h.someone().Post("/login", url.Values{"flow": {flow}, "longer": {"yes"}}).Want(t, 410) // not theirs
}

// An application that wants a choice gets one: with the account that is signed in, which
// proves nothing and writes nothing, or with another.
func TestChooseAccount(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	s := h.someone()
	const back = "/oauth2/authorize?client_id=web&prompt=select_account"
	need := authn.Need{ReturnTo: back, Application: "Web", Select: true}
	s.form("/login?flow=" + h.begin(need)) // nobody is signed in: there is nothing to choose from
	s.signIn()
	flow := s.form("/login?flow=" + h.begin(need))
	s.Get("/login?flow="+flow).Want(t, 200, "Which account?", "to continue to Web", "Continue as Test User", "tester@example.com")
	s.Get("/login?another=yes&flow="+flow).Want(t, 200, `name="password"`)
	before := h.cluster.Entries()
	a := s.Post("/login/continue", url.Values{"flow": {flow}})
	a.Want(t, 200, "You should be taken on to Web")
	if to := a.Header.Get("Refresh"); !strings.HasPrefix(to, "0; url="+back+"&"+authn.TicketParameter+"=") || h.cluster.Entries() != before {
		t.Errorf("Refresh %q, %d log entries", to, h.cluster.Entries()-before)
	}
	h.someone().Post("/login/continue", url.Values{"flow": {flow}}).Want(t, 410) // another browser's flow
	proof := need
	proof.Login = true // a choice is no proof
	flow = s.form("/login?flow=" + h.begin(proof))
	s.Post("/login/continue", url.Values{"flow": {flow}}).Want(t, 410)
	flow = s.form("/login?flow=" + h.begin(authn.Need{ReturnTo: back, Login: true}))
	s.Post("/login/continue", url.Values{"flow": {flow}}).Want(t, 410)
	s.Post("/login/continue", url.Values{"flow": {"x"}}).Want(t, 410)
}

func TestRefusesChoiceOfAccountFromAnotherSite(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	s := h.someone()
	s.signIn()
	flow := s.form("/login?flow=" + h.begin(authn.Need{ReturnTo: "/", Select: true}))
	r, err := http.NewRequest(http.MethodPost, h.url+"/login/continue", strings.NewReader(url.Values{"flow": {flow}}.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	s.Do(r).Want(t, 403)
}
