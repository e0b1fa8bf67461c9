package login

import (
	"html"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/quis-idp/quis/api/page/pagetest"
	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/authn"
	"github.com/quis-idp/quis/identity/credential/passkey"
	"github.com/quis-idp/quis/identity/credential/passkey/passkeytest"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/settings"
)

// passkey gives the tester one that verifies its user.
func (h *house) passkey() *passkeytest.Authenticator {
	a := &passkeytest.Authenticator{Origin: publicURL, UV: true}
	h.passkeyOn(a)
	return a
}

// passkeyOn gives the tester one on an authenticator.
func (h *house) passkeyOn(a *passkeytest.Authenticator) {
	h.t.Helper()
	site := identity.Tenant{ID: identity.DefaultTenant, Issuer: publicURL}
	rules := settings.Default(site.ID).Passkey
	h.update(func(tx *fsm.Tx) error {
		u, err := directory.UserByUsername(tx, site.ID, "tester")
		if err != nil {
			return err
		}
		options, session, err := passkey.BeginRegistration(tx, site, "A house", rules, u, true)
		if err != nil {
			return err
		}
		response, err := a.Create(options)
		if err == nil {
			_, err = passkey.Register(tx, site, rules, u.ID, session, response, "key")
		}
		return err
	})
}

// answer has an authenticator answer the form of a page.
func (s *someone) answer(a *passkeytest.Authenticator, form pagetest.Answer) pagetest.Answer {
	s.t.Helper()
	response, err := a.Get([]byte(html.UnescapeString(form.One(s.t, `data-options="([^"]*)"`))))
	if err != nil {
		s.t.Fatal(err)
	}
	return s.Post("/login/passkey", url.Values{"flow": {form.Hidden("flow")[0]}, "response": {string(response)}})
}

// Whoever holds a passkey whose model is denied now is told what to do, at both steps; a
// stranger is told what they always were.
func TestADeniedModelIsTold(t *testing.T) {
	t.Parallel()
	const sentence = "Your organization does not accept this kind of passkey any more. Use another way to sign in, or ask your administrator."
	h := newHouse(t, nil)
	a := h.passkey()
	h.update(func(tx *fsm.Tx) error {
		s := settings.Default(identity.DefaultTenant)
		s.Passkey.Deny = []string{"00000000-0000-0000-0000-000000000000"}
		return settings.Put(tx, 0, s)
	})
	s := h.someone()
	s.answer(a, s.Get("/login")).Want(t, http.StatusUnauthorized, sentence, "Username")
	second := s.try(s.form("/login"), "tester", secret).Want(t, http.StatusOK, "Use your passkey")
	s.answer(a, second).Want(t, http.StatusUnauthorized, sentence, "Use your passkey")
	stranger := &passkeytest.Authenticator{Origin: publicURL, UV: true, Keys: a.Keys, RPID: "elsewhere.example"}
	if said := s.answer(stranger, s.Get("/login")).Want(t, http.StatusUnauthorized, "That passkey did not let you in."); strings.Contains(said.Page, sentence) {
		t.Error("a stranger is told of the rule")
	}
}

// Who is told to set up a second factor is told who asks for it: the application, by its ID alone, or the
// organization, which may let them put it off.
func TestWhoAsksForASecondFactorIsSaid(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	app := &federation.Application{Tenant: identity.DefaultTenant, Name: "Wiki & more", IsPublic: true, RedirectURIs: []string{"https://wiki.example.com/cb"}}
	h.update(func(tx *fsm.Tx) error { _, err := federation.Create(tx, nil, app, ""); return err })
	const web, organization = "to continue to", "Your organization asks for this."
	s := h.someone()
	if a := s.Get("/login/enrol?then=/oauth2/authorize&application="+app.ID).Want(t, 200, web+" Wiki &amp; more<"); strings.Contains(a.Page, organization) {
		t.Error("what the application asks is said to be the organization's wish")
	}
	if a := s.Get("/login/enrol?then=/oauth2/authorize&application=Your+bank").Want(t, 200, organization); strings.Contains(a.Page, web) {
		t.Error("a name that nobody has is shown")
	}
	h.update(func(tx *fsm.Tx) error {
		s := settings.Default(identity.DefaultTenant)
		s.MFAPolicy, s.MFAEnforce, s.MFAGrace = settings.MFAAny, true, 1
		return settings.Put(tx, 0, s)
	})
	need := authn.Need{ReturnTo: "/oauth2/authorize?client_id=wiki", Application: "Wiki"}
	if a := s.try(s.form("/login?flow="+h.begin(need)), "tester", secret).Want(t, 200, organization+" Times that you can still put this off: 1."); strings.Contains(a.Page, web) {
		t.Error("who may put it off is told that they cannot go on without")
	}
	h.someone().try(s.form("/login?flow="+h.begin(need)), "tester", secret)
	s = h.someone()
	s.try(s.form("/login?flow="+h.begin(need)), "tester", secret).Want(t, 200, organization+" You need one before you can go on.", web+" Wiki<")
}

// Whoever has a passkey is asked for it after the password.
func TestPasskeyIsAskedForAsSecondFactor(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	h.passkey()
	s := h.someone()
	second := s.try(s.form("/login"), "tester", secret).Want(t, http.StatusOK, "Use your passkey", `data-passkey="get"`)
	pagetest.Check(t, "second", second.Page)
}

// Who has to use a passkey that stays on its device is told so, and who has none is told what to set up.
func TestDeviceBoundIsSaid(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	need := authn.Need{ReturnTo: "/oauth2/authorize?client_id=wiki", Application: "Wiki", MFA: settings.MFADeviceBound}
	const use, get, either = "Use a passkey that stays on one device", "asks for a passkey that stays on one device", "an authenticator app keeps out"
	const organization = "Your organization asks for this. You need one before you can go on."
	s := h.someone()
	s.try(s.form("/login?flow="+h.begin(need)), "tester", secret).Want(t, http.StatusOK, get, "You need one before you can go on.", ">to continue to Wiki<", "as tester.")
	s.Get("/login/enrol?kind=bound&then=/account/security/apps/new").Want(t, http.StatusOK, get, ">to change how you sign in<", organization, "You are signed in as tester@example.com.")
	if a := s.Get("/login/enrol").Want(t, http.StatusOK, either); strings.Contains(a.Page, get) {
		t.Error("who may set up anything is told of one device")
	}
	h.passkeyOn(&passkeytest.Authenticator{Origin: publicURL, UV: true, Synced: true})
	s = h.someone()
	if a := s.try(s.form("/login?flow="+h.begin(need)), "tester", secret).Want(t, http.StatusOK, "Use your passkey"); strings.Contains(a.Page, use) {
		t.Error("who has none is asked for it")
	}
	h.passkey()
	s = h.someone()
	s.try(s.form("/login?flow="+h.begin(need)), "tester", secret).Want(t, http.StatusOK, use)
}

// Who is signed in and proves something again is told as whom, and what for.
func TestAStepUpSaysWhatForAndAsWhom(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	s := h.someone()
	const what, who = "to change how you sign in", "You are signed in as tester@example.com."
	silent := func(a pagetest.Answer) {
		t.Helper()
		if strings.Contains(a.Page, what) || strings.Contains(a.Page, who) {
			t.Errorf("a sign-in is called a step-up: %s", a.Page)
		}
	}
	silent(s.Get("/login?flow="+h.begin(authn.Need{ReturnTo: "/account/security"})).Want(t, http.StatusOK, "Sign in"))
	s.signIn()
	h.protect()
	a := s.Get("/login?flow="+h.begin(authn.Need{ReturnTo: "/oauth2/authorize?client_id=wiki", Application: "Wiki", MFA: settings.MFAAny})).Want(t, http.StatusOK, "One more step", "to continue to Wiki", who)
	silent(s.Get("/login?again=yes&flow="+a.Hidden("flow")[0]).Want(t, http.StatusOK, "to continue to Wiki"))
	s.Get("/login?flow="+h.begin(authn.Need{ReturnTo: "/account/security/passkeys/new", Login: true, LoginHint: "tester"})).Want(t, http.StatusOK, "Sign in", what, `value="tester"`)
	s.Get("/login?flow="+h.begin(authn.Need{ReturnTo: "/account/email", Login: true})).Want(t, http.StatusOK, "to change your account")
	silent(s.Get("/login?flow="+h.begin(authn.Need{ReturnTo: "/", Login: true})).Want(t, http.StatusOK, "Sign in"))
}
