package oidc

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/ory/fosite"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/oidc/family"
	"github.com/quis-idp/quis/federation/oidc/front"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/authn"
	"github.com/quis-idp/quis/keys/seal"
)

func (p *Provider) readAuthorize(r *http.Request) (*authorizeRequest, error) {
	if len(r.URL.RawQuery) > maxQuery {
		return nil, errUntrusted{refuse(codeInvalidRequest, "The request is too long.")}
	}
	query, answer := p.readAnswer(r.Context(), r.URL.RawQuery)
	form, err := url.ParseQuery(query)
	if err != nil {
		return nil, errUntrusted{refuse(codeInvalidRequest, "The request cannot be read.")}
	}
	form.Del(authn.TicketParameter)
	app, err := p.requester(r.Context(), form)
	if err != nil {
		return nil, errUntrusted{err}
	}
	q := newAuthorizeRequest(app)
	err = p.parseAuthorize(r.Context(), q, form)
	if q.answer = answer; answer != nil {
		q.ticket = answer.Signin
	}
	if t, ok := p.flows.Finished(r.Context(), query); ok {
		q.ticket = &t
	}
	return q, err
}

// requester returns the application that a request of the front channel says it is from.
func (p *Provider) requester(ctx context.Context, form url.Values) (*federation.Application, error) {
	if len(form["client_id"]) != 1 {
		return nil, refuse(codeInvalidRequest, "The request must name the application once.")
	}
	app, err := p.claimant(ctx, form.Get("client_id"))
	if errors.Is(err, fsm.ErrNotFound) || (err == nil && app.Disabled) {
		return nil, refuse(codeInvalidRequest, "There is no such application.")
	}
	return app, err
}

// parseAuthorize validates an authorization request (RFC 6749, section 4.1.1; RFC
// 7636; OpenID Connect Core, section 3.1.2.1). Until the redirect_uri has been checked,
// errors are errUntrusted; after that q says where to send them. sent is what came
// through the browser, or was pushed: the parameters that count may stand elsewhere.
func (p *Provider) parseAuthorize(ctx context.Context, q *authorizeRequest, sent url.Values) error {
	form, fault := p.unfold(ctx, q, sent)
	if form == nil {
		// Nothing of it counts but this: where its maker, if it is a registered place, hears of the fault.
		form = sent
	}
	if err := parseTarget(q, form); err != nil {
		if fault != nil {
			err = fault
		}
		return errUntrusted{err}
	}
	q.State = form.Get("state")
	if mode, ok := front.ParseMode(form.Get("response_mode")); ok && reaches(q, mode) {
		q.mode = mode
	}
	if fault != nil {
		return fault
	}
	if err := once(form); err != nil {
		return err
	}
	steps := []func(*authorizeRequest, url.Values) error{
		parseSource, parseResponse, parseUnsupported, parseScopes, parsePKCE, parseOpenID, parseContext,
	}
	for _, step := range steps {
		if err := step(q, form); err != nil {
			return err
		}
	}
	if err := p.parseCreate(ctx, q); err != nil {
		return err
	}
	return p.parseAsked(ctx, q, form)
}

// unfold returns the parameters that count: those of what was pushed, those of the request
// object, or sent itself. Beside the first two nothing that was sent counts (RFC 9126,
// section 4; RFC 9101, section 6.3). With an error the form may be there nevertheless, if
// it is known to be the client's.
func (p *Provider) unfold(ctx context.Context, q *authorizeRequest, sent url.Values) (url.Values, error) {
	q.sent = sent
	switch uri := sent.Get("request_uri"); {
	case sent.Has("request") && sent.Has("request_uri"):
		return nil, refuse(codeInvalidRequest, "Only one of request and request_uri may be sent.")
	case len(sent["request"]) > 1 || len(sent["request_uri"]) > 1:
		return nil, refuse(codeInvalidRequest, "A parameter is included more than once.")
	case sent.Has("request"):
		return p.readObject(ctx, q, sent.Get("request"))
	case front.IsSealed(uri):
		return p.openRequest(ctx, q, uri)
	case sent.Has("request_uri"):
		return p.fetchObject(ctx, q, uri)
	}
	return sent, nil
}

// openRequest opens what was sealed at the PAR endpoint, or on the way to sign-in.
func (p *Provider) openRequest(ctx context.Context, q *authorizeRequest, uri string) (url.Values, error) {
	s, err := front.Open(p.ring, identity.TenantFrom(ctx).ID, q.app.ClientID, uri)
	if errors.Is(err, seal.ErrBox) {
		return nil, refuse(codeInvalidRequestURI, "The request_uri is unknown here, or was issued to another client.")
	}
	if err != nil {
		return nil, err
	}
	q.family, q.pushed, q.signed = s.Family, s.Pushed, s.Signed
	form := s.Values(q.app.ClientID)
	if s.Expired(p.db.Now()) {
		return form, refuse(codeInvalidRequestURI, "The request_uri has expired.")
	}
	return form, nil
}

// parseTarget checks where the application may be sent an answer.
func parseTarget(q *authorizeRequest, form url.Values) error {
	uri := form.Get("redirect_uri")
	switch {
	case len(form["redirect_uri"]) > 1:
		return refuse(codeInvalidRequest, "The request must name the address to go back to once.")
	case uri == "":
		return refuse(codeInvalidRequest, "The request does not say where to go back to.")
	case !q.app.MatchRedirectURI(uri):
		return refuse(codeInvalidRequest, "The address to go back to is not registered for this application.")
	}
	parsed, err := url.Parse(uri)
	if err != nil {
		return refuse(codeInvalidRequest, "The address to go back to cannot be read.")
	}
	// One that a pattern admits may bring its own: of two codes the application might take the first.
	if front.HoldsAnswer(parsed.RawQuery) {
		return refuse(codeInvalidRequest, "The address to go back to has a parameter that answers have.")
	}
	q.redirectURI, q.RedirectURI, q.Form = uri, parsed, form
	return nil
}

func newAuthorizeRequest(app *federation.Application) *authorizeRequest {
	q := &authorizeRequest{
		AuthorizeRequest: fosite.NewAuthorizeRequest(), app: app, family: family.NewID(), mode: front.Query, maxAge: anyAge,
	}
	q.Client, q.RequestedAt = client{app}, time.Now().UTC()
	if app.Tokens.DefaultMaxAge > 0 {
		q.maxAge = app.Tokens.DefaultMaxAge
	}
	// fosite picks the place of an answer by these; where it goes is respond's affair.
	q.DefaultResponseMode, q.ResponseMode = fosite.ResponseModeQuery, fosite.ResponseModeQuery
	return q
}

// parseSource holds q against how the application has to send its requests.
func parseSource(q *authorizeRequest, _ url.Values) error {
	switch {
	case (q.app.Requests.RequirePAR || q.app.Profile == federation.ProfileFAPI2) && !q.pushed:
		return refuse(codeInvalidRequest, "The application must push its authorization requests (RFC 9126).")
	case q.app.Requests.RequireSigned && !q.signed:
		return refuse(codeInvalidRequest, "The application must send signed request objects (RFC 9101).")
	}
	return nil
}
