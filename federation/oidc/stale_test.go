package oidc

import (
	"context"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/keys"
)

// newSleepyWorld is one whose node 1, when it is paused, catches up as soon as it asks
// whether its state is fresh, as the cluster does it.
func newSleepyWorld(t *testing.T) (w *world) {
	t.Helper()
	w = newWorld(t, 2, func(c *Config) {
		db := c.DB
		c.Fresh = func(context.Context) error {
			if w != nil && db == w.cluster.DB[1] {
				w.cluster.Resume(t, 1)
			}
			return nil
		}
	})
	return w
}

// A node that has slept believes in the application of before. It must learn that its
// state is old before it looks the application up, not after.
func TestWokenNodeDoesNotActOnAnOldApplication(t *testing.T) {
	t.Parallel()
	const taken = "https://taken-over.example.com/cb"
	newSecret := func(tx *fsm.Tx, w *world) error {
		_, err := federation.SetSecret(tx, w.nodes[0].ring, tenant.ID, w.app.ID, "", false)
		return err
	}
	remove := func(tx *fsm.Tx, w *world) error { return federation.Delete(tx, tenant.ID, w.app.ID, 0) }
	redirectURIs := func(uris ...string) func(tx *fsm.Tx, w *world) error {
		return func(tx *fsm.Tx, w *world) error {
			_, err := federation.Update(tx, tenant.ID, w.app.ID, 0, func(a *federation.Application) error {
				a.RedirectURIs = uris
				return nil
			})
			return err
		}
	}
	itself := func(w *world, _ tokenResponse) *httptest.ResponseRecorder {
		return w.post(1, "/oauth2/token", url.Values{"grant_type": {"client_credentials"}})
	}
	refresh := func(w *world, got tokenResponse) *httptest.ResponseRecorder {
		return w.post(1, "/oauth2/token", refreshForm(got.Refresh))
	}
	introspect := func(w *world, got tokenResponse) *httptest.ResponseRecorder {
		return w.post(1, "/oauth2/introspect", url.Values{"token": {got.Access}})
	}
	authorize := func(w *world, _ tokenResponse) *httptest.ResponseRecorder {
		return w.get(1, "/oauth2/authorize?"+w.request(set("redirect_uri", taken)).Encode(), true)
	}
	for name, c := range map[string]struct {
		change func(tx *fsm.Tx, w *world) error
		ask    func(*world, tokenResponse) *httptest.ResponseRecorder
		status int
	}{
		"client_credentials, secret replaced": {newSecret, itself, 401},
		"client_credentials, deleted":         {remove, itself, 401},
		"refresh, secret replaced":            {newSecret, refresh, 401},
		"introspection, secret replaced":      {newSecret, introspect, 401},
		"authorize, redirect URI removed":     {redirectURIs(callback), authorize, 400},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newSleepyWorld(t)
			w.update(0, func(tx *fsm.Tx) error { return redirectURIs(callback, taken)(tx, w) })
			got := w.tokens(1)
			w.cluster.Pause(1)
			w.update(0, func(tx *fsm.Tx) error { return c.change(tx, w) })
			if rec := c.ask(w, got); rec.Code != c.status {
				t.Errorf("status %d, want %d: %s %s", rec.Code, c.status, rec.Header().Get("Location"), rec.Body)
			}
		})
	}
}

// A tenant that was disabled while a node slept gets no token there either.
func TestWokenNodeServesNoDisabledTenant(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	var other *directory.Tenant
	w.update(0, func(tx *fsm.Tx) (err error) {
		other, err = directory.CreateTenant(tx, directory.Tenant{Slug: "other", Name: "Other"})
		if err != nil {
			return err
		}
		_, err = federation.Create(tx, w.nodes[0].ring, &federation.Application{
			Tenant: other.ID, ClientID: "web", Name: "Web", GrantTypes: []string{federation.GrantClientCredentials},
		}, secret)
		return err
	})
	ask := func() *httptest.ResponseRecorder { // as the front door sends it on, having seen the tenant enabled
		r := formRequest(t.Context(), "/oauth2/token", url.Values{"grant_type": {"client_credentials"}})
		r.SetBasicAuth("web", secret)
		rec := httptest.NewRecorder()
		at := identity.Tenant{ID: other.ID, Slug: "other", Issuer: issuer + "/t/other"}
		w.nodes[0].mux.ServeHTTP(rec, r.WithContext(identity.WithTenant(r.Context(), at)))
		return rec
	}
	w.want(ask(), 200)
	w.update(0, func(tx *fsm.Tx) error {
		_, err := directory.UpdateTenant(tx, other.ID, 0, func(t *directory.Tenant) error {
			t.Disabled = true
			return nil
		})
		return err
	})
	w.wantError(ask(), 401, "invalid_client")
}

// Everybody believes the keys in a JWKS for as long as it may be kept.
func TestWokenNodeDoesNotPublishARevokedKey(t *testing.T) {
	t.Parallel()
	w := newSleepyWorld(t)
	before := w.get(1, "/.well-known/jwks.json", false)
	if got := before.Header().Get("Cache-Control"); got != "public, max-age=600" {
		t.Errorf("Cache-Control: %s", got)
	}
	w.cluster.Pause(1)
	if err := w.nodes[0].keys.RotateEmergency(t.Context(), tenant.ID, keys.ES256); err != nil {
		t.Fatal(err)
	}
	want := w.get(0, "/.well-known/jwks.json", false).Body.String()
	if got := w.get(1, "/.well-known/jwks.json", false).Body.String(); got != want || got == before.Body.String() {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestKeysThatMayBeOldAreNotKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.nodes[0].stale.Store(true)
	rec := w.get(0, "/.well-known/jwks.json", false)
	if got := rec.Header().Get("Cache-Control"); rec.Code != 200 || got != "public, max-age=5" {
		t.Errorf("status %d, Cache-Control: %s", rec.Code, got)
	}
}
