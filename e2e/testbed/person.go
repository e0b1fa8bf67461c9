package testbed

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
)

// A Person is somebody with a browser: cookies, redirects, Refresh headers and
// forms, no JavaScript.
type Person struct {
	Username, Password string

	// Passkey, if set, answers the challenge of a login form instead: the options and the
	// response are JSON, as navigator.credentials.get has them.
	Passkey func(options []byte) (response []byte, err error)

	// Address, if set, is what a node that trusts whoever asks is told to be the person's.
	Address string

	http *http.Client
}

// NewPerson returns a person with an empty cookie jar.
func NewPerson(username, password string) *Person {
	jar, _ := cookiejar.New(nil)
	return &Person{Username: username, Password: password, http: &http.Client{
		Jar:           jar,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// An Application is a registered application, as its own server knows it.
type Application struct {
	ClientID, Secret, RedirectURI, Scope string
}

// An Authorization is what an application gets back on its redirect URI, with
// what it must remember.
type Authorization struct {
	Code, Verifier, Nonce string
	Params                url.Values
}

// Tokens is an answer of the token endpoint.
type Tokens struct {
	AccessToken  string `json:"access_token"`
	IDToken      string `json:"id_token"`
	RefreshToken string `json:"refresh_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int    `json:"expires_in"`
	Scope        string `json:"scope"`
}

// A StatusError is an HTTP answer that was not a success.
type StatusError struct {
	Status int
	Code   string // OAuth error code, if there was one
	Body   string
}

func (e *StatusError) Error() string { return fmt.Sprintf("status %d: %.300s", e.Status, e.Body) }

// Authorize signs in to app at the node with base URL node, filling in the login
// form if one appears, and returns what reached the redirect URI.
func (p *Person) Authorize(ctx context.Context, node string, app Application) (*Authorization, error) {
	a, q := app.ask()
	at := node + "/oauth2/authorize?" + q.Encode()
	form := url.Values(nil)
	for range 12 {
		next, nextForm, err := p.step(ctx, at, form)
		if err != nil {
			return nil, err
		}
		if strings.HasPrefix(next, app.RedirectURI) {
			u, err := url.Parse(next)
			if err != nil {
				return nil, err
			}
			a.Params = u.Query()
			if a.Params.Get("state") != q.Get("state") {
				return nil, fmt.Errorf("state came back as %q", a.Params.Get("state"))
			}
			if a.Code = a.Params.Get("code"); a.Code == "" {
				return nil, &StatusError{Status: http.StatusFound, Code: a.Params.Get("error"), Body: next}
			}
			return a, nil
		}
		at, form = next, nextForm
	}
	return nil, fmt.Errorf("still at %s after twelve steps", at)
}

// ask is what an application asks for, and remembers of it.
func (app Application) ask() (*Authorization, url.Values) {
	a := &Authorization{Verifier: rand.Text() + rand.Text(), Nonce: rand.Text()}
	sum := sha256.Sum256([]byte(a.Verifier))
	return a, url.Values{
		"response_type": {"code"}, "client_id": {app.ClientID}, "redirect_uri": {app.RedirectURI},
		"scope": {app.Scope}, "state": {rand.Text()}, "nonce": {a.Nonce},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}
}

// step makes one request and says where to go next, with a form to send if any.
func (p *Person) step(ctx context.Context, at string, form url.Values) (next string, nextForm url.Values, err error) {
	method, body := http.MethodGet, io.Reader(nil)
	if form != nil {
		method, body = http.MethodPost, strings.NewReader(form.Encode())
	}
	req, err := http.NewRequestWithContext(ctx, method, at, body)
	if err != nil {
		return "", nil, err
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", req.URL.Scheme+"://"+req.URL.Host)
	}
	if p.Address != "" {
		req.Header.Set("X-Forwarded-For", p.Address)
	}
	resp, err := p.http.Do(req)
	if err != nil {
		return "", nil, err
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return "", nil, err
	}
	target := resp.Header.Get("Location")
	if _, refresh, ok := strings.Cut(resp.Header.Get("Refresh"), "url="); target == "" && ok {
		target = refresh
	}
	if target == "" && resp.StatusCode == http.StatusOK && form == nil {
		if target, nextForm, err = p.fill(string(page)); err != nil {
			return "", nil, err
		}
	}
	if target == "" {
		return "", nil, &StatusError{Status: resp.StatusCode, Body: string(page)}
	}
	u, err := req.URL.Parse(target)
	if err != nil {
		return "", nil, err
	}
	return u.String(), nextForm, nil
}

// fill fills in the form of a login page; without one it returns nothing.
func (p *Person) fill(page string) (action string, fields url.Values, err error) {
	if p.Passkey == nil {
		attr, fields := formWith(page, `name="password"`)
		if fields != nil {
			fields.Set("username", p.Username)
			fields.Set("password", p.Password)
		}
		return attr["action"], fields, nil
	}
	attr, fields := formWith(page, `data-passkey="get"`)
	if fields == nil {
		return "", nil, nil
	}
	response, err := p.Passkey([]byte(attr["options"]))
	fields.Set("response", string(response))
	return attr["action"], fields, err
}

// Challenge goes to app at the node with base URL node until there is a login form for a passkey,
// and returns where, and what, a browser would post of it: the form that Passkey has filled in.
func (p *Person) Challenge(ctx context.Context, node string, app Application) (at string, form url.Values, err error) {
	_, q := app.ask()
	at = node + "/oauth2/authorize?" + q.Encode()
	for range 4 {
		if at, form, err = p.step(ctx, at, nil); err != nil || form != nil {
			return at, form, err
		}
	}
	return "", nil, fmt.Errorf("there is no form at %s", at)
}

// Post sends a form that Challenge has returned, and returns where it leads.
func (p *Person) Post(ctx context.Context, at string, form url.Values) (next string, err error) {
	next, _, err = p.step(ctx, at, form)
	return next, err
}

var (
	formTag  = regexp.MustCompile(`(?s)<form[^>]*method="post"[^>]*>.*?</form>`)
	inputTag = regexp.MustCompile(`<input[^>]*>`)
	attrs    = regexp.MustCompile(`([a-z]+)="([^"]*)"`)
)

// formWith finds the form that has a text in it and returns its attributes and hidden fields.
func formWith(page, text string) (attr map[string]string, fields url.Values) {
	for _, form := range formTag.FindAllString(page, -1) {
		if !strings.Contains(form, text) {
			continue
		}
		fields = url.Values{}
		for _, in := range inputTag.FindAllString(form, -1) {
			if a := attributes(in); a["type"] == "hidden" {
				fields.Set(a["name"], a["value"])
			}
		}
		return attributes(form), fields
	}
	return nil, nil
}

func attributes(tag string) map[string]string {
	tag, _, _ = strings.Cut(tag, ">")
	m := map[string]string{}
	for _, a := range attrs.FindAllStringSubmatch(tag, -1) {
		m[a[1]] = html.UnescapeString(a[2])
	}
	return m
}

// Exchange redeems an authorization at the node with base URL node.
func (app Application) Exchange(ctx context.Context, node string, a *Authorization) (*Tokens, error) {
	return app.Token(ctx, node, url.Values{
		"grant_type": {"authorization_code"}, "code": {a.Code}, "redirect_uri": {app.RedirectURI}, "code_verifier": {a.Verifier},
	})
}

// Refresh redeems a refresh token at the node with base URL node.
func (app Application) Refresh(ctx context.Context, node, token string) (*Tokens, error) {
	return app.Token(ctx, node, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}})
}

// Token sends a token request, authenticated as the application.
func (app Application) Token(ctx context.Context, node string, form url.Values) (*Tokens, error) {
	if app.Secret == "" {
		form.Set("client_id", app.ClientID)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, node+"/oauth2/token", strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if app.Secret != "" {
		req.SetBasicAuth(url.QueryEscape(app.ClientID), url.QueryEscape(app.Secret))
	}
	t := &Tokens{}
	return t, do(req, t)
}

// UserInfo asks the node with base URL node who an access token is about.
func UserInfo(ctx context.Context, node, accessToken string) (map[string]any, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, node+"/oauth2/userinfo", nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+accessToken)
	claims := map[string]any{}
	return claims, do(req, &claims)
}

func do(req *http.Request, into any) error {
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		e := &StatusError{Status: resp.StatusCode, Body: string(b)}
		var oauth struct {
			Error string `json:"error"`
		}
		if json.Unmarshal(b, &oauth) == nil {
			e.Code = oauth.Error
		}
		return e
	}
	return json.Unmarshal(b, into)
}
