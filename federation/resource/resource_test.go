package resource_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/resource"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/fsm/fsmtest"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/language"
	"github.com/quis-idp/quis/keys/seal"
	"github.com/quis-idp/quis/keys/seal/sealtest"
)

const (
	tenant = identity.DefaultTenant
	issuer = "https://id.example.com"
	orders = "https://orders.example.com"
)

type house struct {
	t   *testing.T
	db  *fsm.DB
	app *federation.Application // keeps a secret
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, db: fsmtest.New(t, slices.Concat(seal.Tables, event.Tables, directory.Tables, federation.Tables, resource.Tables)...)}
	ring := sealtest.Ring(t, h.db)
	h.update(directory.EnsureDefault)
	h.app = &federation.Application{Tenant: tenant, Name: "App", RedirectURIs: []string{"https://app.example.com/cb"}, TokenExpiry: 600}
	h.update(func(tx *fsm.Tx) error {
		_, err := federation.Create(tx, ring, h.app, "")
		return err
	})
	return h
}

func (h *house) update(fn func(tx *fsm.Tx) error) {
	h.t.Helper()
	if err := h.try(fn); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) try(fn func(tx *fsm.Tx) error) error { return h.db.Update(h.t.Context(), fn) }

func (h *house) scope(s resource.Scope) error {
	s.Tenant = tenant
	return h.try(func(tx *fsm.Tx) error {
		_, err := resource.CreateScope(tx, s)
		return err
	})
}

func (h *house) server(s resource.Server) (made *resource.Server, err error) {
	s.Tenant = tenant
	err = h.try(func(tx *fsm.Tx) (err error) {
		made, err = resource.CreateServer(tx, s)
		return err
	})
	return made, err
}

func (h *house) mustServer(s resource.Server) *resource.Server {
	h.t.Helper()
	made, err := h.server(s)
	if err != nil {
		h.t.Fatal(err)
	}
	return made
}

func (h *house) aim(uris ...string) (target *resource.Target, err error) {
	err = h.db.View(h.t.Context(), func(tx *fsm.Tx) (err error) {
		target, err = resource.Aim(tx, h.app, issuer, uris)
		return err
	})
	return target, err
}

func fieldOf(err error) string {
	var e *identity.Error
	if errors.As(err, &e) {
		return e.Field
	}
	return ""
}

var english = resource.Texts{"en": "Read your orders"}

func TestBuiltInScopesAreInEveryLanguage(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.update(func(tx *fsm.Tx) error {
		for _, name := range []string{federation.ScopeOpenID, federation.ScopeProfile, federation.ScopeEmail, federation.ScopeGroups, federation.ScopeRoles, federation.ScopeOffline} {
			s, err := resource.Describe(tx, tenant, name)
			if err != nil {
				return err
			}
			for _, l := range language.All {
				if _, in := s.Texts.In(string(l)); in != string(l) {
					t.Errorf("%s has no words in %s", name, l)
				}
			}
		}
		return nil
	})
}

func TestScopeIsKept(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.mustServer(resource.Server{Identifier: orders, Name: "Orders"})
	if err := h.scope(resource.Scope{
		Name: "orders:read", FriendlyName: "Orders", Texts: resource.Texts{"en": "Read your orders", "DE-de": "Ihre Bestellungen lesen"},
		Sensitive: true, Optional: true, Claims: []string{"customer"}, Resource: s.ID,
	}); err != nil {
		t.Fatal(err)
	}
	if err := h.scope(resource.Scope{Name: "orders:read", Texts: english}); !errors.Is(err, fsm.ErrExists) {
		t.Errorf("the same name again: %v", err)
	}
	h.update(func(tx *fsm.Tx) error {
		got, rev, err := resource.GetScope(tx, tenant, "orders:read")
		if err != nil {
			return err
		}
		if got.Texts["de-DE"] == "" || !got.Sensitive || got.Resource != s.ID || rev == 0 {
			t.Errorf("kept as %+v", got)
		}
		names, err := resource.ScopesOf(tx, tenant, s.ID)
		if !slices.Equal(names, []string{"orders:read"}) {
			t.Errorf("scopes of the server: %v", names)
		}
		return err
	})
	if err := h.try(func(tx *fsm.Tx) error { return resource.DeleteServer(tx, tenant, s.ID, 0) }); fieldOf(err) != "id" {
		t.Errorf("a server with scopes was deleted: %v", err)
	}
	h.update(func(tx *fsm.Tx) error {
		_, err := resource.UpdateScope(tx, tenant, "orders:read", 0, func(s *resource.Scope) error { s.Resource, s.Name = "", "other"; return nil })
		return err
	})
	h.update(func(tx *fsm.Tx) error { return resource.DeleteServer(tx, tenant, s.ID, 0) })
	h.update(func(tx *fsm.Tx) error { return resource.DeleteScope(tx, tenant, "orders:read", 0) })
	h.update(func(tx *fsm.Tx) error {
		d, err := resource.Describe(tx, tenant, "orders:read")
		if d.FriendlyName != "orders:read" {
			t.Errorf("a scope without words is described as %+v", d)
		}
		return err
	})
}

func TestScopeIsRefusedWithAReason(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for field, bad := range map[string]resource.Scope{
		"name":               {Name: "two words", Texts: english},
		"texts":              {Name: "a"},
		"implied":            {Name: "a", Implied: true, Sensitive: true},
		"claims":             {Name: "a", Texts: english, Claims: []string{"c", "c"}},
		"resource_server_id": {Name: "a", Texts: english, Resource: "res_nowhere"},
		"friendly_name":      {Name: "a", Texts: english, FriendlyName: strings.Repeat("x", 300)},
	} {
		if err := h.scope(bad); !errors.Is(err, identity.ErrInvalid) || fieldOf(err) != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	for _, texts := range []resource.Texts{{"no tag": "x"}, {"en": " "}, {"en": strings.Repeat("x", 400)}} {
		if err := h.scope(resource.Scope{Name: "a", Texts: texts}); fieldOf(err) != "texts" {
			t.Errorf("%v: %v", texts, err)
		}
	}
	if err := h.scope(resource.Scope{Name: "email", Texts: english}); fieldOf(err) != "name" {
		t.Errorf("one of our own was registered: %v", err)
	}
	if err := h.try(func(tx *fsm.Tx) error { return resource.DeleteScope(tx, tenant, "openid", 0) }); fieldOf(err) != "name" {
		t.Errorf("one of our own was deleted: %v", err)
	}
}

func TestTextsFallBack(t *testing.T) {
	t.Parallel()
	x := resource.Texts{"en": "english", "de": "deutsch", "pt-BR": "brasileiro", "pt-PT": "português"}
	for _, c := range []struct {
		want []string
		lang string
	}{
		{nil, "en"}, {[]string{"de-AT"}, "de"}, {[]string{"PT-pt"}, "pt-PT"}, {[]string{"pt"}, "pt-BR"},
		{[]string{"fi", "de"}, "de"}, {[]string{"fi"}, "en"}, {[]string{""}, "en"},
	} {
		if text, lang := x.In(c.want...); lang != c.lang || text != x[c.lang] {
			t.Errorf("%v: %s in %s, want %s", c.want, text, lang, c.lang)
		}
	}
	if text, lang := (resource.Texts{"fi": "suomi", "sv": "svenska"}).In("de"); lang != "fi" || text != "suomi" {
		t.Errorf("without English: %s in %q", text, lang)
	}
	if text, lang := (resource.Texts)(nil).In("de"); lang != "" || text != "" {
		t.Errorf("none at all: %s in %q", text, lang)
	}
	if n := len(resource.BuiltIn(tenant)); n != 6 {
		t.Errorf("%d scopes of our own", n)
	}
	for _, s := range resource.BuiltIn(tenant) {
		if text, lang := s.Texts.In("xx"); text == "" || lang != "en" || !s.BuiltIn {
			t.Errorf("%s says %q in %q", s.Name, text, lang)
		}
	}
}

func TestServerIsRefusedWithAReason(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	good := resource.Server{Identifier: orders, Name: "Orders"}
	for _, uri := range []string{
		"", "orders", "/orders", "https://a.example/#x", "https://a.example/?x=1", "https://u@a.example", "javascript:alert(1)",
		"https://a b", "https://", strings.Repeat("https://x/", 60), "https://ä.example",
	} {
		bad := good
		bad.Identifier = uri
		if _, err := h.server(bad); fieldOf(err) != "identifier" {
			t.Errorf("%q: %v", uri, err)
		}
	}
	for field, change := range map[string]func(*resource.Server){
		"name":                 func(s *resource.Server) { s.Name = " " },
		"token_format":         func(s *resource.Server) { s.TokenFormat = "opaque" },
		"token_expiry":         func(s *resource.Server) { s.TokenExpiry = 5 },
		"signing_alg":          func(s *resource.Server) { s.SigningAlg = "none" },
		"application_id":       func(s *resource.Server) { s.Application = "app_nowhere" },
		"allowed_applications": func(s *resource.Server) { s.Allowed = []string{"app_1", "app_1"} },
	} {
		bad := good
		change(&bad)
		if _, err := h.server(bad); fieldOf(err) != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	made := h.mustServer(good)
	if _, err := h.server(good); !errors.Is(err, fsm.ErrExists) {
		t.Errorf("the same identifier again: %v", err)
	}
	err := h.try(func(tx *fsm.Tx) error {
		_, err := resource.UpdateServer(tx, tenant, made.ID, 0, func(s *resource.Server) error { s.Identifier += "/"; return nil })
		return err
	})
	if fieldOf(err) != "identifier" {
		t.Errorf("identifier changed: %v", err)
	}
}

func TestAim(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	first := h.mustServer(resource.Server{Identifier: orders, Name: "Orders", OpenToAll: true, TokenExpiry: 300, SigningAlg: "RS256"})
	h.mustServer(resource.Server{Identifier: "urn:api:two", Name: "Two", Allowed: []string{h.app.ID}, TokenExpiry: 120})
	h.mustServer(resource.Server{Identifier: "urn:api:three", Name: "Three", OpenToAll: true, SigningAlg: "EdDSA"})
	h.mustServer(resource.Server{Identifier: "urn:api:closed", Name: "Closed"})
	h.mustServer(resource.Server{Identifier: "urn:api:off", Name: "Off", OpenToAll: true, Disabled: true})
	if err := h.scope(resource.Scope{Name: "orders:read", Texts: english, Resource: first.ID}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		ask    []string
		aud    []string
		life   int64
		alg    string
		issuer bool
		scopes int // of openid and orders:read
	}{
		{nil, []string{issuer}, 600, "", true, 2},
		{[]string{orders}, []string{orders}, 300, "RS256", false, 2},
		{[]string{"urn:api:two"}, []string{"urn:api:two"}, 120, "", false, 1},
		{[]string{orders, orders, "urn:api:two", issuer}, []string{orders, "urn:api:two", issuer}, 120, "RS256", true, 2},
	} {
		got, err := h.aim(c.ask...)
		if err != nil {
			t.Errorf("%v: %v", c.ask, err)
			continue
		}
		if d := cmp.Diff(c.aud, got.Audience); d != "" || got.Expiry(h.app) != c.life || got.SigningAlg(h.app) != c.alg || got.Issuer != c.issuer {
			t.Errorf("%v: %+v %s", c.ask, got, d)
		}
		h.update(func(tx *fsm.Tx) error {
			kept, err := got.Scopes(tx, tenant, []string{"openid", "orders:read"})
			if len(kept) != c.scopes {
				t.Errorf("%v keeps the scopes %v", c.ask, kept)
			}
			return err
		})
	}
	for _, ask := range [][]string{
		{"urn:api:closed"}, {"urn:api:off"}, {"urn:api:nowhere"}, {orders + "/"}, {"HTTPS://orders.example.com"}, {""},
		{orders, "urn:api:three"}, {orders, "urn:api:closed"}, slices.Repeat([]string{orders}, 9), {issuer + "#x"},
	} {
		if _, err := h.aim(ask...); !errors.Is(err, resource.ErrTarget) {
			t.Errorf("%v: %v", ask, err)
		}
	}
}

func TestOnlyItsOwnApplicationMayIntrospect(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.mustServer(resource.Server{Identifier: orders, Name: "Orders", Application: h.app.ID})
	h.mustServer(resource.Server{Identifier: "urn:api:two", Name: "Two"})
	for aud, want := range map[string]bool{orders: true, "urn:api:two": false, "urn:nowhere": false, "": false} {
		h.update(func(tx *fsm.Tx) error {
			may, err := resource.MayIntrospect(tx, h.app, []string{aud})
			if may != want {
				t.Errorf("%q: %t", aud, may)
			}
			return err
		})
	}
}
