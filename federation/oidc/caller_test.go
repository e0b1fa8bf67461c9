package oidc

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/fetch"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
)

func TestPrivateKeyJWT(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.registerKeyed()
	for name, change := range map[string]member{
		"issuer": with("aud", issuer), "token endpoint": with("aud", issuer+"/oauth2/token"), "several": with("aud", []string{"x", issuer}),
		"no iat": without("iat"),
	} {
		form := asserted(t, forItself(), "keyed", change)
		if n := w.entries(func() { w.want(w.nodes[0].do(w.send(0, form)), 200) }); n != 1 {
			t.Errorf("%s: %d log entries, want 1 for the assertion", name, n)
		}
	}
	form := asserted(t, forItself(), "keyed")
	form.Set("client_id", "keyed")
	w.want(w.nodes[0].do(w.send(0, form)), 200)
	// Where the grant writes an entry, the assertion is spent in it.
	w.app = w.registerKeyed(func(a *federation.Application) { a.ClientID = "keyed2" })
	code := w.code(0)
	var first tokenResponse
	if n := w.entries(func() { first = w.want(w.nodes[0].do(w.send(0, asserted(t, w.codeForm(code), "keyed2"))), 200) }); n != 1 {
		t.Errorf("code exchange: %d log entries, want 1", n)
	}
	if n := w.entries(func() { w.want(w.nodes[0].do(w.send(0, asserted(t, refreshForm(first.Refresh), "keyed2"))), 200) }); n != 1 {
		t.Errorf("refresh: %d log entries, want 1", n)
	}
	if n := w.entries(func() { w.want(w.nodes[0].do(w.send(0, asserted(t, refreshForm(first.Refresh), "keyed2"))), 200) }); n != 1 {
		t.Errorf("refresh within the grace time: %d log entries, want 1 for the assertion", n)
	}
}

func TestRefusesAssertions(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.registerKeyed()
	now := time.Now()
	for name, form := range map[string]url.Values{
		"another audience":     asserted(t, forItself(), "keyed", with("aud", "https://other.example")),
		"no audience":          asserted(t, forItself(), "keyed", without("aud")),
		"audience by prefix":   asserted(t, forItself(), "keyed", with("aud", issuer+".evil.example")),
		"another issuer":       asserted(t, forItself(), "keyed", with("iss", "web")),
		"another subject":      asserted(t, forItself(), "keyed", with("sub", "web")),
		"expired":              asserted(t, forItself(), "keyed", with("exp", now.Add(-time.Minute).Unix())),
		"no exp":               asserted(t, forItself(), "keyed", without("exp")),
		"for hours":            asserted(t, forItself(), "keyed", with("exp", now.Add(time.Hour).Unix())),
		"no jti":               asserted(t, forItself(), "keyed", without("jti")),
		"another key":          withAssertion(forItself(), signJWT(t, otherKey(), "ES256", nil, assertionClaims("keyed"))),
		"of an access token":   withAssertion(forItself(), signJWT(t, clientKey(), "ES256", (&jose.SignerOptions{}).WithType("at+jwt"), assertionClaims("keyed"))),
		"its own key":          withAssertion(forItself(), signJWT(t, otherKey(), "ES256", &jose.SignerOptions{EmbedJWK: true}, assertionClaims("keyed"))),
		"of nobody":            asserted(t, forItself(), "nobody"),
		"of another method":    asserted(t, forItself(), "web"),
		"garbage":              withAssertion(forItself(), "garbage"),
		"nothing":              withAssertion(forItself(), ""),
		"client_id of another": asserted(t, url.Values{"grant_type": {"client_credentials"}, "client_id": {"web"}}, "keyed"),
	} {
		if n := w.entries(func() { w.wantError(w.nodes[0].do(w.send(0, form)), 401, "invalid_client") }); n != 0 {
			t.Errorf("%s: %d log entries", name, n)
		}
	}
	form := asserted(t, forItself(), "keyed")
	form.Set("client_assertion_type", "other")
	w.wantError(w.nodes[0].do(w.send(0, form)), 401, "invalid_client")
}

// TestRefusesAlgorithmConfusion: an HMAC under the public key, which everybody knows, is no signature.
func TestRefusesAlgorithmConfusion(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	app := w.registerKeyed()
	der, _ := x509.MarshalPKIXPublicKey(clientKey().Public())
	body, _ := json.Marshal(assertionClaims("keyed"))
	for name, secret := range map[string][]byte{"DER": der, "JWKS": app.Auth.JWKS} {
		head := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","kid":"k1"}`)) + "." + base64.RawURLEncoding.EncodeToString(body)
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(head))
		form := withAssertion(forItself(), head+"."+base64.RawURLEncoding.EncodeToString(mac.Sum(nil)))
		if rec := w.nodes[0].do(w.send(0, form)); rec.Code != 401 {
			t.Errorf("%s: %d %s", name, rec.Code, rec.Body)
		}
	}
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + base64.RawURLEncoding.EncodeToString(body) + "."
	w.wantError(w.nodes[0].do(w.send(0, withAssertion(forItself(), none))), 401, "invalid_client")
}

// TestRefusesAssertionReplayOnAnotherNode: an assertion is spent in the whole cluster.
func TestRefusesAssertionReplayOnAnotherNode(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	w.registerKeyed()
	form := asserted(t, forItself(), "keyed")
	w.want(w.nodes[0].do(w.send(0, form)), 200)
	for i := range w.nodes {
		w.wantError(w.nodes[i].do(w.send(i, form)), 401, "invalid_client")
	}
	// Nor may it be used where the grant writes an entry of its own, or at another endpoint.
	w.app = w.registerKeyed(func(a *federation.Application) { a.ClientID = "keyed2" })
	form = asserted(t, w.codeForm(w.code(1)), "keyed2")
	w.want(w.nodes[1].do(w.send(1, form)), 200)
	again := withAssertion(w.codeForm(w.code(2)), form.Get("client_assertion"))
	w.wantError(w.nodes[2].do(w.send(2, again)), 401, "invalid_client")
	again = withAssertion(url.Values{"token": {"x"}}, form.Get("client_assertion"))
	w.wantError(w.nodes[0].do(formRequest(t.Context(), "/oauth2/introspect", again)), 401, "invalid_client")
}

func TestRefusesAssertionReplayInARace(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	w.registerKeyed()
	form := asserted(t, forItself(), "keyed")
	var mu sync.Mutex
	codes := map[int]int{}
	var wg sync.WaitGroup
	for i := range 50 {
		r := w.send(i%3, form)
		wg.Go(func() {
			rec := w.nodes[i%3].do(r)
			mu.Lock()
			codes[rec.Code]++
			mu.Unlock()
		})
	}
	wg.Wait()
	if codes[200] != 1 || codes[200]+codes[401]+codes[503] != 50 {
		t.Errorf("answers %v, want one 200", codes)
	}
}

// TestRefusesUnregisteredMethod: who is registered with a strong method is not believed by a weaker one.
func TestRefusesUnregisteredMethod(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	for method, others := range map[string][]string{
		federation.AuthBasic:         {federation.AuthPost, federation.AuthNone},
		federation.AuthPost:          {federation.AuthBasic, federation.AuthNone},
		federation.AuthPrivateKeyJWT: {federation.AuthBasic, federation.AuthPost, federation.AuthNone},
		federation.AuthTLS:           {federation.AuthBasic, federation.AuthPost, federation.AuthNone},
	} {
		id := "only-" + method
		a := federation.Application{
			ClientID: id, Name: id, RedirectURIs: []string{callback}, GrantTypes: []string{federation.GrantCode, federation.GrantClientCredentials},
			AllowedScopes: []string{"api"}, Auth: federation.ClientAuth{Method: method},
		}
		switch method {
		case federation.AuthPrivateKeyJWT:
			a.Auth.JWKS = jwks(t, jose.JSONWebKey{Key: clientKey().Public()})
		case federation.AuthTLS:
			a.Auth.TLSSANDNS = "x.example"
		}
		w.register(a, secret)
		for _, other := range others {
			form := forItself()
			form.Set("client_id", id)
			r := w.send(0, form)
			switch other {
			case federation.AuthBasic:
				r.SetBasicAuth(id, secret)
			case federation.AuthPost:
				form.Set("client_secret", secret)
				r = w.send(0, form)
			}
			if rec := w.nodes[0].do(r); rec.Code != 401 {
				t.Errorf("%s instead of %s: %d %s", other, method, rec.Code, rec.Body)
			}
		}
	}
}

func TestClientSecretJWT(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	app := w.register(federation.Application{
		ClientID: "mac", Name: "MAC", RedirectURIs: []string{callback}, GrantTypes: []string{federation.GrantCode, federation.GrantClientCredentials},
		AllowedScopes: []string{"api"}, Auth: federation.ClientAuth{Method: federation.AuthSecretJWT},
	}, secret)
	form := withAssertion(forItself(), signJWT(t, []byte(secret), "HS256", nil, assertionClaims("mac")))
	w.want(w.nodes[0].do(w.send(0, form)), 200)
	w.wantError(w.nodes[0].do(w.send(0, form)), 401, "invalid_client") // again
	form = withAssertion(forItself(), signJWT(t, []byte(secret+"x"), "HS256", nil, assertionClaims("mac")))
	w.wantError(w.nodes[0].do(w.send(0, form)), 401, "invalid_client")
	form = withAssertion(forItself(), signJWT(t, clientKey(), "ES256", nil, assertionClaims("mac")))
	w.wantError(w.nodes[0].do(w.send(0, form)), 401, "invalid_client")
	// The readable copy goes when nobody signs with it any more, and does not come back.
	for _, method := range []string{"", federation.AuthSecretJWT} {
		w.update(0, func(tx *fsm.Tx) (err error) {
			app, err = federation.Update(tx, tenant.ID, app.ID, 0, func(a *federation.Application) error {
				a.Auth.Method = method
				return nil
			})
			return err
		})
	}
	if len(app.Secrets) != 1 || app.Secrets[0].Box != nil {
		t.Errorf("%+v", app.Secrets)
	}
	form = withAssertion(forItself(), signJWT(t, []byte(secret), "HS256", nil, assertionClaims("mac")))
	w.wantError(w.nodes[0].do(w.send(0, form)), 401, "invalid_client")
}

func TestKeysAtAnAddressAreFetchedAgain(t *testing.T) {
	t.Parallel()
	current := clientKey()
	asked := 0
	srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		asked++
		rw.Header().Set("Content-Type", "application/json")
		rw.Write(jwks(t, jose.JSONWebKey{Key: current.Public(), KeyID: thumbprint(current)}))
	}))
	defer srv.Close()
	w := newWorld(t, 1, func(c *Config) {
		c.Fetch = fetch.New(fetch.Config{Loopback: true, Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	})
	w.registerKeyed(func(a *federation.Application) {
		a.Auth.JWKS, a.Auth.JWKSURI = nil, srv.URL+"/keys"
	})
	for range 3 {
		w.want(w.nodes[0].do(w.send(0, asserted(t, forItself(), "keyed"))), 200)
	}
	if asked != 1 {
		t.Errorf("asked %d times, want 1", asked)
	}
	form := withAssertion(forItself(), signJWT(t, otherKey(), "ES256", (&jose.SignerOptions{}).WithHeader("kid", "another"), assertionClaims("keyed")))
	w.wantError(w.nodes[0].do(w.send(0, form)), 401, "invalid_client")
	if asked > 2 {
		t.Errorf("asked %d times by somebody who names keys that do not exist", asked)
	}
}

func certificate(t testing.TB, change func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	c := &x509.Certificate{
		SerialNumber: big.NewInt(serial.Add(1)), Subject: pkix.Name{CommonName: "app", Organization: []string{"Acme, Inc."}},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"app.example.com"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, IsCA: true, BasicConstraintsValid: true,
	}
	if change != nil {
		change(c)
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, clientKey().Public(), clientKey())
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func overTLS(cert *x509.Certificate) func(*http.Request) {
	return func(r *http.Request) {
		if cert != nil {
			*r = *r.WithContext(identity.WithCertificate(r.Context(), cert))
		}
	}
}

func TestTLSClientAuth(t *testing.T) {
	t.Parallel()
	good := certificate(t, nil)
	roots := x509.NewCertPool()
	roots.AddCert(good)
	w := newWorld(t, 1, func(c *Config) { c.ClientRoots = roots })
	n := 0
	try := func(a federation.ClientAuth, cert *x509.Certificate) int {
		n++
		id := "tls" + string(rune('a'+n))
		w.register(federation.Application{
			ClientID: id, Name: id, RedirectURIs: []string{callback}, GrantTypes: []string{federation.GrantCode, federation.GrantClientCredentials},
			AllowedScopes: []string{"api"}, Auth: a,
		}, "")
		form := forItself()
		form.Set("client_id", id)
		return w.nodes[0].do(w.send(0, form, overTLS(cert))).Code
	}
	named := federation.ClientAuth{Method: federation.AuthTLS, TLSSANDNS: "app.example.com"}
	self := federation.ClientAuth{Method: federation.AuthSelfSignedTLS, JWKS: jwks(t, jose.JSONWebKey{Key: good.PublicKey, Certificates: []*x509.Certificate{good}})}
	for _, c := range []struct {
		name string
		auth federation.ClientAuth
		cert *x509.Certificate
		want int
	}{
		{"DNS name", named, good, 200},
		{"subject", federation.ClientAuth{Method: federation.AuthTLS, TLSSubjectDN: `cn=app, O=Acme\, Inc.`}, good, 200},
		{"another subject", federation.ClientAuth{Method: federation.AuthTLS, TLSSubjectDN: `CN=app`}, good, 401},
		{"another name", federation.ClientAuth{Method: federation.AuthTLS, TLSSANDNS: "example.com"}, good, 401},
		{"of another authority", named, certificate(t, nil), 401},
		{"none", named, nil, 401},
		{"self-signed", self, good, 200},
		{"another self-signed, same key", self, certificate(t, nil), 401},
		{"its key is registered", federation.ClientAuth{Method: federation.AuthSelfSignedTLS, JWKS: jwks(t, jose.JSONWebKey{Key: clientKey().Public()})}, good, 200},
		{"another key is registered", federation.ClientAuth{Method: federation.AuthSelfSignedTLS, JWKS: jwks(t, jose.JSONWebKey{Key: otherKey().Public()})}, good, 401},
		{"self-signed, none", self, nil, 401},
	} {
		if got := try(c.auth, c.cert); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
	old := certificate(t, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	if got := try(federation.ClientAuth{Method: federation.AuthSelfSignedTLS, JWKS: jwks(t, jose.JSONWebKey{Key: clientKey().Public()})}, old); got != 401 {
		t.Errorf("expired: %d", got)
	}
}
