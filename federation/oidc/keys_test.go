package oidc

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/quis-idp/quis/federation"
)

func newKey() *ecdsa.PrivateKey {
	k, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	return k
}

var (
	clientKey = sync.OnceValue(newKey)
	otherKey  = sync.OnceValue(newKey)
	serial    atomic.Int64
)

func jwks(t testing.TB, keys ...jose.JSONWebKey) []byte {
	t.Helper()
	b, err := json.Marshal(jose.JSONWebKeySet{Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// signJWT signs claims with any key and header, as somebody else would.
func signJWT(t testing.TB, key any, alg string, opts *jose.SignerOptions, claims any) string {
	t.Helper()
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(alg), Key: key}, opts)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := json.Marshal(claims)
	jws, err := s.Sign(b)
	if err != nil {
		t.Fatal(err)
	}
	text, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

type member = func(map[string]any)

func with(k string, v any) member { return func(c map[string]any) { c[k] = v } }
func without(k string) member     { return func(c map[string]any) { delete(c, k) } }

func assertionClaims(clientID string, change ...member) map[string]any {
	now := time.Now()
	c := map[string]any{
		"iss": clientID, "sub": clientID, "aud": issuer, "iat": now.Unix(), "exp": now.Add(time.Minute).Unix(),
		"jti": fmt.Sprintf("assertion-%d", serial.Add(1)),
	}
	for _, f := range change {
		f(c)
	}
	return c
}

// asserted is a form with a client assertion, signed with the client's key.
func asserted(t testing.TB, form url.Values, clientID string, change ...member) url.Values {
	t.Helper()
	return withAssertion(form, signJWT(t, clientKey(), "ES256", (&jose.SignerOptions{}).WithType("JWT"), assertionClaims(clientID, change...)))
}

func withAssertion(form url.Values, assertion string) url.Values {
	out := url.Values{"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "client_assertion": {assertion}}
	for k, v := range form {
		out[k] = v
	}
	return out
}

func forItself() url.Values {
	return url.Values{"grant_type": {"client_credentials"}, "scope": {"api"}}
}

// registerKeyed registers an application that authenticates by private_key_jwt.
func (w *world) registerKeyed(change ...func(*federation.Application)) *federation.Application {
	w.t.Helper()
	a := federation.Application{
		ClientID: "keyed", Name: "Keyed", RedirectURIs: []string{callback},
		GrantTypes:    []string{federation.GrantCode, federation.GrantRefresh, federation.GrantClientCredentials},
		AllowedScopes: []string{"openid", "profile", "email", "offline_access", "api"},
		Auth:          federation.ClientAuth{Method: federation.AuthPrivateKeyJWT, JWKS: jwks(w.t, jose.JSONWebKey{Key: clientKey().Public(), KeyID: "k1"})},
	}
	for _, f := range change {
		f(&a)
	}
	return w.register(a, "")
}

func (w *world) send(i int, form url.Values, change ...func(*http.Request)) (r *http.Request) {
	r = formRequest(w.t.Context(), "/oauth2/token", form)
	for _, f := range change {
		f(r)
	}
	return r
}

// dpopProof is a DPoP proof of key for a request.
func dpopProof(t testing.TB, key crypto.Signer, method, path string, change ...member) string {
	t.Helper()
	c := map[string]any{"htm": method, "htu": issuer + path, "iat": time.Now().Unix(), "jti": fmt.Sprintf("proof-%d", serial.Add(1))}
	for _, f := range change {
		f(c)
	}
	return signJWT(t, key, "ES256", (&jose.SignerOptions{EmbedJWK: true}).WithType("dpop+jwt"), c)
}

// proving has a request carry a proof of key.
func proving(t testing.TB, key crypto.Signer, change ...member) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("DPoP", dpopProof(t, key, r.Method, r.URL.Path, change...)) }
}

func hashOf(token string) string {
	sum := sha256.Sum256([]byte(token))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func thumbprint(key crypto.Signer) string {
	sum, _ := (&jose.JSONWebKey{Key: key.Public()}).Thumbprint(crypto.SHA256)
	return base64.RawURLEncoding.EncodeToString(sum)
}
