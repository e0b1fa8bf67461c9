package oidc

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/keys"
)

// The tests named TestPitfall… hold what the stock handlers of fosite are known to get wrong.

func (w *world) authorizeError(rec *httptest.ResponseRecorder, code string) url.Values {
	w.t.Helper()
	u, params := w.back(rec)
	if !strings.HasPrefix(u.String(), w.app.RedirectURIs[0]) {
		w.t.Fatalf("led to %s, want the application", u)
	}
	if params.Get("error") != code || params.Has("code") {
		w.t.Fatalf("error %q (%s), want %q", params.Get("error"), params.Get("error_description"), code)
	}
	if params.Get("iss") != issuer {
		w.t.Fatalf("iss %q in the error, want %q (RFC 9207)", params.Get("iss"), issuer)
	}
	return params
}

func (w *world) authorize(change ...func(url.Values)) *httptest.ResponseRecorder {
	return w.get(0, "/oauth2/authorize?"+w.request(change...).Encode(), true)
}

func TestPitfallStateMayBeAbsentShortOrLong(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	for _, state := range []string{"", "x", "a state with ä, \" and ?&#", strings.Repeat("s", 2500)} {
		_, params := w.back(w.authorize(set("state", state)))
		if params.Get("code") == "" || params.Get("state") != state {
			t.Errorf("state of %d bytes: %v", len(state), params)
		}
	}
	if _, params := w.back(w.authorize(del("state"))); params.Get("code") == "" || params.Has("state") {
		t.Errorf("no state: %v", params)
	}
}

func TestPitfallShortNonceReachesTheIDToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	if got := w.tokens(0, set("nonce", "n")); claims(t, got.ID)["nonce"] != "n" {
		t.Fatal("nonce lost")
	}
	if got := w.tokens(0, del("nonce")); got.ID == "" || claims(t, got.ID)["nonce"] != nil {
		t.Fatal("nonce invented")
	}
}

func TestPitfallRequestObjectsAreRefusedNotIgnored(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	for _, scope := range []string{"openid", "api"} {
		w.authorizeError(w.authorize(set("request", "eyJhbGciOiJub25lIn0.e30."), set("scope", scope)), "request_not_supported")
		w.authorizeError(w.authorize(set("registration", "{}"), set("scope", scope)), "registration_not_supported")
	}
}

func TestPitfallRequestURIIsNeverFetched(t *testing.T) {
	t.Parallel()
	fetched := make(chan struct{}, 1)
	trap := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { fetched <- struct{}{} }))
	defer trap.Close()
	w := newWorld(t, 1)
	for _, uri := range []string{trap.URL + "/r.jwt", trap.URL} {
		w.authorizeError(w.authorize(set("request_uri", uri)), "request_uri_not_supported")
	}
	select {
	case <-fetched:
		t.Fatal("request_uri was fetched")
	default:
	}
}

func TestPitfallRequestSurvivesSignIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	w.cookie = nil
	rec := w.authorize(set("prompt", "login"), set("max_age", "0"))
	back := w.passSignIn(1, rec, "tester")
	_, params := w.back(w.get(1, back, true))
	if params.Get("code") == "" || params.Get("state") != "some-state" {
		t.Fatalf("coming back from sign-in: %v", params)
	}
	// What was asked for cannot be changed on the way back: the ticket is for this query alone.
	changed := strings.Replace(back, "some-nonce", "evil-nonce", 1)
	if u, _ := w.back(w.get(1, changed, true)); u.Path != "/login" {
		t.Fatalf("a changed request was taken for the one that signed in: %s", u)
	}
}

func TestPitfallErrorsReachTheApplication(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	for code, change := range map[string][]func(url.Values){
		"invalid_request":           {set("response_mode", "bad"), set("response_mode", "web_message"), del("response_type"), set("prompt", "create"), set("prompt", "none login"), set("max_age", "soon"), set("max_age", "-1"), set("nonce", strings.Repeat("n", 600)), del("code_challenge"), set("code_challenge_method", "plain"), del("code_challenge_method"), set("code_challenge", "short")},
		"unsupported_response_type": {set("response_type", "token"), set("response_type", "code id_token")},
		"invalid_scope":             {set("scope", "openid unknown"), set("scope", "open\"id")},
	} {
		for _, f := range change {
			if params := w.authorizeError(w.authorize(f), code); params.Get("state") != "some-state" {
				t.Errorf("%s without state", code)
			}
		}
	}
}

func TestPitfallUntrustedErrorsAreAPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	for name, f := range map[string]func(url.Values){
		"no client": del("client_id"), "unknown client": set("client_id", "nobody"), "no redirect": del("redirect_uri"),
		"other redirect": set("redirect_uri", "https://evil.example.com/cb"), "longer": set("redirect_uri", callback+"/x"),
		"query": set("redirect_uri", callback+"?x=1"), "fragment": set("redirect_uri", callback+"#x"),
	} {
		rec := w.authorize(f)
		if rec.Code != 400 || rec.Header().Get("Location") != "" || rec.Header().Get("Content-Type") != "text/html" {
			t.Errorf("%s: %d to %q, want a page", name, rec.Code, rec.Header().Get("Location"))
		}
	}
	if rec := w.get(0, "/oauth2/authorize?client_id=web&client_id=web", true); rec.Code != 400 {
		t.Errorf("two client_id: %d", rec.Code)
	}
}

func TestPitfallDuplicateParametersAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.authorizeError(w.authorize(func(q url.Values) { q.Add("scope", "openid") }), "invalid_request")
	w.authorizeError(w.authorize(func(q url.Values) { q["unknown"] = []string{"a", "b"} }), "invalid_request")
	form := w.codeForm(w.code(0))
	form.Add("code", "other")
	w.wantError(w.post(0, "/oauth2/token", form), 400, "invalid_request")
}

func TestPitfallPostedRequestGoesOnAsGet(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	rec := w.nodes[0].do(formRequest(t.Context(), "/oauth2/authorize", w.request()))
	u, _ := w.back(rec)
	if u.Host != "" || u.Path != "/oauth2/authorize" {
		t.Fatalf("led to %s", u)
	}
	if _, params := w.back(w.get(0, u.String(), true)); params.Get("code") == "" {
		t.Fatal("no code")
	}
}

func TestPitfallPromptNone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	// The session was made this very millisecond: no "auth_time happened after".
	if _, params := w.back(w.authorize(set("prompt", "none"))); params.Get("code") == "" {
		t.Fatalf("with a session: %v", params)
	}
	cookie := w.cookie
	w.cookie = nil
	w.authorizeError(w.authorize(set("prompt", "none")), "login_required")
	w.cookie = cookie
	w.authorizeError(w.authorize(set("prompt", "none"), set("max_age", "0")), "login_required")
}

func TestPitfallMaxAgeZeroAndPromptLoginAskAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.cluster.Advance(time.Minute) // sessions of a node whose clock is ahead
	w.signIn()
	for _, f := range []func(url.Values){set("max_age", "0"), set("prompt", "login"), set("prompt", "select_account")} {
		rec := w.authorize(f)
		if u, _ := w.back(rec); u.Path != "/login" {
			t.Fatalf("led to %s, want sign-in", u)
		}
		if _, params := w.back(w.get(0, w.passSignIn(0, rec, "tester"), true)); params.Get("code") == "" {
			t.Fatalf("after signing in again: %v", params)
		}
	}
	if _, params := w.back(w.authorize(set("max_age", "3600"))); params.Get("code") == "" {
		t.Fatalf("young session: %v", params)
	}
}

func TestPitfallIDTokenHint(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	hint := w.tokens(0).ID
	// A key that has rotated out of use still verifies.
	if err := w.nodes[0].keys.RotateNow(t.Context(), tenant.ID, keys.ES256); err != nil {
		t.Fatal(err)
	}
	if _, params := w.back(w.authorize(set("id_token_hint", hint), set("prompt", "none"))); params.Get("code") == "" {
		t.Fatalf("own hint: %v", params)
	}
	var other *directory.User
	w.update(0, func(tx *fsm.Tx) (err error) {
		other, err = directory.CreateUser(tx, tenant.ID, directory.User{Username: "other", Name: "Other"})
		return err
	})
	rec := w.authorize(set("id_token_hint", hint), set("prompt", "login"))
	back := w.passSignIn(0, rec, other.Username)
	w.authorizeError(w.get(0, back, true), "login_required")
	w.authorizeError(w.authorize(set("id_token_hint", hint), set("prompt", "none")), "login_required")
	if u, _ := w.back(w.authorize(set("id_token_hint", hint))); u.Path != "/login" {
		t.Fatalf("somebody else is signed in: led to %s", u)
	}
	w.authorizeError(w.authorize(set("id_token_hint", "garbage"), set("prompt", "none")), "login_required")
}

func TestPitfallClaimsAreNotInvented(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	before := time.Now().Unix()
	id := claims(t, w.tokens(0, set("acr_values", "urn:gold")).ID)
	if id["acr"] != "urn:quis:acr:aal1" || id["rat"] != nil {
		t.Errorf("acr %v, rat %v", id["acr"], id["rat"])
	}
	if at, ok := id["auth_time"].(float64); !ok || int64(at) > before || int64(at) < before-60 {
		t.Errorf("auth_time %v is not the session's", id["auth_time"])
	}
	if _, ok := id["aud"].(string); !ok || id["azp"] != "web" {
		t.Errorf("aud %v, azp %v", id["aud"], id["azp"])
	}
}

func TestPitfallRedirectCarriesIssAndNoScope(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	u, params := w.back(w.authorize())
	if params.Has("scope") || params.Get("iss") != issuer || !strings.HasPrefix(u.String(), callback+"?") {
		t.Fatalf("response %v", params)
	}
	u, _ = w.back(w.authorize(set("response_mode", "fragment")))
	if u.RawQuery != "" || !strings.Contains(u.Fragment, "code=") || !strings.Contains(u.Fragment, "iss=") {
		t.Fatalf("fragment response %s", u)
	}
}

func TestPitfallLoopbackAndLocalhostPorts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.app = w.register(federation.Application{
		ClientID: "native", Name: "Native", IsPublic: true,
		RedirectURIs: []string{"http://127.0.0.1/cb", "http://localhost/cb", "https://[::1]/cb", "com.example.app:/cb"},
	}, "")
	for uri, ok := range map[string]bool{
		"http://127.0.0.1:9999/cb": true, "http://localhost:5001/cb": true, "com.example.app:/cb": true,
		"https://127.0.0.1:9999/cb": false, "http://[::1]:9/cb": false, "http://evil@127.0.0.1:1/cb": false,
		"http://127.0.0.1:9999/other": false, "http://localhost.evil.com:1/cb": false, "http://127.0.0.1:99/cb?x": false,
	} {
		rec := w.authorize(set("redirect_uri", uri), set("scope", "openid"))
		if got := rec.Code == http.StatusSeeOther && strings.HasPrefix(rec.Header().Get("Location"), uri); got != ok {
			t.Errorf("%s accepted: %v, want %v (%d)", uri, got, ok, rec.Code)
		}
	}
}

func TestPitfallDangerousRedirectURIsCannotBeRegistered(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	for _, uri := range []string{"javascript:alert(1)", "data:text/html,x", "https://*.example.com/cb", "https://app.example.com/#x"} {
		err := w.cluster.DB[0].Update(t.Context(), func(tx *fsm.Tx) error {
			a := &federation.Application{Tenant: tenant.ID, Name: "x", IsPublic: true, RedirectURIs: []string{uri}}
			_, err := federation.Create(tx, w.nodes[0].ring, a, "")
			return err
		})
		if !errors.Is(err, identity.ErrInvalid) {
			t.Errorf("%s: %v, want identity.ErrInvalid", uri, err)
		}
	}
}
