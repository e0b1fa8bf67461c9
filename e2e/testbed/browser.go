package testbed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"time"
)

const (
	maxHops = 20      // redirects and refreshes in a row
	maxPage = 2 << 20 // bytes
)

// A Browser is a simple HTML client: it keeps cookies, follows redirects and
// refreshes, loads frames and sends forms. It knows no JavaScript.
type Browser struct {
	// Stop, if set, names the addresses that are not fetched: where an application
	// listens that the test plays itself.
	Stop func(u *url.URL) bool
	// Trail is every address asked so far, with its method.
	Trail []string

	http *http.Client
}

// NewBrowser returns a browser without cookies that stops at addresses beginning
// with one of the given texts.
func NewBrowser(stops ...string) *Browser {
	jar, _ := cookiejar.New(nil) // never fails without options
	return &Browser{
		Stop: func(u *url.URL) bool {
			for _, s := range stops {
				if strings.HasPrefix(u.String(), s) {
					return true
				}
			}
			return false
		},
		http: &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}
}

// A Page is where a browser stands. Its Status is 0 if that is an address it stops at.
type Page struct {
	URL    *url.URL
	Status int
	Header http.Header
	Body   string
	Sent   url.Values // what was posted to a stop
	Forms  []*Form
	Frames []*Page

	refresh string
	frames  []string
	another string // where somebody signs in who is none of the accounts that the page offers
}

// Open goes to an address and on from there until a page stands still.
func (b *Browser) Open(ctx context.Context, at string) (*Page, error) {
	u, err := url.Parse(at)
	if err != nil {
		return nil, err
	}
	return b.travel(ctx, http.MethodGet, u, nil, nil, maxHops)
}

// Submit sends a form of a page. Values replace what the page filled in; with a
// nil value the field is not sent.
func (b *Browser) Submit(ctx context.Context, p *Page, f *Form, values map[string][]string) (*Page, error) {
	fields := url.Values{}
	for name, v := range f.Fields {
		fields[name] = v
	}
	for name, v := range values {
		if fields[name] = v; v == nil {
			delete(fields, name)
		}
	}
	u, err := p.URL.Parse(f.Action)
	if err != nil {
		return nil, err
	}
	if f.Method == http.MethodPost {
		return b.travel(ctx, http.MethodPost, u, fields, p.URL, maxHops)
	}
	u.RawQuery = fields.Encode()
	return b.travel(ctx, http.MethodGet, u, nil, p.URL, maxHops)
}

// Reach opens an address and goes through the pages of a sign-in as the person
// would: it fills in user name and password, tries again where it is asked to wait,
// and agrees to what it is asked, until no form is left or the browser stops.
func (b *Browser) Reach(ctx context.Context, at, username, password string) (*Page, error) {
	p, err := b.Open(ctx, at)
	for range maxHops {
		if err != nil || p.Status == 0 {
			return p, err
		}
		from, f, values := p, p.FormWith("password"), map[string][]string(nil)
		switch {
		case f != nil && p.Status != http.StatusOK:
			return p, fmt.Errorf("%s asks for the password again, with status %d", p.URL, p.Status)
		case f != nil:
			values = map[string][]string{"username": {username}, "password": {password}}
		default:
			if f = b.onward(p); f == nil {
				f, values = p.agree()
			}
		}
		if f == nil && p.another != "" {
			to, err := p.URL.Parse(p.another)
			if err != nil {
				return p, err
			}
			if p, err = b.Open(ctx, to.String()); err != nil {
				return p, err
			}
			continue
		}
		if f == nil {
			return p, nil
		}
		p, err = b.patiently(ctx, from, f, values)
	}
	return p, fmt.Errorf("still at %s after many forms", p.URL)
}

// patiently is Submit for a person who waits where they are asked to: those who sign in
// share few processors, and many at once under one name are held back.
func (b *Browser) patiently(ctx context.Context, from *Page, f *Form, values map[string][]string) (*Page, error) {
	p, err := b.Submit(ctx, from, f, values)
	for err == nil && p.Status == http.StatusTooManyRequests {
		if err = pause(ctx, time.Second); err == nil {
			p, err = b.Submit(ctx, from, f, values)
		}
	}
	return p, err
}

// onward finds a form that leads where the browser stops, as response_mode=form_post has it.
func (b *Browser) onward(p *Page) *Form {
	for _, f := range p.Forms {
		if u, err := p.URL.Parse(f.Action); err == nil && b.Stop(u) {
			return f
		}
	}
	return nil
}

// travel makes one request and those that follow from its answer.
func (b *Browser) travel(ctx context.Context, method string, u *url.URL, form url.Values, from *url.URL, hops int) (*Page, error) {
	if hops == 0 {
		return nil, fmt.Errorf("%s: redirected in circles", u)
	}
	b.Trail = append(b.Trail, method+" "+u.String())
	if b.Stop(u) {
		return &Page{URL: u, Sent: form}, nil
	}
	p, err := b.request(ctx, method, u, form, from)
	if err != nil {
		return nil, err
	}
	switch to := p.Header.Get("Location"); {
	case to != "" && (p.Status == http.StatusTemporaryRedirect || p.Status == http.StatusPermanentRedirect):
		return b.follow(ctx, method, p, to, form, hops)
	case to != "" && p.Status >= 300 && p.Status < 400:
		return b.follow(ctx, http.MethodGet, p, to, nil, hops)
	}
	for _, src := range p.frames {
		at, err := p.URL.Parse(src)
		if err != nil {
			return nil, err
		}
		frame, err := b.travel(ctx, http.MethodGet, at, nil, p.URL, hops-1)
		if err != nil {
			return nil, fmt.Errorf("frame %s: %w", src, err)
		}
		p.Frames = append(p.Frames, frame)
	}
	if p.refresh != "" {
		return b.follow(ctx, http.MethodGet, p, p.refresh, nil, hops)
	}
	return p, nil
}

func (b *Browser) follow(ctx context.Context, method string, p *Page, to string, form url.Values, hops int) (*Page, error) {
	u, err := p.URL.Parse(to)
	if err != nil {
		return nil, err
	}
	next, err := b.travel(ctx, method, u, form, p.URL, hops-1)
	if next != nil {
		next.Frames = append(p.Frames, next.Frames...)
	}
	return next, err
}

func (b *Browser) request(ctx context.Context, method string, u *url.URL, form url.Values, from *url.URL) (*Page, error) {
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "text/html")
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if from != nil {
		sameSite := from.Hostname() == u.Hostname()
		site := "cross-site"
		if from.Scheme == u.Scheme && from.Host == u.Host {
			site = "same-origin"
		} else if sameSite {
			site = "same-site"
		}
		req.Header.Set("Sec-Fetch-Site", site)
		if method == http.MethodPost {
			req.Header.Set("Origin", from.Scheme+"://"+from.Host)
		}
	}
	resp, err := b.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxPage))
	if err != nil {
		return nil, err
	}
	p := &Page{URL: u, Status: resp.StatusCode, Header: resp.Header, Body: string(text)}
	if _, to, ok := strings.Cut(resp.Header.Get("Refresh"), "url="); ok {
		p.refresh = to
	}
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") {
		return p, p.read()
	}
	return p, nil
}

// Cookies returns what the browser would send to an address.
func (b *Browser) Cookies(at string) []*http.Cookie {
	u, err := url.Parse(at)
	if err != nil {
		return nil
	}
	return b.http.Jar.Cookies(u)
}

// errNoForm says that a page lacks what a person was to fill in.
var errNoForm = errors.New("the page has no such form")

// Press sends the form of the page that has the given field, with the values.
func (b *Browser) Press(ctx context.Context, p *Page, field string, values map[string][]string) (*Page, error) {
	f := p.FormWith(field)
	if f == nil {
		return p, fmt.Errorf("%s: %w: field %q", p.URL, errNoForm, field)
	}
	return b.patiently(ctx, p, f, values)
}
