package oidc

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/quis-idp/quis/federation"
)

// FuzzClientAssertion: whatever stands as an assertion, nobody who has no key is believed, and nothing is written.
func FuzzClientAssertion(f *testing.F) {
	w := newWorld(f, 1)
	w.registerKeyed()
	good := asserted(f, forItself(), "keyed").Get("client_assertion")
	f.Add(good[:len(good)-2])
	f.Add(good + ".x")
	f.Add("e30.e30.e30")
	f.Add("eyJhbGciOiJub25lIn0.eyJzdWIiOiJrZXllZCJ9.")
	f.Fuzz(func(t *testing.T, text string) {
		before := w.cluster.Entries()
		rec := w.nodes[0].do(formRequest(t.Context(), "/oauth2/token", withAssertion(forItself(), text)))
		if rec.Code != http.StatusUnauthorized && rec.Code != http.StatusBadRequest {
			t.Fatalf("%q: %d %s", text, rec.Code, rec.Body)
		}
		if n := w.cluster.Entries() - before; n != 0 {
			t.Fatalf("%q: %d log entries", text, n)
		}
	})
}

// FuzzGrantAssertion is the same for assertions of a trusted issuer.
func FuzzGrantAssertion(f *testing.F) {
	w := newWorld(f, 1)
	w.trusting("username")
	good := vouch(f, "tester").Get("assertion")
	f.Add(good[:len(good)-2])
	f.Add("e30.e30.e30")
	f.Fuzz(func(t *testing.T, text string) {
		form := url.Values{"grant_type": {federation.GrantJWTBearer}, "assertion": {text}}
		before := w.cluster.Entries()
		r := formRequest(t.Context(), "/oauth2/token", form)
		basic(r)
		if rec := w.nodes[0].do(r); rec.Code != http.StatusBadRequest {
			t.Fatalf("%q: %d %s", text, rec.Code, rec.Body)
		}
		if n := w.cluster.Entries() - before; n != 0 {
			t.Fatalf("%q: %d log entries", text, n)
		}
	})
}
