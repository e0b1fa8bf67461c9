package portal_test

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/quis-idp/quis/api/login"
	"github.com/quis-idp/quis/api/portal"
	"github.com/quis-idp/quis/api/portal/address"
	"github.com/quis-idp/quis/api/portal/approval"
	"github.com/quis-idp/quis/api/portal/certificate"
	"github.com/quis-idp/quis/api/portal/factor"
	"github.com/quis-idp/quis/api/portal/passkey"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/credential/totp/totptest"
	"github.com/quis-idp/quis/identity/settings"
)

// wantBound has the tenant demand a passkey that stays on its device, of everybody and at once.
func (h *house) wantBound() {
	h.T.Helper()
	h.Update(func(tx *fsm.Tx) error {
		a := settings.Default(identity.DefaultTenant)
		a.MFAPolicy, a.MFAGrace = settings.MFADeviceBound, 0
		return settings.Put(tx, 0, a)
	})
}

// tokens is how many ada has.
func (h *house) tokens() (n int) {
	h.T.Helper()
	h.view(func(tx *fsm.Tx) error {
		for _, err := range credential.ListTokens(tx, identity.DefaultTenant, h.Users["ada"]) {
			if err != nil {
				return err
			}
			n++
		}
		return nil
	})
	return n
}

// A policy that comes between the look at the session and the entry counts for a token: it would outlast it.
func TestATokenIsMadeByThePolicyOfItsEntry(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.Open(h.Login(login.Config{}), portal.New(portal.Config{
		DB: h.DB, Sessions: h.Sessions, Flows: h.Flows, Pool: h.Pool, SessionCookie: login.SessionCookie,
		Feature: func(context.Context, string) error { h.wantBound(); return nil }, // asked after the session is looked at
	}))
	s := h.enter("ada")
	s.Get("/account/tokens/new").Want(t, http.StatusOK)
	s.Post("/account/tokens/new", url.Values{"name": {"x"}, "scope": {"me"}, "days": {"7"}}).Leads(t, "/account/tokens/new")
	s.Get("/account/tokens/new").Leads(t, "/login/enrol?kind=bound")
	if n := h.tokens(); n != 0 {
		t.Errorf("%d tokens", n)
	}
}

// Attack: whoever has found a browser open, and the password, sets another one in the very moment in which its owner sets up a
// factor elsewhere, by which they would be asked for it.
func TestAPasswordIsSetByWhatIsAskedForThen(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	breached := func(context.Context, string) (int, error) { // asked after the session is looked at
		h.Update(func(tx *fsm.Tx) error {
			_, _, err := totptest.Add(tx, h.Ring, identity.DefaultTenant, h.Users["ada"], "Hers")
			return err
		})
		return 0, nil
	}
	h.Open(h.Login(login.Config{}), portal.New(portal.Config{
		DB: h.DB, Sessions: h.Sessions, Flows: h.Flows, Pool: h.Pool, SessionCookie: login.SessionCookie, Checks: credential.Checks{Breached: breached},
	}))
	s := h.enter("ada")
	s.Post("/account/security/password", url.Values{"current": {secret}, "password": {another}, "repeat": {another}}).Leads(t, "/login?flow=")
	if err := credential.CheckPassword(t.Context(), h.DB, h.Pool, identity.DefaultTenant, h.Users["ada"], secret); err != nil {
		t.Errorf("the password is another one: %v", err)
	}
}

// Whoever has a stolen password, where policy demands a factor that its owner has not set up yet, can
// set one up, which is told by mail, and do nothing else that lasts: no token, no other address, nothing taken away.
func TestAPasswordAloneDoesNothingThatLastsWherePolicyWantsMore(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.Open(h.Login(login.Config{}), h.Portal(slices.Concat(
		[]portal.Section{address.New(address.Config{DB: h.DB}), approval.New(approval.Config{DB: h.DB, Ring: h.Ring}), certificate.New(certificate.Config{DB: h.DB}), passkey.New(passkey.Config{DB: h.DB, Ring: h.Ring})},
		factor.Sections(factor.Config{DB: h.DB, Ring: h.Ring}))...))
	s := h.enter("ada")
	h.wantBound()
	const security = "/account/security"
	for _, c := range []struct {
		method, path string
		setUp        bool
	}{
		{"GET", "/account/tokens/new", false},
		{"POST", "/account/tokens/new", false},
		{"GET", "/account/email", false},
		{"POST", "/account/email", false},
		{"POST", security + "/password/remove", false},
		{"POST", security + "/codes", false},
		{"POST", security + "/codes/remove", false},
		{"POST", security + "/apps/otp_1/remove", false},
		{"POST", security + "/passkeys/psk_1/remove", false},
		{"POST", security + "/certificates", false},
		{"GET", security + "/approvers/new", false},
		{"POST", security + "/approvers/new", false},

		{"GET", security + "/password", true},
		{"POST", security + "/password", true},
		{"GET", security + "/apps/new", true},
		{"POST", security + "/apps/new", true},
		{"GET", security + "/passkeys/new", true},
		{"GET", security + "/passkeys/new?kind=key", true},
		{"POST", security + "/passkeys/new", true},
		{"GET", security + "/passkeys/offer", true},
		{"POST", security + "/passkeys/offer", true},
		{"GET", security + "/certificates", true},
		{"POST", security + "/certificates/new", true},
	} {
		var form url.Values
		if c.method == "POST" {
			form = url.Values{"name": {"x"}, "scope": {"me"}, "days": {"7"}, "email": {"eve@example.com"}, "current": {secret}}
		}
		a := s.Send(c.method, c.path, form, nil)
		led := a.StatusCode == http.StatusSeeOther && strings.HasPrefix(a.Header.Get("Location"), "/login/enrol?kind=bound&then=%2Faccount%2F")
		if led == c.setUp {
			t.Errorf("%s %s: %d, %q; to set a factor up: %v", c.method, c.path, a.StatusCode, a.Header.Get("Location"), c.setUp)
		}
	}
	if n := h.tokens(); n != 0 {
		t.Errorf("%d tokens", n)
	}
}
