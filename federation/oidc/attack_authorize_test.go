package oidc

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/directory"
)

// The tests of this file are attacks on the authorization endpoint, by the sections of RFC 9700.

// page wants an answer that leads nowhere.
func (w *world) page(what string, rec *httptest.ResponseRecorder) {
	w.t.Helper()
	if rec.Code != http.StatusBadRequest || rec.Header().Get("Location") != "" || rec.Header().Get("Refresh") != "" || strings.Contains(rec.Body.String(), "<form") {
		w.t.Errorf("%s: %d to %q, want a page: %s", what, rec.Code, rec.Header().Get("Location"), rec.Body)
	}
}

// TestRefusesRedirectURITricks: section 4.1; a redirect URI is compared byte for byte.
func TestRefusesRedirectURITricks(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	tricks := []string{
		"https://app.example.com@evil.example/cb", "https://evil.example/cb#@app.example.com", "https://app.example.com:443/cb", "https://user@app.example.com/cb",
		"https://APP.example.com/cb", "HTTPS://app.example.com/cb", "https://app.example.com/CB", "https://app.example.com/cb/", "https://app.example.com//cb",
		"https://app.example.com/c%62", "https://app.example.com/%63b", "https://app.example.com/x/../cb", "https://app.example.com/cb/..", "https://app.example.com/cb/%2e%2e/x", "https://app.example.com/./cb",
		"https://sub.app.example.com/cb", "https://example.com/cb", "https://app.example.com.evil.example/cb", "https://app.example.com./cb", "https://xapp.example.com/cb",
		"http://app.example.com/cb", "//app.example.com/cb", "/cb", "cb", "app.example.com/cb", "https:/app.example.com/cb", "https:\app.example.com\\cb", "https://app.example.com\\@evil.example/cb",
		"https://app.example.com/cb?", "https://app.example.com/cb?x=1", "https://app.example.com/cb;x", "https://app.example.com/cb%00", "https://app.example.com/cb%0d%0aLocation:x", "https://app.example.com/cb\r\nx: y",
		" https://app.example.com/cb", "https://app.example.com/cb ", "https://app.example.com/cb\t", "https://app.example.com/cb\x00", "https://app.example.com/cb/*", "https://*.example.com/cb",
		"https://аpp.example.com/cb", "https://app.example.com／cb", "javascript:alert(1)//https://app.example.com/cb", "data:text/html,x", "http://127.0.0.1/cb", "http://localhost/cb", "http://[::1]/cb",
	}
	for _, mode := range []string{"query", "fragment", "form_post", "jwt"} {
		for _, uri := range tricks {
			w.page(mode+" "+uri, w.authorize(set("redirect_uri", uri), set("response_mode", mode)))
		}
	}
	for _, uri := range tricks {
		if rec := w.post(0, parPath, w.request(set("redirect_uri", uri))); rec.Code != 400 {
			t.Errorf("%s was pushed: %d", uri, rec.Code)
		}
	}
	w.page("twice", w.authorize(func(q url.Values) { q["redirect_uri"] = []string{callback, "https://evil.example/cb"} }))
	w.page("twice, the other way", w.authorize(func(q url.Values) { q["redirect_uri"] = []string{"https://evil.example/cb", callback} }))
}

// TestRefusesOpenRedirectThroughErrors: section 4.11; who is not an application of ours, or names
// another's address, sends nobody anywhere, whatever else is wrong.
func TestRefusesOpenRedirectThroughErrors(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	evil := set("redirect_uri", "https://evil.example/cb")
	for name, f := range map[string][]func(url.Values){
		"unknown client": {set("client_id", "nobody"), evil}, "no client": {del("client_id"), evil}, "bad scope": {set("scope", "x"), evil},
		"prompt none": {set("prompt", "none"), evil}, "bad mode": {set("response_mode", "x"), evil}, "request object": {set("request", "a.b.c"), evil},
		"request_uri": {set("request_uri", "https://evil.example/r"), evil}, "pushed": {set("request_uri", "urn:ietf:params:oauth:request_uri:x"), evil},
		"unknown client, good address": {set("client_id", "nobody")}, "form": {set("response_mode", "form_post"), evil}, "signed": {set("response_mode", "jwt"), evil},
	} {
		w.page(name, w.authorize(f...))
	}
	other := w.register(federation.Application{ClientID: "other", Name: "Other", RedirectURIs: []string{"https://other.example.com/cb"}}, secret)
	w.page("another application's address", w.authorize(set("client_id", other.ClientID)))
	w.change(func(a *federation.Application) { a.Disabled = true })
	w.page("disabled", w.authorize())
}

// TestRefusesAuthorizationCodeInjection: section 4.5; a stolen code is of no use in the session of
// whoever stole it: its verifier is another, and its nonce tells the application.
func TestRefusesAuthorizationCodeInjection(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	stolen := w.code(0, set("nonce", "of-the-victim"))
	form := w.codeForm(stolen)
	form.Set("code_verifier", strings.Repeat("attackers-own-verifier-", 3))
	w.wantError(w.post(1, "/oauth2/token", form), 400, "invalid_grant")
	got := w.want(w.post(1, "/oauth2/token", w.codeForm(stolen)), 200)
	if claims(t, got.ID)["nonce"] != "of-the-victim" {
		t.Error("the nonce is not that of the request that the code was made for")
	}
	other := w.register(federation.Application{ClientID: "other", Name: "Other", RedirectURIs: []string{callback}}, secret)
	r := formRequest(t.Context(), "/oauth2/token", w.codeForm(w.code(0)))
	r.SetBasicAuth(other.ClientID, secret)
	w.wantError(w.nodes[0].do(r), 400, "invalid_grant")
}

// TestRefusesPKCEDowngrade: section 4.8; without a challenge there is no code, and with one no
// token without its verifier. It does not help that the method is left out or is another.
func TestRefusesPKCEDowngrade(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	for _, f := range [][]func(url.Values){
		{del("code_challenge"), del("code_challenge_method")}, {del("code_challenge")}, {del("code_challenge_method")}, {set("code_challenge_method", "plain")},
		{set("code_challenge_method", "s256")}, {set("code_challenge_method", "none")}, {set("code_challenge", "")}, {set("code_challenge", verifier), set("code_challenge_method", "plain")},
		{set("code_challenge", challenge()+"=")}, {set("code_challenge", challenge()[:42])}, {set("code_challenge", strings.Repeat("A", 44))},
	} {
		w.authorizeError(w.authorize(f...), "invalid_request")
		w.wantError(w.post(0, parPath, w.request(f...)), 400, "invalid_request")
	}
	// A challenge of S256 is no verifier of itself, and an empty one does not pass.
	code := w.code(0)
	for _, v := range []string{"", challenge(), verifier[:42], verifier + "x", strings.ToUpper(verifier)} {
		form := w.codeForm(code)
		form.Set("code_verifier", v)
		w.wantError(w.post(0, "/oauth2/token", form), 400, "invalid_grant")
	}
	form := w.codeForm(code)
	form.Del("code_verifier")
	w.wantError(w.post(0, "/oauth2/token", form), 400, "invalid_grant")
	sum := sha256.Sum256([]byte("short"))
	short := w.code(0, set("code_challenge", base64.RawURLEncoding.EncodeToString(sum[:])))
	form = w.codeForm(short)
	form.Set("code_verifier", "short")
	w.wantError(w.post(0, "/oauth2/token", form), 400, "invalid_grant")
}

// TestRefusesLoginCSRF: section 4.7; an attacker who signs in and has a victim follow where that
// leads gets nothing proved for the victim, and does not become the victim's user.
func TestRefusesLoginCSRF(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	victim := w.cookie
	w.update(0, func(tx *fsm.Tx) error {
		_, err := directory.CreateUser(tx, tenant.ID, directory.User{Username: "attacker", Name: "Attacker"})
		return err
	})
	w.cookie = nil
	back := w.passSignIn(0, w.authorize(set("prompt", "login")), "attacker")
	w.cookie = victim
	for i := range w.nodes {
		if u, _ := w.back(w.get(i, back, true)); u.Path != "/login" {
			t.Fatalf("the attacker's sign-in counts for the victim: led to %s", u)
		}
	}
	w.cookie = nil
	if u, _ := w.back(w.get(0, back, true)); u.Path != "/login" {
		t.Fatalf("the attacker's sign-in counts without a session: led to %s", u)
	}
}

// TestRefusesDuplicateParametersEverywhere: RFC 6749, section 3.1; which of two would count differs
// between who checks and who acts.
func TestRefusesDuplicateParametersEverywhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	for name := range w.request() {
		double := func(q url.Values) { q.Add(name, q.Get(name)) }
		rec := w.authorize(double)
		switch name {
		case "client_id", "redirect_uri":
			w.page(name, rec)
		default:
			w.authorizeError(rec, "invalid_request")
		}
		w.wantError(w.post(0, parPath, w.request(double)), 400, "invalid_request")
	}
	for _, name := range []string{"request", "request_uri"} {
		w.authorizeError(w.authorize(func(q url.Values) { q[name] = []string{"a", "b"} }), "invalid_request")
	}
}

// TestRefusesParametersOfAnAnswerInTheRedirectURI: where a pattern leaves the query open, nobody
// brings a code along that would stand before ours.
func TestRefusesParametersOfAnAnswerInTheRedirectURI(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.app = w.register(federation.Application{
		ClientID: "pattern", Name: "Pattern", RedirectURIs: []string{`regex:^https://app\.example\.com/cb(\?.*)?$`},
	}, secret)
	w.app.RedirectURIs[0] = callback
	scope := set("scope", "openid")
	if _, params := w.back(w.authorize(scope, set("redirect_uri", callback+"?tab=1"))); params.Get("code") == "" || params.Get("tab") != "1" {
		t.Fatalf("%v", params)
	}
	for _, query := range []string{"?code=stolen", "?x=1&state=s", "?%63ode=stolen", "?iss=https://evil.example", "?error=x", "?response=x", "?x;code=stolen", "?code[]=stolen", "?Code=stolen", "?x=1&&code"} {
		for _, mode := range []string{"query", "form_post", "jwt", "fragment"} {
			w.page(mode+" "+query, w.authorize(scope, set("redirect_uri", callback+query), set("response_mode", mode)))
		}
	}
}
