package caller

import (
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"net"
	"slices"
	"strings"

	"github.com/quis-idp/quis/federation"
)

// Thumbprint is a certificate's SHA-256 in base64url: x5t#S256 of what is bound to it (RFC 8705, section 3.1).
func Thumbprint(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.Raw)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// certified checks a certificate of an authority that we trust, and that it names the
// application in the one way that is registered (RFC 8705, section 2.1).
func (c *Callers) certified(app *federation.Application, cert *x509.Certificate) error {
	if c.Roots == nil {
		return unknown("No authority for client certificates is configured here.")
	}
	_, err := cert.Verify(x509.VerifyOptions{
		Roots: c.Roots, CurrentTime: c.Now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return unknown("The TLS client certificate is not of an authority that is trusted here, or not valid now.")
	}
	if !names(&app.Auth, cert) {
		return unknown("The TLS client certificate does not name the application as it is registered.")
	}
	return nil
}

// names reports whether cert has the registered name; without one, no certificate has.
func names(a *federation.ClientAuth, cert *x509.Certificate) bool {
	switch {
	case a.TLSSubjectDN != "":
		return sameName(a.TLSSubjectDN, cert.Subject.String())
	case a.TLSSANDNS != "":
		return slices.ContainsFunc(cert.DNSNames, func(n string) bool { return strings.EqualFold(n, a.TLSSANDNS) })
	case a.TLSSANURI != "":
		for _, u := range cert.URIs {
			if u.String() == a.TLSSANURI {
				return true
			}
		}
	case a.TLSSANEmail != "":
		return slices.Contains(cert.EmailAddresses, a.TLSSANEmail)
	case a.TLSSANIP != "":
		want := net.ParseIP(a.TLSSANIP)
		return want != nil && slices.ContainsFunc(cert.IPAddresses, want.Equal)
	}
	return false
}

// sameName compares distinguished names (RFC 4514) but for white space around their
// parts and the case of attribute types.
func sameName(a, b string) bool {
	return a != "" && slices.Equal(relative(a), relative(b))
}

// relative splits a name at its commas, those behind a backslash excepted.
func relative(name string) []string {
	var parts []string
	from := 0
	add := func(part string) {
		kind, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		parts = append(parts, strings.ToUpper(strings.TrimSpace(kind))+"="+strings.TrimSpace(value))
	}
	for i := 0; i < len(name); i++ {
		switch name[i] {
		case '\\':
			i++
		case ',':
			add(name[from:i])
			from = i + 1
		}
	}
	add(name[from:])
	return parts
}

// selfSigned checks that a certificate is one of those that the application has
// registered in its JWK set, or of a key there (RFC 8705, section 2.2). That its sender has
// the private key is what TLS has proven.
func (c *Callers) selfSigned(ctx context.Context, app *federation.Application, cert *x509.Certificate) error {
	if now := c.Now(); now.Before(cert.NotBefore) || now.After(cert.NotAfter) {
		return unknown("The TLS client certificate is not valid now.")
	}
	ours := func(renew bool) (bool, error) {
		set, err := c.Sets.Of(ctx, app.Auth.JWKS, app.Auth.JWKSURI, renew)
		if err != nil {
			return false, err
		}
		for _, k := range set.Keys() {
			if len(k.Certificates) > 0 && k.Certificates[0].Equal(cert) || len(k.Certificates) == 0 && sameKey(k.Public, cert.PublicKey) {
				return true, nil
			}
		}
		return false, nil
	}
	ok, err := ours(false)
	if err == nil && !ok && app.Auth.JWKSURI != "" {
		ok, err = ours(true)
	}
	if err == nil && !ok {
		return unknown("The TLS client certificate is not one that the application has registered.")
	}
	return err
}

func sameKey(a, b crypto.PublicKey) bool {
	k, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.Equal(b)
}
