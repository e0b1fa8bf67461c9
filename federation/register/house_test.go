package register_test

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/consent"
	"github.com/quis-idp/quis/federation/fetch"
	"github.com/quis-idp/quis/federation/register"
	"github.com/quis-idp/quis/federation/resource"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/fsm/fsmtest"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/keys/seal"
	"github.com/quis-idp/quis/keys/seal/sealtest"
)

const ten = identity.DefaultTenant

// A house is the endpoint on a few nodes over one log, and a web server of somebody else.
type house struct {
	*fsmtest.Cluster
	t     *testing.T
	rings []*seal.Ring
	muxes []*http.ServeMux
	docs  []*register.Documents
	web   *httptest.Server
	serve func(http.ResponseWriter, *http.Request)
}

func newHouse(t *testing.T, size int) *house {
	t.Helper()
	tables := slices.Concat(seal.Tables, event.Tables, directory.Tables, federation.Tables, resource.Tables, consent.Tables, register.Tables)
	h := &house{Cluster: fsmtest.NewCluster(t, size, tables...), t: t}
	h.web = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.serve(w, r) }))
	t.Cleanup(h.web.Close)
	roots := x509.NewCertPool()
	roots.AddCert(h.web.Certificate())
	rings := sealtest.Rings(t, h.DB...)
	h.update(directory.EnsureDefault)
	for i, db := range h.DB {
		ring := rings[i]
		client := fetch.New(fetch.Config{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, RootCAs: roots})
		e := register.New(register.Config{
			DB: db, Ring: ring, Fetch: client, Fresh: func(context.Context) error { return nil }, Logger: slog.New(slog.DiscardHandler),
		})
		mux := http.NewServeMux()
		e.Routes(mux)
		h.rings, h.muxes = append(h.rings, ring), append(h.muxes, mux)
		h.docs = append(h.docs, register.NewDocuments(db, client))
	}
	return h
}

func (h *house) update(fn func(*fsm.Tx) error) {
	h.t.Helper()
	if err := h.DB[0].Update(h.t.Context(), fn); err != nil {
		h.t.Fatal(err)
	}
	for _, db := range h.DB {
		h.settle(db)
	}
}

// settle waits until a node has what the first one has.
func (h *house) settle(db *fsm.DB) {
	h.t.Helper()
	if err := db.WaitApplied(h.t.Context(), h.DB[0].Position().Index); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) policy(p register.Policy) {
	h.t.Helper()
	p.Tenant = ten
	h.update(func(tx *fsm.Tx) error { return register.SetPolicy(tx, p) })
}

// token makes an initial access token.
func (h *house) token(uses int64, life time.Duration) string {
	h.t.Helper()
	var value string
	h.update(func(tx *fsm.Tx) (err error) {
		_, value, err = register.CreateToken(tx, h.rings[0], ten, "for tests", uses, life)
		return err
	})
	return value
}

// send sends a request to node n; token may be empty.
func (h *house) send(n int, method, path, token, body string) (int, map[string]any) {
	h.t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	r = r.WithContext(identity.WithTenant(r.Context(), identity.Tenant{ID: ten, Issuer: "https://id.example.com"}))
	w := httptest.NewRecorder()
	h.muxes[n].ServeHTTP(w, r)
	var out map[string]any
	data, _ := io.ReadAll(w.Body)
	if len(data) > 0 {
		if err := json.Unmarshal(data, &out); err != nil {
			h.t.Fatalf("%s %s: %d %q", method, path, w.Code, data)
		}
	}
	return w.Code, out
}

// entries counts what do adds to the log.
func (h *house) entries(do func()) uint64 {
	at := h.DB[0].Position().Index
	do()
	return h.DB[0].Position().Index - at
}

// refuses checks status and code of an answer, and that nothing was written.
func (h *house) refuses(what string, status int, code, token, body string) {
	h.t.Helper()
	n := h.entries(func() {
		got, out := h.send(0, "POST", register.Path, token, body)
		if got != status || out["error"] != code || out["error_description"] == "" {
			h.t.Errorf("%s: %d %v, want %d %s", what, got, out, status, code)
		}
	})
	if n != 0 {
		h.t.Errorf("%s: %d entries", what, n)
	}
}
