package oidc

import (
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/ciba"
	"github.com/quis-idp/quis/federation/poll"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/session"
)

// bank registers a confidential application that asks users without a browser.
func (w *world) bank(id string, s federation.CIBASettings) *federation.Application {
	w.t.Helper()
	return w.register(federation.Application{
		ClientID: id, Name: "Bank", GrantTypes: []string{federation.GrantCIBA}, AllowedScopes: []string{"openid", "profile"}, CIBA: s,
	}, secret)
}

func (w *world) postTo(i int, path string, app *federation.Application, form url.Values) *httptest.ResponseRecorder {
	r := formRequest(w.t.Context(), path, form)
	r.SetBasicAuth(app.ClientID, secret)
	return w.nodes[i].do(r)
}

func (w *world) askUser(i int, app *federation.Application, change ...func(url.Values)) *httptest.ResponseRecorder {
	form := url.Values{"scope": {"openid profile"}, "login_hint": {"tester"}, "binding_message": {"Pay 12.50, W4SCT"}}
	for _, f := range change {
		f(form)
	}
	return w.postTo(i, decoupledPath, app, form)
}

func (w *world) pollCIBA(i int, app *federation.Application, id string) *httptest.ResponseRecorder {
	return w.postTo(i, "/oauth2/token", app, url.Values{"grant_type": {federation.GrantCIBA}, "auth_req_id": {id}})
}

func (w *world) approveCIBA(i int, app *federation.Application, authReqID string) {
	w.t.Helper()
	id, err := poll.CIBA.Parse(w.nodes[i].ring, tenant.ID, app.ClientID, authReqID)
	if err != nil {
		w.t.Fatal(err)
	}
	w.update(i, func(tx *fsm.Tx) error {
		s, err := session.Get(tx, tenant.ID, w.session)
		if err != nil {
			return err
		}
		return ciba.Approve(tx, tenant.ID, id, s)
	})
}

func TestDecoupledSignInAcrossNodes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	bank := w.bank("bank", federation.CIBASettings{})
	var a decoupledAnswer
	n := w.entries(func() {
		rec := w.askUser(0, bank, set("requested_expiry", "120"))
		decode(t, rec.Body.String(), &a)
	})
	if n != 1 || a.ID == "" || a.Expires != 120 || a.Interval != 5 {
		t.Fatalf("%d entries, %+v", n, a)
	}
	n = w.entries(func() {
		for i := range 3 {
			w.wantError(w.pollCIBA(i, bank, a.ID), 400, "authorization_pending")
		}
		w.wantError(w.pollCIBA(0, bank, a.ID), 400, "slow_down")
	})
	if n != 0 {
		t.Errorf("polls are %d entries", n)
	}
	w.approveCIBA(1, bank, a.ID)
	var got tokenResponse
	if n := w.entries(func() { got = w.want(w.pollCIBA(2, bank, a.ID), 200) }); n != 1 {
		t.Errorf("the exchange is %d entries", n)
	}
	c := claims(t, got.ID)
	if c["sub"] != w.user.ID || c["aud"] != "bank" || c["auth_time"] == nil || got.Refresh != "" {
		t.Errorf("%+v, claims %v", got, c)
	}
	w.wantError(w.pollCIBA(0, bank, a.ID), 400, "invalid_grant")
	if rec := w.userinfo(0, got.Access); rec.Code != 401 {
		t.Errorf("after a replay the access token is good: %d", rec.Code)
	}
	if w.events(event.CIBARequested) != 1 || w.events(event.CIBAApproved) != 1 {
		t.Error("events are missing")
	}
}

func TestDecoupledByIDToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	got := w.tokens(0)
	bank := w.bank("bank", federation.CIBASettings{})
	hint := func(q url.Values) { q.Del("login_hint"); q.Set("id_token_hint", got.ID) }
	w.wantError(w.askUser(0, bank, hint), 400, "unknown_user_id") // it was made for another application
	w.update(0, func(tx *fsm.Tx) error {
		_, err := federation.Update(tx, tenant.ID, w.app.ID, 0, func(a *federation.Application) error {
			a.GrantTypes = append(a.GrantTypes, federation.GrantCIBA)
			return nil
		})
		return err
	})
	if rec := w.askUser(0, w.app, hint); rec.Code != 200 {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	w.wantError(w.askUser(0, w.app, func(q url.Values) { q.Del("login_hint"); q.Set("id_token_hint", got.Access) }), 400, "unknown_user_id")
}

func TestDecoupledByIDTokenWithAPairwiseSubject(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.update(0, func(tx *fsm.Tx) error {
		_, err := federation.Update(tx, tenant.ID, w.app.ID, 0, func(a *federation.Application) error {
			a.GrantTypes = append(a.GrantTypes, federation.GrantCIBA)
			a.Subject = federation.SubjectPolicy{Type: federation.SubjectPairwise, Sector: "app.example.com"}
			return nil
		})
		return err
	})
	got := w.tokens(0)
	if claims(t, got.ID)["sub"] == w.user.ID {
		t.Fatal("the subject is not pairwise")
	}
	hint := func(q url.Values) { q.Del("login_hint"); q.Set("id_token_hint", got.ID) }
	if rec := w.askUser(0, w.app, hint); rec.Code != 200 {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	w.update(0, func(tx *fsm.Tx) error { return session.End(tx, tenant.ID, w.session) })
	w.wantError(w.askUser(0, w.app, hint), 400, "unknown_user_id")
}

func TestRefusesDecoupledRequests(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	bank, ping := w.bank("bank", federation.CIBASettings{}), w.bank("ping", federation.CIBASettings{Mode: "ping", EndpointURI: "https://bank.example/ping"})
	w.update(0, func(tx *fsm.Tx) error {
		u, err := directory.CreateUser(tx, tenant.ID, directory.User{Username: "gone"})
		if err != nil {
			return err
		}
		_, err = directory.UpdateUser(tx, tenant.ID, u.ID, 0, func(u *directory.User) error { u.Disabled = true; return nil })
		return err
	})
	for what, c := range map[string]struct {
		change func(url.Values)
		code   string
	}{
		"no hint":           {del("login_hint"), "invalid_request"},
		"two hints":         {set("id_token_hint", "x"), "invalid_request"},
		"hint token":        {set("login_hint_token", "x"), "invalid_request"},
		"stranger":          {set("login_hint", "nobody"), "unknown_user_id"},
		"disabled":          {set("login_hint", "gone"), "unknown_user_id"},
		"no openid":         {set("scope", "profile"), "invalid_scope"},
		"too much scope":    {set("scope", "openid email"), "invalid_scope"},
		"message of lines":  {set("binding_message", "a\nb"), "invalid_binding_message"},
		"long message":      {set("binding_message", strings.Repeat("x", 101)), "invalid_binding_message"},
		"expiry":            {set("requested_expiry", "soon"), "invalid_request"},
		"signed":            {set("request", "a.b.c"), "invalid_request"},
		"unknown resource":  {set("resource", "https://nobody.example"), "invalid_target"},
		"details of no one": {set("authorization_details", `[{"type":"x"}]`), "invalid_authorization_details"},
	} {
		if r := w.want(w.askUser(0, bank, c.change), 400); r.Error != c.code {
			t.Errorf("%s: %s %s", what, r.Error, r.Description)
		}
	}
	w.wantError(w.askUser(0, ping), 400, "invalid_request")
	w.wantError(w.askUser(0, ping, set("client_notification_token", "short")), 400, "invalid_request")
	w.wantError(w.askUser(0, w.app), 400, "unauthorized_client")
	w.wantError(w.postAs(0, decoupledPath, w.television("tv"), url.Values{}), 401, "invalid_client")
	w.update(0, func(tx *fsm.Tx) error {
		_, err := federation.Update(tx, tenant.ID, bank.ID, 0, func(a *federation.Application) error { a.AccessRestricted = true; return nil })
		return err
	})
	w.wantError(w.askUser(0, bank), 403, "access_denied")
	if n := w.events(event.CIBARequested); n != 0 {
		t.Errorf("%d have begun", n)
	}
}

func TestRefusesAuthReqIDOfAnotherClient(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	bank, shop := w.bank("bank", federation.CIBASettings{}), w.bank("shop", federation.CIBASettings{})
	var a decoupledAnswer
	decode(t, w.askUser(0, bank).Body.String(), &a)
	w.approveCIBA(0, bank, a.ID)
	w.wantError(w.pollCIBA(0, shop, a.ID), 400, "invalid_grant")
	tv := w.television("tv")
	w.wantError(w.poll(0, tv, a.ID), 400, "invalid_grant") // nor is it a device code
	w.want(w.pollCIBA(0, bank, a.ID), 200)
}

func TestRefusesAFloodOfDecoupledRequestsToOneUser(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	bank, shop := w.bank("bank", federation.CIBASettings{}), w.bank("shop", federation.CIBASettings{})
	for i := range ciba.MaxPending {
		if rec := w.askUser(i%2, bank); rec.Code != 200 {
			t.Fatalf("%d %s", rec.Code, rec.Body)
		}
	}
	n := w.entries(func() {
		w.wantError(w.askUser(0, bank), 503, "temporarily_unavailable")
		w.wantError(w.askUser(1, shop), 503, "temporarily_unavailable") // of all applications together
	})
	if n != 0 {
		t.Errorf("%d entries", n)
	}
}

// A notification token goes in, and comes out at the client's endpoint alone.
func TestNotificationTokenIsNeverShown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	const token = "notify-me-with-this-secret-0123456789"
	bank := w.bank("bank", federation.CIBASettings{Mode: "ping", EndpointURI: "https://bank.example/ping"})
	var a decoupledAnswer
	rec := w.askUser(0, bank, set("client_notification_token", token))
	decode(t, rec.Body.String(), &a)
	w.approveCIBA(0, bank, a.ID)
	for _, e := range w.cluster.Log() {
		if strings.Contains(string(e.Data), token) {
			t.Error("it is in the log")
		}
	}
	if strings.Contains(rec.Body.String(), token) {
		t.Error("it is in the answer")
	}
}
