package pagetest

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// A Browser is somebody's browser, without JavaScript: it keeps cookies, and follows nothing by itself.
type Browser struct {
	T      testing.TB
	URL    string // of the server, without a path
	Agent  string // the User-Agent; "": Go's
	Cookie http.CookieJar
	client *http.Client
}

// NewBrowser returns a browser without cookies.
func NewBrowser(t testing.TB, url string) *Browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	own := &http.Transport{} // whenever one of httptest's servers is closed, it closes what is idle of the default one, under others' feet
	t.Cleanup(own.CloseIdleConnections)
	return &Browser{T: t, URL: url, Cookie: jar, client: &http.Client{
		Transport: own, Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Over sends what the browser sends over another transport, one that has a certificate for example.
func (b *Browser) Over(t http.RoundTripper) { b.client.Transport = t }

// An Answer is a response that has been read.
type Answer struct {
	*http.Response
	Page string
}

// Send asks for a path, with a form unless it is nil, and with these headers besides a browser's.
func (b *Browser) Send(method, path string, form url.Values, header http.Header) Answer {
	b.T.Helper()
	r, err := http.NewRequestWithContext(b.T.Context(), method, b.URL+path, strings.NewReader(form.Encode()))
	if err != nil {
		b.T.Fatal(err)
	}
	if b.Agent != "" {
		r.Header.Set("User-Agent", b.Agent)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for k, v := range header {
		r.Header[k] = v
	}
	return b.Do(r)
}

// Do sends a request, which asks for a page.
func (b *Browser) Do(r *http.Request) Answer {
	b.T.Helper()
	r.Header.Set("Accept", "text/html")
	resp, err := b.client.Do(r)
	if err != nil {
		b.T.Fatal(err)
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	if err != nil {
		b.T.Fatal(err)
	}
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") {
		Told(b.T, r.Method+" "+r.URL.Path, string(page))
	}
	return Answer{resp, string(page)}
}

// Get asks for a page.
func (b *Browser) Get(path string) Answer {
	b.T.Helper()
	return b.Send(http.MethodGet, path, nil, nil)
}

// Post sends a form.
func (b *Browser) Post(path string, form url.Values) Answer {
	b.T.Helper()
	return b.Send(http.MethodPost, path, form, nil)
}

// SignIn follows an answer that wants it to the sign-in page under base, a tenant's path, and
// returns where that leads.
func (b *Browser) SignIn(a Answer, base, name, password string) string {
	b.T.Helper()
	to := a.Header.Get("Location")
	if a.StatusCode != http.StatusSeeOther || !strings.HasPrefix(to, base+"/login?flow=") {
		b.T.Fatalf("%d leads to %q, not to sign-in: %s", a.StatusCode, to, a.Page)
	}
	flow := b.Get(to).Hidden("flow")
	if len(flow) == 0 {
		b.T.Fatal("no form to sign in with")
	}
	done := b.Post(base+"/login", url.Values{"flow": flow[:1], "username": {name}, "password": {password}})
	back, ok := strings.CutPrefix(done.Header.Get("Refresh"), "0; url=")
	if !ok {
		b.T.Fatalf("not signed in: %d %s", done.StatusCode, done.Page)
	}
	return back
}

// Hidden returns the values of the hidden fields of that name, a regular expression.
func (a Answer) Hidden(name string) (values []string) {
	for _, m := range regexp.MustCompile(`<input type="hidden" name="(?:`+name+`)" value="([^"]+)">`).FindAllStringSubmatch(a.Page, -1) {
		values = append(values, m[1])
	}
	return values
}

// Want checks the status and what the page says.
func (a Answer) Want(t testing.TB, status int, contains ...string) Answer {
	t.Helper()
	if a.StatusCode != status {
		t.Fatalf("%s %s: %d, want %d: %s", a.Request.Method, a.Request.URL.Path, a.StatusCode, status, a.Page)
	}
	for _, c := range contains {
		if !strings.Contains(a.Page, c) {
			t.Errorf("%s %s lacks %q: %s", a.Request.Method, a.Request.URL.Path, c, a.Page)
		}
	}
	return a
}

// Leads checks where the answer leads.
func (a Answer) Leads(t testing.TB, to string) {
	t.Helper()
	if got := a.Want(t, http.StatusSeeOther).Header.Get("Location"); !strings.HasPrefix(got, to) {
		t.Errorf("%s %s leads to %s, want %s", a.Request.Method, a.Request.URL.Path, got, to)
	}
}

// One returns what the group of a pattern matches in the page, which must be there.
func (a Answer) One(t testing.TB, pattern string) string {
	t.Helper()
	m := regexp.MustCompile(pattern).FindStringSubmatch(a.Page)
	if m == nil {
		t.Fatalf("%s lacks %s: %s", a.Request.URL.Path, pattern, a.Page)
	}
	return m[1]
}
