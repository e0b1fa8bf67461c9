package conformance

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/quis-idp/quis/e2e/testbed"
)

// basicPlan is also the form post plan, with another response mode.
var basicPlan = []module{
	{name: "oidcc-server", check: server},
	{name: "oidcc-response-type-missing", check: func(c *check) {
		a := c.ask("response_type", "")
		c.refused(a, "invalid_request", "unsupported_response_type")
	}},
	{name: "oidcc-idtoken-signature", check: func(c *check) { c.signIn() }},
	{name: "oidcc-idtoken-unsigned", check: func(c *check) {
		c.that("ID tokens without a signature are not offered", !slices.Contains(list(c.metadata(), "id_token_signing_alg_values_supported"), "none"))
		head, _ := c.verify(func() string {
			_, got, _ := c.signIn()
			return got.text("id_token")
		}())
		c.that("the ID token is signed", head.Algorithm != "none" && head.Algorithm != "", head)
	}},
	{name: "oidcc-userinfo-get", check: func(c *check) { c.userinfoBy(c.userinfo) }},
	{name: "oidcc-userinfo-post-header", check: func(c *check) {
		c.userinfoBy(func(token string) answer {
			return c.post(dev.Issuer()+"/oauth2/userinfo", nil, nil, http.Header{"Authorization": {"Bearer " + token}})
		})
	}},
	{name: "oidcc-userinfo-post-body", check: func(c *check) {
		c.userinfoBy(func(token string) answer {
			return c.post(dev.Issuer()+"/oauth2/userinfo", url.Values{"access_token": {token}}, nil, nil)
		})
	}},
	{name: "oidcc-ensure-request-without-nonce-succeeds-for-code-flow", check: func(c *check) {
		_, _, claims := c.signIn("nonce", "")
		c.that("the ID token has no nonce", claims["nonce"] == nil, claims)
	}},
	{name: "oidcc-scope-profile", check: func(c *check) {
		c.scope("openid profile", "name", "given_name", "family_name", "preferred_username", "locale", "updated_at")
	}},
	{name: "oidcc-scope-email", check: func(c *check) { c.scope("openid email", "email", "email_verified") }},
	{name: "oidcc-scope-address", check: func(c *check) { c.scope("openid address") }},
	{name: "oidcc-scope-phone", check: func(c *check) { c.scope("openid phone") }},
	{name: "oidcc-scope-all", check: func(c *check) {
		c.scope("openid profile email address phone", "name", "preferred_username", "email", "email_verified")
	}},
	{name: "oidcc-ensure-other-scope-order-succeeds", check: func(c *check) { c.scope("email openid", "email", "email_verified") }},
	{name: "oidcc-alternate-happy-flow", check: func(c *check) {
		a := c.ask("scope", "email openid")
		query := strings.Split(a.params.Encode(), "&")
		slices.Reverse(query)
		p, err := c.browser.Reach(c.ctx, authorizeURL()+"?"+strings.Join(query, "&"), username, password)
		c.no(err)
		c.tokens(a, c.answer(a, p).Get("code"))
	}},
	{name: "oidcc-display-page", check: func(c *check) { c.signIn("display", "page") }},
	{name: "oidcc-display-popup", check: func(c *check) { c.signIn("display", "popup") }},
	{name: "oidcc-prompt-login", check: promptLogin},
	{name: "oidcc-prompt-none-not-logged-in", check: func(c *check) {
		c.refused(c.ask("prompt", "none"), "login_required", "interaction_required")
		c.that("no page was shown", c.passwords() == 0)
	}},
	{name: "oidcc-prompt-none-logged-in", check: func(c *check) { c.again(false, "prompt", "none") }},
	{name: "oidcc-max-age-1", check: maxAge1},
	{name: "oidcc-max-age-10000", check: func(c *check) {
		_, _, claims := c.signIn("max_age", "15000")
		_, _, second := c.signIn("max_age", "10000")
		c.that("nobody is asked for the password again", c.passwords() == 1, c.passwords())
		c.that("auth_time is there and the same", claims["auth_time"] != nil && claims["auth_time"] == second["auth_time"], claims, second)
	}},
	{name: "oidcc-ensure-request-with-unknown-parameter-succeeds", check: func(c *check) { c.signIn("extra", "foobar") }},
	{name: "oidcc-id-token-hint", check: func(c *check) {
		_, got, _ := c.signIn()
		c.again(true, "prompt", "none", "id_token_hint", got.text("id_token"))
	}},
	{name: "oidcc-login-hint", check: func(c *check) {
		p, err := c.browser.Open(c.ctx, authorizeURL()+"?"+c.ask("login_hint", username).params.Encode())
		c.no(err)
		f := p.FormWith("username")
		c.must("the sign-in page asks for a user name", f != nil, p.URL)
		c.that("the hint is filled in", f.Fields.Get("username") == username, f.Fields)
		c.signIn("login_hint", username)
	}},
	{name: "oidcc-ui-locales", check: func(c *check) { c.signIn("ui_locales", "se") }},
	{name: "oidcc-claims-locales", check: func(c *check) { c.signIn("claims_locales", "se") }},
	{name: "oidcc-ensure-request-with-acr-values-succeeds", check: func(c *check) { c.signIn("acr_values", "1 2") }},
	{name: "oidcc-codereuse", check: func(c *check) { c.reuse(0) }},
	{name: "oidcc-codereuse-30seconds", check: func(c *check) { c.reuse(30 * time.Second) }},
	{name: "oidcc-ensure-registered-redirect-uri", check: func(c *check) { c.shown(c.ask("redirect_uri", callback+"/other")) }},
	{name: "oidcc-ensure-post-request-succeeds", check: func(c *check) {
		a := c.ask()
		form := &testbed.Form{Method: http.MethodPost, Action: authorizeURL(), Fields: a.params}
		start, _ := url.Parse("http://localhost:9999/start")
		p, err := c.browser.Submit(c.ctx, &testbed.Page{URL: start}, form, nil)
		c.no(err)
		c.must("the sign-in page is shown", p.FormWith("password") != nil, p.URL, p.Status)
		p, err = c.browser.Press(c.ctx, p, "password", map[string][]string{"username": {username}, "password": {password}})
		c.no(err)
		if f := p.FormWith("state"); f != nil { // of response_mode=form_post
			p, err = c.browser.Submit(c.ctx, p, f, nil)
			c.no(err)
		}
		c.tokens(a, c.answer(a, p).Get("code"))
	}},
	{name: "oidcc-server-client-secret-post", check: func(c *check) {
		a := c.ask()
		form := url.Values{"grant_type": {"authorization_code"}, "code": {c.code(a)}, "redirect_uri": {callback}, "code_verifier": {a.verifier},
			"client_id": {c.app.id}, "client_secret": {c.app.secret}}
		c.read(a, c.post(tokenURL(), form, nil, nil))
	}},
	{name: "oidcc-request-uri-unsigned-supported-correctly-or-rejected-as-unsupported", check: func(c *check) {
		c.refused(c.ask("request_uri", "https://localhost:9998/request.jwt"), "request_uri_not_supported", "invalid_request_uri", "invalid_request")
	}},
	{name: "oidcc-unsigned-request-object-supported-correctly-or-rejected-as-unsupported", check: func(c *check) {
		c.refused(c.ask("request", unsigned(c.ask().params)), "request_not_supported", "invalid_request_object")
	}},
	{name: "oidcc-claims-essential", check: func(c *check) {
		_, got, _ := c.signIn("claims", `{"userinfo":{"name":{"essential":true}}}`)
		info := c.userinfo(got.text("access_token"))
		c.that("userinfo has name, which no scope asked for", info.body["name"] == "Test User", info.body)
	}},
	{name: "oidcc-ensure-request-object-with-redirect-uri", why: "unsigned request objects are refused by design"},
	{name: "oidcc-refresh-token", check: refresh},
	{name: "oidcc-ensure-request-with-valid-pkce-succeeds", check: func(c *check) {
		c.signIn()
		a := c.ask()
		code := c.code(a)
		c.that("a wrong verifier is refused", c.exchange(a, code, "code_verifier", strings.Repeat("wrong-", 8)).text("error") == "invalid_grant")
		a = c.ask()
		c.that("a missing verifier is refused", slices.Contains([]string{"invalid_grant", "invalid_request"}, c.exchange(a, c.code(a), "code_verifier", "").text("error")))
	}},
}

func server(c *check) {
	_, got, claims := c.signIn("scope", "openid profile")
	info := c.userinfo(got.text("access_token"))
	c.that("userinfo answers 200 with the same sub", info.status == http.StatusOK && info.text("sub") == claims["sub"], info)
}

func (c *check) userinfoBy(ask func(token string) answer) {
	_, got, claims := c.signIn()
	info := ask(got.text("access_token"))
	c.that("userinfo answers 200 with the same sub, as JSON", info.status == http.StatusOK && info.text("sub") == claims["sub"], info)
}

// scope signs in with a scope and looks for the claims of it.
func (c *check) scope(scope string, names ...string) {
	_, got, claims := c.signIn("scope", scope)
	info := c.userinfo(got.text("access_token"))
	c.must("userinfo answers 200 with the same sub", info.status == http.StatusOK && info.text("sub") == claims["sub"], info)
	for _, name := range names {
		c.that("userinfo has "+name, info.body[name] != nil, info.body)
	}
	if !strings.Contains(scope, "email") {
		c.that("userinfo has no email, which was not asked for", info.body["email"] == nil, info.body)
	}
}

// again signs in twice, the second time with changes that must not show a page.
func (c *check) again(done bool, changes ...string) {
	if !done {
		c.signIn()
	}
	_, _, first := c.signIn()
	before := c.passwords()
	_, _, second := c.signIn(changes...)
	c.that("no page was shown", c.passwords() == before)
	c.that("sub and auth_time stay", first["sub"] == second["sub"] && first["auth_time"] == second["auth_time"], first, second)
}

func promptLogin(c *check) {
	_, _, first := c.signIn()
	c.wait(1100 * time.Millisecond)
	_, _, second := c.signIn("prompt", "login")
	c.that("the password is asked for again", c.passwords() == 2, c.passwords())
	c.that("sub stays and auth_time, if there, is later", first["sub"] == second["sub"] && (first["auth_time"] == nil || number(second, "auth_time") > number(first, "auth_time")), first, second)
}

func maxAge1(c *check) {
	_, _, first := c.signIn()
	c.wait(2100 * time.Millisecond)
	_, _, second := c.signIn("max_age", "1")
	c.that("the password is asked for again", c.passwords() == 2, c.passwords())
	c.that("auth_time is there and later", number(second, "auth_time") > 0 && (first["auth_time"] == nil || number(second, "auth_time") > number(first, "auth_time")), first, second)
	c.that("sub stays", first["sub"] == second["sub"], first, second)
}

// reuse redeems a code twice.
func (c *check) reuse(after time.Duration) {
	a := c.ask()
	code := c.code(a)
	got, _ := c.tokens(a, code)
	c.wait(after)
	second := c.exchange(a, code)
	c.that("the second use is invalid_grant", second.status == http.StatusBadRequest && second.text("error") == "invalid_grant", second)
	c.eventually("the access token of the first use is revoked", func() bool {
		return c.userinfo(got.text("access_token")).status == http.StatusUnauthorized
	})
}

// lasting are applications that are asked for consent, one for each plan: a question is
// void when another of the same person and application was answered meanwhile.
var lasting = make(chan application, 3)

func refresh(c *check) {
	c.app = <-lasting
	_, got, claims := c.signIn("scope", "openid offline_access", "prompt", "consent")
	token := got.text("refresh_token")
	c.must("there is a refresh token", token != "", got.body)
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}}
	stolen := c.post(tokenURL(), form, &application{"second", secret}, nil)
	c.that("another application cannot use it", stolen.status == http.StatusBadRequest && stolen.text("error") == "invalid_grant", stolen)
	for range 2 {
		next := c.post(tokenURL(), form, &c.app, nil)
		c.must("it gives a new access token", next.status == http.StatusOK && next.text("access_token") != "" && next.text("access_token") != got.text("access_token"), next)
		if next.text("id_token") != "" {
			renewed := c.read(nil, next)
			c.that("an ID token that comes with it has the same iss, sub, aud and auth_time",
				renewed["iss"] == claims["iss"] && renewed["sub"] == claims["sub"] && renewed["auth_time"] == claims["auth_time"], renewed)
		}
		form.Set("refresh_token", next.text("refresh_token"))
	}
}
