package conformance

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/quis-idp/quis/e2e/testbed"
)

// The applications under FAPI 2.0, with the keys that they authenticate by.
var (
	fapiFirst, fapiSecond, fapiAsking fapiApplication
	rs256                             *testbed.Key // registered too, of an algorithm that the profile forbids
)

type fapiApplication struct {
	id  string
	key *testbed.Key
}

// prepare registers what the modules need beyond the bootstrap file.
func prepare(t *testing.T) {
	t.Helper()
	weak, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	rs256 = testbed.KeyOf(weak, jose.RS256)
	listen(t)
	administer(t, http.MethodPut, "/registration/policy", map[string]any{"mode": "open"})
	for range cap(lasting) {
		made := register(t, map[string]any{"name": "lasting", "redirect_uris": []string{callback}, "allowed_scopes": []string{"openid", "offline_access"}})
		lasting <- application{text(made, "client_id"), text(made, "client_secret")}
	}
	for name, app := range map[string]*fapiApplication{"fapi first": &fapiFirst, "fapi second": &fapiSecond, "fapi asking": &fapiAsking} {
		consent := "implicit"
		if app == &fapiAsking {
			consent = "explicit"
		}
		if app.key, err = testbed.NewKey(); err != nil {
			t.Fatal(err)
		}
		app.id = register(t, map[string]any{
			"name": name, "consent_mode": consent, "profile": "fapi2", "token_endpoint_auth_method": "private_key_jwt",
			"jwks":          jose.JSONWebKeySet{Keys: []jose.JSONWebKey{app.key.Public(), rs256.Public()}},
			"redirect_uris": []string{callback}, "dpop_bound_access_tokens": true, "require_pushed_authorization_requests": true,
			"grant_types": []string{"authorization_code", "refresh_token"}, "allowed_scopes": []string{"openid", "profile", "email", "offline_access"},
		})["client_id"].(string)
	}
}

// register adds an application as an administrator does.
func register(t *testing.T, fields map[string]any) map[string]any {
	t.Helper()
	return administer(t, http.MethodPost, "/applications", fields)
}

// administer sends a request to the admin API. Right after the start of the cluster it is
// asked to come again, until every node has said that it knows such settings.
func administer(t *testing.T, method, path string, fields map[string]any) map[string]any {
	t.Helper()
	b, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	for start := time.Now(); ; {
		req, err := http.NewRequestWithContext(t.Context(), method, dev.Issuer()+"/api/v1"+path, bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Authorization", "Bearer "+adminKey)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]any{}
		err = json.NewDecoder(resp.Body).Decode(&got)
		resp.Body.Close()
		switch {
		case err == nil && resp.StatusCode < 300:
			return got
		case resp.StatusCode != http.StatusServiceUnavailable || time.Since(start) > time.Minute:
			t.Fatalf("%s %s %s: status %d: %v, %v", method, path, b, resp.StatusCode, got, err)
		}
		<-time.After(200 * time.Millisecond)
	}
}

// A fapi is a relying party under FAPI 2.0: private_key_jwt, PAR and DPoP.
type fapi struct {
	*check
	app   fapiApplication
	proof *testbed.Key      // of possession
	nonce map[string]string // for the next proof, by path
}

// underFAPI makes a check of one for a relying party.
func underFAPI(f func(r *fapi)) func(c *check) {
	return func(c *check) {
		key, err := testbed.NewKey()
		c.no(err)
		c.app = application{id: fapiFirst.id}
		f(&fapi{check: c, app: fapiFirst, proof: key, nonce: map[string]string{}})
	}
}

// call sends a form with a client assertion, unless one is in it or it says none, and the header given.
func (r *fapi) call(path string, form url.Values, header http.Header) answer {
	r.t.Helper()
	form = maps.Clone(form)
	if !form.Has("client_assertion") {
		assertion, err := r.app.key.Assertion(r.app.id, dev.Issuer(), nil)
		r.no(err)
		form.Set("client_assertion", assertion)
	}
	if form.Get("client_assertion") == "" {
		form.Del("client_assertion")
	} else {
		form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
	}
	return r.post(dev.Issuer()+path, form, nil, header)
}

// proven sends a form with a proof of possession, again with a nonce if one is asked for.
func (r *fapi) proven(path string, form url.Values, key *testbed.Key, changes map[string]any) answer {
	r.t.Helper()
	for {
		proof, err := key.Proof(http.MethodPost, dev.Issuer()+path, r.nonce[path], "", changes)
		r.no(err)
		got := r.call(path, form, http.Header{"Dpop": {proof}})
		nonce := got.header.Get("DPoP-Nonce")
		if got.text("error") != "use_dpop_nonce" || nonce == "" || nonce == r.nonce[path] {
			return got
		}
		r.nonce[path] = nonce
	}
}

const (
	parPath   = "/oauth2/par"
	tokenPath = "/oauth2/token"
)

// push pushes a request.
func (r *fapi) push(a *ask) answer { r.t.Helper(); return r.call(parPath, a.params, nil) }

// pushed pushes a request that must be taken, and returns its URI.
func (r *fapi) pushed(a *ask) string {
	r.t.Helper()
	got := r.push(a)
	r.must("the pushed request is taken, with a URI and its life", got.status == http.StatusCreated && got.text("request_uri") != "" && got.body["expires_in"] != nil, got)
	return got.text("request_uri")
}

// visit brings the person to the authorization endpoint with a request URI, and more
// parameters that must not count.
func (r *fapi) visit(uri string, more ...string) *testbed.Page {
	r.t.Helper()
	q := url.Values{"client_id": {r.app.id}, "request_uri": {uri}}
	change(q, more)
	p, err := r.browser.Reach(r.ctx, authorizeURL()+"?"+q.Encode(), username, password)
	r.no(err)
	return p
}

// visitAfter is visit, but stands at the first page after signing in.
func (r *fapi) visitAfter(uri string) *testbed.Page {
	r.t.Helper()
	p, err := r.browser.Open(r.ctx, authorizeURL()+"?"+url.Values{"client_id": {r.app.id}, "request_uri": {uri}}.Encode())
	r.no(err)
	if p.FormWith("password") != nil {
		p, err = r.browser.Press(r.ctx, p, "password", map[string][]string{"username": {username}, "password": {password}})
		r.no(err)
	}
	return p
}

// fapiCode pushes, visits and returns the code.
func (r *fapi) fapiCode(a *ask) string {
	r.t.Helper()
	got := r.answer(a, r.visit(r.pushed(a)))
	r.usual("there is a code", got.Get("code") != "", got)
	return got.Get("code")
}

func (r *fapi) codeForm(a *ask, code string, changes ...string) url.Values {
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback}, "code_verifier": {a.verifier}}
	change(form, changes)
	return form
}

// whole signs in and returns the tokens and the claims of the ID token.
func (r *fapi) whole(changes ...string) (answer, map[string]any) {
	r.t.Helper()
	a := r.ask(changes...)
	got := r.proven(tokenPath, r.codeForm(a, r.fapiCode(a)), r.proof, nil)
	claims := r.read(a, got)
	r.usualBound(got)
	return got, claims
}

func (r *fapi) usualBound(got answer) {
	r.t.Helper()
	r.that("the access token is bound to the key", got.text("token_type") == "DPoP", got.body)
	_, claims := r.verify(got.text("access_token"))
	cnf, _ := claims["cnf"].(map[string]any)
	r.that("its cnf is the thumbprint of the key", text(cnf, "jkt") == r.proof.Thumbprint(), claims)
}

// resource uses the access token at userinfo.
func (r *fapi) resource(scheme, token string, key *testbed.Key, changes map[string]any) answer {
	r.t.Helper()
	const path = "/oauth2/userinfo"
	for {
		proof, err := key.Proof(http.MethodGet, dev.Issuer()+path, r.nonce[path], token, changes)
		r.no(err)
		got := r.do(http.MethodGet, dev.Issuer()+path, nil, nil, http.Header{"Authorization": {scheme + " " + token}, "Dpop": {proof}})
		nonce := got.header.Get("DPoP-Nonce")
		if got.text("error") != "use_dpop_nonce" || nonce == "" || nonce == r.nonce[path] {
			return got
		}
		r.nonce[path] = nonce
	}
}
