package oidc

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/ciba"
	"github.com/quis-idp/quis/federation/consent"
	"github.com/quis-idp/quis/federation/device"
	"github.com/quis-idp/quis/federation/logout"
	"github.com/quis-idp/quis/federation/oidc/caller"
	"github.com/quis-idp/quis/federation/oidc/family"
	"github.com/quis-idp/quis/federation/poll"
	"github.com/quis-idp/quis/federation/register"
	"github.com/quis-idp/quis/federation/resource"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/fsm/fsmtest"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/authn"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/credential/passkey"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/session"
	"github.com/quis-idp/quis/identity/settings"
	"github.com/quis-idp/quis/keys"
	"github.com/quis-idp/quis/keys/seal"
	"github.com/quis-idp/quis/keys/seal/sealtest"
)

const (
	issuer   = "http://localhost:8080"
	callback = "https://app.example.com/cb"
	verifier = "a-verifier-of-more-than-forty-three-characters-0123456789"
	secret   = "a-test-secret-that-looks-random-0123456789"
)

var tenant = identity.Tenant{ID: identity.DefaultTenant, Issuer: issuer}

// A world is a few nodes over one log, with a user, an application and a browser.
type world struct {
	t       testing.TB
	cluster *fsmtest.Cluster
	nodes   []*node
	user    *directory.User
	app     *federation.Application
	cookie  *http.Cookie
	session string
}

type node struct {
	db       *fsm.DB
	ring     *seal.Ring
	keys     *keys.Keys
	sessions *session.Store
	flows    *authn.Flows
	provider *Provider
	mux      *http.ServeMux
	stale    atomic.Bool // Fresh reports fsm.ErrUnavailable
}

func tables() []fsm.Definition {
	var all []fsm.Definition
	for _, t := range [][]fsm.Definition{
		seal.Tables, keys.Tables, event.Tables, directory.Tables, credential.Tables, session.Tables, authn.Tables, settings.Tables, passkey.Tables, federation.Tables, register.Tables, resource.Tables, consent.Tables, logout.Tables, family.Tables,
		poll.Tables, device.Tables, ciba.Tables,
		caller.Tables,
	} {
		all = append(all, t...)
	}
	return all
}

func newWorld(t testing.TB, size int, change ...func(*Config)) *world {
	t.Helper()
	w := &world{t: t, cluster: fsmtest.NewCluster(t, size, tables()...)}
	rings := sealtest.Rings(t, w.cluster.DB...)
	w.update(0, func(tx *fsm.Tx) error {
		if err := directory.EnsureDefault(tx); err != nil {
			return err
		}
		var err error
		w.user, err = directory.CreateUser(tx, tenant.ID, directory.User{
			Username: "tester", Email: "tester@example.com", EmailVerified: true, Name: "Test User",
		})
		return err
	})
	for i, db := range w.cluster.DB {
		w.nodes = append(w.nodes, newNode(t, db, rings[i], change...))
	}
	if err := w.nodes[0].keys.Ensure(t.Context(), tenant.ID, keys.ES256); err != nil {
		t.Fatal(err)
	}
	w.app = w.register(federation.Application{
		ClientID: "web", Name: "Web", RedirectURIs: []string{callback},
		GrantTypes:     []string{federation.GrantCode, federation.GrantRefresh, federation.GrantClientCredentials},
		AllowedScopes:  []string{"openid", "profile", "email", "groups", "offline_access", "api"},
		PostLogoutURIs: []string{"https://app.example.com/bye"},
	}, secret)
	w.signIn()
	return w
}

func newNode(t testing.TB, db *fsm.DB, ring *seal.Ring, change ...func(*Config)) *node {
	t.Helper()
	n := &node{db: db, ring: ring, mux: http.NewServeMux()}
	log := slog.New(slog.DiscardHandler)
	n.keys = keys.New(db, n.ring, log)
	n.sessions = session.NewStore(session.Config{DB: db, Ring: n.ring})
	n.flows = authn.New(authn.Config{
		DB: db, Ring: n.ring, Sessions: n.sessions,
		CheckPassword: func(_ context.Context, _, userID, password string) error {
			if userID == "" || password != "right" {
				return identity.Unauthenticated("no")
			}
			return nil
		},
	})
	cfg := Config{
		DB: db, Keys: n.keys, Ring: n.ring, Sessions: n.sessions, Flows: n.flows, Logger: log,
		Registerer: prometheus.NewRegistry(),
		Fresh: func(context.Context) error {
			if n.stale.Load() {
				return fmt.Errorf("state may be old: %w", fsm.ErrUnavailable)
			}
			return nil
		},
		ConsentPage: func(w http.ResponseWriter, _ *http.Request, _ *federation.Application, q *consent.Question) {
			fmt.Fprint(w, q.Sealed())
		},
		ErrorPage: func(w http.ResponseWriter, _ *http.Request, status int, title, detail string) {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(status)
			fmt.Fprintf(w, "<h1>%s</h1><p>%s</p>", title, detail)
		},
	}
	cfg.PostPage = func(w http.ResponseWriter, _ *http.Request, form PostedForm) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, "<form method=post action=%q data-source=%q data-fields=%q>", form.Action, form.Source, form.Fields.Encode())
	}
	for _, f := range change {
		f(&cfg)
	}
	n.provider = New(cfg)
	n.provider.Routes(n.mux)
	return n
}

func (w *world) update(i int, fn func(tx *fsm.Tx) error) {
	w.t.Helper()
	if err := w.cluster.DB[i].Update(w.t.Context(), fn); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) register(a federation.Application, secret string) *federation.Application {
	w.t.Helper()
	a.Tenant = tenant.ID
	w.update(0, func(tx *fsm.Tx) error {
		_, err := federation.Create(tx, w.nodes[0].ring, &a, secret)
		return err
	})
	return &a
}

// signIn gives the browser a session, made on node 0.
func (w *world) signIn() { w.signInAs("urn:quis:acr:aal1") }

// signInAs is signIn with another authentication context.
func (w *world) signInAs(acr string) {
	w.t.Helper()
	var started *session.Started
	w.update(0, func(tx *fsm.Tx) (err error) {
		started, err = w.nodes[0].sessions.Start(tx, session.Session{
			Tenant: tenant.ID, UserID: w.user.ID, AMR: []string{"pwd"}, ACR: acr,
		})
		return err
	})
	value, err := w.nodes[0].sessions.Cookie(started)
	if err != nil {
		w.t.Fatal(err)
	}
	w.session = started.Session.ID
	w.cookie = &http.Cookie{Name: "quis_session", Value: value}
}

// entries runs f and returns how many log entries it cost.
func (w *world) entries(f func()) int {
	before := w.cluster.Entries()
	f()
	return w.cluster.Entries() - before
}

func (n *node) do(r *http.Request) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	n.mux.ServeHTTP(rec, r.WithContext(identity.WithTenant(r.Context(), tenant)))
	return rec
}

func (w *world) get(i int, path string, cookie bool) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(w.t.Context(), "GET", path, nil)
	if cookie && w.cookie != nil {
		r.AddCookie(w.cookie)
	}
	return w.nodes[i].do(r)
}

func formRequest(ctx context.Context, path string, form url.Values) *http.Request {
	r := httptest.NewRequestWithContext(ctx, "POST", path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

// post sends a form as the world's application.
func (w *world) post(i int, path string, form url.Values) *httptest.ResponseRecorder {
	r := formRequest(w.t.Context(), path, form)
	r.SetBasicAuth(w.app.ClientID, secret)
	return w.nodes[i].do(r)
}

func challenge() string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func (w *world) request(change ...func(url.Values)) url.Values {
	q := url.Values{
		"client_id": {w.app.ClientID}, "redirect_uri": {w.app.RedirectURIs[0]}, "response_type": {"code"}, "scope": {"openid profile email"},
		"state": {"some-state"}, "nonce": {"some-nonce"}, "code_challenge": {challenge()}, "code_challenge_method": {"S256"},
	}
	for _, f := range change {
		f(q)
	}
	return q
}

func set(k, v string) func(url.Values) { return func(q url.Values) { q.Set(k, v) } }
func del(k string) func(url.Values)    { return func(q url.Values) { q.Del(k) } }

// back is where an authorization response leads, with its parameters.
func (w *world) back(rec *httptest.ResponseRecorder) (*url.URL, url.Values) {
	w.t.Helper()
	if rec.Code != http.StatusSeeOther {
		w.t.Fatalf("status %d, want a redirect: %s", rec.Code, rec.Body)
	}
	u, err := url.Parse(rec.Header().Get("Location"))
	if err != nil {
		w.t.Fatal(err)
	}
	return u, u.Query()
}

func (w *world) code(i int, change ...func(url.Values)) string {
	w.t.Helper()
	_, params := w.back(w.get(i, "/oauth2/authorize?"+w.request(change...).Encode(), true))
	if params.Get("code") == "" {
		w.t.Fatalf("no code: %v", params)
	}
	return params.Get("code")
}

func (w *world) codeForm(code string) url.Values {
	return url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {w.app.RedirectURIs[0]}, "code_verifier": {verifier},
	}
}

func refreshForm(token string) url.Values {
	return url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}}
}

type tokenResponse struct {
	Access      string `json:"access_token"`
	Type        string `json:"token_type"`
	Expires     int64  `json:"expires_in"`
	ID          string `json:"id_token"`
	Refresh     string `json:"refresh_token"`
	Scope       string `json:"scope"`
	Error       string `json:"error"`
	Description string `json:"error_description"`
}

func decodeTokens(rec *httptest.ResponseRecorder) (r tokenResponse, err error) {
	err = json.Unmarshal(rec.Body.Bytes(), &r)
	return r, err
}

// want checks the status and returns the decoded body.
func (w *world) want(rec *httptest.ResponseRecorder, status int) tokenResponse {
	w.t.Helper()
	r, err := decodeTokens(rec)
	if err != nil || rec.Code != status {
		w.t.Fatalf("status %d, want %d: %s (%v)", rec.Code, status, rec.Body, err)
	}
	return r
}

func (w *world) wantError(rec *httptest.ResponseRecorder, status int, code string) {
	w.t.Helper()
	if r := w.want(rec, status); r.Error != code {
		w.t.Fatalf("error %q, want %q: %s", r.Error, code, rec.Body)
	}
}

func (w *world) tokens(i int, change ...func(url.Values)) tokenResponse {
	w.t.Helper()
	return w.want(w.post(i, "/oauth2/token", w.codeForm(w.code(i, change...))), 200)
}

func (w *world) userinfo(i int, access string) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(w.t.Context(), "GET", "/oauth2/userinfo", nil)
	r.Header.Set("Authorization", "Bearer "+access)
	return w.nodes[i].do(r)
}

// claims are those of a token, unverified.
func claims(t testing.TB, token string) map[string]any {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("%q is no JWT", token)
	}
	body, err := base64.RawURLEncoding.DecodeString(parts[1])
	var c map[string]any
	if err = errors.Join(err, json.Unmarshal(body, &c)); err != nil {
		t.Fatal(err)
	}
	return c
}

func (w *world) events(what event.Type) int {
	w.t.Helper()
	count := 0
	err := w.cluster.DB[0].View(w.t.Context(), func(tx *fsm.Tx) error {
		list, _, err := event.List(tx, tenant.ID, event.Query{Type: string(what), Limit: 500})
		count = len(list)
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return count
}

// passSignIn takes a browser through the sign-in that an authorization response
// led to, as username, and returns where it leads: back to the authorization endpoint.
func (w *world) passSignIn(i int, rec *httptest.ResponseRecorder, username string) string {
	w.t.Helper()
	u, params := w.back(rec)
	if u.Path != "/login" || u.Host != "" {
		w.t.Fatalf("led to %s, want the sign-in page", u)
	}
	ctx := identity.WithTenant(w.t.Context(), tenant)
	flows := w.nodes[i].flows
	f, err := flows.Load(ctx, params.Get("flow"), "")
	if err == nil {
		_, err = flows.Bind(f, "")
	}
	if err != nil {
		w.t.Fatal(err)
	}
	result, err := flows.Password(ctx, f, username, "right")
	if err != nil {
		w.t.Fatal(err)
	}
	w.cookie = &http.Cookie{Name: "quis_session", Value: result.Cookie}
	w.session = result.Session.ID
	return result.ReturnTo
}

func decode(t testing.TB, body string, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(body), v); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
}
