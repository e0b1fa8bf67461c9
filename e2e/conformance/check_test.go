package conformance

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quis-idp/quis/e2e/testbed"
)

// An application is the relying party that a module plays.
type application struct{ id, secret string }

// A check is a module at work.
type check struct {
	t       *testing.T
	ctx     context.Context
	name    string
	mode    string
	app     application
	browser *testbed.Browser
	turns   chan struct{}
	held    []string
	failed  bool
}

// that notes a condition, which must hold.
func (c *check) that(condition string, holds bool, found ...any) {
	c.t.Helper()
	if holds {
		if !slices.Contains(c.held, condition) {
			c.held = append(c.held, condition)
		}
		return
	}
	c.failed = true
	c.t.Errorf("%s: not so: %s; found %v", c.name, condition, found)
}

// usual notes a condition that is looked at in every sign-in, which the table says once.
func (c *check) usual(condition string, holds bool, found ...any) {
	c.t.Helper()
	if !holds {
		c.must(condition, false, found...)
	}
	usualMu.Lock()
	defer usualMu.Unlock()
	usuals[condition] = true
}

var (
	usualMu sync.Mutex
	usuals  = map[string]bool{}
)

// must ends the module where going on makes no sense.
func (c *check) must(condition string, holds bool, found ...any) {
	c.t.Helper()
	c.that(condition, holds, found...)
	if !holds {
		runtime.Goexit()
	}
}

func (c *check) no(err error) {
	c.t.Helper()
	if err != nil {
		c.failed = true
		c.t.Errorf("%s: %v", c.name, err)
		runtime.Goexit()
	}
}

// wait lets time pass, and others work meanwhile.
func (c *check) wait(d time.Duration) {
	<-c.turns
	select {
	case <-time.After(d):
	case <-c.ctx.Done():
	}
	c.turns <- struct{}{}
	c.no(c.ctx.Err())
}

// eventually asks again for two seconds: a node other than the one that wrote may be
// half a second behind.
func (c *check) eventually(condition string, holds func() bool) {
	c.t.Helper()
	for range 40 {
		if holds() {
			c.that(condition, true)
			return
		}
		c.wait(50 * time.Millisecond)
	}
	c.that(condition, false, "not within two seconds")
}

// An ask is an authorization request with what its sender remembers.
type ask struct {
	params   url.Values
	verifier string
}

// ask makes a request, with changes: pairs of a parameter and its value, "" for none.
func (c *check) ask(changes ...string) *ask {
	a := &ask{verifier: rand.Text() + rand.Text()}
	sum := sha256.Sum256([]byte(a.verifier))
	a.params = url.Values{
		"response_type": {"code"}, "client_id": {c.app.id}, "redirect_uri": {callback}, "scope": {"openid"},
		"state": {rand.Text()}, "nonce": {rand.Text()},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}
	if c.mode != "" {
		a.params.Set("response_mode", c.mode)
	}
	change(a.params, changes)
	return a
}

func change(params url.Values, changes []string) {
	for i := 0; i < len(changes); i += 2 {
		if params.Set(changes[i], changes[i+1]); changes[i+1] == "" {
			params.Del(changes[i])
		}
	}
}

func authorizeURL() string { return dev.Issuer() + "/oauth2/authorize" }

// send brings the person to the authorization endpoint and through all pages.
func (c *check) send(a *ask) *testbed.Page {
	c.t.Helper()
	p, err := c.browser.Reach(c.ctx, authorizeURL()+"?"+a.params.Encode(), username, password)
	c.no(err)
	return p
}

// answer reads what came back to the application, and checks what holds of every answer.
func (c *check) answer(a *ask, p *testbed.Page) url.Values {
	c.t.Helper()
	c.usual("the answer reaches the redirect URI", p.Status == 0, p.URL, p.Status, excerpt(p.Body))
	got := p.URL.Query()
	if c.mode == "form_post" {
		c.that("the answer is posted as a form", p.Sent != nil, p.URL)
		c.that("nothing of it is in the URL", p.URL.RawQuery == "" && p.URL.Fragment == "", p.URL)
		got = p.Sent
	}
	c.usual("state comes back", got.Get("state") == a.params.Get("state"), got)
	c.usual("iss names the issuer", got.Get("iss") == dev.Issuer(), got)
	return got
}

// code signs the person in and returns the code.
func (c *check) code(a *ask) string {
	c.t.Helper()
	got := c.answer(a, c.send(a))
	c.usual("there is a code", got.Get("code") != "", got)
	return got.Get("code")
}

// refused sends a request that must end in one of the errors, at the redirect URI.
func (c *check) refused(a *ask, codes ...string) {
	c.t.Helper()
	got := c.answer(a, c.send(a))
	c.that("the error is "+strings.Join(codes, " or "), slices.Contains(codes, got.Get("error")) && got.Get("code") == "", got)
}

// shown sends a request that must end on an error page: nothing may reach the application.
func (c *check) shown(a *ask) {
	c.t.Helper()
	p := c.send(a)
	c.that("an error page is shown and nothing is sent to the application", p.Status >= 400 && p.Status < 500, p.URL, p.Status)
}

// An answer of the token endpoint or another that speaks JSON.
type answer struct {
	status int
	header http.Header
	body   map[string]any
}

func (a answer) text(name string) string { s, _ := a.body[name].(string); return s }

// post sends a form, with basic authentication if an application is given.
func (c *check) post(to string, form url.Values, app *application, header http.Header) answer {
	c.t.Helper()
	return c.do(http.MethodPost, to, strings.NewReader(form.Encode()), app, header)
}

func (c *check) do(method, to string, body io.Reader, app *application, header http.Header) answer {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.ctx, method, to, body)
	c.no(err)
	maps.Copy(req.Header, header)
	if method == http.MethodPost && req.Header.Get("Content-Type") == "" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if app != nil {
		req.SetBasicAuth(app.id, app.secret)
	}
	resp, err := http.DefaultClient.Do(req)
	c.no(err)
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	c.no(err)
	got := answer{status: resp.StatusCode, header: resp.Header, body: map[string]any{}}
	if strings.Contains(resp.Header.Get("Content-Type"), "json") && len(b) > 0 {
		c.no(json.Unmarshal(b, &got.body))
	}
	return got
}

func tokenURL() string { return dev.Issuer() + "/oauth2/token" }

// exchange redeems a code, with changes to the request.
func (c *check) exchange(a *ask, code string, changes ...string) answer {
	c.t.Helper()
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {a.params.Get("redirect_uri")}, "code_verifier": {a.verifier}}
	change(form, changes)
	return c.post(tokenURL(), form, &c.app, nil)
}

// tokens redeems a code and checks the answer and its ID token.
func (c *check) tokens(a *ask, code string) (answer, map[string]any) {
	c.t.Helper()
	got := c.exchange(a, code)
	return got, c.read(a, got)
}

// signIn is the whole way from request to tokens.
func (c *check) signIn(changes ...string) (*ask, answer, map[string]any) {
	c.t.Helper()
	a := c.ask(changes...)
	got, claims := c.tokens(a, c.code(a))
	return a, got, claims
}

// passwords counts how often the person typed the password; not that it was sent again
// after being told to wait.
func (c *check) passwords() (n int) {
	for _, step := range slices.Compact(slices.Clone(c.browser.Trail)) {
		if strings.HasPrefix(step, "POST "+dev.Issuer()+"/login") {
			n++
		}
	}
	return n
}

func (c *check) userinfo(token string) answer {
	c.t.Helper()
	return c.do(http.MethodGet, dev.Issuer()+"/oauth2/userinfo", nil, nil, http.Header{"Authorization": {"Bearer " + token}})
}

func excerpt(body string) string { return fmt.Sprintf("%.600s", body) }
