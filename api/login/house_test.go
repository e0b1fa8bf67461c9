package login

import (
	"context"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/quis-idp/quis/api"
	"github.com/quis-idp/quis/api/metrics"
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
	"github.com/quis-idp/quis/keys/seal"
)

const (
	publicURL = "http://localhost:8080"
	secret    = "correct horse battery"
)

// house is a running front door with the real rooms behind it.
type house struct {
	t       *testing.T
	cluster *fsmtest.Cluster
	db      *fsm.DB
	flows   *authn.Flows
	url     string
}

func newHouse(t *testing.T, change func(*Config)) *house {
	t.Helper()
	c := fsmtest.NewCluster(t, 1, slices.Concat(seal.Tables, event.Tables, directory.Tables, credential.Tables, session.Tables, authn.Tables, settings.Tables, passkey.Tables)...)
	h := &house{t: t, cluster: c, db: c.DB[0]}
	root := seal.GenerateRootKey()
	h.update(func(tx *fsm.Tx) error { return seal.Init(tx, root) })
	ring, err := seal.OpenRing(t.Context(), h.db, root)
	if err != nil {
		t.Fatal(err)
	}
	pool := credential.NewPool(credential.Config{Params: credential.Params{Memory: 64, Time: 1, Threads: 1}}, nil)
	sessions := session.NewStore(session.Config{DB: h.db, Ring: ring})
	h.flows = authn.New(authn.Config{DB: h.db, Ring: ring, Sessions: sessions,
		CheckPassword: func(ctx context.Context, tenant, user, password string) error {
			return credential.CheckPassword(ctx, h.db, pool, tenant, user, password)
		}})
	phc, err := pool.Hash(t.Context(), secret)
	if err != nil {
		t.Fatal(err)
	}
	h.update(func(tx *fsm.Tx) error {
		if err := directory.EnsureDefault(tx); err != nil {
			return err
		}
		acme, err := directory.CreateTenant(tx, directory.Tenant{Slug: "acme", Name: "Acme"})
		if err != nil {
			return err
		}
		for _, tenant := range []string{identity.DefaultTenant, acme.ID} {
			u, err := directory.CreateUser(tx, tenant, directory.User{Username: "tester", Email: "tester@example.com", Name: "Test User"})
			if err != nil {
				return err
			}
			if err := credential.SetPassword(tx, tenant, u.ID, phc); err != nil {
				return err
			}
		}
		return nil
	})
	cfg := Config{DB: h.db, Sessions: sessions, Flows: h.flows, Pool: pool}
	if change != nil {
		change(&cfg)
	}
	door, err := api.New(api.Config{PublicURL: publicURL, DB: h.db, Rooms: []api.Room{New(cfg)}, Metrics: metrics.New("test", "none")})
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(door.Public)
	t.Cleanup(s.Close)
	h.url = s.URL
	return h
}

func (h *house) update(fn func(tx *fsm.Tx) error) {
	h.t.Helper()
	if err := h.db.Update(h.t.Context(), fn); err != nil {
		h.t.Fatal(err)
	}
}

// begin makes a flow as a protocol does.
func (h *house) begin(need authn.Need) string {
	h.t.Helper()
	if need.Tenant == "" {
		need.Tenant = identity.DefaultTenant
	}
	sealed, err := h.flows.Begin(h.t.Context(), need)
	if err != nil {
		h.t.Fatal(err)
	}
	return sealed
}

func (h *house) sessions() (n int) {
	h.t.Helper()
	err := h.db.View(h.t.Context(), func(tx *fsm.Tx) error {
		u, err := directory.UserByUsername(tx, identity.DefaultTenant, "tester")
		if err != nil {
			return err
		}
		ids, err := session.Excess(tx, identity.DefaultTenant, u.ID, 0)
		n = len(ids)
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return n
}

// person is somebody with a browser, without JavaScript.
type someone struct {
	*house
	client *http.Client
}

func (h *house) someone() *someone {
	jar, err := cookiejar.New(nil)
	if err != nil {
		h.t.Fatal(err)
	}
	return &someone{h, &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

type answer struct {
	*http.Response
	body string
}

func (s *someone) send(r *http.Request) answer {
	s.t.Helper()
	r.Header.Set("Accept", "text/html")
	resp, err := s.client.Do(r.WithContext(s.t.Context()))
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer{resp, string(b)}
}

func (s *someone) get(path string) answer {
	s.t.Helper()
	r, err := http.NewRequest(http.MethodGet, s.url+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.send(r)
}

func (s *someone) post(path string, form url.Values) answer {
	s.t.Helper()
	r, err := http.NewRequest(http.MethodPost, s.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return s.send(r)
}

var hidden = regexp.MustCompile(`<input type="hidden" name="flow" value="([^"]+)">`)

// form opens the login form of a flow and returns the hidden token.
func (s *someone) form(path string) string {
	s.t.Helper()
	a := s.get(path)
	m := hidden.FindStringSubmatch(a.body)
	if a.StatusCode != 200 || m == nil {
		s.t.Fatalf("no form: %d %s", a.StatusCode, a.body)
	}
	return m[1]
}

func (s *someone) try(flow, username, password string) answer {
	s.t.Helper()
	return s.post("/login", url.Values{"flow": {flow}, "username": {username}, "password": {password}})
}

// signIn goes in through the front page.
func (s *someone) signIn() {
	s.t.Helper()
	if a := s.try(s.form("/login"), "tester", secret); a.StatusCode != 200 || a.Header.Get("Refresh") == "" {
		s.t.Fatalf("sign in: %d %s", a.StatusCode, a.body)
	}
}

func (a answer) want(t *testing.T, status int, contains ...string) {
	t.Helper()
	if a.StatusCode != status {
		t.Errorf("%s %s: %d, want %d: %s", a.Request.Method, a.Request.URL.Path, a.StatusCode, status, a.body)
	}
	for _, c := range contains {
		if !strings.Contains(a.body, c) {
			t.Errorf("%s %s: the page lacks %q: %s", a.Request.Method, a.Request.URL.Path, c, a.body)
		}
	}
}
