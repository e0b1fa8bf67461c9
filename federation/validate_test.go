package federation_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/identity"
)

// A key set with one P-256 key for signatures.
var keySet = []byte(`{"keys":[{"kty":"EC","crv":"P-256","kid":"1","use":"sig","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}`)

func TestRefusesContradictions(t *testing.T) {
	t.Parallel()
	type app = federation.Application
	for name, spoil := range map[string]func(*app){
		"grant_types: unknown":  func(a *app) { a.GrantTypes = append(a.GrantTypes, "password") },
		"grant_types: implicit": func(a *app) { a.GrantTypes = append(a.GrantTypes, "implicit") },
		"grant_types: public secret": func(a *app) {
			a.IsPublic = true
			a.GrantTypes = append(a.GrantTypes, federation.GrantClientCredentials)
		},
		"grant_types: public exchange":            func(a *app) { a.IsPublic = true; a.GrantTypes = append(a.GrantTypes, federation.GrantExchange) },
		"grant_types: refresh alone":              func(a *app) { a.GrantTypes = []string{federation.GrantRefresh, federation.GrantClientCredentials} },
		"redirect_uris: none":                     func(a *app) { a.RedirectURIs = nil },
		"consent_mode":                            func(a *app) { a.Consent = "never" },
		"signing_alg":                             func(a *app) { a.SigningAlg = "none" },
		"signing_alg: hmac":                       func(a *app) { a.SigningAlg = "HS256" },
		"token_endpoint_auth_method":              func(a *app) { a.Auth.Method = "password" },
		"token_endpoint_auth_method: none":        func(a *app) { a.Auth.Method = federation.AuthNone },
		"token_endpoint_auth_method: public":      func(a *app) { a.IsPublic = true; a.Auth.Method = federation.AuthBasic },
		"token_endpoint_auth_method: no keys":     func(a *app) { a.Auth.Method = federation.AuthPrivateKeyJWT },
		"token_endpoint_auth_signing_alg: secret": func(a *app) { a.Auth.SigningAlg = "ES256" },
		"token_endpoint_auth_signing_alg: confusion": func(a *app) {
			a.Auth = federation.ClientAuth{Method: federation.AuthPrivateKeyJWT, JWKS: keySet, SigningAlg: "HS256"}
		},
		"token_endpoint_auth_signing_alg: confusion back": func(a *app) { a.Auth = federation.ClientAuth{Method: federation.AuthSecretJWT, SigningAlg: "ES256"} },
		"tls_client_auth_subject_dn: none":                func(a *app) { a.Auth.Method = federation.AuthTLS },
		"tls_client_auth_subject_dn: two": func(a *app) {
			a.Auth = federation.ClientAuth{Method: federation.AuthTLS, TLSSANDNS: "a.example", TLSSubjectDN: "CN=a"}
		},
		"tls_client_auth_san_dns: wildcard":         func(a *app) { a.Auth = federation.ClientAuth{Method: federation.AuthTLS, TLSSANDNS: "*.example"} },
		"tls_client_auth_san_dns: malformed":        func(a *app) { a.Auth.TLSSANDNS = "a\nb" },
		"tls_client_auth_san_ip":                    func(a *app) { a.Auth = federation.ClientAuth{Method: federation.AuthTLS, TLSSANIP: "1.2.3"} },
		"jwks: both":                                func(a *app) { a.Auth.JWKS, a.Auth.JWKSURI = keySet, callback },
		"jwks: private":                             func(a *app) { a.Auth.JWKS = []byte(strings.Replace(string(keySet), `"use"`, `"d":"AA","use"`, 1)) },
		"jwks: empty":                               func(a *app) { a.Auth.JWKS = []byte(`{"keys":[]}`) },
		"jwks: none":                                func(a *app) { a.Auth.JWKS = []byte(`[]`) },
		"jwks_uri":                                  func(a *app) { a.Auth.JWKSURI = "http://app.example.com/jwks" },
		"jwks_uri: file":                            func(a *app) { a.Auth.JWKSURI = "file:///etc/passwd" },
		"id_token_encrypted_response_alg":           func(a *app) { a.Tokens.IDToken.Alg = "RSA1_5" },
		"id_token_encrypted_response_alg: no key":   func(a *app) { a.Tokens.IDToken.Alg = "RSA-OAEP" },
		"id_token_encrypted_response_alg: no such":  func(a *app) { a.Tokens.IDToken.Alg, a.Auth.JWKS = "RSA-OAEP", keySet },
		"id_token_encrypted_response_enc":           func(a *app) { a.Tokens.IDToken.Enc = "A128GCM" },
		"userinfo_encrypted_response_alg: unsigned": func(a *app) { a.Tokens.Userinfo.Alg, a.Auth.JWKSURI = "ECDH-ES", callback },
		"userinfo_signed_response_alg":              func(a *app) { a.Tokens.UserinfoAlg = "none" },
		"dpop_bound_access_tokens":                  func(a *app) { a.Tokens.DPoPBound, a.Tokens.TLSBound = true, true },
		"default_max_age":                           func(a *app) { a.Tokens.DefaultMaxAge = -1 },
		"request_object_signing_alg":                func(a *app) { a.Requests.ObjectAlg = "none" },
		"require_signed_request_object":             func(a *app) { a.Requests.RequireSigned = true },
		"request_uris":                              func(a *app) { a.Requests.URIs = []string{"http://app.example.com/r"} },
		"backchannel_logout_uri":                    func(a *app) { a.Logout.BackchannelURI = "http://app.example.com/out" },
		"backchannel_logout_session_required":       func(a *app) { a.Logout.BackchannelSession = true },
		"frontchannel_logout_uri":                   func(a *app) { a.Logout.FrontchannelURI = "https://other.example.com/out" },
		"refresh_token_idle":                        func(a *app) { a.Refresh.Idle = 1 },
		"refresh_token_absolute":                    func(a *app) { a.Refresh = federation.RefreshPolicy{Idle: 900, Absolute: 600} },
		"refresh_token_rotation":                    func(a *app) { a.Refresh.Keep = true },
		"sector_identifier_uri":                     func(a *app) { a.Subject = federation.SubjectPolicy{Type: "pairwise", SectorURI: "http://x.example/s"} },
		"backchannel_token_delivery_mode":           func(a *app) { a.CIBA.Mode = "push" },
		"backchannel_client_notification_endpoint":  func(a *app) { a.CIBA.Mode = "ping" },
		"trusted_issuers":                           func(a *app) { a.Issuers = []federation.TrustedIssuer{{Issuer: "x"}} },
		"allowed_origins":                           func(a *app) { a.AllowedOrigins = []string{"https://app.example.com/"} },
		"allowed_origins: any":                      func(a *app) { a.AllowedOrigins = []string{"*"} },
		"allowed_origins: null":                     func(a *app) { a.AllowedOrigins = []string{"null"} },
		"tags":                                      func(a *app) { a.Tags = []string{"a b"} },
		"tags: twice":                               func(a *app) { a.Tags = []string{"a", "a"} },
		"owner":                                     func(a *app) { a.Owner = strings.Repeat("x", 201) },
		"launch_url":                                func(a *app) { a.LaunchURL = "javascript:alert(1)" },
		"client_uri":                                func(a *app) { a.ClientURI = "data:text/html,x" },
		"profile":                                   func(a *app) { a.Profile = "fapi3" },
		"profile: secret":                           func(a *app) { a.Profile = federation.ProfileFAPI2 },
	} {
		a, err := registers(callback)
		if err != nil {
			t.Fatal(err)
		}
		spoil(a)
		field, _, _ := strings.Cut(name, ":")
		var fault *identity.Error
		if err := a.Check(); !errors.As(err, &fault) || fault.Field != field || fault.Detail == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Who leaves the scheme of a redirect URI out is told which is missing.
func TestRedirectURIWithoutScheme(t *testing.T) {
	t.Parallel()
	for uri, want := range map[string]string{
		"localhost:9999/callback":        "http:// is missing",
		"127.0.0.1:9999/callback":        "http:// is missing",
		"localhost/callback":             "http:// is missing",
		"wiki.example.com/callback":      "https:// is missing",
		"wiki.example.com:8443/callback": "https:// is missing",
		"/callback":                      "is not an absolute URI",
		"wiki:callback":                  "must contain a dot",
	} {
		a, err := registers(callback)
		if err != nil {
			t.Fatal(err)
		}
		a.RedirectURIs = []string{uri}
		if err := a.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", uri, err, want)
		}
	}
}

func TestProfile(t *testing.T) {
	t.Parallel()
	fapi := func() *federation.Application {
		a, _ := registers(callback)
		a.Profile, a.Auth, a.Tokens.DPoPBound = federation.ProfileFAPI2, federation.ClientAuth{Method: federation.AuthPrivateKeyJWT, JWKS: keySet}, true
		return a
	}
	if err := fapi().Check(); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*federation.Application){
		"unbound":  func(a *federation.Application) { a.Tokens.DPoPBound = false },
		"secret":   func(a *federation.Application) { a.Auth.Method = federation.AuthSecretJWT },
		"RS256":    func(a *federation.Application) { a.SigningAlg = "RS256" },
		"RS256 in": func(a *federation.Application) { a.Auth.SigningAlg = "RS256" },
		"pattern":  func(a *federation.Application) { a.RedirectURIs = []string{`regex:https://app\.example\.com/.*`} },
	} {
		a := fapi()
		if spoil(a); a.Check() == nil {
			t.Errorf("%s passes", name)
		}
	}
}

func TestFetchedNamesEveryURL(t *testing.T) {
	t.Parallel()
	a := federation.Application{
		Auth: federation.ClientAuth{JWKSURI: "1"}, Subject: federation.SubjectPolicy{SectorURI: "2"}, Logout: federation.LogoutSettings{BackchannelURI: "3"},
		CIBA: federation.CIBASettings{EndpointURI: "4"}, Requests: federation.RequestSettings{URIs: []string{"5"}}, Issuers: []federation.TrustedIssuer{{JWKSURI: "6"}},
	}
	b, _ := json.Marshal(a.Fetched())
	for _, n := range []string{"1", "2", "3", "4", "5", "6"} {
		if !strings.Contains(string(b), `"`+n+`"`) {
			t.Errorf("%s is missing in %s", n, b)
		}
	}
}
