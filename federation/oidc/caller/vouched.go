package caller

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/jose"
	"github.com/quis-idp/quis/identity"
)

// vouchedLife is how long an assertion of a trusted issuer may live that has no time of its own.
const vouchedLife = 5 * time.Minute

// A Vouched is whom an issuer that the application trusts has vouched for.
type Vouched struct {
	By        *federation.TrustedIssuer
	Subject   string // as By calls the user
	Assertion *Assertion
}

// Vouched verifies an assertion about a user (RFC 7523, section 3): made by one of the
// issuers that an administrator has registered for app, with that issuer's keys, for us,
// for a while, and for once. An assertion that the application makes about itself or a
// user is none: it would be its own witness. Errors are *Fault, and those of the ring.
func (c *Callers) Vouched(ctx context.Context, app *federation.Application, text string) (*Vouched, error) {
	_, payload, err := jose.Peek(text)
	if err != nil {
		return nil, refused(err)
	}
	unproven, err := jose.ParseClaims(payload)
	if err != nil {
		return nil, refused(err)
	}
	at := slices.IndexFunc(app.Issuers, func(t federation.TrustedIssuer) bool { return t.Issuer == unproven.Issuer })
	if at < 0 {
		return nil, &Fault{Grant: true, Reason: "The assertion is of an issuer that is not trusted for this application."}
	}
	by := &app.Issuers[at]
	token, err := c.Sets.Verify(ctx, jose.Rule{Algs: jose.Asymmetric, Types: []string{"", "jwt"}}, by.JWKS, by.JWKSURI, text)
	if err != nil {
		return nil, refused(err)
	}
	claims, err := jose.ParseClaims(token.Payload)
	if err != nil {
		return nil, refused(err)
	}
	life := vouchedLife
	if by.Lifetime > 0 {
		life = time.Duration(by.Lifetime) * time.Second
	}
	issuer := identity.TenantFrom(ctx).Issuer
	err = claims.Check(jose.Expected{
		Now: c.Now(), Skew: clockSkew, Issuer: by.Issuer, Audience: []string{issuer, issuer + "/oauth2/token"}, Life: life, ID: true,
	})
	if err != nil {
		return nil, refused(err)
	}
	if claims.Subject == "" {
		return nil, &Fault{Grant: true, Reason: "The claim sub of the assertion is missing."}
	}
	// One assertion is spent once, whichever of the applications that trust its issuer presents it.
	a, err := NewAssertion(c.Ring, "issuer "+by.Issuer, claims, life)
	if err != nil {
		return nil, refused(err)
	}
	a.grant = true
	return &Vouched{By: by, Subject: claims.Subject, Assertion: a}, nil
}

// refused says of an assertion that a grant rests on what is wrong with it.
func refused(err error) error {
	var f *Fault
	switch {
	case errors.As(err, &f):
		return &Fault{Grant: true, Reason: f.Reason}
	case errors.Is(err, jose.ErrToken):
		return &Fault{Grant: true, Reason: "The assertion cannot be accepted: " + err.Error() + "."}
	}
	return err
}
