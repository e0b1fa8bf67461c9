package oidc

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/fetch"
)

// A signer is an application's key.
type signer struct {
	t   testing.TB
	key *ecdsa.PrivateKey
	kid string
}

func newSigner(t testing.TB, kid string) *signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &signer{t, key, kid}
}

func (s *signer) set() []byte {
	s.t.Helper()
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: s.key.Public(), KeyID: s.kid, Algorithm: "ES256", Use: "sig"}}})
	if err != nil {
		s.t.Fatal(err)
	}
	return set
}

func (s *signer) sign(typ string, claims any) string {
	s.t.Helper()
	opts := (&jose.SignerOptions{}).WithHeader("kid", s.kid)
	if typ != "" {
		opts = opts.WithType(jose.ContentType(typ))
	}
	by, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: s.key}, opts)
	if err != nil {
		s.t.Fatal(err)
	}
	payload, ok := claims.(string)
	if !ok {
		b, err := json.Marshal(claims)
		if err != nil {
			s.t.Fatal(err)
		}
		payload = string(b)
	}
	jws, err := by.Sign([]byte(payload))
	if err != nil {
		s.t.Fatal(err)
	}
	text, err := jws.CompactSerialize()
	if err != nil {
		s.t.Fatal(err)
	}
	return text
}

// object are the claims of the world's request as a request object.
func (w *world) object(change ...func(map[string]any)) map[string]any {
	c := map[string]any{"iss": w.app.ClientID, "aud": issuer, "exp": time.Now().Add(time.Minute).Unix()}
	for name, values := range w.request() {
		c[name] = values[0]
	}
	for _, f := range change {
		f(c)
	}
	return c
}

func put(name string, value any) func(map[string]any) {
	return func(c map[string]any) { c[name] = value }
}
func omit(name string) func(map[string]any) { return func(c map[string]any) { delete(c, name) } }

const objectType = "oauth-authz-req+jwt"

// signing gives the world's application a key.
func (w *world) signing() *signer {
	w.t.Helper()
	s := newSigner(w.t, "k1")
	w.change(func(a *federation.Application) { a.Auth.JWKS = s.set() })
	return s
}

func (w *world) byObject(i int, object string, change ...func(url.Values)) *httptest.ResponseRecorder {
	q := url.Values{"client_id": {w.app.ClientID}, "request": {object}, "redirect_uri": {callback}, "state": {"outer"}}
	for _, f := range change {
		f(q)
	}
	return w.get(i, authorizePath+"?"+q.Encode(), true)
}

func TestRequestObject(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	s := w.signing()
	for _, typ := range []string{objectType, "JWT", ""} {
		var params url.Values
		if n := w.entries(func() { _, params = w.back(w.byObject(1, s.sign(typ, w.object(put("max_age", 3600))))) }); n != 0 {
			t.Fatalf("authorize cost %d log entries, want 0", n)
		}
		if params.Get("code") == "" || params.Get("state") != "some-state" {
			t.Fatalf("%q: %v", typ, params)
		}
		w.want(w.post(2, "/oauth2/token", w.codeForm(params.Get("code"))), 200)
	}
	// It may be pushed, too, and then it is enough for who demands both.
	w.change(func(a *federation.Application) { a.Requests.RequirePAR, a.Requests.RequireSigned = true, true })
	w.authorizeError(w.byObject(0, s.sign(objectType, w.object())), "invalid_request")
	w.wantError(w.post(0, parPath, w.request()), 400, "invalid_request")
	rec := w.post(0, parPath, url.Values{"request": {s.sign(objectType, w.object())}})
	var answer struct {
		URI string `json:"request_uri"`
	}
	decode(t, rec.Body.String(), &answer)
	if _, params := w.back(w.byURI(2, answer.URI)); params.Get("code") == "" {
		t.Fatalf("pushed object: %d %s %v", rec.Code, rec.Body, params)
	}
}

func TestRequestObjectSurvivesSignIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	s := w.signing()
	w.change(func(a *federation.Application) { a.Requests.RequireSigned = true })
	w.authorizeError(w.authorize(), "invalid_request")
	rec := w.byObject(0, s.sign(objectType, w.object(put("prompt", "login"))))
	w.cluster.Advance(5 * time.Minute) // the object has expired when the person has signed in
	_, params := w.back(w.get(1, w.passSignIn(1, rec, "tester"), true))
	if params.Get("code") == "" || params.Get("state") != "some-state" {
		t.Fatalf("coming back from sign-in: %v", params)
	}
}

// TestRefusesParametersOutsideTheRequestObject: they are ignored, not merged (RFC 9101, section 6.3).
func TestRefusesParametersOutsideTheRequestObject(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	s := w.signing()
	object := s.sign(objectType, w.object(omit("nonce"), put("scope", "openid")))
	_, params := w.back(w.byObject(0, object, set("nonce", "injected"), set("scope", "openid email"), set("code_challenge", "x"),
		set("prompt", "none login"), set("response_mode", "fragment"), set("claims", "{"), set("redirect_uri", "https://evil.example.com/cb")))
	got := w.want(w.post(0, "/oauth2/token", w.codeForm(params.Get("code"))), 200)
	if got.Scope != "openid" || claims(t, got.ID)["nonce"] != nil {
		t.Fatalf("scope %q, nonce %v", got.Scope, claims(t, got.ID)["nonce"])
	}
	// What the object lacks, it lacks.
	w.authorizeError(w.byObject(0, s.sign(objectType, w.object(omit("code_challenge"))), set("code_challenge", challenge())), "invalid_request")
	if rec := w.byObject(0, s.sign(objectType, w.object(omit("redirect_uri")))); rec.Code != 400 {
		t.Errorf("no redirect_uri in the object: %d", rec.Code)
	}
	if rec := w.byObject(0, s.sign(objectType, w.object(put("redirect_uri", "https://evil.example.com/cb")))); rec.Code != 400 || rec.Header().Get("Location") != "" {
		t.Errorf("a redirect_uri that is signed but not registered: %d %q", rec.Code, rec.Header().Get("Location"))
	}
}

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func TestRefusesForgedRequestObjects(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	s := w.signing()
	good := s.sign(objectType, w.object())
	body := strings.Split(good, ".")[1]
	other := newSigner(t, "k1")
	hs, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: []byte(secret)}, (&jose.SignerOptions{}).WithType(objectType))
	if err != nil {
		t.Fatal(err)
	}
	claims, _ := json.Marshal(w.object())
	jws, err := hs.Sign(claims)
	if err != nil {
		t.Fatal(err)
	}
	symmetric, _ := jws.CompactSerialize()
	twice := strings.Replace(string(claims), "{", `{"scope":"openid","scope":"openid email",`, 1)
	for name, object := range map[string]string{
		"alg none":          b64(`{"alg":"none","typ":"oauth-authz-req+jwt"}`) + "." + body + ".",
		"alg none, signed":  b64(`{"alg":"none"}`) + "." + body + "." + b64("x"),
		"HS256 with secret": symmetric,
		"another key":       other.sign(objectType, w.object()),
		"another type":      s.sign("at+jwt", w.object()),
		"dpop proof":        s.sign("dpop+jwt", w.object()),
		"expired":           s.sign(objectType, w.object(put("exp", time.Now().Add(-time.Hour).Unix()))),
		"no exp":            s.sign(objectType, w.object(omit("exp"))),
		"not yet":           s.sign(objectType, w.object(put("nbf", time.Now().Add(time.Hour).Unix()))),
		"no iss":            s.sign(objectType, w.object(omit("iss"))),
		"other iss":         s.sign(objectType, w.object(put("iss", "other"))),
		"no aud":            s.sign(objectType, w.object(omit("aud"))),
		"other aud":         s.sign(objectType, w.object(put("aud", "https://other.example.com"))),
		"other client":      s.sign(objectType, w.object(put("client_id", "other"))),
		"no client":         s.sign(objectType, w.object(omit("client_id"))),
		"client assertion":  s.sign("JWT", map[string]any{"iss": "web", "sub": "web", "aud": issuer, "exp": time.Now().Add(time.Minute).Unix(), "client_id": "web"}),
		"nested":            s.sign(objectType, w.object(put("request", good))),
		"by reference":      s.sign(objectType, w.object(put("request_uri", "https://app.example.com/r"))),
		"signed twice":      s.sign(objectType, good),
		"scope twice":       s.sign(objectType, twice),
		"scope as list":     s.sign(objectType, w.object(put("scope", []string{"openid", "email"}))),
		"encrypted":         good + ".a.b",
		"garbage":           "x",
		"empty":             "",
	} {
		rec := w.byObject(0, object)
		u, params := w.back(rec)
		if params.Get("error") != "invalid_request_object" || params.Has("code") || params.Get("iss") != issuer || !strings.HasPrefix(u.String(), callback) {
			t.Errorf("%s: %v", name, params)
		}
	}
	long := s.sign(objectType, w.object(put("x", strings.Repeat("x", 13<<10))))
	if rec := w.byObject(0, long); rec.Code != 400 || rec.Header().Get("Location") != "" {
		t.Errorf("oversized: %d", rec.Code)
	}
	w.wantError(w.post(0, parPath, url.Values{"request": {long}}), 400, "invalid_request_object")
	if rec := w.byObject(0, good, del("redirect_uri"), set("client_id", "nobody")); rec.Code != 400 || rec.Header().Get("Location") != "" {
		t.Errorf("another client_id outside: %d", rec.Code)
	}
	w.authorizeError(w.byObject(0, good, set("request_uri", "https://app.example.com/r")), "invalid_request")
	w.app = w.register(federation.Application{ClientID: "other", Name: "Other", RedirectURIs: []string{callback}}, secret)
	w.change(func(a *federation.Application) { a.Auth.JWKS = s.set() }) // even with the same key
	w.authorizeError(w.byObject(0, good), "invalid_request_object")
}

func TestRequestObjectHasTheRegisteredAlgorithm(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	s := w.signing()
	w.change(func(a *federation.Application) { a.Requests.ObjectAlg = "PS256" })
	w.authorizeError(w.byObject(0, s.sign(objectType, w.object())), "invalid_request_object")
	w.change(func(a *federation.Application) { a.Requests.ObjectAlg = "ES256" })
	if _, params := w.back(w.byObject(0, s.sign(objectType, w.object()))); params.Get("code") == "" {
		t.Fatalf("%v", params)
	}
}

func TestRequestObjectByReference(t *testing.T) {
	t.Parallel()
	object, asked := "", 0
	from := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		asked++
		rw.Header().Set("Content-Type", "application/oauth-authz-req+jwt")
		rw.Write([]byte(object))
	}))
	defer from.Close()
	w := newWorld(t, 1, func(c *Config) { c.Fetch = fetch.New(fetch.Config{Loopback: true}) })
	s := w.signing()
	uri := from.URL + "/request.jwt"
	w.change(func(a *federation.Application) { a.Requests.URIs = []string{uri} })
	object = s.sign(objectType, w.object())
	if _, params := w.back(w.byURI(0, uri+"#v1")); params.Get("code") == "" || asked != 1 {
		t.Fatalf("%v, asked %d times", params, asked)
	}
	for _, bad := range []string{uri + "?x", from.URL + "/other.jwt", strings.ToUpper(uri), "file:///etc/passwd", from.URL} {
		w.authorizeError(w.byURI(0, bad, set("redirect_uri", callback)), "invalid_request_uri")
	}
	if asked != 1 {
		t.Fatalf("an address that is not registered was asked")
	}
	object = "garbage"
	w.authorizeError(w.byURI(0, uri, set("redirect_uri", callback)), "invalid_request_object")
	from.Close()
	w.authorizeError(w.byURI(0, uri, set("redirect_uri", callback)), "invalid_request_uri")
}

func FuzzRequestObject(f *testing.F) {
	w := newWorld(f, 1)
	s := newSigner(f, "k1")
	w.change(func(a *federation.Application) { a.Auth.JWKS = s.set() })
	good, err := json.Marshal(w.object())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(good), true)
	f.Add(`{"client_id":"web"}`, true)
	f.Add(s.sign(objectType, w.object()), false)
	f.Add("e30.e30.e30", false)
	f.Fuzz(func(t *testing.T, text string, signed bool) {
		object := text
		if signed { // the claims of who has the key, but no sense
			by := *s
			by.t = t
			object = by.sign(objectType, text)
		}
		before := w.cluster.Entries()
		here := *w
		here.t = t
		rec := here.byObject(0, object)
		if n := w.cluster.Entries() - before; n != 0 {
			t.Fatalf("%q cost %d log entries", text, n)
		}
		to := rec.Header().Get("Location")
		ours := strings.HasPrefix(to, callback+"?") || strings.HasPrefix(to, callback+"#") || strings.HasPrefix(to, "/login?")
		if rec.Code != http.StatusBadRequest && rec.Code != http.StatusOK && (rec.Code != http.StatusSeeOther || !ours) {
			t.Fatalf("%q: %d to %q", text, rec.Code, to)
		}
	})
}
