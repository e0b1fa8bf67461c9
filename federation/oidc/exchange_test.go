package oidc

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/oidc/family"
	"github.com/quis-idp/quis/federation/resource"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/session"
	"github.com/quis-idp/quis/keys"
)

const warehouse = "https://orders.example/api"

// backend registers an application that exchanges tokens, and an API that it calls.
func (w *world) backend(id string, p federation.ExchangePolicy) *federation.Application {
	w.t.Helper()
	return w.register(federation.Application{
		ClientID: id, Name: "Backend", GrantTypes: []string{federation.GrantExchange, federation.GrantClientCredentials},
		AllowedScopes: []string{"openid", "profile", "offline_access", "api"}, Exchange: p,
	}, secret)
}

func (w *world) warehouse() {
	w.t.Helper()
	w.update(0, func(tx *fsm.Tx) error {
		_, err := resource.CreateServer(tx, resource.Server{Tenant: tenant.ID, Identifier: warehouse, Name: "Orders", OpenToAll: true})
		return err
	})
}

func (w *world) trade(i int, app *federation.Application, token string, change ...func(url.Values)) *httptest.ResponseRecorder {
	form := url.Values{"grant_type": {federation.GrantExchange}, "subject_token": {token}, "subject_token_type": {typeOfAccess}}
	for _, f := range change {
		f(form)
	}
	return w.postTo(i, "/oauth2/token", app, form)
}

var ofWeb = federation.ExchangePolicy{From: []string{"web"}, Audiences: []string{issuer, warehouse}}

func TestExchangeNamesTheActorAndIsNoMore(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	w.warehouse()
	b := w.backend("b", ofWeb)
	got := w.tokens(0, set("scope", "openid profile email api offline_access"))
	var rec *httptest.ResponseRecorder
	if n := w.entries(func() { rec = w.trade(1, b, got.Access, set("resource", warehouse)) }); n != 0 {
		t.Errorf("a delegation is %d entries", n)
	}
	r := w.want(rec, 200)
	was, is := claims(t, got.Access), claims(t, r.Access)
	act, _ := is["act"].(map[string]any)
	if is["sub"] != was["sub"] || is["aud"] != warehouse || is["client_id"] != "b" || is["fid"] != was["fid"] || act["sub"] != "b" || act["act"] != nil {
		t.Errorf("claims %v", is)
	}
	if r.Scope != "openid profile api" || is["scope"] != r.Scope { // email is not the backend's, offline_access nobody's
		t.Errorf("scope %q", r.Scope)
	}
	if is["exp"].(float64) > was["exp"].(float64) || r.Refresh != "" || r.ID != "" || r.Type != "Bearer" {
		t.Errorf("%+v lives until %v, the subject's token until %v", r, is["exp"], was["exp"])
	}
	var extra struct {
		Issued string `json:"issued_token_type"`
	}
	decode(t, rec.Body.String(), &extra)
	if extra.Issued != typeOfAccess {
		t.Errorf("issued_token_type %q", extra.Issued)
	}
}

func TestExchangeByIDToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	b := w.backend("b", ofWeb)
	got := w.tokens(0)
	r := w.want(w.trade(0, b, got.ID, set("subject_token_type", typeOfID), set("scope", "profile")), 200)
	if is := claims(t, r.Access); is["sub"] != w.user.ID || is["fid"] != claims(t, got.Access)["fid"] || is["scope"] != "profile" {
		t.Errorf("claims %v", is)
	}
	w.update(0, func(tx *fsm.Tx) error { return session.End(tx, tenant.ID, w.session) })
	w.wantError(w.trade(0, b, got.ID, set("subject_token_type", typeOfID)), 400, "invalid_request")
}

func TestImpersonationIsAllowedApartAndWrittenDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	p := ofWeb
	p.Impersonate = true
	b := w.backend("b", p)
	got := w.tokens(0)
	var r tokenResponse
	if n := w.entries(func() { r = w.want(w.trade(0, b, got.Access), 200) }); n != 1 || w.events(event.TokenImpersonated) != 1 {
		t.Errorf("%d entries, %d events", n, w.events(event.TokenImpersonated))
	}
	if is := claims(t, r.Access); is["act"] != nil || is["client_id"] != "b" {
		t.Errorf("claims %v", is)
	}
}

func TestActorsAreNested(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	ids := []string{"web", "b1", "b2", "b3", "b4", "b5"}
	token := w.tokens(0).Access
	for i, id := range ids[1:] {
		b := w.backend(id, federation.ExchangePolicy{From: ids, Audiences: []string{issuer}})
		rec := w.trade(0, b, token)
		if i == maxActors {
			w.wantError(rec, 400, "invalid_request")
			return
		}
		token = w.want(rec, 200).Access
		chain := ""
		for a, ok := claims(t, token)["act"].(map[string]any); ok; a, ok = a["act"].(map[string]any) {
			chain = a["sub"].(string) + " " + chain
		}
		if want := strings.Join(ids[1:i+2], " ") + " "; chain != want {
			t.Fatalf("actors %q, want %q", chain, want)
		}
	}
	t.Error("the chain has no end")
}

func TestExchangeForAnActorOfItsOwn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	b := w.backend("b", ofWeb)
	got := w.tokens(0)
	own := w.want(w.postTo(0, "/oauth2/token", b, url.Values{"grant_type": {"client_credentials"}}), 200)
	actor := func(token string) func(url.Values) {
		return func(q url.Values) { q.Set("actor_token", token); q.Set("actor_token_type", typeOfAccess) }
	}
	r := w.want(w.trade(0, b, got.Access, actor(own.Access)), 200)
	if act, _ := claims(t, r.Access)["act"].(map[string]any); act["sub"] != "b" {
		t.Errorf("actor %v", act)
	}
	w.wantError(w.trade(0, b, got.Access, actor(got.Access)), 400, "invalid_request") // not its own
	w.wantError(w.trade(0, b, got.Access, set("actor_token", own.Access)), 400, "invalid_request")
	w.wantError(w.trade(0, b, got.Access, set("actor_token_type", typeOfAccess)), 400, "invalid_request")
}

func TestRefusesExchangeForMore(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.warehouse()
	b := w.backend("b", ofWeb)
	narrow := w.backend("narrow", federation.ExchangePolicy{From: []string{"web"}})
	got := w.tokens(0, set("scope", "openid profile"))
	w.wantError(w.trade(0, b, got.Access, set("scope", "openid api")), 400, "invalid_scope") // the subject's token has it not
	w.wantError(w.trade(0, b, got.Access, set("scope", "email")), 400, "invalid_scope")      // nor the backend
	w.wantError(w.trade(0, b, got.Access, set("resource", "https://x.example")), 400, "invalid_target")
	w.wantError(w.trade(0, b, got.Access, set("audience", "https://x.example")), 400, "invalid_target")
	w.wantError(w.trade(0, narrow, got.Access), 400, "invalid_target") // nobody said that it may
	w.wantError(w.trade(0, narrow, got.Access, set("resource", warehouse)), 400, "invalid_target")
	for _, kind := range []string{typeOfID, "urn:ietf:params:oauth:token-type:refresh_token", "x"} {
		w.wantError(w.trade(0, b, got.Access, set("requested_token_type", kind)), 400, "invalid_request")
	}
	w.wantError(w.trade(0, b, got.Access, set("authorization_details", `[{"type":"x"}]`)), 400, "invalid_authorization_details")
}

// The new token ends when the old one does, and what is exchanged again is no longer good for longer.
func TestRefusesExchangeForLongerLife(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	b := w.backend("b", ofWeb)
	got := w.tokens(0)
	w.cluster.Advance(50 * time.Minute)
	w.update(0, func(tx *fsm.Tx) error {
		return event.Append(tx, event.Event{Tenant: tenant.ID, Type: event.UserUpdated})
	})
	r := w.want(w.trade(0, b, got.Access), 200)
	if claims(t, r.Access)["exp"] != claims(t, got.Access)["exp"] || r.Expires > 600 {
		t.Errorf("good until %v for %d s, the subject's token until %v", claims(t, r.Access)["exp"], r.Expires, claims(t, got.Access)["exp"])
	}
	w.cluster.Advance(11 * time.Minute)
	w.update(0, func(tx *fsm.Tx) error {
		return event.Append(tx, event.Event{Tenant: tenant.ID, Type: event.UserUpdated})
	})
	w.wantError(w.trade(0, b, got.Access), 400, "invalid_request")
}

func TestRefusesTokensOfTheWrongTypeForExchange(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	b := w.backend("b", ofWeb)
	got := w.tokens(0, set("scope", "openid offline_access"))
	for what, c := range map[string]struct{ token, kind string }{
		"ID token as access token": {got.ID, typeOfAccess},
		"access token as ID token": {got.Access, typeOfID},
		"refresh token":            {got.Refresh, typeOfAccess},
		"refresh token, said so":   {got.Refresh, "urn:ietf:params:oauth:token-type:refresh_token"},
		"any JWT":                  {got.Access, "urn:ietf:params:oauth:token-type:jwt"},
		"SAML":                     {got.Access, "urn:ietf:params:oauth:token-type:saml2"},
		"no type":                  {got.Access, ""},
		"no token":                 {"", typeOfAccess},
		"garbage":                  {"a.b.c", typeOfAccess},
		"unsigned":                 {"eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0." + strings.Split(got.Access, ".")[1] + ".", typeOfAccess},
	} {
		if r := w.want(w.trade(0, b, c.token, set("subject_token_type", c.kind)), 400); r.Error != "invalid_request" {
			t.Errorf("%s: %s", what, r.Error)
		}
	}
}

func TestRefusesExchangeWithoutPermission(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	got := w.tokens(0)
	none := w.backend("none", federation.ExchangePolicy{Audiences: []string{issuer}})
	w.wantError(w.trade(0, none, got.Access), 400, "invalid_request") // not its token, and it may not have others'
	w.wantError(w.trade(0, none, got.ID, set("subject_token_type", typeOfID)), 400, "invalid_request")
	w.wantError(w.trade(0, w.app, got.Access), 400, "unauthorized_client")
}

func TestRefusesExchangeForAUserWhoMayNotUseTheApplication(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	b := w.backend("restricted", ofWeb)
	w.update(0, func(tx *fsm.Tx) error {
		_, err := federation.Update(tx, tenant.ID, b.ID, 0, func(a *federation.Application) error { a.AccessRestricted = true; return nil })
		return err
	})
	w.wantError(w.trade(0, b, w.tokens(0).Access), 400, "invalid_request")
}

func TestExchangeOfItsOwnTokenForLess(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	b := w.backend("b", federation.ExchangePolicy{})
	own := w.want(w.postTo(0, "/oauth2/token", b, url.Values{"grant_type": {"client_credentials"}, "scope": {"api"}}), 200)
	r := w.want(w.trade(0, b, own.Access), 200)
	if is := claims(t, r.Access); is["act"] != nil || is["sub"] != "b" || is["aud"] != issuer {
		t.Errorf("claims %v", is)
	}
	w.wantError(w.trade(0, b, own.Access, set("resource", warehouse)), 400, "invalid_target")
}

func TestExchangeOfAnotherApplicationsOwnToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	b := w.backend("b", ofWeb)
	of := w.want(w.post(0, "/oauth2/token", url.Values{"grant_type": {"client_credentials"}, "scope": {"api"}}), 200)
	r := w.want(w.trade(0, b, of.Access), 200)
	if is := claims(t, r.Access); is["sub"] != "web" || is["client_id"] != "b" || is["act"].(map[string]any)["sub"] != "b" {
		t.Errorf("claims %v", is)
	}
}

// A pairwise subject is the exchanging application's own: it does not learn the other's.
func TestExchangeKeepsSubjectsPairwise(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	b := w.register(federation.Application{
		ClientID: "b", Name: "Backend", RedirectURIs: []string{"https://b.example/cb"},
		GrantTypes: []string{federation.GrantExchange, federation.GrantCode}, AllowedScopes: []string{"openid"},
		Exchange: ofWeb, Subject: federation.SubjectPolicy{Type: federation.SubjectPairwise, Sector: "b.example"},
	}, secret)
	r := w.want(w.trade(0, b, w.tokens(0).Access), 200)
	if sub := claims(t, r.Access)["sub"]; sub == w.user.ID || sub == "" || sub == nil {
		t.Errorf("subject %v", sub)
	}
}

func TestExchangeOfABoundTokenByItsHolder(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	b := w.backend("b", ofWeb)
	bound := w.mayAct(w.tokens(0), nil, &family.Confirmation{JKT: thumbprint(clientKey())})
	form := url.Values{"grant_type": {federation.GrantExchange}, "subject_token": {bound}, "subject_token_type": {typeOfAccess}}
	basic := func(r *http.Request) { r.SetBasicAuth(b.ClientID, secret) }
	w.wantError(w.nodes[0].do(w.send(0, form, basic)), 400, "invalid_request")
	r := w.want(w.nodes[0].do(w.send(0, form, basic, proving(t, clientKey()))), 200)
	if cnf, _ := claims(t, r.Access)["cnf"].(map[string]any); r.Type != "DPoP" || cnf["jkt"] != thumbprint(clientKey()) {
		t.Errorf("%+v, %v", r, cnf)
	}
}

// mayAct signs a token of web as a claim mapping would make it.
func (w *world) mayAct(got tokenResponse, who *actor, confirm *family.Confirmation) string {
	w.t.Helper()
	n := w.nodes[0]
	c, err := n.provider.verifyIssued(identity.WithTenant(w.t.Context(), tenant), got.Access)
	if err != nil {
		w.t.Fatal(err)
	}
	c.MayAct, c.Confirm = who, confirm
	token, err := n.keys.Sign(w.t.Context(), tenant.ID, keys.ES256, typAccess, c)
	if err != nil {
		w.t.Fatal(err)
	}
	return token
}

func TestRefusesAnActorWhomTheTokenDoesNotName(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	got := w.tokens(0)
	p := ofWeb
	p.Impersonate = true
	for _, b := range []*federation.Application{w.backend("b", ofWeb), w.backend("free", p)} {
		w.wantError(w.trade(0, b, w.mayAct(got, &actor{Subject: "other"}, nil)), 400, "invalid_request")
		w.wantError(w.trade(0, b, w.mayAct(got, &actor{ClientID: "other"}, nil)), 400, "invalid_request")
		w.wantError(w.trade(0, b, w.mayAct(got, &actor{}, nil)), 400, "invalid_request")
		w.want(w.trade(0, b, w.mayAct(got, &actor{Subject: b.ClientID}, nil)), 200)
	}
}

func TestRefusesExchangeOfATokenBoundToAnotherKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	b := w.backend("b", ofWeb)
	got := w.tokens(0)
	w.wantError(w.trade(0, b, w.mayAct(got, nil, &family.Confirmation{JKT: "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"})), 400, "invalid_request")
	w.wantError(w.trade(0, b, w.mayAct(got, nil, &family.Confirmation{X5T: "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"})), 400, "invalid_request")
}

func FuzzExchangeForm(f *testing.F) {
	w := newWorld(f, 1)
	b := w.backend("b", ofWeb)
	got := w.tokens(0)
	f.Add("subject_token=" + got.Access + "&subject_token_type=" + url.QueryEscape(typeOfAccess) + "&scope=openid")
	f.Add("subject_token=" + got.ID + "&subject_token_type=" + url.QueryEscape(typeOfID) + "&audience=a&resource=b")
	f.Add("actor_token=a.b.c&actor_token_type=x&requested_token_type=y")
	before := w.cluster.Entries()
	f.Fuzz(func(t *testing.T, text string) {
		form, err := url.ParseQuery(text)
		if err != nil {
			return
		}
		form.Set("grant_type", federation.GrantExchange)
		r := formRequest(context.Background(), "/oauth2/token", form)
		r.SetBasicAuth(b.ClientID, secret)
		rec := w.nodes[0].do(r)
		answer, err := decodeTokens(rec)
		if err != nil || rec.Code >= 500 {
			t.Fatalf("%d %s: %v", rec.Code, rec.Body, err)
		}
		if answer.Access != "" && claims(t, answer.Access)["act"] == nil {
			t.Error("nobody sees who acts")
		}
		if w.cluster.Entries() != before {
			t.Error("it is in the log")
		}
	})
}
