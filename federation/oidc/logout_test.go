package oidc

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/session"
)

const bye = "https://app.example.com/bye"

func (w *world) logout(i int, params ...string) *httptest.ResponseRecorder {
	q := url.Values{}
	for k := 0; k < len(params); k += 2 {
		q.Set(params[k], params[k+1])
	}
	return w.get(i, "/oauth2/logout?"+q.Encode(), true)
}

func (w *world) signedIn() bool {
	w.t.Helper()
	ok := false
	err := w.cluster.DB[0].View(w.t.Context(), func(tx *fsm.Tx) error {
		_, err := session.Get(tx, tenant.ID, w.session)
		ok = err == nil
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return ok
}

func TestLogoutWithHintEndsTheSessionEverywhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	got := w.tokens(0)
	var rec *httptest.ResponseRecorder
	if n := w.entries(func() { rec = w.logout(1, "id_token_hint", got.ID, "post_logout_redirect_uri", bye, "state", "s&t") }); n != 1 {
		t.Errorf("logout cost %d log entries, want 1", n)
	}
	if u, params := w.back(rec); !strings.HasPrefix(u.String(), bye+"?") || params.Get("state") != "s&t" {
		t.Errorf("led to %s", u)
	}
	if c := rec.Result().Cookies(); len(c) != 1 || c[0].Name != "quis_session" || c[0].MaxAge >= 0 {
		t.Errorf("cookies %v", c)
	}
	if w.signedIn() {
		t.Error("still signed in")
	}
	for i := range w.nodes {
		w.wantError(w.post(i, "/oauth2/token", refreshForm(got.Refresh)), 400, "invalid_grant")
	}
	if u, _ := w.back(w.authorize()); u.Path != "/login" {
		t.Errorf("authorize after logout led to %s", u)
	}
	if n := w.entries(func() { w.back(w.logout(1, "id_token_hint", got.ID)) }); n != 0 {
		t.Errorf("logging out again cost %d log entries", n)
	}
}

func TestLogoutWithoutHintAsksFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	u, params := w.back(w.logout(0, "client_id", "web", "post_logout_redirect_uri", bye, "state", "x"))
	if u.Path != "/logout" || !w.signedIn() {
		t.Fatalf("led to %s, signed in: %v", u, w.signedIn())
	}
	// The page ends the session and leads back, where there is nothing left to ask.
	w.update(0, func(tx *fsm.Tx) error { return session.End(tx, tenant.ID, w.session) })
	if u, _ = w.back(w.get(0, params.Get("return_to"), true)); u.String() != bye+"?state=x" {
		t.Fatalf("then to %s", u)
	}
}

func TestLogoutOfAnothersHintAsksFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	hint := w.tokens(0).ID
	asked := func() bool {
		u, _ := w.back(w.logout(0, "id_token_hint", hint, "post_logout_redirect_uri", bye))
		return u.Path == "/logout" && w.signedIn()
	}
	w.signIn()
	if !asked() {
		t.Error("a hint of an earlier session of the same user ended this one")
	}
	w.update(0, func(tx *fsm.Tx) (err error) {
		w.user, err = directory.CreateUser(tx, tenant.ID, directory.User{Username: "other", Name: "Other"})
		return err
	})
	w.signIn()
	if !asked() {
		t.Error("a hint of another user ended the session")
	}
}

func TestLogoutReturnsToRegisteredAddressesOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	hint := w.tokens(0).ID
	for _, params := range [][]string{
		{"id_token_hint", hint, "post_logout_redirect_uri", "https://evil.example.com/"},
		{"id_token_hint", hint, "post_logout_redirect_uri", callback},
		{"id_token_hint", hint, "client_id", "other", "post_logout_redirect_uri", bye},
		{"post_logout_redirect_uri", bye},
		{"client_id", "nobody", "post_logout_redirect_uri", bye},
	} {
		if rec := w.logout(0, params...); rec.Code != 400 || rec.Header().Get("Location") != "" {
			t.Errorf("%v: %d to %s", params, rec.Code, rec.Header().Get("Location"))
		}
	}
	if !w.signedIn() {
		t.Error("a refused request signed out")
	}
}

func TestLogoutThatIsNotStoredSaysSo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	hint := w.tokens(0).ID
	w.cluster.SetLeader(false)
	if rec := w.logout(0, "id_token_hint", hint, "post_logout_redirect_uri", bye); rec.Code != 503 || len(rec.Result().Cookies()) != 0 {
		t.Fatalf("%d, cookies %v", rec.Code, rec.Result().Cookies())
	}
}

func TestLogoutByPostGoesOnAsGet(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	u, params := w.back(w.nodes[0].do(formRequest(t.Context(), "/oauth2/logout", url.Values{"id_token_hint": {w.tokens(0).ID}})))
	if u.Path != "/oauth2/logout" || params.Get("id_token_hint") == "" {
		t.Fatalf("led to %s", u)
	}
	if rec := w.nodes[0].do(httptest.NewRequest(http.MethodPost, "/oauth2/logout", nil)); rec.Code != 400 {
		t.Errorf("POST without a form: %d", rec.Code)
	}
}
