package conformance

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

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
	p, err := c.browser.Open(c.ctx, dev.Issuer()+"/oauth2/logout?"+q.Encode())
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
	c.that("the browser stays: a page says what is wrong, asks, or says goodbye", p.Status >= 200 && p.Status < 500 && p.URL.Host == strings.TrimPrefix(dev.Issuer(), "http://"), p.URL, p.Status)
}

var backchannelPlan = []module{
	{name: "oidcc-backchannel-logout-discovery-endpoint-verification", check: func(c *check) {
		meta := c.metadata()
		c.that("back-channel logout is offered, with the session", meta["backchannel_logout_supported"] == true && meta["backchannel_logout_session_supported"] == true, meta)
	}},
	{name: "oidcc-backchannel-rp-initiated-logout", check: func(c *check) {
		c.app = told.app
		_, got, claims := c.signIn()
		c.left("post_logout_redirect_uri", goodbye, "id_token_hint", got.text("id_token"), "state", "bye")
		var form url.Values
		select {
		case form = <-told.back:
		case <-time.After(30 * time.Second):
		}
		c.must("the application is told", form.Get("logout_token") != "", form)
		_, logout := c.verify(form.Get("logout_token"))
		events, _ := logout["events"].(map[string]any)
		_, is := events["http://schemas.openid.net/event/backchannel-logout"].(map[string]any)
		c.that("iss, aud, iat and jti of the logout token are right", logout["iss"] == dev.Issuer() && logout["aud"] == c.app.id && number(logout, "iat") > 0 && text(logout, "jti") != "", logout)
		c.that("it has the event of a logout, and no nonce", is && logout["nonce"] == nil, logout)
		c.that("sid is that of the ID token, and sub, if there", logout["sid"] == claims["sid"] && logout["sid"] != nil && (logout["sub"] == nil || logout["sub"] == claims["sub"]), logout)
		c.out()
	}},
}

var frontchannelPlan = []module{
	{name: "oidcc-frontchannel-logout-discovery-endpoint-verification", check: func(c *check) {
		meta := c.metadata()
		c.that("front-channel logout is offered, with the session", meta["frontchannel_logout_supported"] == true && meta["frontchannel_logout_session_supported"] == true, meta)
	}},
	{name: "oidcc-frontchannel-rp-initiated-logout", check: func(c *check) {
		c.app = framed.app
		_, got, claims := c.signIn()
		c.left("post_logout_redirect_uri", goodbye, "id_token_hint", got.text("id_token"), "state", "bye")
		var query url.Values
		select {
		case query = <-framed.front:
		case <-time.After(time.Second):
		}
		c.that("the browser loads the frame of the application", query != nil)
		c.that("iss and sid are in its address", query.Get("iss") == dev.Issuer() && query.Get("sid") == text(claims, "sid"), query)
		c.out()
	}},
}

// A listener is an application that is told when its session ends.
type listener struct {
	app         application
	back, front chan url.Values
}

// told hears by the back channel, framed by the front channel.
var told, framed listener

// listen registers both; they are asked for one sign-out each.
func listen(t *testing.T) {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /back", func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		told.back <- r.PostForm
	})
	mux.HandleFunc("GET /front", func(w http.ResponseWriter, r *http.Request) { framed.front <- r.URL.Query() })
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	base := strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
	for l, settings := range map[*listener]map[string]any{
		&told:   {"name": "told", "backchannel_logout_uri": base + "/back", "backchannel_logout_session_required": true, "redirect_uris": []string{callback}},
		&framed: {"name": "framed", "frontchannel_logout_uri": base + "/front", "frontchannel_logout_session_required": true, "redirect_uris": []string{callback, base + "/cb"}},
	} {
		settings["post_logout_uris"] = []string{goodbye}
		made := register(t, settings)
		*l = listener{app: application{text(made, "client_id"), text(made, "client_secret")}, back: make(chan url.Values, 9), front: make(chan url.Values, 9)}
	}
}
