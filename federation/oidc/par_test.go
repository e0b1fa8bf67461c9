package oidc

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/event"
)

// pushed pushes a request of the world's application to node i and returns its request_uri.
func (w *world) pushed(i int, change ...func(url.Values)) string {
	w.t.Helper()
	rec := w.post(i, parPath, w.request(change...))
	var answer struct {
		URI     string `json:"request_uri"`
		Expires int64  `json:"expires_in"`
	}
	if rec.Code != http.StatusCreated {
		w.t.Fatalf("pushed: %d %s", rec.Code, rec.Body)
	}
	decode(w.t, rec.Body.String(), &answer)
	if answer.Expires < 60 || answer.Expires >= 600 || !strings.HasPrefix(answer.URI, "urn:ietf:params:oauth:request_uri:") {
		w.t.Fatalf("answer %s", rec.Body)
	}
	if rec.Header().Get("Cache-Control") != "no-store" {
		w.t.Fatalf("Cache-Control %q", rec.Header().Get("Cache-Control"))
	}
	return answer.URI
}

func (w *world) byURI(i int, uri string, change ...func(url.Values)) *httptest.ResponseRecorder {
	q := url.Values{"client_id": {w.app.ClientID}, "request_uri": {uri}}
	for _, f := range change {
		f(q)
	}
	return w.get(i, authorizePath+"?"+q.Encode(), true)
}

func (w *world) change(f func(a *federation.Application)) {
	w.t.Helper()
	w.update(0, func(tx *fsm.Tx) (err error) {
		w.app, err = federation.Update(tx, tenant.ID, w.app.ID, 0, func(a *federation.Application) error { f(a); return nil })
		return err
	})
}

func TestPushedRequestAcrossNodesWithoutAnEntry(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	var uri, code string
	if n := w.entries(func() { uri = w.pushed(0) }); n != 0 {
		t.Fatalf("pushing cost %d log entries, want 0", n)
	}
	if n := w.entries(func() {
		_, params := w.back(w.byURI(1, uri))
		if code = params.Get("code"); code == "" || params.Get("state") != "some-state" || params.Get("iss") != issuer {
			t.Fatalf("response %v", params)
		}
	}); n != 0 {
		t.Fatalf("authorize cost %d log entries, want 0", n)
	}
	got := w.want(w.post(2, "/oauth2/token", w.codeForm(code)), 200)
	if claims(t, got.ID)["nonce"] != "some-nonce" {
		t.Fatal("the request that was pushed is not the one that was answered")
	}
}

// TestRefusesPushedRequestUsedTwice: a reload of the page gets another code, but both are one
// authorization, so that a second exchange is a replay.
func TestRefusesPushedRequestUsedTwice(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	uri := w.pushed(0)
	_, first := w.back(w.byURI(1, uri))
	_, second := w.back(w.byURI(2, uri))
	if first.Get("code") == "" || second.Get("code") == "" || first.Get("code") == second.Get("code") {
		t.Fatalf("%v %v", first, second)
	}
	got := w.want(w.post(1, "/oauth2/token", w.codeForm(second.Get("code"))), 200)
	if n := w.entries(func() {
		w.wantError(w.post(2, "/oauth2/token", w.codeForm(first.Get("code"))), 400, "invalid_grant")
	}); n != 1 {
		t.Fatalf("the replay cost %d log entries, want 1", n)
	}
	w.wantError(w.post(0, "/oauth2/token", refreshForm(got.Refresh)), 400, "invalid_grant")
	// Once it has been used, the page says so instead of making a code that would end what came of it.
	w.authorizeError(w.byURI(0, uri), "invalid_request_uri")
}

func TestPushedRequestSurvivesSignIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	uri := w.pushed(0, set("prompt", "login"))
	rec := w.byURI(1, uri)
	w.cluster.Advance(pushedLifetime + time.Minute) // the person has taken their time
	back := w.passSignIn(0, rec, "tester")
	if strings.Contains(back, "some-state") {
		t.Fatalf("the pushed request is in the open: %s", back)
	}
	_, params := w.back(w.get(1, back, true))
	if params.Get("code") == "" || params.Get("state") != "some-state" {
		t.Fatalf("coming back from sign-in: %v", params)
	}
	w.want(w.post(0, "/oauth2/token", w.codeForm(params.Get("code"))), 200)
}

// The sign-in that a pushed request leads to ends before the request does, however often the person asks for more time: nobody
// signs in for nothing.
func TestASignInEndsBeforeItsRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	flows, ctx := w.nodes[0].flows, identity.WithTenant(t.Context(), tenant)
	_, params := w.back(w.byURI(0, w.pushed(0, set("prompt", "login"))))
	f, err := flows.Load(ctx, params.Get("flow"), "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err = flows.Bind(f, ""); err != nil {
		t.Fatal(err)
	}
	for more := true; more; {
		w.cluster.Advance(14 * time.Minute)
		w.update(0, func(tx *fsm.Tx) error { return event.Append(tx, event.Event{Type: event.KeyRetired}) })
		if err := flows.Prolong(f); err != nil {
			t.Fatal(err)
		}
		_, more = flows.Left(f)
	}
	left, _ := flows.Left(f)
	w.cluster.Advance(left - time.Second)
	r, err := flows.Password(ctx, f, "tester", "right")
	if err != nil {
		t.Fatal(err)
	}
	w.cookie = &http.Cookie{Name: "quis_session", Value: r.Cookie}
	if _, params := w.back(w.get(0, r.ReturnTo, true)); params.Get("code") == "" {
		t.Errorf("at the end of the sign-in: %v", params)
	}
}

func TestRefusesExpiredPushedRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	uri := w.pushed(0)
	w.cluster.Advance(pushedLifetime)
	w.signIn()
	w.authorizeError(w.byURI(1, uri), "invalid_request_uri")
}

func TestRefusesPushedRequestOfAnotherClient(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	uri := w.pushed(0)
	w.app = w.register(federation.Application{ClientID: "other", Name: "Other", RedirectURIs: []string{callback}}, secret)
	if rec := w.byURI(0, uri); rec.Code != 400 || rec.Header().Get("Location") != "" {
		t.Fatalf("%d to %q, want a page", rec.Code, rec.Header().Get("Location"))
	}
	// A place to go back to that is registered hears of it, but gets no code.
	w.authorizeError(w.byURI(0, uri, set("redirect_uri", callback)), "invalid_request_uri")
	for _, bad := range []string{"urn:ietf:params:oauth:request_uri:", "urn:ietf:params:oauth:request_uri:abc", uri + "A", strings.ToUpper(uri)} {
		if rec := w.byURI(0, bad); rec.Code != 400 || rec.Header().Get("Location") != "" {
			t.Errorf("%.60s: %d to %q, want a page", bad, rec.Code, rec.Header().Get("Location"))
		}
	}
}

// TestRefusesToMergeParametersIntoAPushedRequest: what the browser adds is ignored, whether or
// not the pushed request had that parameter.
func TestRefusesToMergeParametersIntoAPushedRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	uri := w.pushed(0, del("nonce"), set("scope", "openid"))
	_, params := w.back(w.byURI(0, uri, set("nonce", "injected"), set("scope", "openid email offline_access"), set("state", "other"), set("prompt", "none login"),
		set("max_age", "0"), set("redirect_uri", "https://evil.example.com/cb"), set("response_mode", "fragment"), set("code_challenge", "x"), set("claims", "{")))
	if params.Get("code") == "" || params.Get("state") != "some-state" {
		t.Fatalf("response %v", params)
	}
	got := w.want(w.post(0, "/oauth2/token", w.codeForm(params.Get("code"))), 200)
	if got.Scope != "openid" || claims(t, got.ID)["nonce"] != nil {
		t.Fatalf("scope %q, nonce %v", got.Scope, claims(t, got.ID)["nonce"])
	}
}

func TestPushedRequestIsValidatedWhole(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	for code, changes := range map[string][]func(url.Values){
		"invalid_request": {
			del("redirect_uri"), set("redirect_uri", "https://evil.example.com/cb"), del("code_challenge"), set("prompt", "none login"), set("request_uri", "https://app.example.com/r"),
			set("request_uri", "urn:ietf:params:oauth:request_uri:abc"), set("response_mode", "x"), set("claims", "{"), func(q url.Values) { q.Add("scope", "openid") },
			set("state", strings.Repeat("s", 4000)),
		},
		"invalid_scope":             {set("scope", "openid unknown")},
		"unsupported_response_type": {set("response_type", "token")},
	} {
		for _, f := range changes {
			w.wantError(w.post(0, parPath, w.request(f)), 400, code)
		}
	}
	if rec := w.post(0, parPath, w.request(set("state", strings.Repeat("s", maxBody)))); rec.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("too large: %d", rec.Code)
	}
	w.wantError(w.nodes[0].do(formRequest(t.Context(), parPath, w.request())), 401, "invalid_client")
	w.wantError(w.post(0, parPath, w.request(set("client_id", "other"))), 400, "invalid_request")
	if rec := w.get(0, parPath+"?"+w.request().Encode(), true); rec.Code != http.StatusMethodNotAllowed {
		t.Errorf("GET: %d", rec.Code)
	}
}

// TestPushedRequestIsHeldAgainstTheApplicationAsItIs: what was true when it was pushed need not be.
func TestPushedRequestIsHeldAgainstTheApplicationAsItIs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	uri := w.pushed(0)
	w.change(func(a *federation.Application) { a.AllowedScopes = []string{"openid"} })
	w.authorizeError(w.byURI(1, uri), "invalid_scope")
	w.change(func(a *federation.Application) { a.RedirectURIs = []string{"https://new.example.com/cb"} })
	if rec := w.byURI(1, uri); rec.Code != 400 || rec.Header().Get("Location") != "" {
		t.Fatalf("%d to %q, want a page", rec.Code, rec.Header().Get("Location"))
	}
}

func TestApplicationThatMustPush(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.change(func(a *federation.Application) { a.Requests.RequirePAR = true })
	w.authorizeError(w.authorize(), "invalid_request")
	if _, params := w.back(w.byURI(0, w.pushed(0))); params.Get("code") == "" {
		t.Fatalf("pushed: %v", params)
	}
	w.nodes[0].stale.Store(true)
	w.wantError(w.post(0, parPath, w.request()), 503, "temporarily_unavailable")
}

// TestRefusesAssertionReplayAtThePAREndpoint: what a client assertion proves, it proves once and on one
// node; spending it is the one entry that pushing may cost.
func TestRefusesAssertionReplayAtThePAREndpoint(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	w.app = w.registerKeyed()
	form := asserted(t, w.request(), w.app.ClientID)
	if n := w.entries(func() {
		if rec := w.nodes[0].do(formRequest(t.Context(), parPath, form)); rec.Code != http.StatusCreated {
			t.Fatalf("%d %s", rec.Code, rec.Body)
		}
	}); n != 1 {
		t.Errorf("pushing with an assertion cost %d log entries, want 1", n)
	}
	w.wantError(w.nodes[1].do(formRequest(t.Context(), parPath, form)), 401, "invalid_client")
}

// TestPublicApplicationPushesWithANonce: a proof that was made for later is of no use (RFC 9449, section 11.2).
func TestPublicApplicationPushesWithANonce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	w.app = w.register(federation.Application{ClientID: "native", Name: "N", IsPublic: true, RedirectURIs: []string{callback}, AllowedScopes: []string{"openid", "profile", "email"}}, "")
	push := func(i int, change ...member) *httptest.ResponseRecorder {
		r := formRequest(t.Context(), parPath, w.request())
		proving(t, clientKey(), change...)(r)
		return w.nodes[i].do(r)
	}
	rec := push(0)
	w.wantError(rec, 400, "use_dpop_nonce")
	uri := w.pushedURI(push(1, with("nonce", rec.Header().Get("DPoP-Nonce"))))
	_, params := w.back(w.byURI(0, uri))
	form := w.codeForm(params.Get("code"))
	form.Set("client_id", w.app.ClientID)
	w.wantError(w.nodes[0].do(w.send(0, form)), 400, "invalid_grant") // without the key
}

func FuzzPushedForm(f *testing.F) {
	w := newWorld(f, 1)
	f.Add(w.request().Encode())
	f.Add(w.request(set("claims", `{"id_token":{"acr":null}}`), set("response_mode", "jwt")).Encode())
	f.Add("request=a.b.c&client_id=web")
	f.Add("%zz&;=")
	f.Fuzz(func(t *testing.T, body string) {
		r := httptest.NewRequest("POST", parPath, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.SetBasicAuth("web", secret)
		before := w.cluster.Entries()
		rec := w.nodes[0].do(r)
		if n := w.cluster.Entries() - before; n != 0 {
			t.Fatalf("%q cost %d log entries", body, n)
		}
		got, err := decodeTokens(rec)
		if _, ok := statusOf[got.Error]; err != nil || rec.Code != http.StatusCreated && (!ok || rec.Code < 400 || rec.Code >= 500) {
			t.Fatalf("%q: %d %s", body, rec.Code, rec.Body)
		}
	})
}
