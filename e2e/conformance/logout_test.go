package conformance

import (
	"net/url"
	"slices"

	"github.com/quis-idp/quis/e2e/testbed"
)

var logoutPlan = []module{
	{name: "oidcc-rp-initiated-logout-discovery-endpoint-verification", check: func(c *check) {
		c.that("end_session_endpoint is there", text(c.metadata(), "end_session_endpoint") != "")
	}},
	{name: "oidcc-rp-initiated-logout", check: func(c *check) {
		token := c.signedIn()
		c.left("post_logout_redirect_uri", goodbye, "id_token_hint", token, "state", "bye")
		c.out()
	}},
	{name: "oidcc-rp-initiated-logout-bad-post-logout-redirect-uri", check: func(c *check) {
		c.stays("post_logout_redirect_uri", goodbye+"/other", "id_token_hint", c.signedIn(), "state", "bye")
	}},
	{name: "oidcc-rp-initiated-logout-modified-id-token-hint", check: func(c *check) {
		token := c.signedIn()
		last := token[len(token)-8]
		changed := byte('A')
		if last == changed {
			changed = 'B'
		}
		c.stays("post_logout_redirect_uri", goodbye, "id_token_hint", token[:len(token)-8]+string(changed)+token[len(token)-7:], "state", "bye")
	}},
	{name: "oidcc-rp-initiated-logout-no-id-token-hint", check: func(c *check) {
		c.signedIn()
		c.stays("post_logout_redirect_uri", goodbye, "state", "bye")
	}},
	{name: "oidcc-rp-initiated-logout-no-params", check: func(c *check) {
		c.signedIn()
		c.stays()
	}},
	{name: "oidcc-rp-initiated-logout-no-post-logout-redirect-uri", check: func(c *check) {
		c.stays("id_token_hint", c.signedIn(), "state", "bye")
	}},
	{name: "oidcc-rp-initiated-logout-no-state", check: func(c *check) {
		c.left("post_logout_redirect_uri", goodbye, "id_token_hint", c.signedIn())
		c.out()
	}},
	{name: "oidcc-rp-initiated-logout-only-state", check: func(c *check) {
		c.signedIn()
		c.stays("state", "bye")
	}},
	{name: "oidcc-rp-initiated-logout-query-added-to-post-logout-redirect-uri", check: func(c *check) {
		c.stays("post_logout_redirect_uri", goodbye+"?foo=bar", "id_token_hint", c.signedIn(), "state", "bye")
	}},
	{name: "oidcc-rp-initiated-logout-bad-id-token-hint", check: func(c *check) {
		c.signedIn()
		c.stays("post_logout_redirect_uri", goodbye, "id_token_hint", unsigned(url.Values{"sub": {"somebody"}}), "state", "bye")
	}},
}

// signedIn returns the ID token of a sign-in.
func (c *check) signedIn() string {
	_, got, _ := c.signIn()
	return got.text("id_token")
}

func (c *check) end(params []string) *testbed.Page {
	c.t.Helper()
	q := url.Values{}
	change(q, params)
	p, err := c.browser.Open(c.ctx, testbed.Issuer+"/oauth2/logout?"+q.Encode())
	c.no(err)
	return p
}

// left asks for the end of the session, which must lead back to the application.
func (c *check) left(params ...string) {
	c.t.Helper()
	p := c.end(params)
	c.must("the browser is sent to post_logout_redirect_uri", p.Status == 0 && p.URL.Path == "/bye", p.URL, p.Status, excerpt(p.Body))
	if i := slices.Index(params, "state"); i >= 0 {
		c.that("state comes back", p.URL.Query().Get("state") == params[i+1], p.URL)
	} else {
		c.that("there is no state", !p.URL.Query().Has("state"), p.URL)
	}
}

// out checks that nobody is signed in.
func (c *check) out() {
	c.t.Helper()
	c.refused(c.ask("prompt", "none"), "login_required")
}

// stays asks for the end of the session, which must not lead away from quis.
func (c *check) stays(params ...string) {
	c.t.Helper()
	p := c.end(params)
	c.that("the browser stays: a page says what is wrong, asks, or says goodbye", p.Status >= 200 && p.Status < 500 && p.URL.Host == "localhost:8080", p.URL, p.Status)
}

var backchannelPlan = []module{
	{name: "oidcc-backchannel-logout-discovery-endpoint-verification", why: "back-channel logout is not there yet"},
	{name: "oidcc-backchannel-rp-initiated-logout", why: "back-channel logout is not there yet"},
}

var frontchannelPlan = []module{
	{name: "oidcc-frontchannel-logout-discovery-endpoint-verification", why: "front-channel logout is not there yet"},
	{name: "oidcc-frontchannel-rp-initiated-logout", why: "front-channel logout is not there yet"},
}
