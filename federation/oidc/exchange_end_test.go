package oidc

import (
	"net/url"
	"testing"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/resource"
	"github.com/quis-idp/quis/fsm"
)

func TestRefusesExchangeOfARevokedFamilysTokenOnALaggingNode(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	b := w.backend("b", ofWeb)
	got := w.tokens(0)
	w.want(w.trade(2, b, got.Access), 200)
	w.cluster.Pause(2)
	if rec := w.post(0, "/oauth2/revoke", url.Values{"token": {got.Access}}); rec.Code != 200 {
		t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	w.nodes[2].stale.Store(true)
	w.wantError(w.trade(2, b, got.Access), 503, "temporarily_unavailable")
	w.cluster.Resume(t, 2)
	w.nodes[2].stale.Store(false)
	for i := range 3 {
		w.wantError(w.trade(i, b, got.Access), 400, "invalid_request")
	}
}

func TestExchangedTokenDiesWithTheSubjects(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	b := w.backend("b", ofWeb)
	got := w.tokens(0)
	r := w.want(w.trade(0, b, got.Access), 200)
	active := func() (in introspected) {
		t.Helper()
		decode(t, w.postTo(1, "/oauth2/introspect", b, url.Values{"token": {r.Access}}).Body.String(), &in)
		return in
	}
	if in := active(); !in.Active || in.Actor == nil || in.Actor.Subject != "b" || in.ClientID != "b" {
		t.Errorf("%+v", in)
	}
	if rec := w.userinfo(0, r.Access); rec.Code != 401 {
		t.Errorf("an exchanged token reads the profile: %d", rec.Code)
	}
	w.wantError(w.postTo(0, "/oauth2/revoke", b, url.Values{"token": {r.Access}}), 400, "unsupported_token_type")
	if rec := w.userinfo(0, got.Access); rec.Code != 200 {
		t.Fatalf("the backend has revoked the subject's token: %d", rec.Code)
	}
	w.post(0, "/oauth2/revoke", url.Values{"token": {got.Access}})
	if in := active(); in.Active {
		t.Error("it outlives the subject's")
	}
}

func TestExchangedTokenDiesWithItsApplication(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	b, api := w.backend("b", ofWeb), w.backend("api", federation.ExchangePolicy{})
	w.update(0, func(tx *fsm.Tx) error {
		_, err := resource.CreateServer(tx, resource.Server{Tenant: tenant.ID, Identifier: warehouse, Name: "Orders", OpenToAll: true, Application: api.ID})
		return err
	})
	r := w.want(w.trade(0, b, w.tokens(0).Access, set("resource", warehouse)), 200)
	for _, want := range []bool{true, false} {
		var in introspected
		decode(t, w.postTo(0, "/oauth2/introspect", api, url.Values{"token": {r.Access}}).Body.String(), &in)
		if in.Active != want {
			t.Errorf("active: %v", in.Active)
		}
		w.update(0, func(tx *fsm.Tx) error {
			_, err := federation.Update(tx, tenant.ID, b.ID, 0, func(a *federation.Application) error { a.Disabled = true; return nil })
			return err
		})
	}
}

func TestRefusesTokensOfADisabledApplicationForExchange(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	b1 := w.backend("b1", ofWeb)
	b2 := w.backend("b2", federation.ExchangePolicy{From: []string{"b1"}, Audiences: []string{issuer}})
	r := w.want(w.trade(0, b1, w.tokens(0).Access), 200)
	w.want(w.trade(0, b2, r.Access), 200)
	w.update(0, func(tx *fsm.Tx) error {
		_, err := federation.Update(tx, tenant.ID, b1.ID, 0, func(a *federation.Application) error { a.Disabled = true; return nil })
		return err
	})
	w.wantError(w.trade(0, b2, r.Access), 400, "invalid_request")
}
