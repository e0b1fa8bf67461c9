package oidc

import (
	"crypto"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/oidc/caller"
)

// registerPublic registers an application without a secret, and makes it the world's.
func (w *world) registerPublic(change ...func(*federation.Application)) {
	w.t.Helper()
	a := federation.Application{
		ClientID: "spa", Name: "SPA", Type: federation.TypeSPA, RedirectURIs: []string{callback},
		AllowedScopes: []string{"openid", "profile", "email", "offline_access", "api"},
	}
	for _, f := range change {
		f(&a)
	}
	w.app = w.register(a, "")
}

func basic(r *http.Request) { r.SetBasicAuth("web", secret) }

// nonce asks for one, as a client that has none yet.
func (w *world) nonce(i int, form url.Values) string {
	w.t.Helper()
	rec := w.nodes[i].do(w.send(i, form, proving(w.t, clientKey())))
	w.wantError(rec, 400, "use_dpop_nonce")
	if rec.Header().Get("DPoP-Nonce") == "" || !strings.Contains(rec.Header().Get("Access-Control-Expose-Headers"), "DPoP-Nonce") {
		w.t.Fatalf("no nonce that a script could read: %v", rec.Header())
	}
	return rec.Header().Get("DPoP-Nonce")
}

func (w *world) present(i int, scheme, token string, change ...func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(w.t.Context(), "GET", "/oauth2/userinfo", nil)
	r.Header.Set("Authorization", scheme+" "+token)
	for _, f := range change {
		f(r)
	}
	return w.nodes[i].do(r)
}

func confirmed(t testing.TB, token string) map[string]any {
	t.Helper()
	cnf, _ := claims(t, token)["cnf"].(map[string]any)
	return cnf
}

func TestDPoPBindsAccessTokens(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	var got tokenResponse
	if n := w.entries(func() { got = w.want(w.nodes[0].do(w.send(0, forItself(), basic, proving(t, clientKey()))), 200) }); n != 0 {
		t.Errorf("client_credentials with a proof: %d log entries", n)
	}
	if got.Type != "DPoP" || confirmed(t, got.Access)["jkt"] != thumbprint(clientKey()) {
		t.Errorf("%+v", got)
	}
	var answer struct {
		Active bool
		Type   string            `json:"token_type"`
		Cnf    map[string]string `json:"cnf"`
	}
	decode(t, w.post(0, "/oauth2/introspect", url.Values{"token": {got.Access}}).Body.String(), &answer)
	if !answer.Active || answer.Type != "DPoP" || answer.Cnf["jkt"] != thumbprint(clientKey()) {
		t.Errorf("introspection: %+v", answer)
	}
	if plain := w.want(w.nodes[0].do(w.send(0, forItself(), basic)), 200); plain.Type != "Bearer" || confirmed(t, plain.Access) != nil {
		t.Errorf("without a proof: %+v", plain)
	}
}

func TestDPoPOfAPublicApplication(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	w.registerPublic()
	form := func(f url.Values) url.Values { f.Set("client_id", "spa"); return f }
	first := form(w.codeForm(w.code(0)))
	nonce := w.nonce(1, first)
	// The nonce of one node is good on another, and the refused request has used nothing up.
	got := w.want(w.nodes[2].do(w.send(2, first, proving(t, clientKey(), with("nonce", nonce)))), 200)
	if got.Type != "DPoP" {
		t.Fatalf("%+v", got)
	}
	rec := w.present(0, "DPoP", got.Access, proving(t, clientKey(), with("ath", hashOf(got.Access))))
	if rec.Code != 200 {
		t.Errorf("userinfo: %d %s", rec.Code, rec.Body)
	}
	refresh := form(refreshForm(got.Refresh))
	w.wantError(w.nodes[0].do(w.send(0, refresh)), 400, "invalid_grant")
	w.wantError(w.nodes[0].do(w.send(0, refresh, proving(t, otherKey(), with("nonce", nonce)))), 400, "invalid_grant")
	again := w.want(w.nodes[1].do(w.send(1, refresh, proving(t, clientKey(), with("nonce", nonce)))), 200)
	if again.Type != "DPoP" || confirmed(t, again.Access)["jkt"] != thumbprint(clientKey()) {
		t.Errorf("%+v", again)
	}
}

func TestRefusesDPoPReplay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	proof := dpopProof(t, clientKey(), "POST", "/oauth2/token")
	same := func(r *http.Request) { r.Header.Set("DPoP", proof) }
	w.want(w.nodes[0].do(w.send(0, forItself(), basic, same)), 200)
	w.wantError(w.nodes[0].do(w.send(0, forItself(), basic, same)), 400, "invalid_dpop_proof")
	code := w.codeForm(w.code(0))
	w.wantError(w.nodes[0].do(w.send(0, code, basic, same)), 400, "invalid_dpop_proof")
	w.want(w.nodes[0].do(w.send(0, code, basic, proving(t, clientKey()))), 200) // which has not used the code up
}

func TestRefusesDPoPProofOfSomethingElse(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	for name, change := range map[string]member{
		"another URL": with("htu", "https://evil.example/oauth2/token"), "another endpoint": with("htu", issuer+"/oauth2/userinfo"),
		"another method": with("htm", "GET"), "old": with("iat", time.Now().Add(-5*time.Minute).Unix()), "no jti": without("jti"),
	} {
		rec := w.nodes[0].do(w.send(0, forItself(), basic, proving(t, clientKey(), change)))
		if r, _ := decodeTokens(rec); rec.Code != 400 || r.Error != "invalid_dpop_proof" {
			t.Errorf("%s: %d %s", name, rec.Code, rec.Body)
		}
	}
	forged := with("nonce", strings.Repeat("A", 38))
	w.wantError(w.nodes[0].do(w.send(0, forItself(), basic, proving(t, clientKey(), forged))), 400, "use_dpop_nonce")
	twice := func(r *http.Request) { r.Header.Add("DPoP", dpopProof(t, clientKey(), "POST", "/oauth2/token")) }
	w.wantError(w.nodes[0].do(w.send(0, forItself(), basic, twice, twice)), 400, "invalid_dpop_proof")
	// The Host header and X-Forwarded-* do not change what the URL is.
	evil := func(r *http.Request) {
		r.Host = "evil.example"
		r.Header.Set("X-Forwarded-Host", "evil.example")
	}
	theirs := proving(t, clientKey(), with("htu", "https://evil.example/oauth2/token"))
	w.wantError(w.nodes[0].do(w.send(0, forItself(), basic, evil, theirs)), 400, "invalid_dpop_proof")
}

// TestRefusesBoundTokenWithoutItsKey: a bound token is of no use to whoever does not have the key.
func TestRefusesBoundTokenWithoutItsKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	bound := w.want(w.nodes[0].do(w.send(0, w.codeForm(w.code(0)), basic, proving(t, clientKey()))), 200)
	plain := w.tokens(0)
	ath := func(token string) member { return with("ath", hashOf(token)) }
	for _, c := range []struct {
		name, scheme, token string
		change              func(*http.Request)
		status              int
		code                string
	}{
		{"good", "DPoP", bound.Access, proving(t, clientKey(), ath(bound.Access)), 200, ""},
		{"as a Bearer token", "Bearer", bound.Access, func(*http.Request) {}, 401, "invalid_token"},
		{"as a Bearer token with a proof", "Bearer", bound.Access, proving(t, clientKey(), ath(bound.Access)), 401, "invalid_token"},
		{"without a proof", "DPoP", bound.Access, func(*http.Request) {}, 401, "invalid_dpop_proof"},
		{"proof of another key", "DPoP", bound.Access, proving(t, otherKey(), ath(bound.Access)), 401, "invalid_dpop_proof"},
		{"proof for another token", "DPoP", bound.Access, proving(t, clientKey(), ath(plain.Access)), 401, "invalid_dpop_proof"},
		{"proof for no token", "DPoP", bound.Access, proving(t, clientKey()), 401, "invalid_dpop_proof"},
		{"unbound token as DPoP", "DPoP", plain.Access, proving(t, clientKey(), ath(plain.Access)), 401, "invalid_token"},
		{"ID token", "DPoP", bound.ID, proving(t, clientKey(), ath(bound.ID)), 401, "invalid_token"},
	} {
		rec := w.present(0, c.scheme, c.token, c.change)
		challenge := strings.Join(rec.Header().Values("WWW-Authenticate"), " ")
		if rec.Code != c.status || c.code != "" && !strings.Contains(challenge, `error="`+c.code+`"`) {
			t.Errorf("%s: %d, challenge %q", c.name, rec.Code, challenge)
		}
	}
	form := url.Values{"access_token": {bound.Access}}
	if rec := w.nodes[0].do(formRequest(t.Context(), "/oauth2/userinfo", form)); rec.Code != 401 {
		t.Errorf("in the body: %d", rec.Code)
	}
	rec := w.get(0, "/oauth2/userinfo", false)
	if all := strings.Join(rec.Header().Values("WWW-Authenticate"), " "); rec.Code != 401 || !strings.Contains(all, "DPoP algs=") || !strings.Contains(all, "Bearer ") {
		t.Errorf("no token: %d %q", rec.Code, all)
	}
}

// TestRefusesAuthorizationCodeInjectionIntoDPoP: a code for one key is not exchanged with another.
func TestRefusesAuthorizationCodeInjectionIntoDPoP(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	jkt := set("dpop_jkt", thumbprint(clientKey()))
	w.wantError(w.nodes[0].do(w.send(0, w.codeForm(w.code(0, jkt)), basic)), 400, "invalid_grant")
	w.wantError(w.nodes[0].do(w.send(0, w.codeForm(w.code(0, jkt)), basic, proving(t, otherKey()))), 400, "invalid_grant")
	w.want(w.nodes[0].do(w.send(0, w.codeForm(w.code(0, jkt)), basic, proving(t, clientKey()))), 200)
	_, params := w.back(w.get(0, authorizePath+"?"+w.request(set("dpop_jkt", "short")).Encode(), true))
	if params.Get("error") != "invalid_request" {
		t.Errorf("malformed dpop_jkt: %v", params)
	}
	push := func(key crypto.Signer, change ...func(url.Values)) *httptest.ResponseRecorder {
		r := formRequest(t.Context(), parPath, w.request(change...))
		basic(r)
		proving(t, key)(r)
		return w.nodes[0].do(r)
	}
	if rec := push(otherKey(), jkt); rec.Code != 400 {
		t.Errorf("pushed with the proof of another key: %d %s", rec.Code, rec.Body)
	}
	rec := push(clientKey())
	var answer struct {
		URI string `json:"request_uri"`
	}
	decode(t, rec.Body.String(), &answer)
	_, params = w.back(w.byURI(0, answer.URI))
	w.wantError(w.nodes[0].do(w.send(0, w.codeForm(params.Get("code")), basic, proving(t, otherKey()))), 400, "invalid_grant")
	_, params = w.back(w.byURI(0, answer.URI))
	w.want(w.nodes[0].do(w.send(0, w.codeForm(params.Get("code")), basic, proving(t, clientKey()))), 200)
}

func TestRefusesUnboundTokensWhereTheyMustBeBound(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.change(func(a *federation.Application) { a.Tokens.DPoPBound = true })
	w.wantError(w.nodes[0].do(w.send(0, forItself(), basic)), 400, "invalid_dpop_proof")
	w.want(w.nodes[0].do(w.send(0, forItself(), basic, proving(t, clientKey()))), 200)
	w.change(func(a *federation.Application) { a.Tokens.DPoPBound, a.Tokens.TLSBound = false, true })
	w.wantError(w.nodes[0].do(w.send(0, forItself(), basic)), 400, "invalid_request")
	w.wantError(w.nodes[0].do(w.send(0, forItself(), basic, proving(t, clientKey()))), 400, "invalid_request")
	w.want(w.nodes[0].do(w.send(0, forItself(), basic, overTLS(certificate(t, nil)))), 200)
}

func TestTokensBoundToACertificate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.change(func(a *federation.Application) { a.Tokens.TLSBound = true })
	cert, another := certificate(t, nil), certificate(t, nil)
	got := w.want(w.nodes[0].do(w.send(0, w.codeForm(w.code(0)), basic, overTLS(cert))), 200)
	if got.Type != "Bearer" || confirmed(t, got.Access)["x5t#S256"] != caller.Thumbprint(cert) {
		t.Errorf("%+v", got)
	}
	for name, c := range map[string]struct {
		cert *x509.Certificate
		want int
	}{"its certificate": {cert, 200}, "another certificate": {another, 401}, "none": {nil, 401}} {
		if rec := w.present(0, "Bearer", got.Access, overTLS(c.cert)); rec.Code != c.want {
			t.Errorf("%s: %d %s", name, rec.Code, rec.Body)
		}
	}
}

func TestFAPI2(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	fapi := func(a *federation.Application) { a.Profile, a.Tokens.DPoPBound = federation.ProfileFAPI2, true }
	w.registerKeyed(fapi)
	good := func(change ...member) url.Values { return asserted(t, forItself(), "keyed", change...) }
	w.want(w.nodes[0].do(w.send(0, good(), proving(t, clientKey()))), 200)
	w.wantError(w.nodes[0].do(w.send(0, good())), 400, "invalid_dpop_proof") // not bound
	for name, aud := range map[string]any{"token endpoint": issuer + "/oauth2/token", "list": []string{issuer}, "list of two": []string{issuer, issuer + "/oauth2/token"}} {
		if rec := w.nodes[0].do(w.send(0, good(with("aud", aud)), proving(t, clientKey()))); rec.Code != 401 {
			t.Errorf("audience %s: %d %s", name, rec.Code, rec.Body)
		}
	}
	for _, method := range []string{"", federation.AuthBasic, federation.AuthPost, federation.AuthSecretJWT} {
		if allowed := caller.Methods(&federation.Application{Profile: federation.ProfileFAPI2, Auth: federation.ClientAuth{Method: method}}); len(allowed) > 0 {
			t.Errorf("method %q: %v", method, allowed)
		}
	}
}

func TestKeptRefreshTokens(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	keep := func(a *federation.Application) { a.Refresh.Keep, a.Tokens.DPoPBound = true, true }
	w.change(keep)
	proved := func(i int, form url.Values) *httptest.ResponseRecorder {
		return w.nodes[i].do(w.send(i, form, basic, proving(t, clientKey())))
	}
	first := w.want(proved(0, w.codeForm(w.code(0))), 200)
	for i := range 4 {
		if n := w.entries(func() {
			if got := w.want(proved(i%2, refreshForm(first.Refresh)), 200); got.Refresh != first.Refresh || got.Access == "" {
				t.Errorf("%+v", got)
			}
		}); n != 0 {
			t.Errorf("refresh without rotation: %d log entries", n)
		}
	}
	w.nodes[1].stale.Store(true) // nothing but the state says that it is not revoked
	w.wantError(proved(1, refreshForm(first.Refresh)), 503, "temporarily_unavailable")
	w.nodes[1].stale.Store(false)
	w.post(0, "/oauth2/revoke", url.Values{"token": {first.Refresh}})
	w.wantError(proved(1, refreshForm(first.Refresh)), 400, "invalid_grant")
	// The token of a public application is bound to its key.
	w.registerPublic(keep)
	form := func(f url.Values) url.Values { f.Set("client_id", "spa"); return f }
	exchange := form(w.codeForm(w.code(0)))
	nonce := with("nonce", w.nonce(0, exchange))
	bound := w.want(w.nodes[0].do(w.send(0, exchange, proving(t, clientKey(), nonce))), 200)
	if got := w.want(w.nodes[0].do(w.send(0, form(refreshForm(bound.Refresh)), proving(t, clientKey(), nonce))), 200); got.Refresh != bound.Refresh {
		t.Error("the token of a public application with a key was rotated")
	}
	w.wantError(w.nodes[0].do(w.send(0, form(refreshForm(bound.Refresh)), proving(t, otherKey(), nonce))), 400, "invalid_grant")
}

func TestPreflightAllowsProofs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	for _, path := range []string{"/oauth2/token", "/oauth2/userinfo"} {
		rec := w.nodes[0].do(httptest.NewRequestWithContext(t.Context(), "OPTIONS", path, nil))
		if rec.Code != 204 || !strings.Contains(rec.Header().Get("Access-Control-Allow-Headers"), "DPoP") {
			t.Errorf("%s: %d %v", path, rec.Code, rec.Header())
		}
	}
}
