package portal_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/settings"
)

// stepUp follows an answer that wants a fresh proof, gives the password, and returns to where
// that leads.
func (s *someone) stepUp(path, password string) string {
	s.Browser.T.Helper()
	a := s.Get(path)
	to := a.Want(s.Browser.T, 303).Header.Get("Location")
	what := "to change how you sign in"
	if !strings.HasPrefix(path, "/account/security") {
		what = "to change your account"
	}
	form := s.Get(to).Want(s.Browser.T, 200, "One more step", what, "You are signed in as ada@example.com.", "Enter your password")
	done := s.Post("/login/second", url.Values{"flow": form.Hidden("flow")[:1], "way": {"password"}, "code": {password}})
	back, ok := strings.CutPrefix(done.Want(s.Browser.T, 200).Header.Get("Refresh"), "0; url=")
	if !ok {
		s.Browser.T.Fatalf("leads nowhere: %s", done.Page)
	}
	return s.Get(back).Want(s.Browser.T, 303).Header.Get("Location")
}

// Changes that matter want a proof again once the tenant's interval is over, and lead back to
// where they were asked for.
func TestSensitivePagesWantAFreshProof(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/account/security/password", "/account/tokens/new"} {
		h := newHouse(t)
		h.Update(func(tx *fsm.Tx) error {
			a := settings.Default(identity.DefaultTenant)
			a.Session.Sensitive = 3
			return settings.Put(tx, 0, a)
		})
		s := h.enter("ada")
		s.Get(path).Want(t, 200)
		h.Pass(3*time.Minute + time.Second)
		s.Get("/account/security").Want(t, 200) // looking is free
		s.Post("/account/security/password", url.Values{"current": {secret}, "password": {another}, "repeat": {another}}).Leads(t, "/login?flow=")
		s.Post("/account/tokens/new", url.Values{"name": {"x"}, "scope": {"me"}, "days": {"7"}}).Leads(t, "/login?flow=")
		if back := s.stepUp(path, secret); back != path {
			t.Errorf("%s leads back to %s", path, back)
		}
		s.Get(path).Want(t, 200)
		if n := h.count("ada"); n != 1 {
			t.Errorf("%d sessions: the step-up made another one", n)
		}
	}
}
