package consent_test

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/consent"
	"github.com/quis-idp/quis/federation/resource"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/fsm/fsmtest"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/keys/seal"
)

func TestAskedOnceAndRemembered(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	if !h.decide(consent.Asked{Scopes: []string{"openid", "email"}}).Ask {
		t.Fatal("nobody is asked")
	}
	var text string
	if n := h.entries(func() { text = h.ask("openid", "profile", "email") }); n != 0 {
		t.Errorf("asking cost %d log entries", n)
	}
	var to string
	if n := h.entries(func() {
		var err error
		if to, err = h.allow(1, text, "email"); err != nil {
			t.Fatal(err)
		}
	}); n != 1 {
		t.Errorf("allowing cost %d log entries, want 1", n)
	}
	before, ticket := h.finished(2, to)
	if ticket == nil || "/oauth2/authorize?"+before != back || ticket.SessionID != h.session || ticket.Denied {
		t.Fatalf("led to %s with %+v", to, ticket)
	}
	if d := cmp.Diff([]string{"openid", "email"}, ticket.Scopes); d != "" {
		t.Error(d)
	}
	d := h.decide(consent.Asked{Scopes: []string{"openid", "profile", "email"}})
	if d.Ask || !slices.Equal(d.Scopes, []string{"openid", "email"}) {
		t.Errorf("afterwards: %+v", d)
	}
	if !h.decide(consent.Asked{Scopes: []string{"openid", "orders"}}).Ask {
		t.Error("more is given without asking")
	}
	if !h.decide(consent.Asked{Scopes: []string{"openid"}, Again: true}).Ask {
		t.Error("prompt=consent does not ask")
	}
	if h.decide(consent.Asked{Scopes: []string{"openid"}, Again: true, Confirmed: true, Allowed: []string{"openid"}}).Ask {
		t.Error("prompt=consent does not end")
	}
	if !h.decide(consent.Asked{Scopes: []string{"openid"}, Again: true, Confirmed: true, Allowed: []string{"orders"}}).Ask {
		t.Error("an answer that is not remembered counts")
	}
	h.later(consent.Life + time.Hour)
	if !h.decide(consent.Asked{Scopes: []string{"openid"}}).Ask {
		t.Error("it holds for ever")
	}
}

func TestModes(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.mustAllow("openid")
	for mode, want := range map[string][3]bool{ // what was allowed, prompt=consent, more
		"": {false, true, false}, federation.ConsentImplicit: {false, true, false},
		federation.ConsentExplicit: {false, true, true}, federation.ConsentAlways: {true, true, true},
	} {
		h.app.Consent = mode
		got := [3]bool{
			h.decide(consent.Asked{Scopes: []string{"openid"}}).Ask,
			h.decide(consent.Asked{Scopes: []string{"openid"}, Again: true}).Ask,
			h.decide(consent.Asked{Scopes: []string{"openid", "orders"}}).Ask,
		}
		if got != want {
			t.Errorf("%q: asks %v, want %v", mode, got, want)
		}
	}
	h.app.Consent = federation.ConsentExplicit
	if h.decide(consent.Asked{}).Ask {
		t.Error("asks for nothing, and was let in before")
	}
	h.update(func(tx *fsm.Tx) error { return consent.Revoke(tx, tenant, h.user, h.app.ID, "test") })
	if !h.decide(consent.Asked{}).Ask {
		t.Error("asks for nothing and is let in unasked")
	}
}

func TestWhatIsFreeIsNotAsked(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	text := resource.Texts{"en": "Do it"}
	payments := []resource.DetailType{{Name: "pay", Texts: text}, {Name: "look", Texts: text, Remembered: true}}
	var free, asked *resource.Server
	h.update(func(tx *fsm.Tx) (err error) {
		if free, err = resource.CreateServer(tx, resource.Server{Tenant: tenant, Identifier: "urn:free", Name: "Free", OpenToAll: true, SkipConsent: true}); err != nil {
			return err
		}
		if asked, err = resource.CreateServer(tx, resource.Server{Tenant: tenant, Identifier: orders, Name: "Orders", OpenToAll: true, Details: payments}); err != nil {
			return err
		}
		for _, s := range []resource.Scope{
			{Name: "implied", Implied: true, Optional: true}, {Name: "free", Texts: text, Resource: free.ID}, {Name: "paid", Texts: text, Resource: asked.ID},
		} {
			s.Tenant = tenant
			if _, err := resource.CreateScope(tx, s); err != nil {
				return err
			}
		}
		return nil
	})
	aim := func(s *resource.Server) *resource.Target {
		return &resource.Target{Audience: []string{s.Identifier}, Servers: []resource.Server{*s}}
	}
	detail := func(name string) []resource.Detail {
		d, err := resource.ReadDetails(`[{"type":"` + name + `"}]`)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	h.mustAllow("openid", "implied")
	if c := h.stored(); !slices.Contains(c.Scopes, "implied") {
		t.Errorf("an implied scope was left out: %+v", c)
	}
	for _, c := range []struct {
		asked consent.Asked
		want  bool
	}{
		{consent.Asked{Scopes: []string{"openid", "implied"}}, false},
		{consent.Asked{Scopes: []string{"openid", "free"}, Target: aim(free)}, false},
		{consent.Asked{Scopes: []string{"openid"}, Target: aim(asked)}, true},
		{consent.Asked{Scopes: []string{"openid", "paid"}}, true},
		{consent.Asked{Scopes: []string{"openid"}, Details: detail("look")}, true},
		{consent.Asked{Scopes: []string{"openid"}, Claims: []string{"sub"}}, false},
		{consent.Asked{Scopes: []string{"openid"}, Claims: []string{"email"}}, true},
	} {
		if got := h.decide(c.asked).Ask; got != c.want {
			t.Errorf("%+v: %t", c.asked, got)
		}
	}
	for name, again := range map[string]bool{"look": false, "pay": true} {
		q, err := h.desks[0].Ask(h.ctx(), h.decide(consent.Asked{Details: detail(name)}), consent.Question{
			UserID: h.user, SessionID: h.session, Application: h.app.ID, ReturnTo: back, Details: resource.Spell(detail(name)),
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.allow(0, q.Sealed()); err != nil {
			t.Fatal(err)
		}
		if got := h.decide(consent.Asked{Details: detail(name)}).Ask; got != again {
			t.Errorf("%s once allowed: asks again %t", name, got)
		}
	}
}

func TestDenyingCostsNothing(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	text := h.ask("openid")
	if n := h.entries(func() {
		q, err := h.desks[1].Open(h.ctx(), text, h.user, h.session)
		if err != nil {
			t.Fatal(err)
		}
		to, err := h.desks[1].Deny(q)
		if _, ticket := h.finished(2, to); err != nil || ticket == nil || !ticket.Denied || len(ticket.Scopes) > 0 {
			t.Errorf("%s: %+v %v", to, ticket, err)
		}
	}); n != 0 {
		t.Errorf("denying cost %d log entries", n)
	}
}

func TestLists(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.mustAllow("openid")
	list := func() (of, to int) {
		h.update(func(tx *fsm.Tx) error {
			of = 0
			for _, err := range consent.ListOf(tx, tenant, h.user) {
				if err != nil {
					return err
				}
				of++
			}
			page, _, err := consent.ListTo(tx, tenant, h.app.ID, "", 10)
			to = len(page)
			return err
		})
		return of, to
	}
	if of, to := list(); of != 1 || to != 1 {
		t.Errorf("lists %d and %d", of, to)
	}
	h.update(func(tx *fsm.Tx) error { return consent.Revoke(tx, tenant, h.user, h.app.ID, "test") })
	if of, to := list(); of != 0 || to != 0 {
		t.Errorf("revoked: lists %d and %d", of, to)
	}
}

// FuzzFinished: no query that we did not seal has a ticket, and what is before it stays as it is.
func FuzzFinished(f *testing.F) {
	f.Add("client_id=a&consent_done=AAAA")
	f.Add("&consent_done=")
	db := fsmtest.New(f, slices.Concat(seal.Tables, event.Tables)...)
	root := seal.GenerateRootKey()
	if err := db.Update(f.Context(), func(tx *fsm.Tx) error { return seal.Init(tx, root) }); err != nil {
		f.Fatal(err)
	}
	ring, err := seal.OpenRing(f.Context(), db, root)
	if err != nil {
		f.Fatal(err)
	}
	desk := consent.NewDesk(db, ring)
	ctx := identity.WithTenant(context.Background(), identity.Tenant{ID: tenant})
	f.Fuzz(func(t *testing.T, query string) {
		before, ticket := desk.Finished(ctx, query)
		if ticket != nil || !strings.HasPrefix(query, before) {
			t.Fatalf("%q: %q %+v", query, before, ticket)
		}
		if _, err := desk.Open(ctx, query, "", ""); err == nil {
			t.Fatalf("%q opens", query)
		}
		_, _ = url.ParseQuery(before)
	})
}
