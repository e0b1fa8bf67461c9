package related_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quis-idp/quis/api/login/related"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/fsm/fsmtest"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/settings"
)

const publicURL = "https://id.example.com"

// The lists of all tenants are in the one document that browsers read, on every node, a
// minute after they have changed; who asks in between costs no look at the store.
func TestTheOriginsOfAllTenants(t *testing.T) {
	t.Parallel()
	c := fsmtest.NewCluster(t, 2, slices.Concat(settings.Tables, event.Tables, directory.Tables)...)
	update := func(change func(tx *fsm.Tx) error) {
		t.Helper()
		if err := c.DB[0].Update(t.Context(), change); err != nil {
			t.Fatal(err)
		}
	}
	var b *directory.Tenant
	update(func(tx *fsm.Tx) (err error) {
		if err = directory.EnsureDefault(tx); err == nil {
			b, err = directory.CreateTenant(tx, directory.Tenant{Slug: "b", Name: "B"})
		}
		return err
	})
	list := func(tenant string, origins ...string) {
		t.Helper()
		a := settings.Default(tenant)
		a.Passkey.RelatedOrigins = origins
		update(func(tx *fsm.Tx) error { return settings.Put(tx, 0, a) })
	}
	var nodes [2]*http.ServeMux
	for i := range nodes {
		nodes[i] = http.NewServeMux()
		related.New(c.DB[i], publicURL).Routes(nodes[i])
	}
	said := func(node, status int, origins ...string) {
		t.Helper()
		w := httptest.NewRecorder()
		nodes[node].ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/.well-known/webauthn", nil))
		want := `{"origins":["` + strings.Join(origins, `","`) + `"]}`
		if w.Code != status || status == http.StatusOK && (w.Body.String() != want || w.Header().Get("Content-Type") != "application/json") {
			t.Errorf("node %d: %d %s, want %d %s", node, w.Code, w.Body, status, want)
		}
	}
	// pass lets a minute pass by a write under a later stamp.
	pass := func() {
		t.Helper()
		c.Advance(time.Minute)
		err := c.DB[0].Update(t.Context(), func(tx *fsm.Tx) error { return event.Append(tx, event.Event{Type: event.KeyRetired}) })
		if err != nil {
			t.Fatal(err)
		}
		if err := c.DB[1].WaitApplied(t.Context(), c.DB[0].Position().Index); err != nil {
			t.Fatal(err)
		}
	}
	said(0, http.StatusNotFound)
	list(b.ID, "https://login.b.example", "https://shared.example")
	list(identity.DefaultTenant, "https://shared.example", "https://c.example")
	said(0, http.StatusNotFound) // kept
	pass()
	for node := range nodes {
		said(node, http.StatusOK, publicURL, "https://login.b.example", "https://shared.example", "https://c.example")
	}
	update(func(tx *fsm.Tx) error { // those of a tenant that is disabled count for nothing
		_, err := directory.UpdateTenant(tx, b.ID, 0, func(t *directory.Tenant) error { t.Disabled = true; return nil })
		return err
	})
	said(0, http.StatusOK, publicURL, "https://login.b.example", "https://shared.example", "https://c.example")
	pass()
	said(1, http.StatusOK, publicURL, "https://shared.example", "https://c.example")
	list(identity.DefaultTenant)
	pass()
	said(0, http.StatusNotFound)
}
