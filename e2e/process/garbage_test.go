package process

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/quis-idp/quis/e2e/testbed"
)

const apiToken = "quis_pat_0123456789abcdef0123456789abcdef"

// TestGarbageRequests sends a node what no honest client would. Every answer has the
// status that its protocol wants; none is a fault of ours, and none repeats a secret.
func TestGarbageRequests(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.start()
	tokens := s.signIn()
	t.Run("at once", func(t *testing.T) {
		for name, test := range map[string]func(*testing.T, *server, *testbed.Tokens){
			"too large":         tooLarge,
			"bearer tokens":     garbageBearers,
			"token endpoint":    garbageGrants,
			"introspection":     garbageIntrospection,
			"authorize":         garbageAuthorize,
			"flows and cookies": garbageFlows,
			"admin API":         garbageAdmin,
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				test(t, s, tokens)
			})
		}
	})
	if _, err := web.Refresh(t.Context(), s.public(), tokens.RefreshToken); err != nil {
		t.Errorf("an honest refresh afterwards: %v", err)
	}
	s.stop()
	if out := s.stderr.String(); strings.Contains(out, `"level":"ERROR"`) {
		t.Errorf("strangers made the node log errors:\n%.3000s", out)
	}
}

// A request is one question to a node.
type request struct {
	method, path, body string
	header             map[string]string
}

// ask sends q and returns the answer with its whole body. A 5xx is a failure.
func (s *server) ask(t *testing.T, q request) (*http.Response, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, q.method, s.public()+q.path, strings.NewReader(q.body))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(q.body, "=") {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for k, v := range q.header {
		req.Header.Set(k, v)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatalf("%s %.80s: %v", q.method, q.path, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %.80s: %v", q.method, q.path, err)
	}
	if resp.StatusCode >= 500 {
		t.Errorf("%s %.80s %.80q: %d\n%.500s", q.method, q.path, q.body, resp.StatusCode, b)
	}
	for _, secret := range secrets {
		if strings.Contains(string(b), secret) {
			t.Errorf("%s %.80s: the answer holds a secret (%.4s…)", q.method, q.path, secret)
		}
	}
	return resp, string(b)
}

// wants checks status and, unless empty, a part of the body.
func (s *server) wants(t *testing.T, q request, status int, part string) *http.Response {
	t.Helper()
	resp, body := s.ask(t, q)
	if resp.StatusCode != status || !strings.Contains(body, part) {
		t.Errorf("%s %.80s %.80q: %d, want %d and %q\n%.500s", q.method, q.path, q.body, resp.StatusCode, status, part, body)
	}
	return resp
}

func basic(a testbed.Application) map[string]string {
	return map[string]string{"Authorization": "Basic " + base64.StdEncoding.EncodeToString([]byte(a.ClientID+":"+a.Secret))}
}

func bearer(token string) map[string]string {
	return map[string]string{"Authorization": "Bearer " + token}
}

func tooLarge(t *testing.T, s *server, _ *testbed.Tokens) {
	form := "grant_type=client_credentials&scope=" + strings.Repeat("a", 2<<20)
	for _, path := range []string{"/oauth2/token", "/oauth2/introspect", "/oauth2/revoke", "/oauth2/authorize", "/login", "/logout"} {
		s.wants(t, request{method: "POST", path: path, body: form, header: basic(web)}, http.StatusRequestEntityTooLarge, "")
	}
	h := bearer(apiToken)
	h["Content-Type"] = "application/json"
	s.wants(t, request{method: "POST", path: "/api/v1/users", body: `{"username":"` + strings.Repeat("a", 2<<20) + `"}`, header: h}, http.StatusRequestEntityTooLarge, "TypeTooLarge")
	s.wants(t, request{method: "GET", path: "/login", header: map[string]string{"X-Long": strings.Repeat("a", 64<<10)}}, http.StatusRequestHeaderFieldsTooLarge, "")
	s.wants(t, request{method: "GET", path: "/login?flow=" + strings.Repeat("a", 64<<10)}, http.StatusRequestHeaderFieldsTooLarge, "")

	// A body of unknown length is cut off at the limit.
	r, w := io.Pipe()
	go func() {
		for err := error(nil); err == nil; {
			_, err = w.Write(bytes.Repeat([]byte("a=b&"), 4096))
		}
	}()
	defer r.Close()
	req, err := http.NewRequestWithContext(t.Context(), "POST", s.public()+"/oauth2/token", r)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if resp, err := http.DefaultTransport.RoundTrip(req); err == nil { // else the node has hung up while we wrote
		resp.Body.Close()
		if resp.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("endless body: %d, want 413", resp.StatusCode)
		}
	}
}

// garbage returns texts that are no token, some of them nearly one.
func garbage(real ...string) []string {
	none := base64.RawURLEncoding.EncodeToString
	out := []string{
		"x", "..", "a.b.c", "%00", "\x80\xff", "null", "' OR 1=1 --", "../../etc/passwd", "quis_pat_", "quis_pat_" + strings.Repeat("0", 32),
		strings.Repeat("a", 8<<10), strings.Repeat(".", 1000), "eyJhbGciOiJub25lIn0.e30.",
		none([]byte(`{"alg":"none","typ":"at+jwt"}`)) + "." + none([]byte(`{"sub":"usr_x","iss":"http://localhost:8080","exp":9999999999}`)) + ".",
		none([]byte(`{"alg":"HS256","typ":"at+jwt"}`)) + "." + none([]byte(`{"exp":9999999999}`)) + "." + none(make([]byte, 32)),
		none([]byte(`{"alg":"ES256","typ":"at+jwt","jwk":{"kty":"EC"}}`)) + "." + none([]byte(`{}`)) + "." + none(make([]byte, 64)),
	}
	for _, token := range real {
		out = append(out, token[:len(token)/2], token[1:], token+"A", token+".", strings.ToUpper(token))
		for _, at := range []int{0, len(token) / 3, len(token) / 2, len(token) - 3} { // the last characters may hold unused bits
			b := []byte(token)
			if b[at] ^= 1; b[at] != '.' {
				out = append(out, string(b))
			}
		}
	}
	return out
}

func garbageBearers(t *testing.T, s *server, tokens *testbed.Tokens) {
	resp := s.wants(t, request{method: "GET", path: "/oauth2/userinfo"}, http.StatusUnauthorized, "")
	if c := resp.Header.Get("WWW-Authenticate"); !strings.HasPrefix(c, "Bearer") || strings.Contains(c, "error=") {
		t.Errorf("userinfo without a token: WWW-Authenticate %q (RFC 6750 §3.1 wants no error code)", c)
	}
	for _, token := range append(garbage(tokens.AccessToken), tokens.IDToken, tokens.RefreshToken, apiToken) {
		resp := s.wants(t, request{method: "GET", path: "/oauth2/userinfo", header: bearer(token)}, http.StatusUnauthorized, "")
		if c := resp.Header.Get("WWW-Authenticate"); !strings.HasPrefix(c, "Bearer") || !strings.Contains(c, `error="invalid_token"`) {
			t.Errorf("userinfo with %.40q: WWW-Authenticate %q", token, c)
		}
	}
	for _, h := range []string{"Basic x", "Bearer", "Bearer a b", "Digest username=x", "\t", strings.Repeat("Bearer ", 100)} {
		s.wants(t, request{method: "GET", path: "/oauth2/userinfo", header: map[string]string{"Authorization": h}}, http.StatusUnauthorized, "")
	}
	s.wants(t, request{method: "GET", path: "/oauth2/userinfo", header: bearer(tokens.AccessToken)}, http.StatusOK, "tester@example.com")
}

func garbageGrants(t *testing.T, s *server, tokens *testbed.Tokens) {
	post := func(form url.Values, header map[string]string, status int, code string) *http.Response {
		t.Helper()
		return s.wants(t, request{method: "POST", path: "/oauth2/token", body: form.Encode(), header: header}, status, `"`+code+`"`)
	}
	for _, g := range garbage(tokens.RefreshToken) {
		post(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {g}}, basic(web), 400, "invalid_grant")
	}
	for _, g := range garbage(tokens.AccessToken) {
		post(url.Values{"grant_type": {"authorization_code"}, "code": {g}, "redirect_uri": {web.RedirectURI}, "code_verifier": {strings.Repeat("v", 43)}}, basic(web), 400, "invalid_grant")
	}
	post(url.Values{"grant_type": {"password"}, "username": {"tester"}, "password": {"x"}}, basic(web), 400, "unsupported_grant_type")
	post(url.Values{"grant_type": {""}}, basic(web), 400, "invalid_request")
	post(url.Values{"grant_type": {"refresh_token", "refresh_token"}, "refresh_token": {"x"}}, basic(web), 400, "invalid_request")
	post(url.Values{"grant_type": {"client_credentials"}, "scope": {"\x00 \xff"}}, basic(web), 400, "invalid_scope")
	for _, a := range []testbed.Application{{ClientID: "web", Secret: "wrong"}, {ClientID: "nobody", Secret: "x"}, {ClientID: "\x00", Secret: "\xff"}, {}} {
		resp := post(url.Values{"grant_type": {"client_credentials"}}, basic(a), 401, "invalid_client")
		if c := resp.Header.Get("WWW-Authenticate"); !strings.HasPrefix(c, "Basic") {
			t.Errorf("%q: WWW-Authenticate %q (RFC 6749 §5.2)", a.ClientID, c)
		}
	}
	for _, h := range []string{"Basic", "Basic !!!", "Basic " + strings.Repeat("A", 9000)} {
		resp, body := s.ask(t, request{method: "POST", path: "/oauth2/token", body: "grant_type=client_credentials", header: map[string]string{"Authorization": h}})
		if resp.StatusCode != 401 && resp.StatusCode != 400 {
			t.Errorf("%.20q: %d %s", h, resp.StatusCode, body)
		}
	}
	for _, body := range []string{"", "%", "=&=&=", "grant_type", "\x00", `{"grant_type":"client_credentials"}`, strings.Repeat("a=b&", 5000)} {
		resp, text := s.ask(t, request{method: "POST", path: "/oauth2/token", body: body, header: basic(web)})
		if resp.StatusCode != 400 {
			t.Errorf("%.20q: %d, want 400: %s", body, resp.StatusCode, text)
		}
	}
}

func garbageIntrospection(t *testing.T, s *server, tokens *testbed.Tokens) {
	for _, path := range []string{"/oauth2/introspect", "/oauth2/revoke"} {
		for _, header := range []map[string]string{nil, bearer("x"), basic(testbed.Application{ClientID: "web", Secret: "wrong"})} {
			resp := s.wants(t, request{method: "POST", path: path, body: "token=x", header: header}, http.StatusUnauthorized, "invalid_client")
			if header != nil && resp.Header.Get("WWW-Authenticate") == "" {
				t.Errorf("%s: 401 without WWW-Authenticate", path)
			}
		}
		s.wants(t, request{method: "POST", path: path, body: "token_type_hint=x", header: basic(web)}, http.StatusBadRequest, "invalid_request")
	}
	for _, g := range garbage(tokens.AccessToken, tokens.RefreshToken) {
		form := url.Values{"token": {g}}.Encode()
		_, body := s.ask(t, request{method: "POST", path: "/oauth2/introspect", body: form, header: basic(web)})
		var answer map[string]any
		if err := json.Unmarshal([]byte(body), &answer); err != nil || len(answer) != 1 || answer["active"] != false {
			t.Errorf("introspect %.40q: %s, want active false and nothing else (RFC 7662 §2.2)", g, body)
		}
		s.wants(t, request{method: "POST", path: "/oauth2/revoke", body: form, header: basic(web)}, http.StatusOK, "") // RFC 7009 §2.2
	}
}

func garbageAuthorize(t *testing.T, s *server, _ *testbed.Tokens) {
	good := url.Values{"response_type": {"code"}, "client_id": {"web"}, "redirect_uri": {web.RedirectURI}, "scope": {"openid"}, "state": {"12345678"},
		"code_challenge": {strings.Repeat("c", 43)}, "code_challenge_method": {"S256"}}
	with := func(k, v string) string {
		q := url.Values{}
		for name, values := range good {
			q[name] = values
		}
		q[k] = []string{v}
		return "/oauth2/authorize?" + q.Encode()
	}
	for _, evil := range []string{"http://evil.example/", "javascript:alert(1)", "//evil.example", web.RedirectURI + "/../x", web.RedirectURI + "#x", "\x00", ""} {
		resp := s.wants(t, request{method: "GET", path: with("redirect_uri", evil)}, http.StatusBadRequest, "")
		if resp.Header.Get("Location") != "" || resp.Header.Get("Refresh") != "" {
			t.Errorf("redirect_uri %q: led to %q %q", evil, resp.Header.Get("Location"), resp.Header.Get("Refresh"))
		}
	}
	s.wants(t, request{method: "GET", path: with("client_id", "nobody\x00")}, http.StatusBadRequest, "")
	s.wants(t, request{method: "GET", path: "/oauth2/authorize?%zz"}, http.StatusBadRequest, "")
	for k, v := range map[string]string{"response_type": "tokken", "scope": "openid \xff", "code_challenge": "short", "code_challenge_method": "S1024",
		"prompt": "none login", "max_age": "-1", "request": "x", "request_uri": "http://127.0.0.1/", "response_mode": "web_message"} {
		resp := s.wants(t, request{method: "GET", path: with(k, v)}, http.StatusSeeOther, "")
		if to := resp.Header.Get("Location"); !strings.HasPrefix(to, web.RedirectURI) || !strings.Contains(to, "error=") {
			t.Errorf("%s=%q: led to %q, want an error at the application", k, v, to)
		}
	}
}

func garbageFlows(t *testing.T, s *server, tokens *testbed.Tokens) {
	start := request{method: "GET", path: "/oauth2/authorize?" + url.Values{"response_type": {"code"}, "client_id": {"web"}, "redirect_uri": {web.RedirectURI},
		"scope": {"openid"}, "state": {"12345678"}, "code_challenge": {strings.Repeat("c", 43)}, "code_challenge_method": {"S256"}}.Encode()}
	for _, g := range garbage(tokens.RefreshToken) {
		start.header = map[string]string{"Cookie": fmt.Sprintf("quis_session=%s; __Host-quis_session=%[1]s; quis_flow=%[1]s", url.QueryEscape(g))}
		resp := s.wants(t, start, http.StatusSeeOther, "")
		if to := resp.Header.Get("Location"); !strings.HasPrefix(strings.TrimPrefix(to, s.public()), "/login") {
			t.Errorf("a made-up session cookie led to %q", to)
		}
		for _, path := range []string{"/login?flow=" + url.QueryEscape(g), "/setup/" + url.PathEscape(g), "/logout?flow=" + url.QueryEscape(g)} {
			if resp, body := s.ask(t, request{method: "GET", path: path, header: start.header}); resp.StatusCode >= 500 {
				t.Errorf("GET %.60s: %d %s", path, resp.StatusCode, body)
			}
		}
		resp, body := s.ask(t, request{method: "POST", path: "/login", header: start.header,
			body: url.Values{"flow": {g}, "username": {"tester"}, "password": {"correct horse battery"}}.Encode()})
		if resp.StatusCode < 400 || strings.Contains(strings.Join(resp.Header.Values("Set-Cookie"), " "), "session=") {
			t.Errorf("sign-in with a made-up flow: %d %.300s", resp.StatusCode, body)
		}
	}
}

func garbageAdmin(t *testing.T, s *server, tokens *testbed.Tokens) {
	for _, token := range append(garbage(tokens.AccessToken), "", tokens.IDToken, tokens.RefreshToken) {
		resp := s.wants(t, request{method: "GET", path: "/api/v1/users", header: bearer(token)}, http.StatusUnauthorized, "TypeUnauthenticated")
		if c := resp.Header.Get("WWW-Authenticate"); !strings.HasPrefix(c, "Bearer") {
			t.Errorf("admin API with %.40q: WWW-Authenticate %q", token, c)
		}
	}
	h := bearer(apiToken)
	h["Content-Type"] = "application/json"
	for _, body := range []string{"", "{", "[]", "null", `"x"`, `{"username":1}`, `{"usrname":"x"}`, `{"username":"\u0000"}`, `{"username":"x"}{}`, "\x80", strings.Repeat("[", 100_000)} {
		s.wants(t, request{method: "POST", path: "/api/v1/users", body: body, header: h}, http.StatusBadRequest, "TypeInvalid")
	}
	h["Content-Type"] = "application/xml"
	s.wants(t, request{method: "POST", path: "/api/v1/users", body: "<x/>", header: h}, http.StatusUnsupportedMediaType, "TypeMediaType")
	for _, path := range []string{"/api/v1/users?cursor=garbage", "/api/v1/users?limit=-1", "/api/v1/users?limit=x", "/api/v1/events?after=garbage"} {
		s.wants(t, request{method: "GET", path: path, header: bearer(apiToken)}, http.StatusBadRequest, "TypeInvalid")
	}
	for _, id := range []string{"x", "%00", "usr_", "..%2f..%2fetc", "%ff"} {
		s.wants(t, request{method: "GET", path: "/api/v1/users/" + id, header: bearer(apiToken)}, http.StatusNotFound, "TypeNotFound")
	}
	s.wants(t, request{method: "GET", path: "/api/v1/users/" + strings.Repeat("a", 5000), header: bearer(apiToken)}, http.StatusBadRequest, "TypeInvalid")
	s.wants(t, request{method: "BREW", path: "/api/v1/users", header: bearer(apiToken)}, http.StatusMethodNotAllowed, "TypeMethod")
	s.wants(t, request{method: "GET", path: "/api/v1/nothing", header: bearer(apiToken)}, http.StatusNotFound, "TypeNotFound")
}
