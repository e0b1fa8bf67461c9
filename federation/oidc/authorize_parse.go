package oidc

import (
	"encoding/base64"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/ory/fosite"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/consent"
	"github.com/quis-idp/quis/federation/oidc/family"
	"github.com/quis-idp/quis/federation/oidc/front"
	"github.com/quis-idp/quis/federation/resource"
	"github.com/quis-idp/quis/identity/authn"
)

const (
	maxNonce = 512 // bytes
	maxHint  = 8 << 10
	anyAge   = -1
)

// prompts are the values of prompt; where people can register by themselves, promptCreate is
// another (Initiating User Registration via OpenID Connect, section 4.1).
var prompts = []string{"none", "login", "consent", "select_account"}

// An authorizeRequest is a validated request of the authorization endpoint:
// fosite's, and what it has no place for.
type authorizeRequest struct {
	*fosite.AuthorizeRequest
	app    *federation.Application
	sent   url.Values // what came through the browser; the parameters that count are in Form
	family family.ID  // that every code made from it spends
	pushed bool       // at the PAR endpoint, by the authenticated client
	signed bool       // as a request object

	redirectURI  string // as sent
	mode         front.Mode
	challenge    []byte
	jkt          string // thumbprint of the DPoP key that the code is bound to; empty: none
	nonce        string
	prompt       []string
	maxAge       int64 // seconds; anyAge: any
	acr          []string
	acrEssential bool // fail rather than do with another acr
	claims       *front.Claims
	loginHint    string
	idTokenHint  string
	target       *resource.Target // nil: the issuer
	details      []resource.Detail
	answer       *consent.Ticket // of the person, to what this very request asks for
	ticket       *authn.Ticket   // of a sign-in, or choice of account, that was just done for this very request
}

func (q *authorizeRequest) prompts(what string) bool { return slices.Contains(q.prompt, what) }

// errUntrusted wraps what must be shown to the person, because there is no
// redirect URI that could be trusted with it.
type errUntrusted struct{ err error }

func (e errUntrusted) Error() string { return e.err.Error() }
func (e errUntrusted) Unwrap() error { return e.err }

func parseResponse(q *authorizeRequest, form url.Values) error {
	switch mode, ok := front.ParseMode(form.Get("response_mode")); {
	case !ok:
		return refuse(codeInvalidRequest, "This response_mode is not supported.")
	case !reaches(q, mode):
		return refuse(codeInvalidRequest, "This response_mode needs a redirect_uri that a form can be posted to.")
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
	if form.Has("registration") {
		return refuse(codeRegistrationUnsupported, "Registration within a request is not supported.")
	}
	return nil
}

func parseScopes(q *authorizeRequest, form url.Values) error {
	scopes, err := allowedScopes(form.Get("scope"), q.app)
	if err != nil {
		return err
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
	q.jkt, err = parseKeyThumbprint(form.Get("dpop_jkt"))
	return err
}

func parseOpenID(q *authorizeRequest, form url.Values) error {
	q.nonce, q.loginHint, q.idTokenHint = form.Get("nonce"), form.Get("login_hint"), form.Get("id_token_hint")
	if len(q.nonce) > maxNonce || len(q.loginHint) > maxNonce || len(q.idTokenHint) > maxHint {
		return refuse(codeInvalidRequest, "Parameter nonce, login_hint or id_token_hint is too long.")
	}
	q.prompt = strings.Fields(form.Get("prompt"))
	for _, v := range q.prompt {
		if !slices.Contains(prompts, v) && v != promptCreate {
			return errPrompt
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

const (
	maxACRs    = 20
	maxLocales = 256 // bytes
)

// parseContext reads how the person is to be authenticated, and what the application
// wants to know of them (OpenID Connect Core, sections 3.1.2.1 and 5.5; RFC 9470, section 4).
func parseContext(q *authorizeRequest, form url.Values) error {
	var err error
	if q.claims, err = front.ParseClaims(form.Get("claims")); err != nil {
		return refuse(codeInvalidRequest, "The parameter claims is not as OpenID Connect Core, section 5.5, has it.")
	}
	q.acr, q.acrEssential = q.claims.ACR()
	if !q.acrEssential {
		q.acr = append(q.acr, strings.Fields(form.Get("acr_values"))...)
	}
	if len(q.acr) == 0 {
		q.acr = q.app.Tokens.DefaultACRs
	}
	if len(q.acr) > maxACRs || len(form.Get("acr_values")) > maxNonce {
		return refuse(codeInvalidRequest, "The acr_values are too many.")
	}
	if len(form.Get("ui_locales")) > maxLocales {
		return refuse(codeInvalidRequest, "The ui_locales are too many.")
	}
	return nil
}
