package api

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quis-idp/quis/api/problem"
	"github.com/quis-idp/quis/identity"
)

func TestRequestHasAnIdentity(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	w := h.call("GET", "/echo", "", "X-Request-Id: forged", "X-Forwarded-For: 1.2.3.4")
	var s seen
	if err := json.Unmarshal(w.Body.Bytes(), &s); err != nil {
		t.Fatal(err)
	}
	if !identity.ValidID("req", s.RequestID) || w.Header().Get("X-Request-Id") != s.RequestID {
		t.Errorf("request ID %q, answered %q", s.RequestID, w.Header().Get("X-Request-Id"))
	}
	want := seen{Path: "/echo", Tenant: identity.DefaultTenant, Issuer: "https://id.example.com", RequestID: s.RequestID, IP: "203.0.113.9", Actor: "anonymous"}
	if d := cmp.Diff(want, s); d != "" {
		t.Error(d)
	}
	if got := h.seen(t, "GET", "/echo", "Remote: 10.0.0.1:80", "X-Request-Id: trace-7.a_B").RequestID; got != "trace-7.a_B" {
		t.Errorf("the request ID of a trusted proxy became %q", got)
	}
	for _, bad := range []string{"", "with space", "a\"b", strings.Repeat("x", 129), "ü"} {
		if got := h.seen(t, "GET", "/echo", "Remote: 10.0.0.1:80", "X-Request-Id: "+bad).RequestID; got == bad {
			t.Errorf("request ID %q was taken over", bad)
		}
	}
}

func TestAddressBehindProxies(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	for _, tc := range []struct {
		name, want string
		headers    []string
	}{
		{"no proxy", "203.0.113.9", nil},
		{"a stranger's header", "203.0.113.9", []string{"X-Forwarded-For: 1.2.3.4"}},
		{"one proxy", "198.51.100.7", []string{"Remote: 10.0.0.1:80", "X-Forwarded-For: 198.51.100.7"}},
		{"what the person wrote before", "198.51.100.7", []string{"Remote: 10.0.0.1:80", "X-Forwarded-For: 127.0.0.1, 198.51.100.7"}},
		{"two proxies", "198.51.100.7", []string{"Remote: 10.0.0.1:80", "X-Forwarded-For: 6.6.6.6, 198.51.100.7, 10.9.9.9"}},
		{"two headers", "198.51.100.7", []string{"Remote: 10.0.0.1:80", "X-Forwarded-For: 6.6.6.6", "X-Forwarded-For: 198.51.100.7,10.9.9.9"}},
		{"all trusted", "10.7.7.7", []string{"Remote: 10.0.0.1:80", "X-Forwarded-For: 10.7.7.7, 10.9.9.9"}},
		{"garbage", "10.9.9.9", []string{"Remote: 10.0.0.1:80", "X-Forwarded-For: 1.1.1.1, <script>, 10.9.9.9"}},
		{"with ports", "198.51.100.7", []string{"Remote: 10.0.0.1:80", "X-Forwarded-For: 198.51.100.7:4711"}},
		{"IPv6", "2001:db8::1", []string{"Remote: 10.0.0.1:80", "X-Forwarded-For: [2001:db8::1]:4711"}},
		{"IPv4 in IPv6", "198.51.100.7", []string{"Remote: [::ffff:10.0.0.1]:80", "X-Forwarded-For: ::ffff:198.51.100.7"}},
		{"Forwarded is not read", "10.0.0.1", []string{"Remote: 10.0.0.1:80", "Forwarded: for=1.2.3.4"}},
	} {
		if got := h.seen(t, "GET", "/echo", tc.headers...).IP; got != tc.want {
			t.Errorf("%s: %s, want %s", tc.name, got, tc.want)
		}
	}
}

func TestTenants(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	acme := h.tenant.ID
	for _, tc := range []struct{ target, tenant, path string }{
		{"/echo", identity.DefaultTenant, "/echo"},
		{"/t/acme/echo", acme, "/echo"},
		{"/t/acme/.well-known/openid-configuration", acme, "/.well-known/openid-configuration"},
		{"/.well-known/openid-configuration/t/acme", acme, "/.well-known/openid-configuration"},
		{"/.well-known/oauth-authorization-server/t/acme", acme, "/.well-known/oauth-authorization-server"},
		{"/.well-known/oauth-authorization-server/t/acme/", acme, "/.well-known/oauth-authorization-server"},
	} {
		got := h.seen(t, "GET", tc.target, "Host: evil.example")
		issuer := "https://id.example.com"
		if tc.tenant == acme {
			issuer += "/t/acme"
		}
		if got.Tenant != tc.tenant || got.Path != tc.path || got.Issuer != issuer {
			t.Errorf("%s: %+v", tc.target, got)
		}
	}
	for _, target := range []string{
		"/t/nobody/echo", "/t/ACME/echo", "/t/acme", "/t/", "/t//echo", "/t/acme/../echo", "/t/acme//echo",
		"/t/acme/t/acme/echo", "/t/acme/livez", "/.well-known/openid-configuration/t/nobody",
	} {
		if w := h.call("GET", target, ""); w.Code != http.StatusNotFound && (w.Code != http.StatusTemporaryRedirect || strings.HasPrefix(target, "/t/acme")) {
			t.Errorf("%s: %d, want 404", target, w.Code)
		}
	}
	w := h.call("GET", "/t/acme/folder?a=b", "")
	if got := w.Header().Get("Location"); w.Code != 307 || got != "/t/acme/folder/?a=b" {
		t.Errorf("redirect to %q (%d) leaves the tenant", got, w.Code)
	}
}

func TestWhatNobodyServes(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	const browser = "Accept: text/html,application/xhtml+xml,*/*;q=0.8"
	for _, tc := range []struct {
		method, target, accept string
		status                 int
		kind, contains         string
	}{
		{"GET", "/nothing", browser, 404, "text/html; charset=utf-8", "There is nothing here"},
		{"GET", "/nothing", "Accept: application/json", 404, "application/problem+json", problem.TypeNotFound},
		{"GET", "/nothing", "Accept: text/html;q=0, */*", 404, "application/problem+json", problem.TypeNotFound},
		{"DELETE", "/echo", browser, 405, "text/html; charset=utf-8", "That does not work here"},
		{"DELETE", "/echo", "X: y", 405, "application/problem+json", problem.TypeMethod},
		{"GET", "/t/nobody/", browser, 404, "text/html; charset=utf-8", "There is nothing here"},
		{"GET", "/assets/quis-old.css", "X: y", 404, "application/problem+json", problem.TypeNotFound},
	} {
		w := h.call(tc.method, tc.target, "", tc.accept)
		if w.Code != tc.status || w.Header().Get("Content-Type") != tc.kind || !strings.Contains(w.Body.String(), tc.contains) {
			t.Errorf("%s %s: %d %s %s", tc.method, tc.target, w.Code, w.Header().Get("Content-Type"), w.Body)
		}
		if !strings.Contains(w.Body.String(), w.Header().Get("X-Request-Id")) {
			t.Errorf("%s %s: the answer does not tell its ID", tc.method, tc.target)
		}
		if tc.status == 405 && w.Header().Get("Allow") != "GET, HEAD, POST" {
			t.Errorf("Allow: %q", w.Header().Get("Allow"))
		}
	}
}

func TestPanicIsAnsweredLoggedAndCounted(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	w := h.call("GET", "/panic", "", "Accept: text/html")
	if w.Code != 500 || strings.Contains(w.Body.String(), "roof") || !strings.Contains(w.Body.String(), w.Header().Get("X-Request-Id")) {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	for _, want := range []string{"the roof is on fire", w.Header().Get("X-Request-Id"), "api_test.go", "level=ERROR"} {
		if !strings.Contains(h.log.String(), want) {
			t.Errorf("the log lacks %q: %s", want, h.log)
		}
	}
	if w := h.call("GET", "/t/acme/panic", ""); w.Code != 500 || w.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	m := httptest.NewRecorder()
	h.Operations.ServeHTTP(m, httptest.NewRequest("GET", "/metrics", nil))
	for _, want := range []string{"quis_http_panics_total 2", `quis_http_requests_total{code="500",method="GET",route="/panic"} 2`, "quis_http_in_flight_requests 0"} {
		if !strings.Contains(m.Body.String(), want) {
			t.Errorf("metrics lack %s", want)
		}
	}
	s := httptest.NewServer(h.Public)
	t.Cleanup(s.Close)
	resp, err := http.Get(s.URL + "/half")
	if err == nil {
		defer resp.Body.Close()
		if b, err := io.ReadAll(resp.Body); err == nil {
			t.Errorf("half an answer passed for a whole one: %q", b)
		}
	}
}

func TestBodyLimits(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	const form, js = "Content-Type: application/x-www-form-urlencoded; charset=utf-8", "Content-Type: application/json"
	for _, tc := range []struct {
		kind   string
		size   int
		status int
	}{{form, maxForm, 200}, {form, maxForm + 1, 413}, {js, maxForm + 1, 200}, {js, maxBody, 200}, {js, maxBody + 1, 413}} {
		body := strings.Repeat("x", tc.size)
		if w := h.call("POST", "/echo", body, tc.kind); w.Code != tc.status {
			t.Errorf("%s, %d bytes: %d, want %d", tc.kind, tc.size, w.Code, tc.status)
		}
		r := httptest.NewRequest("POST", "/echo", io.NopCloser(strings.NewReader(body))) // chunked
		r.ContentLength = -1
		name, value, _ := strings.Cut(tc.kind, ": ")
		r.Header.Set(name, value)
		w := httptest.NewRecorder()
		h.Public.ServeHTTP(w, r)
		if w.Code != tc.status {
			t.Errorf("%s, %d bytes, length not told: %d, want %d", tc.kind, tc.size, w.Code, tc.status)
		}
	}
}

func TestCrossOrigin(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(c *Config) { c.CrossOrigin = []string{"/t-only/{x}"} })
	for _, tc := range []struct {
		name, method, target string
		status               int
		headers              []string
	}{
		{"another site's form", "POST", "/echo", 403, []string{"Sec-Fetch-Site: cross-site"}},
		{"a sibling domain's form", "POST", "/echo", 403, []string{"Sec-Fetch-Site: same-site"}},
		{"an old browser", "POST", "/echo", 403, []string{"Origin: https://evil.example"}},
		{"a hidden origin", "POST", "/echo", 403, []string{"Origin: null"}},
		{"in a tenant", "POST", "/t/acme/echo", 403, []string{"Sec-Fetch-Site: cross-site"}},
		{"our own form", "POST", "/echo", 200, []string{"Sec-Fetch-Site: same-origin"}},
		{"our own form behind a proxy that changes Host", "POST", "/echo", 200, []string{"Origin: https://id.example.com"}},
		{"a program", "POST", "/echo", 200, nil},
		{"reading", "GET", "/echo", 200, []string{"Sec-Fetch-Site: cross-site"}},
		{"the token endpoint, from an application in the browser", "POST", "/oauth2/token", 200, []string{"Sec-Fetch-Site: cross-site"}},
		{"that of a tenant", "POST", "/t/acme/oauth2/token", 200, []string{"Sec-Fetch-Site: cross-site", "Origin: https://app.example"}},
	} {
		if w := h.call(tc.method, tc.target, "", tc.headers...); w.Code != tc.status {
			t.Errorf("%s: %d, want %d", tc.name, w.Code, tc.status)
		}
	}
}

// TestHeaders: also after an answer that had others.
func TestHeaders(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	if got := h.call("GET", "/tight", "").Header(); got.Get("Referrer-Policy") != "no-referrer" || len(got["Permissions-Policy"]) != 2 || got.Get("Cross-Origin-Opener-Policy") != "" {
		t.Errorf("a handler has not its way: %v", got)
	}
	for _, target := range []string{"/echo", "/nothing", "/panic", "/t/acme/echo", "/livez"} {
		got := h.call("GET", target, "", "Accept: text/html").Header()
		for name, want := range map[string]string{
			"Content-Security-Policy":      "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'",
			"Strict-Transport-Security":    "max-age=63072000",
			"X-Content-Type-Options":       "nosniff",
			"Referrer-Policy":              "same-origin",
			"Cross-Origin-Opener-Policy":   "same-origin",
			"Cross-Origin-Resource-Policy": "same-origin",
			"Permissions-Policy":           "camera=(), geolocation=(), microphone=(), payment=(), usb=(), browsing-topics=()",
		} {
			if g := got.Get(name); g != want {
				t.Errorf("%s: %s: %q, want %q", target, name, g, want)
			}
		}
	}
	plain := newHouse(t, func(c *Config) { c.PublicURL = "http://localhost:8080/" })
	if got := plain.call("GET", "/echo", "").Header().Get("Strict-Transport-Security"); got != "" {
		t.Errorf("HSTS without https: %q", got)
	}
	if got := plain.seen(t, "GET", "/echo").Issuer; got != "http://localhost:8080" {
		t.Errorf("issuer %q", got)
	}
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "id.example.com", "ftp://id.example.com", "https://", "https://id.example.com/auth", "https://u:p@id.example.com", "https://id.example.com?x=y", "https://id.example.com#x"} {
		if u, err := origin(bad); err == nil {
			t.Errorf("public URL %q was taken for %s", bad, u)
		}
	}
	if _, err := New(Config{PublicURL: "https://id.example.com"}); err == nil {
		t.Error("a front door without a house behind it")
	}
}

func FuzzSplit(f *testing.F) {
	for _, s := range []string{"/t/acme/x", "/t/acme", "/t/../x", "/.well-known/a/t/acme", "/.well-known//t/a", "/t/a/t/b/", "//t/a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, p string) {
		slug, path, ok := split(p)
		if !ok {
			return
		}
		if !plausible(slug) || !strings.HasPrefix(path, "/") || !strings.Contains(p, "/t/"+slug) {
			t.Errorf("%q: slug %q, path %q", p, slug, path)
		}
		if u, err := url.Parse(path); err == nil && strings.HasPrefix(p, "/.well-known/") && u.Host != "" {
			t.Errorf("%q leads out: %q", p, path)
		}
	})
}

func FuzzHop(f *testing.F) {
	for _, s := range []string{"1.2.3.4", "1.2.3.4:80", "[::1]:80", "::1", "unknown", "_hidden", "", "fe80::1%eth0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if a, ok := parseHop(s); ok && (!a.IsValid() || a.Zone() != "" || a.Is4In6()) {
			t.Errorf("%q became %v", s, a)
		}
	})
}
