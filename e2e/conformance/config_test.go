package conformance

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"net/http"
	"slices"
	"strings"
)

var configPlan = []module{{name: "oidcc-discovery-endpoint-verification", check: discovery}}

// metadata fetches the discovery document.
func (c *check) metadata() map[string]any {
	c.t.Helper()
	got := c.do(http.MethodGet, dev.Issuer()+"/.well-known/openid-configuration", nil, nil, nil)
	c.must("the document is there as JSON", got.status == http.StatusOK && strings.HasPrefix(got.header.Get("Content-Type"), "application/json"), got.status, got.header)
	return got.body
}

// list returns a list of the metadata.
func list(meta map[string]any, name string) (out []string) {
	values, _ := meta[name].([]any)
	for _, v := range values {
		s, _ := v.(string)
		out = append(out, s)
	}
	return out
}

func discovery(c *check) {
	meta := c.metadata()
	c.that("issuer is the URL that it was found under", meta["issuer"] == dev.Issuer(), meta["issuer"])
	for _, name := range []string{"authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri", "end_session_endpoint"} {
		c.that(name+" is under the issuer", strings.HasPrefix(text(meta, name), dev.Issuer()+"/"), meta[name])
	}
	c.that("response_types_supported has code", slices.Contains(list(meta, "response_types_supported"), "code"), meta)
	c.that("subject_types_supported has public", slices.Contains(list(meta, "subject_types_supported"), "public"), meta)
	algs := list(meta, "id_token_signing_alg_values_supported")
	c.that("id_token_signing_alg_values_supported has RS256 and not none", slices.Contains(algs, "RS256") && !slices.Contains(algs, "none"), algs)
	c.that("scopes_supported has openid", slices.Contains(list(meta, "scopes_supported"), "openid"), meta)
	c.that("claims_supported has sub", slices.Contains(list(meta, "claims_supported"), "sub"), meta)
	c.that("grant_types_supported has authorization_code, and neither implicit nor password",
		slices.Contains(list(meta, "grant_types_supported"), "authorization_code") && !slices.Contains(list(meta, "grant_types_supported"), "implicit") &&
			!slices.Contains(list(meta, "grant_types_supported"), "password"), meta)
	c.that("code_challenge_methods_supported is S256 alone", slices.Equal(list(meta, "code_challenge_methods_supported"), []string{"S256"}), meta)
	set := c.jwks()
	c.must("the JWKS has keys", len(set.Keys) > 0)
	ids := map[string]bool{}
	for _, k := range set.Keys {
		switch k.Key.(type) {
		case *ecdsa.PublicKey, *rsa.PublicKey, ed25519.PublicKey:
		default:
			c.that("the JWKS has public keys only", false, k.KeyID)
		}
		c.that("every key says its use and algorithm, and a kid of its own", k.Valid() && k.Use != "" && k.Algorithm != "" && !ids[k.KeyID], k)
		ids[k.KeyID] = true
	}
	c.that("the JWKS has public keys only", true)
}
