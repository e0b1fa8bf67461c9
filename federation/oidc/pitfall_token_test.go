package oidc

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/ory/fosite"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/identity/event"
)

func TestPitfallUnsupportedGrantHasItsOwnCode(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.wantError(w.post(0, "/oauth2/token", url.Values{"grant_type": {"password"}}), 400, "unsupported_grant_type")
	w.wantError(w.post(0, "/oauth2/token", url.Values{"grant_type": {"authorization_code refresh_token"}}), 400, "unsupported_grant_type")
	w.wantError(w.post(0, "/oauth2/token", url.Values{"x": {"y"}}), 400, "invalid_request")
}

func TestPitfallOnlyRegisteredErrorCodesLeave(t *testing.T) {
	t.Parallel()
	for _, err := range []error{
		fosite.ErrInsufficientEntropy, fosite.ErrScopeNotGranted, fosite.ErrNotFound, fosite.ErrJTIKnown, fosite.ErrInvalidState,
		fosite.ErrTokenSignatureMismatch, fosite.ErrRequestUnauthorized, fosite.ErrUnknownRequest, fosite.ErrInactiveToken,
		fosite.ErrServerError, fosite.ErrMisconfiguration, http.ErrAbortHandler,
	} {
		if _, ok := statusOf[registered(err).ErrorField]; !ok {
			t.Errorf("%v leaves as %q", err, registered(err).ErrorField)
		}
	}
}

func TestPitfallInvalidClientHasAChallenge(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	form := url.Values{"grant_type": {"client_credentials"}}
	for name, change := range map[string]func(*http.Request, url.Values){
		"wrong secret":   func(r *http.Request, _ url.Values) { r.SetBasicAuth("web", strings.Repeat("x", 40)) },
		"unknown client": func(r *http.Request, _ url.Values) { r.SetBasicAuth("nobody", secret) },
		"empty secret":   func(r *http.Request, _ url.Values) { r.SetBasicAuth("web", "") },
		"no Basic":       func(r *http.Request, _ url.Values) { r.Header.Set("Authorization", "Bearer x") },
		"none":           func(*http.Request, url.Values) {},
	} {
		r := formRequest(t.Context(), "/oauth2/token", form)
		change(r, form)
		rec := w.nodes[0].do(r)
		if rec.Code != 401 || !strings.HasPrefix(rec.Header().Get("WWW-Authenticate"), "Basic ") || rec.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d, challenge %q", name, rec.Code, rec.Header().Get("WWW-Authenticate"))
		}
	}
}

func TestPitfallOneWayOfClientAuthentication(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.register(federation.Application{ClientID: "b", Name: "B", RedirectURIs: []string{callback}}, secret+"-of-b")
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {"b"}, "client_secret": {secret + "-of-b"}}
	w.wantError(w.post(0, "/oauth2/token", form), 400, "invalid_request") // Basic of one, body of the other
	form = url.Values{"grant_type": {"client_credentials"}, "client_id": {"web"}, "client_secret": {secret}}
	w.wantError(w.post(0, "/oauth2/token", form), 400, "invalid_request") // both of the same
	form = url.Values{"grant_type": {"client_credentials"}, "client_id": {"b"}}
	w.wantError(w.post(0, "/oauth2/token", form), 400, "invalid_request")
	form = url.Values{"grant_type": {"client_credentials"}, "client_id": {"web"}, "client_secret": {secret}}
	if rec := w.nodes[0].do(formRequest(t.Context(), "/oauth2/token", form)); rec.Code != 200 {
		t.Errorf("client_secret_post: %d %s", rec.Code, rec.Body)
	}
	form.Set("client_assertion", "x")
	w.wantError(w.nodes[0].do(formRequest(t.Context(), "/oauth2/token", form)), 400, "invalid_request")
	// A secret in the URL is no authentication.
	r := formRequest(t.Context(), "/oauth2/token?client_id=web&client_secret="+secret, url.Values{"grant_type": {"client_credentials"}})
	w.wantError(w.nodes[0].do(r), 401, "invalid_client")
}

func TestPitfallSecretsWithSpecialCharacters(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	odd := "a+b%2Fc=d/e&f:g" + strings.Repeat("h1", 40) // over 72 bytes: bcrypt would ignore the rest
	w.register(federation.Application{
		ClientID: "odd", Name: "Odd", RedirectURIs: []string{callback}, GrantTypes: []string{federation.GrantCode, federation.GrantClientCredentials},
	}, odd)
	for name, basic := range map[string]string{"raw": odd, "encoded": url.QueryEscape(odd)} {
		r := formRequest(t.Context(), "/oauth2/token", url.Values{"grant_type": {"client_credentials"}})
		r.SetBasicAuth("odd", basic)
		if rec := w.nodes[0].do(r); rec.Code != 200 {
			t.Errorf("%s: %d %s", name, rec.Code, rec.Body)
		}
	}
	r := formRequest(t.Context(), "/oauth2/token", url.Values{"grant_type": {"client_credentials"}})
	r.SetBasicAuth("odd", odd[:len(odd)-1]+"X")
	w.wantError(w.nodes[0].do(r), 401, "invalid_client")
}

func TestPitfallOutageIsNotAWrongSecret(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	got := w.tokens(0)
	code := w.code(0)
	w.cluster.SetLeader(false)
	r := formRequest(t.Context(), "/oauth2/token", url.Values{"grant_type": {"client_credentials"}})
	r.SetBasicAuth("unknown-here", secret)
	rec := w.nodes[1].do(r)
	w.wantError(rec, 503, "temporarily_unavailable")
	if rec.Header().Get("Retry-After") == "" {
		t.Error("503 without Retry-After")
	}
	w.wantError(w.post(0, "/oauth2/token", w.codeForm(code)), 503, "temporarily_unavailable")
	w.wantError(w.post(0, "/oauth2/token", refreshForm(got.Refresh)), 503, "temporarily_unavailable")
	w.cluster.SetLeader(true)
	w.want(w.post(0, "/oauth2/token", w.codeForm(code)), 200)
	w.want(w.post(0, "/oauth2/token", refreshForm(got.Refresh)), 200)
}

func TestPitfallWrongVerifierDoesNotUseTheCodeUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	code := w.code(0)
	for _, bad := range []string{"", "short", strings.Repeat("x", 50), verifier + "x"} {
		form := w.codeForm(code)
		form.Set("code_verifier", bad)
		if n := w.entries(func() { w.wantError(w.post(0, "/oauth2/token", form), 400, "invalid_grant") }); n != 0 {
			t.Errorf("a wrong verifier cost %d log entries", n)
		}
	}
	form := w.codeForm(code)
	form.Set("redirect_uri", callback+"2")
	w.wantError(w.post(0, "/oauth2/token", form), 400, "invalid_grant")
	got := w.want(w.post(0, "/oauth2/token", w.codeForm(code)), 200)
	// Once it is spent, whoever presents it without the verifier has stolen it.
	form = w.codeForm(code)
	form.Set("code_verifier", strings.Repeat("x", 50))
	if n := w.entries(func() { w.wantError(w.post(0, "/oauth2/token", form), 400, "invalid_grant") }); n != 1 {
		t.Errorf("theft cost %d log entries, want 1", n)
	}
	w.wantError(w.post(0, "/oauth2/token", refreshForm(got.Refresh)), 400, "invalid_grant")
}

func TestPitfallExpiresInIsExactAndTypeIsBearer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.app = w.register(federation.Application{
		ClientID: "short", Name: "Short", RedirectURIs: []string{callback}, TokenExpiry: 600,
		GrantTypes: []string{federation.GrantCode, federation.GrantClientCredentials},
	}, secret)
	got := w.tokens(0, set("scope", "openid"))
	c := claims(t, got.Access)
	if got.Expires != 600 || c["exp"].(float64)-c["iat"].(float64) != 600 || got.Type != "Bearer" {
		t.Fatalf("expires_in %d, exp-iat %v, type %s", got.Expires, c["exp"].(float64)-c["iat"].(float64), got.Type)
	}
	if got.Refresh != "" {
		t.Fatal("refresh token for an application that may not refresh")
	}
}

func TestPitfallBodiesAreFormsOfLimitedSize(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	var body bytes.Buffer
	mw := multipart.NewWriter(&body)
	for k, v := range w.codeForm(w.code(0)) {
		if err := mw.WriteField(k, v[0]); err != nil {
			t.Fatal(err)
		}
	}
	mw.Close()
	r := httptest.NewRequestWithContext(t.Context(), "POST", "/oauth2/token", &body)
	r.Header.Set("Content-Type", mw.FormDataContentType())
	r.SetBasicAuth("web", secret)
	w.wantError(w.nodes[0].do(r), 400, "invalid_request")
	w.wantError(w.post(0, "/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {strings.Repeat("a", maxBody)}}), 413, "invalid_request")
	if rec := w.get(0, "/oauth2/token?grant_type=client_credentials", false); rec.Code != http.StatusMethodNotAllowed {
		t.Errorf("GET: %d", rec.Code)
	}
}

func TestPitfallRefreshNarrowsAndNeverWidens(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	got := w.tokens(0, set("scope", "openid profile email"))
	form := refreshForm(got.Refresh)
	form.Set("scope", "openid api")
	if n := w.entries(func() { w.wantError(w.post(0, "/oauth2/token", form), 400, "invalid_scope") }); n != 0 {
		t.Fatalf("asking for more cost %d log entries", n)
	}
	form.Set("scope", "openid")
	narrow := w.want(w.post(0, "/oauth2/token", form), 200)
	if narrow.Scope != "openid" || claims(t, narrow.Access)["scope"] != "openid" {
		t.Fatalf("narrowed to %q", narrow.Scope)
	}
	if wide := w.want(w.post(0, "/oauth2/token", refreshForm(narrow.Refresh)), 200); wide.Scope != "openid profile email" {
		t.Fatalf("the family itself was narrowed to %q", wide.Scope)
	}
}

func TestPitfallRefreshedTokenHasItsOwnIssueTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	got := w.tokens(0)
	before := time.Now().Unix()
	next := w.want(w.post(0, "/oauth2/token", refreshForm(got.Refresh)), 200)
	if iat := claims(t, next.Access)["iat"].(float64); int64(iat) < before {
		t.Fatalf("iat %v is older than the request", iat)
	}
	if claims(t, next.Access)["jti"] == claims(t, got.Access)["jti"] {
		t.Fatal("two tokens with one jti")
	}
}

func TestPitfallStolenTokenOfAnotherClientHurtsNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, func(c *Config) { c.Grace = time.Nanosecond })
	first := w.tokens(0)
	second := w.want(w.post(0, "/oauth2/token", refreshForm(first.Refresh)), 200)
	code := w.code(0)
	w.register(federation.Application{ClientID: "thief", Name: "T", RedirectURIs: []string{callback}}, secret)
	as := func(form url.Values) *httptest.ResponseRecorder {
		path := "/oauth2/token"
		if form.Has("token") {
			path = "/oauth2/revoke"
		}
		r := formRequest(t.Context(), path, form)
		r.SetBasicAuth("thief", secret)
		return w.nodes[0].do(r)
	}
	if n := w.entries(func() {
		w.wantError(as(refreshForm(first.Refresh)), 400, "invalid_grant")
		w.wantError(as(refreshForm(second.Refresh)), 400, "invalid_grant")
		w.wantError(as(w.codeForm(code)), 400, "invalid_grant")
		for _, token := range []string{second.Refresh, second.Access} {
			if rec := as(url.Values{"token": {token}}); rec.Code != 200 {
				t.Errorf("revoking what is not its own: %d", rec.Code)
			}
		}
	}); n != 0 {
		t.Fatalf("another client's attempts cost %d log entries", n)
	}
	w.want(w.post(0, "/oauth2/token", refreshForm(second.Refresh)), 200)
	w.want(w.post(0, "/oauth2/token", w.codeForm(code)), 200)
	if w.events(event.TokenReused) != 0 {
		t.Fatal("reuse reported")
	}
}

func TestPitfallRevocationThatIsNotStoredIsNoSuccess(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	got := w.tokens(0)
	w.cluster.SetLeader(false)
	w.wantError(w.post(0, "/oauth2/revoke", url.Values{"token": {got.Refresh}}), 503, "temporarily_unavailable")
	w.cluster.SetLeader(true)
	if n := w.entries(func() {
		if rec := w.post(1, "/oauth2/revoke", url.Values{"token": {got.Refresh}}); rec.Code != 200 {
			t.Fatalf("%d %s", rec.Code, rec.Body)
		}
	}); n != 1 {
		t.Fatalf("revocation cost %d log entries, want 1", n)
	}
	for _, token := range []string{got.Refresh, got.Access, "garbage", got.ID} {
		if n := w.entries(func() {
			if rec := w.post(1, "/oauth2/revoke", url.Values{"token": {token}}); rec.Code != 200 {
				t.Fatalf("%d %s", rec.Code, rec.Body)
			}
		}); n != 0 {
			t.Fatalf("revoking what is dead cost %d log entries", n)
		}
	}
	w.wantError(w.post(0, "/oauth2/token", refreshForm(got.Refresh)), 400, "invalid_grant")
	w.wantError(w.userinfo(0, got.Access), 401, "invalid_token")
}

func TestPitfallIDTokenIsNoAccessToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	got := w.tokens(0)
	w.wantError(w.userinfo(0, got.ID), 401, "invalid_token")
	if rec := w.post(0, "/oauth2/introspect", url.Values{"token": {got.ID}}); rec.Code != 200 || strings.TrimSpace(rec.Body.String()) != `{"active":false}` {
		t.Fatalf("introspection of an ID token: %d %s", rec.Code, rec.Body)
	}
	// And an access token is no ID token: as a hint it says nothing.
	w.authorizeError(w.authorize(set("id_token_hint", got.Access), set("prompt", "none")), "login_required")
}

func TestPitfallIntrospectionTellsTheOwnerOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	got := w.tokens(0)
	body := func(rec *httptest.ResponseRecorder) string { return strings.TrimSpace(rec.Body.String()) }
	access := body(w.post(0, "/oauth2/introspect", url.Values{"token": {got.Access}}))
	if !strings.Contains(access, `"active":true`) || !strings.Contains(access, `"token_type":"Bearer"`) || !strings.Contains(access, `"jti"`) {
		t.Errorf("access token: %s", access)
	}
	refresh := body(w.post(0, "/oauth2/introspect", url.Values{"token": {got.Refresh}, "token_type_hint": {"refresh_token"}}))
	if !strings.Contains(refresh, `"active":true`) || strings.Contains(refresh, "token_type") {
		t.Errorf("refresh token: %s", refresh)
	}
	var exp struct{ Exp int64 }
	decode(t, refresh, &exp)
	if left := time.Until(time.Unix(exp.Exp, 0)); left < 11*time.Hour {
		t.Errorf("a refresh token shows %v left, which is the access token's", left)
	}
	w.register(federation.Application{ClientID: "other", Name: "O", RedirectURIs: []string{callback}}, secret)
	r := formRequest(t.Context(), "/oauth2/introspect", url.Values{"token": {got.Access}})
	r.SetBasicAuth("other", secret)
	if rec := w.nodes[0].do(r); body(rec) != `{"active":false}` {
		t.Errorf("another application learns %s", rec.Body)
	}
	r = formRequest(t.Context(), "/oauth2/introspect", url.Values{"token": {got.Access}})
	r.Header.Set("Authorization", "Bearer "+got.Access)
	w.wantError(w.nodes[0].do(r), 401, "invalid_client")
}

func TestPitfallHashBelongsToTheAlgorithm(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	for alg, size := range map[string]int{"ES256": 16, "EdDSA": 32, "RS256": 16} {
		w.app = w.register(federation.Application{
			ClientID: "alg-" + alg, Name: alg, RedirectURIs: []string{callback}, SigningAlg: alg,
		}, secret)
		got := w.tokens(0, set("scope", "openid"))
		head, _, _ := strings.Cut(got.ID, ".")
		raw, _ := base64.RawURLEncoding.DecodeString(head)
		if !strings.Contains(string(raw), `"alg":"`+alg+`"`) {
			t.Errorf("header %s, want %s", raw, alg)
		}
		hash, err := base64.RawURLEncoding.DecodeString(claims(t, got.ID)["at_hash"].(string))
		if err != nil || len(hash) != size {
			t.Errorf("%s: at_hash of %d bytes, want %d", alg, len(hash), size)
		}
		if sum := sha256.Sum256([]byte(got.Access)); alg == "ES256" && !bytes.Equal(hash, sum[:16]) {
			t.Error("at_hash is not the hash of the access token")
		}
		if rec := w.userinfo(0, got.Access); rec.Code != 200 {
			t.Errorf("%s: userinfo %d", alg, rec.Code)
		}
	}
}
