package oidc

import (
	"context"
	"encoding/base64"
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ory/fosite"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/authn"
)

const (
	maxNonce = 512 // bytes
	maxHint  = 8 << 10
	anyAge   = -1
)

// An authorizeRequest is a validated request of the authorization endpoint:
// fosite's, and what it has no place for.
type authorizeRequest struct {
	*fosite.AuthorizeRequest
	app         *federation.Application
	redirectURI string // as sent
	challenge   []byte
	nonce       string
	prompt      []string
	maxAge      int64 // seconds; anyAge: any
	loginHint   string
	idTokenHint string
	ticket      *authn.Ticket // of a sign-in that was just done for this very request
}

func (q *authorizeRequest) prompts(what string) bool { return slices.Contains(q.prompt, what) }

// errUntrusted wraps what must be shown to the person, because there is no
// redirect URI that could be trusted with it.
type errUntrusted struct{ err error }

func (e errUntrusted) Error() string { return e.err.Error() }
func (e errUntrusted) Unwrap() error { return e.err }

// parseAuthorize validates an authorization request (RFC 6749, section 4.1.1; RFC
// 7636; OpenID Connect Core, section 3.1.2.1). Until client_id and redirect_uri have
// been checked, errors are errUntrusted; after that the returned request says
// where to send them.
func (p *Provider) parseAuthorize(ctx context.Context, form url.Values) (*authorizeRequest, error) {
	q := &authorizeRequest{AuthorizeRequest: fosite.NewAuthorizeRequest(), maxAge: anyAge}
	if err := p.parseTarget(ctx, q, form); err != nil {
		return q, errUntrusted{err}
	}
	q.State = form.Get("state")
	q.DefaultResponseMode, q.ResponseMode = fosite.ResponseModeQuery, fosite.ResponseModeQuery
	if err := once(form); err != nil {
		return q, err
	}
	steps := []func(*authorizeRequest, url.Values) error{parseResponse, parseUnsupported, parseScopes, parsePKCE, parseOpenID}
	for _, step := range steps {
		if err := step(q, form); err != nil {
			return q, err
		}
	}
	return q, nil
}

// parseTarget finds the application and where it may be sent an answer.
func (p *Provider) parseTarget(ctx context.Context, q *authorizeRequest, form url.Values) error {
	if len(form["client_id"]) != 1 || len(form["redirect_uri"]) > 1 {
		return refuse(codeInvalidRequest, "The request must name the application once.")
	}
	app, err := p.application(ctx, form.Get("client_id"))
	if errors.Is(err, fsm.ErrNotFound) || (err == nil && app.Disabled) {
		return refuse(codeInvalidRequest, "There is no such application.")
	}
	if err != nil {
		return err
	}
	uri := form.Get("redirect_uri")
	if uri == "" {
		return refuse(codeInvalidRequest, "The request does not say where to go back to.")
	}
	if !app.MatchRedirectURI(uri) {
		return refuse(codeInvalidRequest, "The address to go back to is not registered for this application.")
	}
	parsed, err := url.Parse(uri)
	if err != nil {
		return refuse(codeInvalidRequest, "The address to go back to cannot be read.")
	}
	q.app, q.redirectURI, q.RedirectURI = app, uri, parsed
	q.Client, q.Form, q.RequestedAt = client{app}, form, time.Now().UTC()
	return nil
}

func parseResponse(q *authorizeRequest, form url.Values) error {
	switch mode := form.Get("response_mode"); mode {
	case "", "query":
	case "fragment":
		q.ResponseMode = fosite.ResponseModeFragment
	default:
		return refuse(codeInvalidRequest, "This response_mode is not supported.")
	}
	switch form.Get("response_type") {
	case "code":
		q.ResponseTypes = fosite.Arguments{"code"}
	case "":
		return refuse(codeInvalidRequest, "Parameter response_type is missing.")
	default:
		return refuse(codeUnsupportedResponseType, "Only response_type=code is supported.")
	}
	if !q.app.Allows(federation.GrantCode) {
		return refuse(codeUnauthorizedClient, "The application is not allowed to use authorization codes.")
	}
	return nil
}

func parseUnsupported(_ *authorizeRequest, form url.Values) error {
	switch {
	case form.Has("request"):
		return refuse(codeRequestNotSupported, "Request objects are not supported.")
	case form.Has("request_uri"):
		return refuse(codeRequestURINotSupported, "Request objects by reference are not supported.")
	case form.Has("registration"):
		return refuse(codeRegistrationUnsupported, "Registration within a request is not supported.")
	}
	return nil
}

func parseScopes(q *authorizeRequest, form url.Values) error {
	scopes, ok := parseScope(form.Get("scope"))
	if !ok {
		return refuse(codeInvalidScope, "The scope is malformed.")
	}
	if !q.app.Allows(federation.GrantRefresh) {
		// OpenID Connect Core, section 11: offline_access is ignored where it cannot be had.
		scopes = slices.DeleteFunc(scopes, func(s string) bool { return s == federation.ScopeOffline })
	}
	if !subset(scopes, q.app.AllowedScopes) {
		return refuse(codeInvalidScope, "The application may not ask for one of these scopes.")
	}
	q.RequestedScope, q.GrantedScope = scopes, scopes
	return nil
}

// parsePKCE demands a challenge of every application, whatever its type (OAuth 2.1, section 7.6).
func parsePKCE(q *authorizeRequest, form url.Values) error {
	if form.Get("code_challenge") == "" {
		return refuse(codeInvalidRequest, "Parameter code_challenge is missing; PKCE is required.")
	}
	if form.Get("code_challenge_method") != "S256" {
		return refuse(codeInvalidRequest, "The code_challenge_method must be S256.")
	}
	challenge, err := base64.RawURLEncoding.Strict().DecodeString(form.Get("code_challenge"))
	if err != nil || len(challenge) != 32 {
		return refuse(codeInvalidRequest, "The code_challenge must be 43 characters of base64url.")
	}
	q.challenge = challenge
	return nil
}

func parseOpenID(q *authorizeRequest, form url.Values) error {
	q.nonce, q.loginHint, q.idTokenHint = form.Get("nonce"), form.Get("login_hint"), form.Get("id_token_hint")
	if len(q.nonce) > maxNonce || len(q.loginHint) > maxNonce || len(q.idTokenHint) > maxHint {
		return refuse(codeInvalidRequest, "Parameter nonce, login_hint or id_token_hint is too long.")
	}
	q.prompt = strings.Fields(form.Get("prompt"))
	for _, v := range q.prompt {
		if !slices.Contains([]string{"none", "login", "consent", "select_account"}, v) {
			return refuse(codeInvalidRequest, "This prompt is not supported.")
		}
	}
	if q.prompts("none") && len(q.prompt) > 1 {
		return refuse(codeInvalidRequest, "The prompt none must stand alone.")
	}
	if text := form.Get("max_age"); text != "" {
		age, err := strconv.ParseInt(text, 10, 64)
		if err != nil || age < 0 {
			return refuse(codeInvalidRequest, "The max_age must be a number of seconds.")
		}
		q.maxAge = min(age, 1<<31)
	}
	return nil
}
