package identity

import (
	"context"
	"crypto/x509"
	"net/netip"
)

// DefaultTenant is the ID of the tenant that lives at the root of the public URL.
const DefaultTenant = "ten_default"

// A Tenant is what a request needs to know of the tenant it is for.
type Tenant struct {
	ID     string
	Slug   string // path segment of the tenant's URLs; empty for the default tenant
	Issuer string // OIDC issuer URL, without trailing slash
}

// ActorKind says what sort of thing acts.
type ActorKind string

// Who can act. An operator is a person with access to the machine itself, system
// is a duty or the bootstrap, anonymous is anybody who has proved nothing.
const (
	ActorUser        ActorKind = "user"
	ActorApplication ActorKind = "application"
	ActorOperator    ActorKind = "operator"
	ActorSystem      ActorKind = "system"
	ActorAnonymous   ActorKind = "anonymous"
)

// An Actor is who does something. Its numbers are those of stored events.
type Actor struct {
	Kind      ActorKind `cbor:"1,keyasint,omitempty"`
	ID        string    `cbor:"2,keyasint,omitempty"` // usr_… or app_…; empty for the others
	SessionID string    `cbor:"3,keyasint,omitempty"`
	// Impersonator is the ID of the administrator who acts in the name of ID.
	Impersonator string `cbor:"4,keyasint,omitempty"`
}

// A Request is where a call came from. Its numbers are those of stored events.
type Request struct {
	ID        string `cbor:"1,keyasint,omitempty"`
	IP        string `cbor:"2,keyasint,omitempty"` // of the person, behind trusted proxies
	UserAgent string `cbor:"3,keyasint,omitempty"`
}

// Network is the part of IP that one party is likely to hold: all of IPv4, the
// first 64 bits of IPv6. Limits count by it.
func (r Request) Network() string {
	a, err := netip.ParseAddr(r.IP)
	if err != nil {
		return "unknown"
	}
	if a = a.Unmap().WithZone(""); a.Is6() {
		p, _ := a.Prefix(64)
		return p.String()
	}
	return a.String()
}

// Neighbourhood is the part of IP that one customer of a provider is likely to hold, or one
// room full of machines: the first 24 bits of IPv4, 48 of IPv6. Empty: IP is no address.
func (r Request) Neighbourhood() string {
	a, err := netip.ParseAddr(r.IP)
	if err != nil {
		return ""
	}
	a = a.Unmap().WithZone("")
	bits := 24
	if a.Is6() {
		bits = 48
	}
	p, _ := a.Prefix(bits)
	return p.String()
}

type (
	tenantKey      struct{}
	actorKey       struct{}
	requestKey     struct{}
	certificateKey struct{}
)

// WithTenant returns a context for calls within t.
func WithTenant(ctx context.Context, t Tenant) context.Context {
	return context.WithValue(ctx, tenantKey{}, t)
}

// TenantFrom returns the tenant of ctx; the zero Tenant, which owns nothing, if there is none.
func TenantFrom(ctx context.Context) Tenant {
	t, _ := ctx.Value(tenantKey{}).(Tenant)
	return t
}

// WithActor returns a context for what a does.
func WithActor(ctx context.Context, a Actor) context.Context {
	return context.WithValue(ctx, actorKey{}, a)
}

// ActorFrom returns who acts. Without one it is anonymous where there is a request
// from outside, and the system itself where there is none.
func ActorFrom(ctx context.Context) Actor {
	if a, ok := ctx.Value(actorKey{}).(Actor); ok && a.Kind != "" {
		return a
	}
	if _, ok := ctx.Value(requestKey{}).(Request); ok {
		return Actor{Kind: ActorAnonymous}
	}
	return Actor{Kind: ActorSystem}
}

// WithRequest returns a context for serving r.
func WithRequest(ctx context.Context, r Request) context.Context {
	return context.WithValue(ctx, requestKey{}, r)
}

// RequestFrom returns the request being served; zero if there is none.
func RequestFrom(ctx context.Context) Request {
	r, _ := ctx.Value(requestKey{}).(Request)
	return r
}

// WithCertificate returns a context for a request whose sender has proven, in TLS or to
// a proxy that is trusted, to have the private key of the first certificate, and sent the others
// with it. Who has certified it has not been looked at.
func WithCertificate(ctx context.Context, certs ...*x509.Certificate) context.Context {
	return context.WithValue(ctx, certificateKey{}, certs)
}

// CertificateFrom returns the certificate of the request's sender; nil if there is none.
func CertificateFrom(ctx context.Context) *x509.Certificate {
	if certs := CertificatesFrom(ctx); len(certs) > 0 {
		return certs[0]
	}
	return nil
}

// CertificatesFrom returns the certificate of the request's sender and what they sent
// with it for it to be verified, of which nothing is known; none if there is none.
func CertificatesFrom(ctx context.Context) []*x509.Certificate {
	certs, _ := ctx.Value(certificateKey{}).([]*x509.Certificate)
	return certs
}
