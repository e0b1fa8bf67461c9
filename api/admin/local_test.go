package admin_test

import (
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quis-idp/quis/api/admin"
	"github.com/quis-idp/quis/api/client"
	"github.com/quis-idp/quis/cluster/backup"
	"github.com/quis-idp/quis/federation/fetch"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/fsm/fsmtest"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/impersonation"
	"github.com/quis-idp/quis/identity/notify"
	"github.com/quis-idp/quis/keys"
)

// A node that is asked before its house stands says so, and not that something is not found.
func TestLocalBeforeTheFirstTenant(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	empty := fsmtest.New(t, slices.Concat(directory.Tables, event.Tables)...)
	a, err := admin.New(admin.Config{
		DB: empty, Ring: h.ring, Keys: keys.New(h.db, h.ring, nil), Passwords: newPool(t), Sessions: h.sessions, Offers: impersonation.New(h.db, h.ring, h.sessions),
		Mail:    notify.New(notify.Config{DB: h.db, Ring: h.ring, Carrier: h.carrier, Logger: slog.New(slog.DiscardHandler), Tenant: func(*fsm.Tx, string) (identity.Tenant, error) { return identity.Tenant{}, nil }}),
		Cluster: oneNode{}, Backups: &backup.Keeper{DB: h.db}, PublicURL: "http://id.test", Version: "test", Fetch: fetch.New(fetch.Config{}),
	})
	h.must(err)
	w := httptest.NewRecorder()
	a.Local().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/v1/cluster/status", nil))
	if w.Code != 503 || !strings.Contains(w.Body.String(), "has just started and is not set up yet") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// The operator needs no token at the socket, and is named in the events.
func TestLocal(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	h.must(err)
	srv := &http.Server{Handler: h.api.Local()}
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close() })
	c, err := client.New("unix://"+path, "")
	h.must(err)
	u, err := c.Users.Create(t.Context(), client.UserFields{Username: ptr("op")})
	h.must(err)
	page, err := c.Events(t.Context(), client.EventFilter{Target: u.ID})
	h.must(err)
	if len(page.Data) != 1 || page.Data[0].Actor.Kind != "operator" {
		t.Errorf("got %+v", page)
	}
	// What is for longer than a year has to be asked for, here alone, and ends too.
	decade := time.Now().AddDate(0, 0, 3650)
	if tok, err := c.Users.CreateToken(t.Context(), u.ID, "long", decade); err != nil || tok.ExpiresAt.Sub(decade).Abs() > time.Second {
		t.Errorf("for ten years: %+v, %v", tok, err)
	}
	if tok, err := c.Users.CreateToken(t.Context(), u.ID, "unsaid", time.Time{}); err != nil || tok.ExpiresAt.After(time.Now().AddDate(0, 0, 366)) {
		t.Errorf("for which nobody says an end: %+v, %v", tok, err)
	}
	if _, err := c.Users.CreateToken(t.Context(), u.ID, "longer", decade.AddDate(0, 0, 1)); client.Status(err) != 400 {
		t.Errorf("for more than ten years: %v", err)
	}
	for what, lose := range map[string]func() error{
		"deleted":  func() error { return c.Users.Delete(t.Context(), h.rootUser) },
		"disabled": func() error { return only(c.Users.Set(t.Context(), h.rootUser, map[string]any{"disabled": true}, "")) },
		"demoted":  func() error { return only(c.Users.Set(t.Context(), h.rootUser, map[string]any{"admin": false}, "")) },
	} {
		if err := lose(); client.Status(err) != 403 || !strings.Contains(err.Error(), "root is the last administrator of this installation") {
			t.Errorf("the last administrator is %s: %v", what, err)
		}
	}
	_, err = c.Users.Get(t.Context(), "usr_none")
	if e, ok := err.(*client.Error); !ok || e.Status != 404 || e.Problem.Instance == "" {
		t.Errorf("got %v", err)
	}
}

func only[T any](_ T, err error) error { return err }
