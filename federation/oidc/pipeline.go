package oidc

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"github.com/ory/fosite"

	"github.com/quis-idp/quis/federation"
)

// pipeline answers fosite's questions. What it does not override is never asked
// on the paths we use: the stock strategies, stores and handlers are not linked.
type pipeline struct {
	*fosite.Config
	p       *Provider
	byGrant map[string]fosite.TokenEndpointHandlers
	code    fosite.AuthorizeEndpointHandlers
}

func newPipeline(p *Provider) *fosite.Fosite {
	c := &pipeline{Config: &fosite.Config{ClientSecretsHasher: noHasher{}}, p: p}
	c.byGrant = map[string]fosite.TokenEndpointHandlers{
		federation.GrantCode:              {codeGrant{p}},
		federation.GrantRefresh:           {refreshGrant{p}},
		federation.GrantClientCredentials: {clientGrant{p}},
		federation.GrantDevice:            {deviceGrant(p)},
		federation.GrantCIBA:              {cibaGrant(p)},
		federation.GrantExchange:          {exchangeGrant{p}},
		federation.GrantJWTBearer:         {bearerGrant{p}},
	}
	c.code = fosite.AuthorizeEndpointHandlers{issueCode{p}}
	return &fosite.Fosite{Config: c}
}

// GetTokenEndpointHandlers returns the one handler of the grant asked for, so that no other is run.
func (c *pipeline) GetTokenEndpointHandlers(ctx context.Context) fosite.TokenEndpointHandlers {
	ar, ok := ctx.Value(fosite.AccessRequestContextKey).(fosite.AccessRequester)
	if !ok || len(ar.GetGrantTypes()) != 1 {
		return nil
	}
	return c.byGrant[ar.GetGrantTypes()[0]]
}

// GetAuthorizeEndpointHandlers returns the only one: response_type=code.
func (c *pipeline) GetAuthorizeEndpointHandlers(context.Context) fosite.AuthorizeEndpointHandlers {
	return c.code
}

// GetClientAuthenticationStrategy returns ours. An assertion is left for the grant to spend.
func (c *pipeline) GetClientAuthenticationStrategy(context.Context) fosite.ClientAuthenticationStrategy {
	return func(ctx context.Context, r *http.Request, form url.Values) (fosite.Client, error) {
		who, err := c.p.identify(ctx, r, form)
		if err != nil {
			return nil, err
		}
		if ar, ok := ctx.Value(fosite.AccessRequestContextKey).(fosite.AccessRequester); ok {
			if ex, ok := ar.GetSession().(*exchange); ok {
				ex.by(who)
				if err := c.p.bind(ctx, r, ex, who.App); err != nil {
					return nil, err
				}
			}
		}
		return client{who.App}, nil
	}
}

// noHasher stands where fosite would otherwise fill in bcrypt, without a lock.
type noHasher struct{}

var errNoHasher = errors.New("client secrets are not compared here")

func (noHasher) Compare(context.Context, []byte, []byte) error         { return errNoHasher }
func (noHasher) Hash(context.Context, []byte) (hash []byte, err error) { return nil, errNoHasher }

// client shows an application to fosite.
type client struct{ *federation.Application }

func (c client) GetID() string                      { return c.ClientID }
func (c client) GetHashedSecret() []byte            { return nil }
func (c client) GetRedirectURIs() []string          { return c.Application.RedirectURIs }
func (c client) GetGrantTypes() fosite.Arguments    { return c.Application.GrantTypes }
func (c client) GetResponseTypes() fosite.Arguments { return fosite.Arguments{"code"} }
func (c client) GetScopes() fosite.Arguments        { return c.AllowedScopes }
func (c client) IsPublic() bool                     { return c.Application.IsPublic }
func (c client) GetAudience() fosite.Arguments      { return nil }
