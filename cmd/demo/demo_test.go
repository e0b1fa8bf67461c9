package demo_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quis-idp/quis/cmd/demo"
)

// A provider is a small stand-in for quis: it gives what a test tells it to.
type provider struct {
	*httptest.Server
	key *ecdsa.PrivateKey

	mu        sync.Mutex // guards the rest
	challenge string     // of the last authorization
	claims    map[string]any
	forms     []url.Values // what the token endpoint got
	refuse    string       // OAuth error of the token endpoint
}

func newProvider(t *testing.T) *provider {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p := &provider{key: key}
	mux := http.NewServeMux()
	answer := func(pattern string, f func(r *http.Request) (int, any)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			p.mu.Lock()
			defer p.mu.Unlock()
			status, body := f(r)
			w.WriteHeader(status)
			json.NewEncoder(w).Encode(body)
		})
	}
	answer("GET /.well-known/openid-configuration", func(*http.Request) (int, any) {
		return 200, map[string]string{"issuer": p.URL, "authorization_endpoint": p.URL + "/authorize", "token_endpoint": p.URL + "/token",
			"userinfo_endpoint": p.URL + "/userinfo", "end_session_endpoint": p.URL + "/logout", "jwks_uri": p.URL + "/jwks"}
	})
	answer("GET /jwks", func(*http.Request) (int, any) {
		point, err := key.PublicKey.Bytes()
		if err != nil {
			t.Error(err)
		}
		return 200, map[string]any{"keys": []any{map[string]string{"kty": "EC", "crv": "P-256", "kid": "k1", "alg": "ES256", "x": b64(point[1:33]), "y": b64(point[33:])}}}
	})
	answer("POST /token", func(r *http.Request) (int, any) {
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		p.forms = append(p.forms, r.PostForm)
		if p.refuse != "" {
			return 400, map[string]string{"error": p.refuse, "error_description": "so it is"}
		}
		return 200, map[string]any{"access_token": "opaque-access", "id_token": p.sign(t, p.claims), "refresh_token": "next-refresh", "scope": "openid", "expires_in": 60}
	})
	answer("GET /userinfo", func(r *http.Request) (int, any) {
		if r.Header.Get("Authorization") != "Bearer opaque-access" {
			return 401, nil
		}
		return 200, map[string]string{"sub": "usr_1", "nickname": "from-userinfo"}
	})
	p.Server = httptest.NewServer(mux)
	t.Cleanup(p.Close)
	return p
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func (p *provider) sign(t *testing.T, claims map[string]any) string {
	body, err := json.Marshal(claims)
	if err != nil {
		t.Error(err)
	}
	signed := b64([]byte(`{"alg":"ES256","kid":"k1"}`)) + "." + b64(body)
	digest := sha256.Sum256([]byte(signed))
	der, err := p.key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		t.Error(err)
	}
	return signed + "." + b64(rawSignature(t, der))
}

// A visitor is a browser at the demo.
type visitor struct {
	t    *testing.T
	url  string
	http *http.Client
	p    *provider
}

func newVisitor(t *testing.T) *visitor {
	p := newProvider(t)
	front := httptest.NewUnstartedServer(nil)
	at := "http://" + front.Listener.Addr().String()
	front.Config.Handler = demo.New(demo.Config{Issuer: p.URL, ClientID: "demo", URL: at, Logger: slog.New(slog.DiscardHandler)})
	front.Start()
	t.Cleanup(front.Close)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &visitor{t: t, url: front.URL, p: p, http: &http.Client{Transport: front.Client().Transport, Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// get and post return where the answer sends the browser, and the page.
func (v *visitor) get(path string) (string, string)  { return v.do(http.MethodGet, path) }
func (v *visitor) post(path string) (string, string) { return v.do(http.MethodPost, path) }

func (v *visitor) do(method, path string) (string, string) {
	v.t.Helper()
	req, err := http.NewRequestWithContext(v.t.Context(), method, v.url+path, nil)
	if err != nil {
		v.t.Fatal(err)
	}
	resp, err := v.http.Do(req)
	if err != nil {
		v.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	return resp.Header.Get("Location"), string(body)
}

// begin starts a sign-in and returns the request that the provider would get.
func (v *visitor) begin() url.Values {
	v.t.Helper()
	to, _ := v.get("/signin")
	u, err := url.Parse(to)
	if err != nil || !strings.HasPrefix(to, v.p.URL+"/authorize?") {
		v.t.Fatalf("sent to %q", to)
	}
	q := u.Query()
	v.p.mu.Lock()
	defer v.p.mu.Unlock()
	v.p.challenge = q.Get("code_challenge")
	v.p.claims = map[string]any{"iss": v.p.URL, "aud": "demo", "sub": "usr_1", "name": "Test User", "nonce": q.Get("nonce"),
		"iat": time.Now().Unix(), "exp": time.Now().Add(time.Minute).Unix()}
	return q
}

func (v *visitor) callback(q url.Values) string {
	v.t.Helper()
	v.get("/callback?" + q.Encode())
	_, page := v.get("/")
	return page
}

func TestSignInRefreshUserinfoSignOut(t *testing.T) {
	t.Parallel()
	v := newVisitor(t)
	q := v.begin()
	if q.Get("code_challenge_method") != "S256" || q.Get("response_type") != "code" || q.Get("client_id") != "demo" || q.Get("redirect_uri") != v.url+"/callback" {
		t.Errorf("asked for %v", q)
	}
	page := v.callback(url.Values{"code": {"c"}, "state": q["state"], "iss": {v.p.URL}})
	for _, want := range []string{"Hello, Test User", "&#34;sub&#34;: &#34;usr_1&#34;", "Refresh tokens", "Sign out"} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q on the page", want)
		}
	}
	if sum := sha256.Sum256([]byte(v.p.forms[0].Get("code_verifier"))); b64(sum[:]) != v.p.challenge {
		t.Error("the verifier does not fit the challenge")
	}
	v.post("/refresh")
	if _, page := v.get("/"); !strings.Contains(page, "number 1") || v.p.forms[1].Get("refresh_token") != "next-refresh" {
		t.Error("not refreshed")
	}
	v.post("/userinfo")
	if _, page := v.get("/"); !strings.Contains(page, "from-userinfo") {
		t.Error("no userinfo")
	}
	to, _ := v.post("/signout")
	if u, err := url.Parse(to); err != nil || u.Query().Get("id_token_hint") == "" || u.Query().Get("post_logout_redirect_uri") != v.url+"/" {
		t.Errorf("signed out at %q", to)
	}
	if _, page := v.get("/"); strings.Contains(page, "Hello") || !strings.Contains(page, "Sign in with quis") {
		t.Error("still signed in")
	}
}

func TestAnswersThatMustBeRefused(t *testing.T) {
	t.Parallel()
	for want, spoil := range map[string]func(v *visitor, q url.Values, answer url.Values){
		"state":                 func(_ *visitor, _, a url.Values) { a.Set("state", "other") },
		"(iss)":                 func(_ *visitor, _, a url.Values) { a.Del("iss") },
		"access_denied":         func(_ *visitor, _, a url.Values) { a.Set("error", "access_denied") },
		"invalid_grant":         func(v *visitor, _, _ url.Values) { v.p.refuse = "invalid_grant" },
		"(nonce)":               func(v *visitor, _, _ url.Values) { v.p.claims["nonce"] = "old" },
		"(aud)":                 func(v *visitor, _, _ url.Values) { v.p.claims["aud"] = []string{"demo", "other"} },
		"not by":                func(v *visitor, _, _ url.Values) { v.p.claims["iss"] = "https://evil.example" },
		"expired":               func(v *visitor, _, _ url.Values) { v.p.claims["exp"] = time.Now().Add(-time.Hour).Unix() },
		"signature is wrong":    func(v *visitor, _, _ url.Values) { v.p.key, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader) },
		"issued in the future;": func(v *visitor, _, _ url.Values) { v.p.claims["iat"] = time.Now().Add(time.Hour).Unix() },
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			v := newVisitor(t)
			q := v.begin()
			answer := url.Values{"code": {"c"}, "state": q["state"], "iss": {v.p.URL}}
			v.p.mu.Lock()
			spoil(v, q, answer)
			v.p.mu.Unlock()
			if page := v.callback(answer); strings.Contains(page, "Hello") || !strings.Contains(page, want) {
				t.Errorf("want a refusal with %q, got %s", want, page)
			}
		})
	}
}

func TestACodeIsTakenOncePerSignIn(t *testing.T) {
	t.Parallel()
	v := newVisitor(t)
	q := v.begin()
	answer := url.Values{"code": {"c"}, "state": q["state"], "iss": {v.p.URL}}
	v.callback(answer)
	v.callback(answer)
	if len(v.p.forms) != 1 {
		t.Errorf("%d exchanges of one answer", len(v.p.forms))
	}
}

func TestForeignPagesCannotPressButtons(t *testing.T) {
	t.Parallel()
	v := newVisitor(t)
	q := v.begin()
	v.callback(url.Values{"code": {"c"}, "state": q["state"], "iss": {v.p.URL}})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, v.url+"/signout", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Origin", "https://evil.example")
	resp, err := v.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("got %d", resp.StatusCode)
	}
	if csp := resp.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") {
		t.Errorf("policy %q", csp)
	}
}

// rawSignature turns DER into r and s, 32 bytes each (RFC 7518 §3.4).
func rawSignature(t *testing.T, der []byte) []byte {
	t.Helper()
	var out []byte
	rest := der[2:]
	for range 2 {
		n := int(rest[1])
		v := rest[2 : 2+n]
		rest = rest[2+n:]
		for len(v) > 32 {
			v = v[1:]
		}
		out = append(out, make([]byte, 32-len(v))...)
		out = append(out, v...)
	}
	return out
}
