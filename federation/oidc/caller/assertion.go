package caller

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/jose"
	"github.com/quis-idp/quis/identity"
)

const (
	// assertionLife is how long a client assertion may live, which is how long its row is kept.
	assertionLife = 5 * time.Minute
	clockSkew     = 30 * time.Second
)

// byAssertion verifies a client assertion (RFC 7523, section 3) by the method that is
// registered. Its key is the application's, or its secret; never what the other method would take.
func (c *Callers) byAssertion(ctx context.Context, who *Caller, text, endpoint string) error {
	app := who.App
	rule := jose.Rule{Types: []string{"", "jwt", "client-authentication+jwt"}}
	var token *jose.Token
	var err error
	switch app.Auth.Method {
	case federation.AuthPrivateKeyJWT:
		rule.Algs = algs(app, jose.Asymmetric)
		token, err = c.Sets.Verify(ctx, rule, app.Auth.JWKS, app.Auth.JWKSURI, text)
	case federation.AuthSecretJWT:
		rule.Algs = algs(app, jose.Symmetric)
		if rule.Secrets, err = federation.ReadableSecrets(c.Ring, app); err == nil {
			token, err = rule.Verify(text)
		}
	default:
		return errClient
	}
	if errors.Is(err, jose.ErrToken) {
		return unknown("The client_assertion cannot be accepted: " + err.Error() + ".")
	}
	if err != nil {
		return err
	}
	who.Method = app.Auth.Method
	who.Assertion, err = c.checkAssertion(ctx, app, token, endpoint)
	return err
}

// algs are those that the application may sign with.
func algs(app *federation.Application, kind []string) []string {
	switch {
	case app.Auth.SigningAlg != "":
		return slices.DeleteFunc(slices.Clone(kind), func(a string) bool { return a != app.Auth.SigningAlg })
	case app.Profile == federation.ProfileFAPI2:
		return jose.FAPI
	}
	return kind
}

func (c *Callers) checkAssertion(ctx context.Context, app *federation.Application, token *jose.Token, endpoint string) (*Assertion, error) {
	claims, err := jose.ParseClaims(token.Payload)
	if err == nil {
		want := jose.Expected{
			Now: c.Now(), Skew: clockSkew, Issuer: app.ClientID, Subject: app.ClientID, Life: assertionLife, ID: true,
		}
		want.Audience, want.OnlyAudience = c.audience(ctx, app, endpoint)
		err = claims.Check(want)
	}
	if err != nil {
		return nil, unknown("The client_assertion cannot be accepted: " + err.Error() + ".")
	}
	if app.Profile == federation.ProfileFAPI2 && !bytes.HasPrefix(bytes.TrimSpace(claims.All["aud"]), []byte{'"'}) {
		return nil, unknown("The aud of the client_assertion must be the issuer as a string, not a list.")
	}
	return NewAssertion(c.Ring, "client "+app.ID, claims, assertionLife)
}

// audience is whom a client assertion may be made out to. An issuer is one for all its
// endpoints; a URL that two servers could claim is where assertions are stolen, which
// is why FAPI 2.0 allows the issuer alone (section 5.3.2.1).
func (c *Callers) audience(ctx context.Context, app *federation.Application, endpoint string) (names []string, only bool) {
	issuer := identity.TenantFrom(ctx).Issuer
	if app.Profile == federation.ProfileFAPI2 {
		return []string{issuer}, true
	}
	return []string{issuer, issuer + "/oauth2/token", endpoint}, false
}
