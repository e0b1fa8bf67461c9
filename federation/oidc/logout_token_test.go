package oidc

import (
	"crypto/rand"
	"crypto/rsa"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/keys"
)

func (w *world) logoutToken(session string) string {
	w.t.Helper()
	token, err := w.nodes[0].provider.LogoutToken(identity.WithTenant(w.t.Context(), tenant), w.app, w.user.ID, session, "lgo_1")
	if err != nil {
		w.t.Fatal(err)
	}
	return token
}

func TestLogoutTokenSaysWhatItMust(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	id := claims(t, w.tokens(0).ID)
	got := claims(t, w.logoutToken(w.session))
	if life := got["exp"].(float64) - got["iat"].(float64); life != 120 {
		t.Errorf("lives %v seconds", life)
	}
	for _, c := range []string{"iss", "sub", "aud", "sid"} {
		if got[c] != id[c] {
			t.Errorf("%s is %v, in the ID token %v", c, got[c], id[c])
		}
	}
	delete(got, "exp")
	delete(got, "iat")
	want := map[string]any{
		"iss": issuer, "sub": w.user.ID, "aud": "web", "sid": w.session, "jti": "lgo_1",
		"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if all := claims(t, w.logoutToken("")); all["sid"] != nil || all["sub"] != w.user.ID {
		t.Errorf("of all sessions: %v", all)
	}
	ctx := identity.WithTenant(t.Context(), tenant)
	if _, _, err := w.nodes[0].keys.Verify(ctx, tenant.ID, w.logoutToken(""), "logout+jwt"); err != nil {
		t.Error(err)
	}
}

// TestRefusesLogoutTokenSubstitution: a logout token, which every application gets, is
// neither an ID token nor an access token, and neither of these is the other's.
func TestRefusesLogoutTokenSubstitution(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	tokens := w.tokens(0)
	logout := w.logoutToken(w.session)
	for _, hint := range []string{logout, tokens.Access} {
		if u, _ := w.back(w.logout(0, "id_token_hint", hint)); u.Path != "/logout" || !w.signedIn() {
			t.Errorf("as a hint it led to %s, signed in: %v", u, w.signedIn())
		}
	}
	if rec := w.userinfo(0, logout); rec.Code != http.StatusUnauthorized {
		t.Errorf("as an access token: %d", rec.Code)
	}
	rec := w.post(0, "/oauth2/introspect", url.Values{"token": {logout}})
	if !strings.Contains(rec.Body.String(), `"active":false`) {
		t.Errorf("introspected: %s", rec.Body)
	}
	if _, params := w.back(w.get(0, "/oauth2/authorize?"+w.request(set("prompt", "none"), set("id_token_hint", logout)).Encode(), true)); params.Get("error") != "login_required" {
		t.Errorf("as a hint to sign in: %v", params)
	}
}

// TestRefusesOpenRedirectAtLogout: only what is registered, byte for byte.
func TestRefusesOpenRedirectAtLogout(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	hint := w.tokens(0).ID
	for _, uri := range []string{
		"https://evil.example.com/bye", "https://app.example.com.evil.com/bye", "https://app.example.com@evil.com/bye",
		"https://app.example.com/bye/../x", "https://app.example.com/bye/", "https://app.example.com/bye?x=1", "https://app.example.com/bye#x",
		"https://APP.example.com/bye", "https://app.example.com/%62ye", "https://app.example.com:443/bye", "http://app.example.com/bye",
		"https://sub.app.example.com/bye", "//app.example.com/bye", "/bye", "bye", "https:app.example.com/bye", `https:\\app.example.com\bye`,
		" https://app.example.com/bye", "https://app.example.com/bye ", "https://app.example.com/bye\r\nX: y", "https://app.example.com/bye\x00",
		"javascript:alert(1)", "data:text/html,x", "regex:.*", "https://app.example.com/by.", callback, "",
	} {
		rec := w.logout(0, "id_token_hint", hint, "post_logout_redirect_uri", uri)
		if to := rec.Header().Get("Location"); uri != "" && (rec.Code != 400 || to != "") || strings.Contains(to, "example.com") {
			t.Errorf("%q: %d to %q", uri, rec.Code, to)
		}
	}
	// Two of a kind are none.
	q := url.Values{"id_token_hint": {hint}, "post_logout_redirect_uri": {bye, "https://evil.example.com/"}}
	if rec := w.get(0, "/oauth2/logout?"+q.Encode(), true); rec.Code != 400 {
		t.Errorf("twice: %d", rec.Code)
	}
}

func TestRefusesHintOfAnotherTenantOrApplication(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	other := identity.Tenant{ID: "ten_other", Slug: "other", Issuer: issuer + "/t/other"}
	k := w.nodes[0].keys
	if err := k.Ensure(t.Context(), other.ID, keys.ES256); err != nil {
		t.Fatal(err)
	}
	forged := map[string]string{}
	for name, c := range map[string]struct{ tenant, issuer string }{
		"another tenant's":         {other.ID, other.Issuer},
		"another tenant's as ours": {other.ID, issuer},
		"ours as another tenant's": {tenant.ID, other.Issuer},
	} {
		token, err := k.Sign(t.Context(), c.tenant, keys.ES256, typID, &idToken{Issuer: c.issuer, Subject: w.user.ID, Audience: "web", Session: w.session})
		if err != nil {
			t.Fatal(err)
		}
		forged[name] = token
	}
	for name, hint := range forged {
		if u, _ := w.back(w.logout(0, "id_token_hint", hint)); u.Path != "/logout" || !w.signedIn() {
			t.Errorf("%s led to %s, signed in: %v", name, u, w.signedIn())
		}
	}
	w.register(federation.Application{ClientID: "other", Name: "Other", RedirectURIs: []string{"https://o.example.com/"}, PostLogoutURIs: []string{"https://o.example.com/bye"}}, "")
	if rec := w.logout(0, "id_token_hint", w.tokens(0).ID, "client_id", "other", "post_logout_redirect_uri", "https://o.example.com/bye"); rec.Code != 400 || !w.signedIn() {
		t.Errorf("a hint of another application: %d, signed in: %v", rec.Code, w.signedIn())
	}
}

// TestLogoutCSRF: a link that anybody could have made does not sign anybody out.
func TestLogoutCSRF(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	for _, q := range [][]string{{}, {"client_id", "web"}, {"logout_hint", "tester"}, {"id_token_hint", "rubbish"}, {"client_id", "web", "ui_locales", "de en", "state", "x"}} {
		if u, _ := w.back(w.logout(0, q...)); u.Path != "/logout" || !w.signedIn() {
			t.Errorf("%v led to %s, signed in: %v", q, u, w.signedIn())
		}
	}
}

// TestLogoutOfAnotherUsersSession: a hint that names a session of somebody else, which
// only we could have signed, ends nothing.
func TestLogoutOfAnotherUsersSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	hint, err := w.nodes[0].keys.Sign(t.Context(), tenant.ID, keys.ES256, typID, &idToken{Issuer: issuer, Subject: "usr_other", Audience: "web", Session: w.session})
	if err != nil {
		t.Fatal(err)
	}
	for _, cookie := range []bool{true, false} {
		w.get(0, "/oauth2/logout?"+url.Values{"id_token_hint": {hint}}.Encode(), cookie)
		if !w.signedIn() {
			t.Errorf("with a cookie %v: signed out", cookie)
		}
	}
}

func TestFrontChannelLogoutLoadsFramesOfTheSession(t *testing.T) {
	t.Parallel()
	var frames []string
	var to string
	w := newWorld(t, 1, func(c *Config) {
		c.SignedOutPage = func(w http.ResponseWriter, _ *http.Request, f []string, t string) {
			frames, to = f, t
			w.WriteHeader(http.StatusOK)
		}
	})
	hint := w.tokens(0).ID
	if u, _ := w.back(w.logout(0, "id_token_hint", hint)); u.Path != "/logout" {
		t.Errorf("without frames it led to %s", u)
	}
	w.update(0, func(tx *fsm.Tx) error {
		_, err := federation.Update(tx, tenant.ID, w.app.ID, 0, func(a *federation.Application) error {
			a.Logout.FrontchannelURI = "https://app.example.com/out"
			return nil
		})
		return err
	})
	w.signIn()
	hint = w.tokens(0).ID
	rec := w.logout(0, "id_token_hint", hint, "post_logout_redirect_uri", bye, "state", "a b")
	want := []string{"https://app.example.com/out?" + url.Values{"iss": {issuer}, "sid": {w.session}}.Encode()}
	if diff := cmp.Diff(want, frames); diff != "" || rec.Code != 200 || to != bye+"?state=a+b" {
		t.Errorf("%d, to %s, frames %s", rec.Code, to, diff)
	}
	if len(rec.Result().Cookies()) != 1 || w.signedIn() {
		t.Error("still signed in")
	}
	frames = nil
	if u, _ := w.back(w.logout(0, "id_token_hint", hint, "post_logout_redirect_uri", bye)); u.Host != "app.example.com" || frames != nil {
		t.Errorf("the second time it led to %s with %v", u, frames)
	}
}

// TestLogoutByPairwiseSubject: a hint of an application that knows the user by another
// name ends the session all the same, and so does its logout token name the user.
func TestLogoutByPairwiseSubject(t *testing.T) {
	t.Parallel()
	for _, cookie := range []bool{true, false} {
		w := newWorld(t, 1)
		w.update(0, func(tx *fsm.Tx) (err error) {
			w.app, err = federation.Update(tx, tenant.ID, w.app.ID, 0, func(a *federation.Application) error {
				a.Subject.Type = federation.SubjectPairwise
				return nil
			})
			return err
		})
		var sub string
		err := w.cluster.DB[0].View(t.Context(), func(tx *fsm.Tx) (err error) {
			sub, err = federation.SubjectOf(tx, w.app, w.user.ID)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := claims(t, w.logoutToken(w.session))["sub"]; got != sub || sub == w.user.ID {
			t.Errorf("sub %v, want %s", got, sub)
		}
		hint, err := w.nodes[0].keys.Sign(t.Context(), tenant.ID, keys.ES256, typID, &idToken{Issuer: issuer, Subject: sub, Audience: "web", Session: w.session})
		if err != nil {
			t.Fatal(err)
		}
		w.get(0, "/oauth2/logout?"+url.Values{"id_token_hint": {hint}}.Encode(), cookie)
		if w.signedIn() {
			t.Errorf("with a cookie %v: still signed in", cookie)
		}
	}
}

// TestLogoutTokenIsEncryptedLikeIDTokens: an application that has its ID tokens encrypted
// gets no token in the clear by the back channel either.
func TestLogoutTokenIsEncryptedLikeIDTokens(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	jwks := keyPair(t, key, key.Public(), "RSA-OAEP-256")
	w.change(func(a *federation.Application) { a.Auth.JWKS, a.Tokens.IDToken.Alg = jwks, "RSA-OAEP-256" })
	if token := w.logoutToken(w.session); strings.Count(token, ".") != 4 {
		t.Errorf("not encrypted: %s", token)
	}
}
