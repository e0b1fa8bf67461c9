package oidc

import (
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/resource"
	"github.com/quis-idp/quis/fsm"
)

// active reports what introspection says of a token to the world's application.
func (w *world) active(token string) bool {
	w.t.Helper()
	rec := w.post(0, "/oauth2/introspect", url.Values{"token": {token}})
	if rec.Code != 200 {
		w.t.Fatalf("introspection: %d %s", rec.Code, rec.Body)
	}
	return strings.Contains(rec.Body.String(), `"active":true`)
}

// TestWaitsOfApplicationsWithKeys: whoever waits for a person and proves itself by assertions
// spends each of them once.
func TestWaitsOfApplicationsWithKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	app := w.registerKeyed(func(a *federation.Application) {
		a.GrantTypes = []string{federation.GrantCIBA, federation.GrantDevice}
	})
	ask := asserted(t, url.Values{"scope": {"openid profile"}, "login_hint": {"tester"}}, "keyed")
	var q decoupledAnswer
	decode(t, w.nodes[0].do(formRequest(t.Context(), decoupledPath, ask)).Body.String(), &q)
	w.approveCIBA(0, app, q.ID)
	var a deviceAnswer
	rec := w.nodes[0].do(formRequest(t.Context(), devicePath, asserted(t, url.Values{"scope": {"openid"}}, "keyed")))
	decode(t, rec.Body.String(), &a)
	w.approve(0, a)
	for _, form := range []url.Values{
		{"grant_type": {federation.GrantCIBA}, "auth_req_id": {q.ID}}, {"grant_type": {federation.GrantDevice}, "device_code": {a.Code}},
	} {
		r := w.send(0, asserted(t, form, "keyed"))
		if n := w.entries(func() { w.want(w.nodes[0].do(r), 200) }); n != 1 {
			t.Errorf("%s: %d log entries", form.Get("grant_type"), n)
		}
	}
}

// TestOwnTokenEndsWithItsApplication: a token that an application has for itself has no
// family, and is worth nothing all the same once the application is disabled or gone.
func TestOwnTokenEndsWithItsApplication(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.update(0, func(tx *fsm.Tx) error {
		_, err := resource.CreateServer(tx, resource.Server{
			Tenant: tenant.ID, Identifier: warehouse, Name: "Orders", OpenToAll: true, Application: w.app.ID,
		})
		return err
	})
	b := w.backend("b", federation.ExchangePolicy{From: []string{"b", "c"}, Audiences: []string{issuer, warehouse}})
	c := w.backend("c", federation.ExchangePolicy{})
	own := w.want(w.postTo(0, "/oauth2/token", b, url.Values{"grant_type": {"client_credentials"}, "resource": {warehouse}}), 200).Access
	of := w.want(w.postTo(0, "/oauth2/token", c, url.Values{"grant_type": {"client_credentials"}}), 200).Access
	traded := w.want(w.trade(0, b, of, set("resource", warehouse)), 200).Access
	if !w.active(own) || !w.active(traded) {
		t.Fatal("the tokens are good for nothing")
	}
	disable := func(id string, is bool) {
		w.update(0, func(tx *fsm.Tx) error {
			_, err := federation.Update(tx, tenant.ID, id, 0, func(a *federation.Application) error { a.Disabled = is; return nil })
			return err
		})
	}
	disable(c.ID, true)
	if w.active(traded) || !w.active(own) {
		t.Errorf("c is disabled: its traded token is active %t, that of b %t", w.active(traded), w.active(own))
	}
	disable(c.ID, false)
	disable(b.ID, true)
	if w.active(own) || w.active(traded) {
		t.Errorf("b is disabled: active %t %t", w.active(own), w.active(traded))
	}
	disable(b.ID, false)
	w.update(0, func(tx *fsm.Tx) error { return federation.Delete(tx, tenant.ID, b.ID, 0) })
	if w.active(own) || w.active(traded) {
		t.Errorf("b is gone: active %t %t", w.active(own), w.active(traded))
	}
}

// TestRevocationOfAnOwnTokenIsNoFalseSuccess: what cannot be revoked is not said to be.
func TestRevocationOfAnOwnTokenIsNoFalseSuccess(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	own := w.want(w.post(0, "/oauth2/token", url.Values{"grant_type": {"client_credentials"}, "scope": {"api"}}), 200).Access
	w.wantError(w.post(0, "/oauth2/revoke", url.Values{"token": {own}}), 400, "unsupported_token_type")
	if !w.active(own) {
		t.Error("it is revoked all the same")
	}
}

// TestRefusesIDTokenForMoreThanItsFamilies: an ID token does not say of which of the families
// in its session it came, so it stands for what all of them were granted.
func TestRefusesIDTokenForMoreThanItsFamilies(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	b := w.backend("b", ofWeb)
	small := w.tokens(0, set("scope", "openid"))
	for range 4 {
		w.tokens(0, set("scope", "openid profile api"))
	}
	rec := w.trade(0, b, small.ID, set("subject_token_type", typeOfID))
	if r := w.want(rec, 200); slices.Contains(strings.Fields(r.Scope), "api") {
		t.Errorf("an ID token of the scope openid is traded for %q", r.Scope)
	}
}

// TestRefusesIDTokenOfABoundFamilyWithoutItsKey: the way past a bound access token must not be
// the ID token beside it.
func TestRefusesIDTokenOfABoundFamilyWithoutItsKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.app = w.register(federation.Application{
		ClientID: "native", Name: "Native", RedirectURIs: []string{callback}, IsPublic: true,
		GrantTypes: []string{federation.GrantCode, federation.GrantRefresh}, AllowedScopes: []string{"openid", "profile", "api"},
		Tokens: federation.TokenSettings{DPoPBound: true},
	}, "")
	b := w.backend("b", federation.ExchangePolicy{From: []string{"native"}, Audiences: []string{issuer}})
	nonce, err := w.nodes[0].provider.proofs.Nonce(tenant.ID)
	if err != nil {
		t.Fatal(err)
	}
	form := w.codeForm(w.code(0, set("scope", "openid api")))
	form.Set("client_id", "native")
	got := w.want(w.nodes[0].do(w.send(0, form, proving(t, clientKey(), with("nonce", nonce)))), 200)
	if got.Type != "DPoP" {
		t.Fatalf("%+v", got)
	}
	w.wantError(w.trade(0, b, got.Access), 400, "invalid_request")
	w.wantError(w.trade(0, b, got.ID, set("subject_token_type", typeOfID)), 400, "invalid_request")
	// Nor is that of a confidential one, whose family knows no key.
	w.app = w.register(federation.Application{
		ClientID: "bound", Name: "Bound", RedirectURIs: []string{callback}, GrantTypes: []string{federation.GrantCode},
		AllowedScopes: []string{"openid", "api"}, Tokens: federation.TokenSettings{DPoPBound: true},
	}, secret)
	c := w.backend("c", federation.ExchangePolicy{From: []string{"bound"}, Audiences: []string{issuer}})
	r := w.send(0, w.codeForm(w.code(0, set("scope", "openid api"))), proving(t, clientKey()))
	r.SetBasicAuth("bound", secret)
	got = w.want(w.nodes[0].do(r), 200)
	w.wantError(w.trade(0, c, got.ID, set("subject_token_type", typeOfID)), 400, "invalid_request")
}

// TestRefusesIDTokenOfAFormerApplication: who gets the client_id of an application that is gone
// inherits nothing from it.
func TestRefusesIDTokenOfAFormerApplication(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	got := w.tokens(0, set("scope", "openid api"))
	w.update(0, func(tx *fsm.Tx) error { return federation.Delete(tx, tenant.ID, w.app.ID, 0) })
	next := w.backend("web", federation.ExchangePolicy{Audiences: []string{issuer}})
	w.wantError(w.trade(0, next, got.Access), 400, "invalid_request")
	w.wantError(w.trade(0, next, got.ID, set("subject_token_type", typeOfID)), 400, "invalid_request")
}

// TestLogoutLeadsToNoDisabledApplication: what is switched off is no place to send people to.
func TestLogoutLeadsToNoDisabledApplication(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	got := w.tokens(0)
	w.change(func(a *federation.Application) { a.Disabled = true })
	bye := w.app.PostLogoutURIs[0]
	for _, q := range []url.Values{
		{"client_id": {"web"}, "post_logout_redirect_uri": {bye}}, {"id_token_hint": {got.ID}, "post_logout_redirect_uri": {bye}},
	} {
		rec := w.get(0, logoutPath+"?"+q.Encode(), false)
		if to := rec.Header().Get("Location"); strings.HasPrefix(to, "https://app.example.com") {
			t.Errorf("%v leads to %s", q, to)
		}
	}
}

// TestTokenEndsWithThePermission: whom an application is closed to, of him it learns nothing more,
// and nobody is told that its tokens are good.
func TestTokenEndsWithThePermission(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	b := w.backend("b", ofWeb)
	got := w.tokens(0, set("scope", "openid profile api"))
	traded := w.want(w.trade(0, b, got.Access), 200).Access
	told := func() bool {
		rec := w.postTo(0, "/oauth2/introspect", b, url.Values{"token": {traded}})
		return strings.Contains(rec.Body.String(), `"active":true`)
	}
	if !told() || !w.active(got.Access) || !w.active(got.Refresh) {
		t.Fatal("the tokens are good for nothing")
	}
	closed := func(id string, is bool) {
		w.update(0, func(tx *fsm.Tx) error {
			_, err := federation.Update(tx, tenant.ID, id, 0, func(a *federation.Application) error { a.AccessRestricted = is; return nil })
			return err
		})
	}
	closed(b.ID, true)
	if told() || !w.active(got.Access) {
		t.Error("b is closed to the user")
	}
	closed(b.ID, false)
	closed(w.app.ID, true)
	if told() || w.active(got.Access) || w.active(got.Refresh) || w.userinfo(0, got.Access).Code != 401 {
		t.Error("web is closed to the user")
	}
}

// TestGrantIsHeldAgainstTheScopesOfNow: what was taken from an application while a code or a
// device waited is not in its tokens.
func TestGrantIsHeldAgainstTheScopesOfNow(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	tv := w.television("tv")
	a := w.device(0, tv)
	w.approve(0, a)
	code := w.code(0, set("scope", "openid profile api"))
	for _, id := range []string{w.app.ID, tv.ID} {
		w.update(0, func(tx *fsm.Tx) error {
			_, err := federation.Update(tx, tenant.ID, id, 0, func(a *federation.Application) error { a.AllowedScopes = []string{"openid"}; return nil })
			return err
		})
	}
	for name, rec := range map[string]*httptest.ResponseRecorder{
		"code": w.post(0, "/oauth2/token", w.codeForm(code)), "device": w.poll(0, tv, a.Code),
	} {
		if r := w.want(rec, 200); r.Scope != "openid" || claims(t, r.Access)["scope"] != "openid" {
			t.Errorf("%s: scope %q", name, r.Scope)
		}
	}
}
