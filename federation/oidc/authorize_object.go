package oidc

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/fetch"
	"github.com/quis-idp/quis/federation/jose"
	"github.com/quis-idp/quis/federation/oidc/caller"
	"github.com/quis-idp/quis/federation/oidc/front"
	"github.com/quis-idp/quis/identity"
)

const (
	objectSkew = 10 * time.Second // by which the clocks of applications may differ from ours
	// objectLife bounds exp and iat with FAPI 2.0 Message Signing, section 5.3.1.
	objectLife = time.Hour
)

// objectTypes are the typ that a request object may have (RFC 9101, section 10.8): its own, the
// general one that older libraries write, or none.
var objectTypes = []string{"oauth-authz-req+jwt", "jwt", ""}

// readObject verifies a request object (RFC 9101) and returns its parameters, which
// are all that counts. It must be signed by the client with the algorithm that it has
// registered, be for us, and expire.
func (p *Provider) readObject(ctx context.Context, q *authorizeRequest, text string) (url.Values, error) {
	if len(q.app.Auth.JWKS) == 0 && q.app.Auth.JWKSURI == "" {
		return nil, refuse(codeRequestNotSupported, "The application has registered no keys to verify a request object with.")
	}
	rule := jose.Rule{Algs: objectAlgs(q.app), Types: objectTypes}
	token, err := p.sets.Verify(ctx, rule, q.app.Auth.JWKS, q.app.Auth.JWKSURI, text)
	if err != nil {
		return nil, badObject(err)
	}
	claims, err := jose.ParseClaims(token.Payload)
	if err != nil {
		return nil, badObject(err)
	}
	want := jose.Expected{
		Now: p.db.Now(), Skew: objectSkew, Issuer: q.app.ClientID, Audience: []string{identity.TenantFrom(ctx).Issuer},
	}
	if q.app.Profile == federation.ProfileFAPI2 {
		want.Life = objectLife
	}
	if err := claims.Check(want); err != nil {
		return nil, badObject(err)
	}
	if want.Life > 0 && (claims.NotBefore.IsZero() || want.Now.Sub(claims.NotBefore) > objectLife) {
		return nil, refuse(codeInvalidRequestObject, "Request object: FAPI 2.0 wants the claim nbf, and not longer than an hour ago.")
	}
	form, err := front.Parameters(claims.All, q.app.ClientID)
	if err != nil {
		return nil, badObject(err)
	}
	q.signed = true
	return form, nil
}

// objectAlgs are the algorithms with which the application may sign request objects: none and
// those of a shared secret are never among them.
func objectAlgs(app *federation.Application) []string {
	switch {
	case app.Requests.ObjectAlg != "":
		return []string{app.Requests.ObjectAlg}
	case app.Profile == federation.ProfileFAPI2:
		return jose.FAPI
	}
	return jose.Asymmetric
}

// badObject is err as the client hears of it; sentences of jose, caller and front are fit for that.
func badObject(err error) error {
	_, keys := errors.AsType[*caller.Fault](err)
	_, fault := errors.AsType[front.ObjectFault](err)
	if keys || fault || errors.Is(err, jose.ErrToken) {
		return refuse(codeInvalidRequestObject, "Request object: "+err.Error())
	}
	return err
}

// objects are what a request_uri is asked for (RFC 9101, section 5.2.3).
var objects = fetch.Document{
	Name: "request object", Types: []string{"application/oauth-authz-req+jwt", "application/jwt"}, MaxBytes: jose.MaxToken,
}

// fetchObject reads a request object by reference. Only what the application has registered is
// asked for: anybody can write a request, and would else have us call whom they like.
func (p *Provider) fetchObject(ctx context.Context, q *authorizeRequest, uri string) (url.Values, error) {
	where, _, _ := strings.Cut(uri, "#") // a fragment tells versions of it apart (OpenID Connect Core, section 6.2)
	registered := slices.Contains(q.app.Requests.URIs, uri) || slices.Contains(q.app.Requests.URIs, where)
	switch {
	case len(q.app.Requests.URIs) == 0:
		return nil, refuse(codeRequestURINotSupported, "The application has registered no addresses of request objects.")
	case !registered:
		return nil, refuse(codeInvalidRequestURI, "The request_uri is not registered for this application.")
	}
	answer, err := p.fetch.Get(ctx, where, objects)
	if errors.Is(err, fetch.ErrBusy) {
		return nil, refuse(codeUnavailable, "Too many request objects are being fetched, try again.")
	}
	if err != nil {
		return nil, refuse(codeInvalidRequestURI, "The request object could not be fetched.")
	}
	return p.readObject(ctx, q, strings.TrimSpace(string(answer.Body)))
}
