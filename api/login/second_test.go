package login

import (
	"net/http"
	"strings"
	"testing"

	"github.com/quis-idp/quis/api/page/pagetest"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/authn"
	"github.com/quis-idp/quis/identity/credential/passkey"
	"github.com/quis-idp/quis/identity/credential/passkey/passkeytest"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/settings"
)

// passkey gives the tester one that verifies its user.
func (h *house) passkey() {
	h.t.Helper()
	site := identity.Tenant{ID: identity.DefaultTenant, Issuer: publicURL}
	a := &passkeytest.Authenticator{Origin: publicURL, UV: true}
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

// Whoever has a passkey is asked for it after the password.
func TestPasskeyIsAskedForAsSecondFactor(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	h.passkey()
	s := h.someone()
	second := s.try(s.form("/login"), "tester", secret).Want(t, http.StatusOK, "Use your passkey", `data-passkey="get"`)
	pagetest.Check(t, "second", second.Page)
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
