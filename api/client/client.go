package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

const (
	maxAnswer = 16 << 20 // bytes of an answer that are read
	timeout   = 30 * time.Second
)

// A Client speaks for one token to one server. It may be used by many goroutines.
type Client struct {
	Users        Users
	Groups       Groups
	Applications Applications
	Tenants      Tenants

	Scopes             Rows
	ResourceServers    Rows
	RegistrationTokens Rows

	CertificateAuthorities Rows
	TenantRows             Rows // Tenants, by the names on the wire

	base   *url.URL
	token  string
	tenant string
	http   *http.Client
}

// An Option changes how a Client works.
type Option func(*Client)

// WithTenant acts on the tenant with that slug instead of the caller's own.
func WithTenant(slug string) Option { return func(c *Client) { c.tenant = slug } }

// WithHTTP uses h, for other time limits or certificates. Not for a Unix socket.
func WithHTTP(h *http.Client) Option { return func(c *Client) { c.http = h } }

// New returns a client of the server at addr: http://…, https://… or unix:///path/to/socket.
// The token may be empty for a Unix socket. Nothing is sent before the first call.
func New(addr, token string, opts ...Option) (*Client, error) {
	u, err := url.Parse(addr)
	if err != nil {
		return nil, errors.New("address: not a URL") // the parser's message would repeat it, userinfo and all
	}
	c := &Client{token: token, http: &http.Client{Timeout: timeout, CheckRedirect: noRedirect}}
	switch {
	case u.Scheme == "unix":
		path := u.Host + u.Path
		if path == "" {
			return nil, errors.New("address: unix:// wants the path of the socket")
		}
		c.base = &url.URL{Scheme: "http", Host: "localhost"}
		c.http.Transport = &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				var d net.Dialer
				return d.DialContext(ctx, "unix", path)
			},
		}
	case (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.User == nil:
		c.base = &url.URL{Scheme: u.Scheme, Host: u.Host, Path: strings.TrimSuffix(u.Path, "/")}
	default:
		return nil, errors.New("address: want http://host, https://host or unix:///path")
	}
	for _, o := range opts {
		o(c)
	}
	c.Users, c.Groups, c.Applications, c.Tenants = Users{c}, Groups{c}, Applications{c}, Tenants{c}
	c.Scopes, c.ResourceServers, c.RegistrationTokens = Rows{c, "scopes"}, Rows{c, "resource-servers"}, Rows{c, "registration/tokens"}
	c.CertificateAuthorities, c.TenantRows = Rows{c, "certificate-authorities"}, Rows{c, "tenants"}
	return c, nil
}

// noRedirect keeps the token from following a redirect to somewhere else.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// A Problem is the server's description of an error (RFC 9457).
type Problem struct {
	Type     string  `json:"type"`
	Title    string  `json:"title"`
	Status   int     `json:"status"`
	Detail   string  `json:"detail"`
	Instance string  `json:"instance"` // request ID
	Errors   []Fault `json:"errors"`
}

// A Fault is one thing that is wrong with the request.
type Fault struct {
	Pointer string `json:"pointer"` // JSON pointer into the body, or the name of a parameter
	Detail  string `json:"detail"`
}

// An Error is an answer other than success.
type Error struct {
	Status     int
	Problem    Problem
	RetryAfter time.Duration // 0: the server did not say
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Problem.Title)
	if b.Len() == 0 {
		fmt.Fprintf(&b, "HTTP %d %s", e.Status, http.StatusText(e.Status))
	}
	if e.Problem.Detail != "" && len(e.Problem.Errors) == 0 {
		b.WriteString(": " + e.Problem.Detail)
	}
	for i, f := range e.Problem.Errors {
		sep := "; "
		if i == 0 {
			sep = ": "
		}
		b.WriteString(sep + strings.TrimPrefix(strings.TrimPrefix(f.Pointer, "#"), "/"))
		if first, _ := utf8.DecodeRuneInString(f.Detail); unicode.IsUpper(first) { // a sentence, and not the rest of one
			b.WriteByte(':')
		}
		b.WriteString(" " + f.Detail)
	}
	if e.Problem.Instance != "" {
		fmt.Fprintf(&b, " (request %s)", e.Problem.Instance)
	}
	return b.String()
}

// Status returns the HTTP status of the Error in err, or 0 if there is none.
func Status(err error) int {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Status
	}
	return 0
}

// A request is what one call sends.
type request struct {
	query   url.Values
	body    any
	ifMatch string
	house   bool // concerns the installation and no tenant
}

// call sends one request and decodes the answer into out unless that is nil. It returns the ETag.
func (c *Client) call(ctx context.Context, method, path string, in request, out any) (etag string, err error) {
	req, err := c.request(ctx, method, path, in)
	if err != nil {
		return "", err
	}
	res, err := c.http.Do(req)
	if err != nil {
		return "", fmt.Errorf("%s %s: %w", method, path, withoutURL(err))
	}
	defer res.Body.Close()
	data, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return "", fmt.Errorf("%s %s: read answer: %w", method, path, err)
	}
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return "", failure(res, data)
	}
	if out != nil && res.StatusCode != http.StatusNoContent {
		if err := json.Unmarshal(data, out); err != nil {
			return "", fmt.Errorf("%s %s: read answer: %w", method, path, err)
		}
	}
	return res.Header.Get("ETag"), nil
}

func (c *Client) request(ctx context.Context, method, path string, in request) (*http.Request, error) {
	u := *c.base
	u.RawPath = u.EscapedPath() + "/api/v1" + path
	if path == describePath {
		u.RawPath = u.EscapedPath() + path
	}
	var err error
	if u.Path, err = url.PathUnescape(u.RawPath); err != nil {
		return nil, fmt.Errorf("%s: path: %w", method, err)
	}
	q := in.query
	if c.tenant != "" && !in.house {
		if q == nil {
			q = url.Values{}
		}
		q.Set("tenant", c.tenant)
	}
	u.RawQuery = q.Encode()
	var body io.Reader
	if in.body != nil {
		data, err := json.Marshal(in.body)
		if err != nil {
			return nil, fmt.Errorf("%s %s: encode: %w", method, path, err)
		}
		body = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), body)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	if in.ifMatch != "" {
		req.Header.Set("If-Match", in.ifMatch)
	}
	req.Header.Set("Accept", "application/json")
	return req, nil
}

func failure(res *http.Response, data []byte) error {
	e := &Error{Status: res.StatusCode}
	// Something between us and the server may have answered in another format: the status then says enough.
	if json.Unmarshal(data, &e.Problem) != nil {
		e.Problem = Problem{}
	}
	if s, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil && s > 0 {
		e.RetryAfter = time.Duration(s) * time.Second
	}
	return e
}

// withoutURL drops the URL that net/http puts in front: the caller names the route.
func withoutURL(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

// join makes a path of elements, which cannot leave their place in it.
func join(elem ...string) string {
	var b strings.Builder
	for _, e := range elem {
		b.WriteString("/" + url.PathEscape(e))
	}
	return b.String()
}
