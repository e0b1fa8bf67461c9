package federation_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/fsm/fsmtest"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/keys/seal"
	"github.com/quis-idp/quis/keys/seal/sealtest"
)

const (
	tenant   = identity.DefaultTenant
	callback = "https://app.example.com/cb"
	secret   = "a-test-secret-that-looks-random-0123456789"
)

type house struct {
	t    *testing.T
	db   *fsm.DB
	ring *seal.Ring
}

func newHouse(t *testing.T) *house {
	t.Helper()
	var schema []fsm.Definition
	for _, tables := range [][]fsm.Definition{seal.Tables, event.Tables, directory.Tables, federation.Tables} {
		schema = append(schema, tables...)
	}
	h := &house{t: t, db: fsmtest.New(t, schema...)}
	h.ring = sealtest.Ring(t, h.db)
	h.update(directory.EnsureDefault)
	return h
}

func (h *house) update(fn func(tx *fsm.Tx) error) {
	h.t.Helper()
	if err := h.db.Update(h.t.Context(), fn); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) create(a federation.Application, secret string) (*federation.Application, string, error) {
	a.Tenant = tenant
	if a.Name == "" {
		a.Name = "An application"
	}
	var clear string
	err := h.db.Update(h.t.Context(), func(tx *fsm.Tx) (err error) {
		clear, err = federation.Create(tx, h.ring, &a, secret)
		return err
	})
	return &a, clear, err
}

func (h *house) get(id string) *federation.Application {
	h.t.Helper()
	var a *federation.Application
	err := h.db.View(h.t.Context(), func(tx *fsm.Tx) (err error) {
		a, _, err = federation.Get(tx, tenant, id)
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return a
}

func (h *house) accepts(a *federation.Application, secret string) bool {
	h.t.Helper()
	ok, err := federation.CheckSecret(h.ring, a, secret)
	if err != nil {
		h.t.Fatal(err)
	}
	return ok
}

func TestCreateCompletesAndShowsTheSecretOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	a, clear, err := h.create(federation.Application{RedirectURIs: []string{callback}}, "")
	if err != nil {
		t.Fatal(err)
	}
	if len(clear) < 40 || !h.accepts(h.get(a.ID), clear) || h.accepts(h.get(a.ID), clear+"x") || h.accepts(nil, clear) {
		t.Errorf("generated secret of %d characters does not work as one", len(clear))
	}
	got := h.get(a.ID)
	if got.ClientID != a.ID || got.Type != federation.TypeOIDC || got.TokenExpiry != 3600 || !got.RequirePKCE || got.IsPublic {
		t.Errorf("completed to %+v", got)
	}
	if _, _, err := h.create(federation.Application{ClientID: a.ClientID, RedirectURIs: []string{callback}}, ""); !errors.Is(err, fsm.ErrExists) {
		t.Errorf("second application with that client_id: %v", err)
	}
	spa, clear, err := h.create(federation.Application{Type: federation.TypeSPA, RedirectURIs: []string{callback}}, "")
	if err != nil || clear != "" || !spa.IsPublic || len(spa.Secrets) != 0 {
		t.Errorf("spa: secret %q, public %v: %v", clear, spa.IsPublic, err)
	}
}

func TestSecretsOverlapWhenAsked(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	a, first, err := h.create(federation.Application{RedirectURIs: []string{callback}}, secret)
	if err != nil || first != secret {
		t.Fatal(first, err)
	}
	set := func(keep bool) (clear string) {
		h.update(func(tx *fsm.Tx) (err error) {
			clear, err = federation.SetSecret(tx, h.ring, tenant, a.ID, "", keep)
			return err
		})
		return clear
	}
	second := set(true)
	if a = h.get(a.ID); !h.accepts(a, first) || !h.accepts(a, second) {
		t.Error("both secrets should be live")
	}
	third := set(true)
	if a = h.get(a.ID); h.accepts(a, first) || !h.accepts(a, second) || !h.accepts(a, third) {
		t.Error("the last two secrets should be live")
	}
	fourth := set(false)
	if a = h.get(a.ID); h.accepts(a, third) || !h.accepts(a, fourth) || h.accepts(a, "") {
		t.Error("only the last secret should be live")
	}
	other, _, err := h.create(federation.Application{RedirectURIs: []string{callback}}, fourth)
	if err != nil || string(other.Secrets[0].MAC) == string(a.Secrets[0].MAC) {
		t.Errorf("equal secrets of two applications are stored alike: %v", err)
	}
}

func TestBadApplicationsAreRefusedWithTheField(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	uri := func(u string) federation.Application { return federation.Application{RedirectURIs: []string{u}} }
	public := func(u string) federation.Application {
		return federation.Application{RedirectURIs: []string{u}, IsPublic: true}
	}
	for name, c := range map[string]struct {
		app    federation.Application
		secret string
		field  string
	}{
		"javascript":        {public("javascript:alert(1)"), "", "redirect_uris"},
		"data":              {public("data:text/html,hi"), "", "redirect_uris"},
		"file":              {public("file:///etc/passwd"), "", "redirect_uris"},
		"fragment":          {uri("https://a.example.com/#x"), "", "redirect_uris"},
		"empty fragment":    {uri("https://a.example.com/#"), "", "redirect_uris"},
		"user":              {uri("https://u@a.example.com/"), "", "redirect_uris"},
		"http":              {uri("http://a.example.com/"), "", "redirect_uris"},
		"looks like local":  {uri("http://localhost.example.com/"), "", "redirect_uris"},
		"relative":          {uri("/cb"), "", "redirect_uris"},
		"no host":           {uri("https:///cb"), "", "redirect_uris"},
		"wildcard":          {uri("https://*.example.com/"), "", "redirect_uris"},
		"space":             {uri("https://a.example.com/ x"), "", "redirect_uris"},
		"control":           {uri("https://a.example.com/\n"), "", "redirect_uris"},
		"backslash":         {uri(`https://a.example.com\@evil.com/`), "", "redirect_uris"},
		"not ASCII":         {uri("https://ä.example.com/"), "", "redirect_uris"},
		"scheme, no dot":    {public("myapp:/cb"), "", "redirect_uris"},
		"scheme, secret":    {uri("com.example.app:/cb"), "", "redirect_uris"},
		"none":              {federation.Application{}, "", "redirect_uris"},
		"twice":             {federation.Application{RedirectURIs: []string{callback, callback}}, "", "redirect_uris"},
		"logout":            {federation.Application{RedirectURIs: []string{callback}, PostLogoutURIs: []string{"javascript:x"}}, "", "post_logout_uris"},
		"launch":            {federation.Application{RedirectURIs: []string{callback}, LaunchURL: "javascript:x"}, "", "launch_url"},
		"short secret":      {uri(callback), "short", "client_secret"},
		"dull secret":       {uri(callback), strings.Repeat("a", 40), "client_secret"},
		"secret with space": {uri(callback), secret + " ", "client_secret"},
		"public, secret":    {public(callback), secret, "client_secret"},
		"client_id":         {federation.Application{ClientID: "a:b", RedirectURIs: []string{callback}}, "", "client_id"},
		"grant":             {federation.Application{GrantTypes: []string{"implicit"}, RedirectURIs: []string{callback}}, "", "grant_types"},
		"grant alone":       {federation.Application{GrantTypes: []string{"refresh_token"}, RedirectURIs: []string{callback}}, "", "grant_types"},
		"public for itself": {federation.Application{GrantTypes: []string{"client_credentials"}, IsPublic: true}, "", "grant_types"},
		"scope":             {federation.Application{AllowedScopes: []string{`a"b`}, RedirectURIs: []string{callback}}, "", "allowed_scopes"},
		"expiry":            {federation.Application{TokenExpiry: 5, RedirectURIs: []string{callback}}, "", "token_expiry"},
		"type":              {federation.Application{Type: "saml", RedirectURIs: []string{callback}}, "", "type"},
		"alg":               {federation.Application{SigningAlg: "none", RedirectURIs: []string{callback}}, "", "signing_alg"},
	} {
		_, _, err := h.create(c.app, c.secret)
		var e *identity.Error
		if !errors.Is(err, identity.ErrInvalid) || !errors.As(err, &e) || e.Field != c.field || e.Detail == "" {
			t.Errorf("%s: %v, want an identity.ErrInvalid about %s", name, err, c.field)
		}
	}
}

func TestUpdateKeepsWhatIsNotItsToChange(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	a, _, err := h.create(federation.Application{ClientID: "web", RedirectURIs: []string{callback}}, secret)
	if err != nil {
		t.Fatal(err)
	}
	change := func(rev uint64, f func(*federation.Application) error) error {
		return h.db.Update(t.Context(), func(tx *fsm.Tx) error {
			_, err := federation.Update(tx, tenant, a.ID, rev, f)
			return err
		})
	}
	before := h.get(a.ID)
	err = change(0, func(a *federation.Application) error {
		a.Name, a.ID, a.ClientID, a.Secrets, a.RedirectURIs = "New", "x", "y", nil, []string{callback + "2"}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want := *before
	want.Name, want.RedirectURIs = "New", []string{callback + "2"}
	got := h.get(a.ID)
	want.Updated = got.Updated
	if d := cmp.Diff(&want, got); d != "" {
		t.Error(d)
	}
	if err := change(1, func(*federation.Application) error { return nil }); !errors.Is(err, identity.ErrPrecondition) {
		t.Errorf("old revision: %v", err)
	}
	if err := change(0, func(a *federation.Application) error { a.Type = federation.TypeSPA; return nil }); !errors.Is(err, identity.ErrInvalid) {
		t.Errorf("confidential to public: %v", err)
	}
	if err := change(0, func(a *federation.Application) error { a.RedirectURIs = nil; return nil }); !errors.Is(err, identity.ErrInvalid) {
		t.Errorf("no redirect URI: %v", err)
	}
	err = h.db.View(t.Context(), func(tx *fsm.Tx) error {
		list, _, err := event.List(tx, tenant, event.Query{Type: string(event.ApplicationUpdated)})
		want := []event.Change{
			{Field: "name", Before: "An application", After: "New"},
			{Field: "redirect_uris", Before: callback, After: callback + "2"},
		}
		if len(list) != 1 || cmp.Diff(want, list[0].Changes) != "" {
			t.Errorf("events %+v", list)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	at := h.db.Position().Index
	if err := change(0, func(*federation.Application) error { return nil }); err != nil || h.db.Position().Index != at {
		t.Errorf("a change of nothing wrote something: %v", err)
	}
}

func TestDeleteTakesTheRulesAlong(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	a, _, err := h.create(federation.Application{RedirectURIs: []string{callback}, AccessRestricted: true}, "")
	if err != nil {
		t.Fatal(err)
	}
	h.update(func(tx *fsm.Tx) error {
		return federation.GrantAccess(tx, federation.AccessRule{Tenant: tenant, Application: a.ID, Kind: federation.AccessUser, Target: "usr_x"})
	})
	h.update(func(tx *fsm.Tx) error { return federation.Delete(tx, tenant, a.ID, 0) })
	err = h.db.View(t.Context(), func(tx *fsm.Tx) error {
		for r, err := range federation.ListAccess(tx, tenant, a.ID) {
			t.Errorf("left behind: %v %v", r, err)
		}
		_, err := federation.ByClientID(tx, tenant, a.ClientID)
		return err
	})
	if !errors.Is(err, fsm.ErrNotFound) {
		t.Errorf("deleted application: %v", err)
	}
}

func TestMayUseByUserAndByGroup(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	a, _, err := h.create(federation.Application{RedirectURIs: []string{callback}, AccessRestricted: true}, "")
	if err != nil {
		t.Fatal(err)
	}
	var alice, bob, carol string
	h.update(func(tx *fsm.Tx) error {
		for name, id := range map[string]*string{"alice": &alice, "bob": &bob, "carol": &carol} {
			u, err := directory.CreateUser(tx, tenant, directory.User{Username: name, Name: name})
			if err != nil {
				return err
			}
			*id = u.ID
		}
		g, err := directory.CreateGroup(tx, tenant, directory.Group{Name: "eng"})
		if err != nil {
			return err
		}
		return errors.Join(
			directory.AddMember(tx, tenant, g.ID, bob),
			federation.GrantAccess(tx, federation.AccessRule{Tenant: tenant, Application: a.ID, Kind: federation.AccessUser, Target: alice}),
			federation.GrantAccess(tx, federation.AccessRule{Tenant: tenant, Application: a.ID, Kind: federation.AccessGroup, Target: g.ID}),
		)
	})
	err = h.db.View(context.Background(), func(tx *fsm.Tx) error {
		for id, want := range map[string]bool{alice: true, bob: true, carol: false, "": false} {
			if got, err := federation.MayUse(tx, a, id); err != nil || got != want {
				t.Errorf("%s may use it: %v, want %v (%v)", id, got, want, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestListPages(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	var ids []string
	for range 5 {
		a, _, err := h.create(federation.Application{RedirectURIs: []string{callback}}, "")
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, a.ID)
	}
	var got []string
	err := h.db.View(t.Context(), func(tx *fsm.Tx) error {
		for after := ""; ; {
			page, next, err := federation.List(tx, tenant, after, 2)
			if err != nil {
				return err
			}
			for _, a := range page {
				got = append(got, a.ID)
			}
			if after = next; next == "" {
				return nil
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(ids, got); d != "" {
		t.Error(d)
	}
}
