package conformance

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/quis-idp/quis/e2e/testbed"
)

var dynamicPlan = []module{
	{name: "oidcc-idtoken-rs256", check: func(c *check) {
		c.join(map[string]any{"id_token_signed_response_alg": "RS256"})
		_, got, _ := c.signIn()
		head, _ := c.verify(got.text("id_token"))
		c.that("the ID token is signed with RS256", head.Algorithm == "RS256", head)
	}},
	{name: "oidcc-idtoken-unsigned", check: func(c *check) {
		got := c.enroll(map[string]any{"id_token_signed_response_alg": "none"})
		c.that("who wants unsigned ID tokens is not registered", got.status == http.StatusBadRequest && got.text("error") == "invalid_client_metadata", got)
	}},
	{name: "oidcc-userinfo-rs256", check: func(c *check) {
		c.join(map[string]any{"userinfo_signed_response_alg": "RS256"})
		_, got, claims := c.signIn()
		kind, token := c.jwtOf(got.text("access_token"))
		c.must("userinfo is a JWT", strings.HasPrefix(kind, "application/jwt"), kind)
		head, info := c.verify(token)
		c.that("it is signed with RS256, with iss, aud and sub", head.Algorithm == "RS256" && info["iss"] == dev.Issuer() && info["aud"] == c.app.id && info["sub"] == claims["sub"], head, info)
	}},
	{name: "oidcc-ensure-redirect-uri-in-authorization-request", check: func(c *check) {
		c.join(nil)
		c.shown(c.ask("redirect_uri", ""))
	}},
	{name: "oidcc-redirect-uri-query-OK", check: func(c *check) {
		c.join(map[string]any{"redirect_uris": []string{callback + "?foo=bar"}})
		a := c.ask("redirect_uri", callback+"?foo=bar")
		got := c.answer(a, c.send(a))
		c.that("the query of the redirect URI stays", got.Get("foo") == "bar", got)
		c.tokens(a, got.Get("code"))
	}},
	{name: "oidcc-redirect-uri-query-mismatch", check: func(c *check) {
		c.join(map[string]any{"redirect_uris": []string{callback + "?foo=bar"}})
		c.shown(c.ask("redirect_uri", callback+"?bar=foo"))
	}},
	{name: "oidcc-redirect-uri-query-added", check: func(c *check) {
		c.join(nil)
		c.shown(c.ask("redirect_uri", callback+"?foo=bar"))
	}},
	{name: "oidcc-redirect-uri-regfrag", check: func(c *check) {
		got := c.enroll(map[string]any{"redirect_uris": []string{callback + "#foobar"}})
		c.that("a redirect URI with a fragment is not registered", got.status == http.StatusBadRequest && got.text("error") == "invalid_redirect_uri", got)
	}},
	{name: "oidcc-discovery-endpoint-verification", check: func(c *check) {
		discovery(c)
		c.that("registration_endpoint is under the issuer", strings.HasPrefix(text(c.metadata(), "registration_endpoint"), dev.Issuer()+"/"))
	}},
	{name: "oidcc-server", check: func(c *check) {
		c.join(nil)
		server(c)
	}},
	{name: "oidcc-registration-logo-uri", why: "logos of strangers are not shown: the pages load nothing from elsewhere"},
	{name: "oidcc-registration-policy-uri", check: func(c *check) { c.linked("policy_uri") }},
	{name: "oidcc-registration-tos-uri", check: func(c *check) { c.linked("tos_uri") }},
	{name: "oidcc-registration-jwks-uri", check: func(c *check) {
		k := c.keyed()
		a := c.ask()
		c.read(a, c.redeem(k, a, c.code(a)))
	}},
	{name: "oidcc-registration-sector-uri", check: func(c *check) {
		c.join(map[string]any{"subject_type": "pairwise", "sector_identifier_uri": c.serve(func() any { return []string{callback} })})
		c.signIn()
	}},
	{name: "oidcc-registration-sector-bad", check: func(c *check) {
		got := c.enroll(map[string]any{"subject_type": "pairwise", "sector_identifier_uri": c.serve(func() any { return []string{"https://other.example.com/cb"} })})
		c.that("a sector that does not list the redirect URI is refused", got.status == http.StatusBadRequest && got.text("error") == "invalid_client_metadata", got)
	}},
	{name: "oidcc-server-rotate-keys", why: "an operator rotates keys, not a test of the protocol; keys.TestFourPhases holds that new keys are in the JWKS first"},
	{name: "oidcc-refresh-token-rp-key-rotation", check: func(c *check) {
		k := c.keyed()
		a := c.ask("scope", "openid offline_access", "prompt", "consent")
		got := c.redeem(k, a, c.code(a))
		c.read(a, got)
		k.rotate(c)
		c.wait(31 * time.Second) // nobody's key set is fetched more often
		form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {got.text("refresh_token")}}
		next := c.byKey(k, form)
		c.that("a refresh that is signed with the new key is answered, half a minute after the old one was fetched", next.status == http.StatusOK, next)
	}},
	{name: "oidcc-request-uri-unsigned", why: "unsigned request objects are refused by design"},
	{name: "oidcc-request-uri-signed-rs256", why: "not tried here; federation/oidc.TestRequestObjectByReference holds it"},
	{name: "oidcc-ensure-request-object-with-redirect-uri", check: func(c *check) {
		k := c.keyed()
		a := c.ask()
		claims := map[string]any{"iss": c.app.id, "aud": dev.Issuer(), "exp": time.Now().Add(time.Minute).Unix()}
		for name := range a.params {
			claims[name] = a.params.Get(name)
		}
		object, err := k.key().Sign("oauth-authz-req+jwt", false, claims)
		c.no(err)
		p, err := c.browser.Reach(c.ctx, authorizeURL()+"?"+url.Values{"client_id": {c.app.id}, "request": {object}, "redirect_uri": {callback + "/other"}, "response_type": {"code"}, "scope": {"openid"}}.Encode(), username, password)
		c.no(err)
		got := c.answer(a, p)
		c.that("the redirect URI within the signed request counts, which must say when it expires", true)
		c.read(a, c.redeem(k, a, got.Get("code")))
	}},
	{name: "oidcc-refresh-token", check: refresh},
	{name: "oidcc-ensure-client-assertion-with-iss-aud-succeeds", check: func(c *check) {
		k := c.keyed()
		a := c.ask()
		c.read(a, c.redeem(k, a, c.code(a)))
		c.that("an assertion that is made out to the issuer is taken", true)
	}},
}

// enroll registers a client by itself (RFC 7591, section 3.1).
func (c *check) enroll(changes map[string]any) answer {
	c.t.Helper()
	meta := map[string]any{"client_name": c.name, "redirect_uris": []string{callback}, "grant_types": []string{"authorization_code", "refresh_token"}, "response_types": []string{"code"}}
	maps.Copy(meta, changes)
	b, err := json.Marshal(meta)
	c.no(err)
	return c.do(http.MethodPost, dev.Issuer()+"/oauth2/register", bytes.NewReader(b), nil, http.Header{"Content-Type": {"application/json"}})
}

// join registers a client and becomes it.
func (c *check) join(changes map[string]any) answer {
	c.t.Helper()
	got := c.enroll(changes)
	c.must("a client may register", got.status == http.StatusCreated && got.text("client_id") != "", got)
	c.app = application{got.text("client_id"), got.text("client_secret")}
	return got
}

// jwtOf fetches userinfo as it comes.
func (c *check) jwtOf(token string) (kind, body string) {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.ctx, http.MethodGet, dev.Issuer()+"/oauth2/userinfo", nil)
	c.no(err)
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	c.no(err)
	defer resp.Body.Close()
	var b bytes.Buffer
	_, err = b.ReadFrom(resp.Body)
	c.no(err)
	return resp.Header.Get("Content-Type"), b.String()
}

// linked registers a client with an address that the person must find on a page.
func (c *check) linked(name string) {
	c.t.Helper()
	const to = "https://client.example.com/text"
	c.join(map[string]any{name: to})
	p, err := c.browser.Open(c.ctx, authorizeURL()+"?"+c.ask().params.Encode())
	c.no(err)
	for p.FormWith("password") != nil && !strings.Contains(p.Body, to) {
		p, err = c.browser.Press(c.ctx, p, "password", map[string][]string{"username": {username}, "password": {password}})
		c.no(err)
		if p.Status == http.StatusTooManyRequests {
			c.wait(1e9)
		}
	}
	c.that("the person finds the link", strings.Contains(p.Body, to), p.URL, excerpt(p.Body))
}

// serve publishes a JSON document for the length of the test, as long as it is made.
func (c *check) serve(doc func() any) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "max-age=1")
		if err := json.NewEncoder(w).Encode(doc()); err != nil {
			c.t.Error(err)
		}
	}))
	c.t.Cleanup(server.Close)
	return strings.Replace(server.URL, "127.0.0.1", "localhost", 1) + "/document"
}

// keys are those that a client publishes at its jwks_uri.
type keys struct {
	mu  sync.Mutex
	own []*testbed.Key // the last one signs
}

func (k *keys) key() *testbed.Key {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.own[len(k.own)-1]
}

func (k *keys) rotate(c *check) {
	key, err := testbed.NewKey()
	c.no(err)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.own = append(k.own, key)
}

// keyed registers a client that authenticates by a key at its jwks_uri.
func (c *check) keyed() *keys {
	c.t.Helper()
	k := &keys{}
	k.rotate(c)
	c.join(map[string]any{"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": c.serve(func() any {
		k.mu.Lock()
		defer k.mu.Unlock()
		set := jose.JSONWebKeySet{}
		for _, key := range slices.Backward(k.own) {
			set.Keys = append(set.Keys, key.Public())
		}
		return set
	})})
	return k
}

func (c *check) byKey(k *keys, form url.Values) answer {
	c.t.Helper()
	assertion, err := k.key().Assertion(c.app.id, dev.Issuer(), nil)
	c.no(err)
	form.Set("client_assertion", assertion)
	form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
	return c.post(tokenURL(), form, nil, nil)
}

func (c *check) redeem(k *keys, a *ask, code string) answer {
	c.t.Helper()
	return c.byKey(k, url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {a.params.Get("redirect_uri")}, "code_verifier": {a.verifier}})
}
