package oidc

import (
	"crypto/x509"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/fetch"
	"github.com/quis-idp/quis/federation/register"
	"github.com/quis-idp/quis/federation/resource"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
)

// TestApplicationKnownByItsDocument: strangers cost nothing, and nobody is let in unasked.
func TestApplicationKnownByItsDocument(t *testing.T) {
	t.Parallel()
	var id string
	web := httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "application/json")
		_, _ = rw.Write([]byte(`{"client_id":"` + id + `","client_name":"Tool","redirect_uris":["http://127.0.0.1/cb"]}`))
	}))
	t.Cleanup(web.Close)
	id = web.URL + "/client.json"
	roots := x509.NewCertPool()
	roots.AddCert(web.Certificate())
	w := newWorld(t, 1, func(c *Config) {
		c.Fetch = fetch.New(fetch.Config{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, RootCAs: roots})
		c.Documents = register.NewDocuments(c.DB, c.Fetch)
	})
	ask := func(prompt string) url.Values {
		return w.request(func(q url.Values) {
			q.Set("client_id", id)
			q.Set("redirect_uri", "http://127.0.0.1:7777/cb")
			q.Set("prompt", prompt)
			if prompt == "" {
				q.Del("prompt")
			}
		})
	}
	if rec := w.get(0, authorizePath+"?"+ask("").Encode(), false); rec.Code != 400 {
		t.Errorf("without a policy: %d", rec.Code)
	}
	w.update(0, func(tx *fsm.Tx) error {
		return register.SetPolicy(tx, register.Policy{Tenant: tenant.ID, Documents: true})
	})
	if n := w.entries(func() {
		if rec := w.get(0, authorizePath+"?"+ask("").Encode(), false); rec.Code != 303 || !strings.Contains(rec.Header().Get("Location"), "/login") {
			t.Errorf("%d %s", rec.Code, rec.Body)
		}
	}); n != 0 {
		t.Errorf("a stranger cost %d entries", n)
	}
	// Nor does a person who is led here and on again without seeing anything: that could be done without end.
	if n := w.entries(func() {
		for range 3 {
			rec := w.get(0, authorizePath+"?"+ask("none").Encode(), true)
			_, back := w.back(rec)
			if back.Get("error") != "consent_required" || back.Get("code") != "" {
				t.Errorf("%d %s", rec.Code, rec.Header().Get("Location"))
			}
		}
	}); n != 0 {
		t.Errorf("a person who was led around cost %d entries", n)
	}
	if n := w.entries(func() {
		for range 3 {
			if rec := w.get(0, authorizePath+"?"+ask("").Encode(), true); rec.Code != 200 {
				t.Errorf("no question: %d %s", rec.Code, rec.Header().Get("Location"))
			}
		}
	}); n != 1 {
		t.Errorf("kept in %d entries", n)
	}
	var app *federation.Application
	if err := w.nodes[0].db.View(t.Context(), func(tx *fsm.Tx) (err error) {
		app, err = federation.ByClientID(tx, tenant.ID, id)
		return err
	}); err != nil || !app.IsPublic || app.Name != "Tool (127.0.0.1)" {
		t.Errorf("%+v %v", app, err)
	}
}

func TestProtectedResourceMetadata(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	var s *resource.Server
	w.update(0, func(tx *fsm.Tx) (err error) {
		if s, err = resource.CreateServer(tx, resource.Server{Tenant: tenant.ID, Identifier: "https://api.example.com/mcp", Name: "MCP", OpenToAll: true}); err != nil {
			return err
		}
		_, err = resource.CreateScope(tx, resource.Scope{Tenant: tenant.ID, Name: "tools", Resource: s.ID, FriendlyName: "Tools", Texts: resource.Texts{"en": "Use tools"}})
		return err
	})
	for path, want := range map[string]string{
		protectedPath:                                           issuer + "/oauth2/userinfo",
		protectedPath + "/oauth2/userinfo":                      issuer + "/oauth2/userinfo",
		protectedPath + "/" + s.ID:                              "https://api.example.com/mcp",
		protectedPath + "?resource=https://api.example.com/mcp": "https://api.example.com/mcp",
	} {
		rec := w.get(0, path, false)
		var d protectedMetadata
		if err := json.Unmarshal(rec.Body.Bytes(), &d); err != nil || d.Resource != want || len(d.Servers) != 1 || d.Servers[0] != issuer || len(d.Scopes) == 0 {
			t.Errorf("%s: %d %s", path, rec.Code, rec.Body)
		}
	}
	for _, path := range []string{protectedPath + "/other", protectedPath + "?resource=https://evil.example/"} {
		if rec := w.get(0, path, false); rec.Code != 404 {
			t.Errorf("%s: %d", path, rec.Code)
		}
	}
	rec := w.get(0, "/oauth2/userinfo", false)
	if got := strings.Join(rec.Header().Values("WWW-Authenticate"), "\n"); rec.Code != 401 || !strings.Contains(got, `resource_metadata="`+issuer+protectedPath+`/oauth2/userinfo"`) {
		t.Errorf("%d %s", rec.Code, got)
	}
}

func TestRefusesScriptsOfOtherOrigins(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.update(0, func(tx *fsm.Tx) error {
		_, err := federation.Update(tx, tenant.ID, w.app.ID, 0, func(a *federation.Application) error {
			a.AllowedOrigins = []string{"https://app.example.com"}
			return nil
		})
		return err
	})
	for origin, want := range map[string]int{"": 200, "https://app.example.com": 200, "https://evil.example": 400, "null": 400, "https://app.example.com.evil.example": 400} {
		form := w.codeForm(w.code(0))
		r := httptest.NewRequest(http.MethodPost, "/oauth2/token", strings.NewReader(form.Encode())).WithContext(identity.WithTenant(t.Context(), tenant))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if origin != "" {
			r.Header.Set("Origin", origin)
		}
		r.SetBasicAuth(w.app.ClientID, secret)
		rec := httptest.NewRecorder()
		w.nodes[0].mux.ServeHTTP(rec, r)
		if rec.Code != want {
			t.Errorf("%q: %d %s", origin, rec.Code, rec.Body)
		}
	}
}

// TestRedirectURIByPattern: the URI that was asked for counts at the exchange, byte for byte.
func TestRedirectURIByPattern(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.update(0, func(tx *fsm.Tx) error {
		_, err := federation.Update(tx, tenant.ID, w.app.ID, 0, func(a *federation.Application) error {
			a.RedirectURIs = []string{`regex:^https://app\.example\.com/cb/.*`}
			return nil
		})
		return err
	})
	at := func(uri string) func(url.Values) { return func(q url.Values) { q.Set("redirect_uri", uri) } }
	const uri = "https://app.example.com/cb/one?x=1"
	form := w.codeForm(w.code(0, at(uri)))
	form.Set("redirect_uri", "https://app.example.com/cb/two")
	w.wantError(w.post(0, "/oauth2/token", form), 400, "invalid_grant")
	form.Set("redirect_uri", uri)
	w.want(w.post(0, "/oauth2/token", form), 200)
	for _, bad := range []string{"https://evil.example/cb/x", "https://app.example.com/cb/../x", "https://app.example.com@evil.example/cb/x", `regex:^https://app\.example\.com/cb/.*`, "https://appxexample.com/cb/x"} {
		rec := w.get(0, authorizePath+"?"+w.request(at(bad)).Encode(), true)
		if rec.Code != 400 || rec.Header().Get("Location") != "" {
			t.Errorf("%s: %d %s", bad, rec.Code, rec.Header().Get("Location"))
		}
	}
}
