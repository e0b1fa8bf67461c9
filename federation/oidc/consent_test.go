package oidc

import (
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/consent"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/event"
)

// foreign makes the world's application one that people must be asked for.
func (w *world) foreign(mode string, change ...func(*federation.Application)) {
	w.t.Helper()
	a := federation.Application{
		ClientID: "foreign", Name: "Foreign", RedirectURIs: []string{callback}, Consent: mode,
		AllowedScopes: []string{"openid", "profile", "email", "offline_access", "api"},
	}
	for _, f := range change {
		f(&a)
	}
	w.app = w.register(a, secret)
}

func (w *world) authorizeAt(i int, change ...func(url.Values)) *httptest.ResponseRecorder {
	w.t.Helper()
	return w.get(i, "/oauth2/authorize?"+w.request(change...).Encode(), true)
}

// question is the sealed one on the page that rec shows.
func (w *world) question(rec *httptest.ResponseRecorder) string {
	w.t.Helper()
	if rec.Code != 200 || rec.Body.Len() < 100 {
		w.t.Fatalf("%d leads to %q, asks nothing: %s", rec.Code, rec.Header().Get("Location"), rec.Body)
	}
	return rec.Body.String()
}

func (w *world) open(i int, sealed string) *consent.Question {
	w.t.Helper()
	n := w.nodes[i]
	q, err := consent.NewDesk(n.db, n.ring).Open(identity.WithTenant(w.t.Context(), tenant), sealed, w.user.ID, w.session)
	if err != nil {
		w.t.Fatal(err)
	}
	return q
}

// allow answers on node i, choosing all but what is given, and returns where it leads.
func (w *world) allow(i int, sealed string, without ...string) string {
	w.t.Helper()
	q := w.open(i, sealed)
	chosen := slices.DeleteFunc(slices.Clone(q.Scopes), func(s string) bool { return slices.Contains(without, s) })
	to, err := consent.NewDesk(w.nodes[i].db, w.nodes[i].ring).Allow(identity.WithTenant(w.t.Context(), tenant), q, chosen)
	if err != nil {
		w.t.Fatal(err)
	}
	return to
}

func (w *world) codeOf(rec *httptest.ResponseRecorder) string {
	w.t.Helper()
	_, params := w.back(rec)
	if params.Get("code") == "" {
		w.t.Fatalf("no code: %v", params)
	}
	return params.Get("code")
}

func (w *world) wantBack(rec *httptest.ResponseRecorder, code string) {
	w.t.Helper()
	if _, params := w.back(rec); params.Get("error") != code || params.Get("iss") != issuer || params.Get("state") != "some-state" {
		w.t.Fatalf("%v, want %s", params, code)
	}
}

func TestConsentAcrossNodesCostsOneEntry(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	w.foreign(federation.ConsentExplicit)
	var sealed, to, code string
	if n := w.entries(func() { sealed = w.question(w.authorizeAt(0)) }); n != 0 {
		t.Errorf("asking cost %d log entries", n)
	}
	if n := w.entries(func() { to = w.allow(1, sealed, "email") }); n != 1 {
		t.Errorf("allowing cost %d log entries, want 1", n)
	}
	if n := w.entries(func() { code = w.codeOf(w.get(2, to, true)) }); n != 0 {
		t.Errorf("going on cost %d log entries", n)
	}
	got := w.want(w.post(0, "/oauth2/token", w.codeForm(code)), 200)
	if got.Scope != "openid profile" || claims(t, got.ID)["email"] != nil {
		t.Errorf("scope %q, claims %v", got.Scope, claims(t, got.ID))
	}
	// Remembered, with what was left out; more is asked for.
	again := w.want(w.post(1, "/oauth2/token", w.codeForm(w.code(2))), 200)
	if again.Scope != "openid profile" {
		t.Errorf("remembered as %q", again.Scope)
	}
	w.question(w.authorizeAt(1, set("scope", "openid api")))
	if w.events(event.ConsentGiven) != 1 {
		t.Error("no event")
	}
}

func TestFirstPartyApplicationsAskNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.code(0)
	w.question(w.authorizeAt(0, set("prompt", "consent"))) // unless they say so
}

func TestPromptConsentEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	for _, mode := range []string{federation.ConsentImplicit, federation.ConsentExplicit, federation.ConsentAlways} {
		w.foreign(mode, func(a *federation.Application) { a.ClientID = mode })
		for range 2 {
			sealed := w.question(w.authorizeAt(0, set("prompt", "consent")))
			w.codeOf(w.get(1, w.allow(0, sealed), true))
		}
	}
}

func TestConsentAfterSigningInAnew(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.foreign(federation.ConsentExplicit)
	back := w.passSignIn(0, w.authorizeAt(0, set("prompt", "login consent"), set("max_age", "0")), "tester")
	sealed := w.question(w.get(0, back, true))
	w.codeOf(w.get(0, w.allow(0, sealed), true))
}

func TestPromptNoneWithoutConsent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.foreign(federation.ConsentExplicit)
	w.wantBack(w.authorizeAt(0, set("prompt", "none")), "consent_required")
	w.allow(0, w.question(w.authorizeAt(0)))
	w.codeOf(w.authorizeAt(0, set("prompt", "none")))
}

func TestDeniedConsentIsToldInTheResponseMode(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	w.foreign(federation.ConsentExplicit)
	for _, mode := range []string{"query", "fragment"} {
		q := w.open(0, w.question(w.authorizeAt(0, set("response_mode", mode))))
		to, err := consent.NewDesk(w.nodes[0].db, w.nodes[0].ring).Deny(q)
		if err != nil {
			t.Fatal(err)
		}
		var u *url.URL
		if n := w.entries(func() { u, _ = w.back(w.get(1, to, true)) }); n != 0 {
			t.Errorf("denying cost %d log entries", n)
		}
		params := u.Query()
		if mode == "fragment" {
			if params, err = url.ParseQuery(u.Fragment); err != nil {
				t.Fatal(err)
			}
		}
		if params.Get("error") != "access_denied" || params.Get("state") != "some-state" || params.Get("iss") != issuer {
			t.Errorf("%s: %s", mode, u)
		}
	}
	w.question(w.authorizeAt(0)) // who said no may be asked again
}

func TestConsentOfAPushedRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	w.foreign(federation.ConsentAlways)
	var pushed struct {
		URI string `json:"request_uri"`
	}
	decode(t, w.post(0, "/oauth2/par", w.request()).Body.String(), &pushed)
	query := url.Values{"client_id": {w.app.ClientID}, "request_uri": {pushed.URI}}.Encode()
	to := w.allow(0, w.question(w.get(1, "/oauth2/authorize?"+query, true)))
	code := w.codeOf(w.get(1, to, true))
	w.want(w.post(1, "/oauth2/token", w.codeForm(code)), 200)
}

// TestRefusesConsentTicketReplayOnAnotherNode: one answer is good for one code, also where
// the person is asked each time.
func TestRefusesConsentTicketReplayOnAnotherNode(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	w.foreign(federation.ConsentAlways)
	to := w.allow(0, w.question(w.authorizeAt(0)))
	first, second := w.codeOf(w.get(1, to, true)), w.codeOf(w.get(2, to, true))
	w.want(w.post(1, "/oauth2/token", w.codeForm(first)), 200)
	w.question(w.get(2, to, true)) // spent, on every node
	w.wantError(w.post(2, "/oauth2/token", w.codeForm(second)), 400, "invalid_grant")
}

func TestRefusesConsentTicketOfAnotherSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.foreign(federation.ConsentAlways)
	to := w.allow(0, w.question(w.authorizeAt(0)))
	w.signIn()
	w.question(w.get(0, to, true))
	w.cookie = nil
	if u, _ := w.back(w.get(0, to, true)); u.Path != "/login" {
		t.Errorf("led to %s", u)
	}
}

func TestRefusesConsentTicketForAnotherRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.foreign(federation.ConsentAlways)
	to := w.allow(0, w.question(w.authorizeAt(0, set("scope", "openid"))))
	w.question(w.get(0, strings.Replace(to, "scope=openid", "scope=openid+api", 1), true))
	_, ticket, _ := strings.Cut(to, consent.TicketParameter)
	w.question(w.get(0, "/oauth2/authorize?"+w.request().Encode()+"&"+consent.TicketParameter+ticket, true))
}

func TestRefusesRefreshAfterConsentWasRevokedOnEveryNode(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	w.foreign(federation.ConsentExplicit)
	w.allow(0, w.question(w.authorizeAt(0, set("scope", "openid offline_access"))))
	for _, scope := range []string{"openid", "openid offline_access"} {
		got := w.tokens(0, set("scope", scope))
		onItsWay := w.code(1, set("scope", scope))
		w.cluster.Pause(2)
		if n := w.entries(func() {
			w.update(0, func(tx *fsm.Tx) error { return consent.Revoke(tx, tenant.ID, w.user.ID, w.app.ID, "test") })
		}); n != 1 {
			t.Errorf("revoking cost %d log entries", n)
		}
		for i := range 3 { // node 2 has not heard of it; the log has
			w.wantError(w.post(i, "/oauth2/token", refreshForm(got.Refresh)), 400, "invalid_grant")
		}
		w.cluster.Resume(t, 2)
		w.wantError(w.post(2, "/oauth2/token", w.codeForm(onItsWay)), 400, "invalid_grant")
		w.wantError(w.userinfo(2, got.Access), 401, "invalid_token")
		w.allow(0, w.question(w.authorizeAt(2, set("scope", "openid offline_access"))))
		w.wantError(w.post(1, "/oauth2/token", w.codeForm(onItsWay)), 400, "invalid_grant")
	}
}

func TestRefusesTicketOfAConsentThatWasRevoked(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	w.foreign(federation.ConsentExplicit)
	to := w.allow(0, w.question(w.authorizeAt(0)))
	w.update(0, func(tx *fsm.Tx) error { return consent.Revoke(tx, tenant.ID, w.user.ID, w.app.ID, "test") })
	w.question(w.get(1, to, true))
}

// TestTicketWaitsForItsEntry: the node that the browser comes to next may lag behind the one
// that remembered the answer.
func TestTicketWaitsForItsEntry(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	w.foreign(federation.ConsentAlways)
	sealed := w.question(w.authorizeAt(2))
	w.cluster.Pause(2)
	to := w.allow(0, sealed)
	done := make(chan *httptest.ResponseRecorder)
	go func() { done <- w.get(2, to, true) }()
	w.cluster.Resume(t, 2)
	w.codeOf(<-done)
}

func TestDeclinedScopeIsNoneByTheClaimsParameter(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.foreign(federation.ConsentExplicit)
	ask := []func(url.Values){set("scope", "openid email"), set("claims", `{"id_token":{"email":null},"userinfo":{"email":{"essential":true}}}`)}
	to := w.allow(0, w.question(w.authorizeAt(0, ask...)), "email")
	got := w.want(w.post(0, "/oauth2/token", w.codeForm(w.codeOf(w.get(0, to, true)))), 200)
	var info map[string]any
	decode(t, w.userinfo(0, got.Access).Body.String(), &info)
	if d := cmp.Diff([]any{nil, nil}, []any{info["email"], claims(t, got.ID)["email"]}); d != "" {
		t.Error(d)
	}
}
