package federation

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/quis-idp/quis/federation/jose"
	"github.com/quis-idp/quis/identity"
)

const (
	maxJWKS = 16 << 10 // bytes of a key set that is kept with an application
	maxDN   = 1000
)

// AuthMethods are the methods of client authentication that there are.
var AuthMethods = []string{AuthBasic, AuthPost, AuthSecretJWT, AuthPrivateKeyJWT, AuthTLS, AuthSelfSignedTLS, AuthNone}

// usesKeys reports whether the application proves itself by a key and not by a secret.
func (c *ClientAuth) usesKeys() bool {
	return c.Method == AuthPrivateKeyJWT || c.Method == AuthTLS || c.Method == AuthSelfSignedTLS
}

func (a *Application) checkAuth() error {
	c := &a.Auth
	if err := oneOf("token_endpoint_auth_method", c.Method, AuthMethods...); err != nil {
		return err
	}
	bad := func(why string) error { return identity.Invalid("token_endpoint_auth_method", why) }
	hasKeys := len(c.JWKS) > 0 || c.JWKSURI != ""
	switch {
	case a.IsPublic && c.Method != "" && c.Method != AuthNone:
		return bad("a public application authenticates with none")
	case !a.IsPublic && c.Method == AuthNone:
		return bad("none is for public applications")
	case c.Method == AuthPrivateKeyJWT && !hasKeys:
		return bad("private_key_jwt needs jwks or jwks_uri")
	case c.Method == AuthSelfSignedTLS && !hasKeys:
		return bad("self_signed_tls_client_auth needs jwks or jwks_uri with the certificate's key")
	}
	algs := jose.Asymmetric
	if c.Method == AuthSecretJWT {
		algs = jose.Symmetric
	}
	if err := oneOf("token_endpoint_auth_signing_alg", c.SigningAlg, algs...); err != nil {
		return err
	}
	if c.SigningAlg != "" && c.Method != AuthPrivateKeyJWT && c.Method != AuthSecretJWT {
		return identity.Invalid("token_endpoint_auth_signing_alg", "is for private_key_jwt and client_secret_jwt")
	}
	return a.checkCertificate()
}

// checkCertificate: with tls_client_auth exactly one name says whose certificate it is
// (RFC 8705, section 2.1.2).
func (a *Application) checkCertificate() error {
	c := &a.Auth
	named := 0
	for _, f := range [][2]string{
		{"tls_client_auth_subject_dn", c.TLSSubjectDN}, {"tls_client_auth_san_dns", c.TLSSANDNS}, {"tls_client_auth_san_uri", c.TLSSANURI},
		{"tls_client_auth_san_email", c.TLSSANEmail}, {"tls_client_auth_san_ip", c.TLSSANIP},
	} {
		if f[1] == "" {
			continue
		}
		named++
		if len(f[1]) > maxDN || identity.Printable(f[1], maxDN) != f[1] || strings.Contains(f[1], "*") {
			return identity.Invalid(f[0], "is not a name; wildcards are not supported")
		}
	}
	if c.TLSSANIP != "" {
		if _, err := netip.ParseAddr(c.TLSSANIP); err != nil {
			return identity.Invalid("tls_client_auth_san_ip", "is not an address")
		}
	}
	if c.Method == AuthTLS && named != 1 {
		return identity.Invalid("tls_client_auth_subject_dn", "tls_client_auth needs exactly one of subject_dn, san_dns, san_uri, san_email, san_ip")
	}
	return nil
}

func (a *Application) checkKeys() error {
	return checkKeySet("", a.Auth.JWKS, a.Auth.JWKSURI)
}

func checkKeySet(field string, set []byte, uri string) error {
	name := func(s string) string {
		if field != "" {
			return field
		}
		return s
	}
	if len(set) > 0 && uri != "" {
		return identity.Invalid(name("jwks"), "jwks and jwks_uri exclude each other")
	}
	if len(set) > maxJWKS {
		return identity.Invalid(name("jwks"), fmt.Sprintf("must have at most %d bytes; use jwks_uri", maxJWKS))
	}
	if len(set) > 0 {
		s, err := jose.ParseSet(set)
		if err != nil {
			return identity.Invalid(name("jwks"), err.Error())
		}
		if len(s.Keys()) == 0 {
			return identity.Invalid(name("jwks"), "has no key of a kind that is supported")
		}
	}
	return fetchable(name("jwks_uri"), uri)
}

func (a *Application) checkIssuers() error {
	if len(a.Issuers) > 10 {
		return identity.Invalid("trusted_issuers", "must be at most 10")
	}
	for i, t := range a.Issuers {
		bad := func(why string) error {
			return identity.Invalid("trusted_issuers", fmt.Sprintf("%q: %s", identity.Printable(t.Issuer, 120), why))
		}
		switch {
		case t.Issuer == "" || len(t.Issuer) > maxURI:
			return bad("an issuer has 1 to 2000 bytes")
		case slices.ContainsFunc(a.Issuers[:i], func(o TrustedIssuer) bool { return o.Issuer == t.Issuer }):
			return bad("is given twice")
		case len(t.JWKS) == 0 && t.JWKSURI == "":
			return bad("needs jwks or jwks_uri")
		case t.Lifetime < 0 || t.Lifetime > 3600:
			return bad("max_lifetime must be 0 to 3600 seconds")
		}
		if err := checkKeySet("trusted_issuers", t.JWKS, t.JWKSURI); err != nil {
			return err
		}
		if err := oneOf("trusted_issuers", t.Subject, "id", "username", "email"); err != nil {
			return err
		}
		if err := checkScopes(t.Scopes); err != nil {
			return identity.Invalid("trusted_issuers", "a scope is malformed or given twice")
		}
	}
	return nil
}
