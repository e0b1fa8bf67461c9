package api

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/quis-idp/quis/api/metrics"
	"github.com/quis-idp/quis/api/problem"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/fsm/fsmtest"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
)

// echo is a room that tells what reached it.
type echo struct{}

type seen struct {
	Path, Tenant, Issuer, RequestID, IP, Actor, Body string
}

func (echo) Routes(mux *http.ServeMux) {
	show := func(w http.ResponseWriter, r *http.Request) error {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return err
		}
		ctx := r.Context()
		return json.NewEncoder(w).Encode(seen{
			r.URL.Path, identity.TenantFrom(ctx).ID, identity.TenantFrom(ctx).Issuer, identity.RequestFrom(ctx).ID,
			identity.RequestFrom(ctx).IP, string(identity.ActorFrom(ctx).Kind), string(body),
		})
	}
	for _, pattern := range []string{
		"GET /echo", "POST /echo", "POST /oauth2/token", "GET /.well-known/openid-configuration",
		"GET /.well-known/oauth-authorization-server", "GET /folder/",
	} {
		mux.Handle(pattern, problem.Handle(show))
	}
	mux.HandleFunc("GET /panic", func(http.ResponseWriter, *http.Request) { panic("the roof is on fire") })
	mux.HandleFunc("GET /tight", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Referrer-Policy", "no-referrer")
		w.Header().Add("Permissions-Policy", "midi=()")
		w.Header().Del("Cross-Origin-Opener-Policy")
	})
	mux.HandleFunc("GET /half", func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "half an ans")
		panic("wer")
	})
}

// house is a front door with everything behind it.
type house struct {
	*API
	tenant *directory.Tenant
	log    *bytes.Buffer
	met    *metrics.Metrics
}

func newHouse(t *testing.T, change func(*Config)) *house {
	t.Helper()
	db := fsmtest.New(t, slices.Concat(event.Tables, directory.Tables)...)
	h := &house{log: &bytes.Buffer{}, met: metrics.New("test", "none")}
	err := db.Update(t.Context(), func(tx *fsm.Tx) (err error) {
		if err := directory.EnsureDefault(tx); err != nil {
			return err
		}
		h.tenant, err = directory.CreateTenant(tx, directory.Tenant{Slug: "acme", Name: "Acme"})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{
		PublicURL: "https://id.example.com", DB: db, Rooms: []Room{echo{}}, Metrics: h.met,
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
		Logger:         slog.New(slog.NewTextHandler(h.log, nil)),
	}
	if change != nil {
		change(&cfg)
	}
	if h.API, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	return h
}

// call sends a request; headers are "Name: value".
func (h *house) call(method, target, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.RemoteAddr = "203.0.113.9:1234"
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		switch name {
		case "Remote":
			r.RemoteAddr = value
		case "Host":
			r.Host = value
		default:
			r.Header.Add(name, value)
		}
	}
	w := httptest.NewRecorder()
	h.Public.ServeHTTP(w, r)
	return w
}

func (h *house) seen(t *testing.T, method, target string, headers ...string) seen {
	t.Helper()
	w := h.call(method, target, "", headers...)
	var s seen
	if err := json.Unmarshal(w.Body.Bytes(), &s); w.Code != 200 || err != nil {
		t.Fatalf("%s %s: %d %s", method, target, w.Code, w.Body)
	}
	return s
}
