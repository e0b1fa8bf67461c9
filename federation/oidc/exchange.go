package oidc

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/ory/fosite"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/oidc/caller"
	"github.com/quis-idp/quis/federation/oidc/family"
	"github.com/quis-idp/quis/identity"
)

// exchange is the session of one token request: what its handler has found out so
// far, and what its tokens shall say.
type exchange struct {
	tenant  identity.Tenant
	arrived time.Time
	grant   string // grant type
	alg     string // that the tokens were signed with
	code    *family.Code
	refresh *family.Token
	waited  *wait
	handed  *handed

	subject   string // user ID, or client_id of an application that acts for itself
	scope     []string
	resources []string        // that the access token is for; none: the issuer
	details   json.RawMessage // authorization_details
	claims    json.RawMessage // the claims parameter of the authorization request
	confirm   family.Confirmation
	actor     *actor
	lifetime  int64 // seconds; 0: the application's

	wish  wish   // which part of what was granted
	aimed *aimed // what came of it; nil: all, for the issuer

	who     *caller.Caller    // that asks
	vouched *caller.Assertion // that the grant itself rests on
	nonce   string            // for the next DPoP proof; empty: none is due
}

// granted takes over what a family was granted; the request may have narrowed it before.
func (e *exchange) granted(f *family.Family) {
	e.scope, e.details, e.claims = f.Scope, f.Details, f.Claims
	if len(e.resources) == 0 {
		e.resources = f.Resources
	}
}

// audience is who the access token is for (RFC 9068, section 3).
func (e *exchange) audience() audience {
	if len(e.resources) == 0 {
		return audience{e.tenant.Issuer}
	}
	return e.resources
}

// life is how long the tokens live, in seconds.
func (e *exchange) life(app *federation.Application) int64 {
	if e.lifetime > 0 {
		return e.lifetime
	}
	return app.TokenExpiry
}

// An audience is the aud claim: one value is a string, several are an array (RFC 7519, section 4.1.3).
type audience []string

func (a audience) has(who string) bool { return slices.Contains(a, who) }

// MarshalJSON writes the shorter form where it can.
func (a audience) MarshalJSON() ([]byte, error) {
	if len(a) == 1 {
		return json.Marshal(a[0])
	}
	return json.Marshal([]string(a))
}

// UnmarshalJSON reads both forms.
func (a *audience) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		*a = audience{""}
		return json.Unmarshal(b, &(*a)[0])
	}
	return json.Unmarshal(b, (*[]string)(a))
}

func (*exchange) SetExpiresAt(fosite.TokenType, time.Time)        {}
func (*exchange) GetExpiresAt(fosite.TokenType) (never time.Time) { return never }
func (*exchange) GetUsername() string                             { return "" }
func (e *exchange) GetSubject() string                            { return e.subject }

// Clone copies by hand; fosite's own way is reflection.
func (e *exchange) Clone() fosite.Session {
	c := *e
	return &c
}
