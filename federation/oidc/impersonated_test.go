package oidc

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/oidc/family"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/session"
	"github.com/quis-idp/quis/identity/settings"
)

// impersonate has the browser act as the world's user, in the name of an administrator whose
// ID it returns, for so long.
func (w *world) impersonate(life time.Duration) (admin string) {
	w.t.Helper()
	var started *session.Started
	w.update(0, func(tx *fsm.Tx) error {
		a := settings.Default(tenant.ID)
		a.AllowImpersonation = true
		if err := settings.Put(tx, 0, a); err != nil {
			return err
		}
		u, err := directory.CreateUser(tx, tenant.ID, directory.User{Username: "root", Admin: true})
		if err != nil {
			return err
		}
		admin = u.ID
		started, err = w.nodes[0].sessions.Impersonate(tx, tenant.ID, w.user.ID, session.Impersonation{UserID: u.ID, Tenant: tenant.ID, Reason: "ticket"}, life)
		return err
	})
	value, err := w.nodes[0].sessions.Cookie(started)
	if err != nil {
		w.t.Fatal(err)
	}
	w.session, w.cookie = started.Session.ID, &http.Cookie{Name: "quis_session", Value: value}
	return admin
}

func acts(c map[string]any) (sub any, more any) {
	act, _ := c["act"].(map[string]any)
	return act["sub"], act["act"]
}

func TestTokensSayWhoActsAsTheirSubject(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	if sub, _ := acts(claims(t, w.tokens(0).Access)); sub != nil {
		t.Errorf("somebody acts in an ordinary session: %v", sub)
	}
	w.warehouse()
	b := w.backend("b", ofWeb)
	p := ofWeb
	p.Impersonate = true
	quiet := w.backend("quiet", p)
	admin := w.impersonate(time.Hour)
	got := w.tokens(1, set("scope", "openid profile offline_access api"))
	again := w.want(w.post(2, "/oauth2/token", refreshForm(got.Refresh)), 200)
	for name, token := range map[string]string{"access": got.Access, "ID": got.ID, "refreshed access": again.Access} {
		c := claims(t, token)
		if sub, more := acts(c); c["sub"] != w.user.ID || sub != admin || more != nil || c["acr"] != nil || c["amr"] != nil {
			t.Errorf("%s token: %v", name, c)
		}
	}
	if strings.Contains(got.Scope, "offline_access") {
		t.Errorf("scope %q", got.Scope)
	}
	var told map[string]any
	decode(t, w.post(0, "/oauth2/introspect", map[string][]string{"token": {again.Access}}).Body.String(), &told)
	if sub, _ := acts(told); told["active"] != true || sub != admin {
		t.Errorf("introspection says %v", told)
	}
	decode(t, w.post(0, "/oauth2/introspect", map[string][]string{"token": {again.Refresh}}).Body.String(), &told)
	if sub, _ := acts(told); told["active"] != true || sub != admin {
		t.Errorf("introspection of the refresh token says %v", told)
	}
	// What is had in exchange says it as well, even where the application itself need not be named.
	delegated := claims(t, w.want(w.trade(1, b, again.Access), 200).Access)
	if sub, more := acts(delegated); sub != "b" || more.(map[string]any)["sub"] != admin {
		t.Errorf("delegated: %v", delegated)
	}
	for kind, token := range map[string]string{typeOfAccess: again.Access, typeOfID: got.ID} {
		c := claims(t, w.want(w.trade(1, quiet, token, set("subject_token_type", kind), set("scope", "profile")), 200).Access)
		if sub, _ := acts(c); sub != admin {
			t.Errorf("exchanged without naming the application: %v", c)
		}
	}
	err := w.cluster.DB[0].View(t.Context(), func(tx *fsm.Tx) error {
		page, _, err := event.List(tx, tenant.ID, event.Query{Type: string(event.FamilyStarted)})
		if len(page) != 2 || page[0].Actor.Impersonator != admin || page[1].Actor.Impersonator != "" {
			t.Errorf("%+v", page)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Attack: nothing that is had in an impersonation outlives it.
func TestNothingOutlivesAnImpersonation(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	w.impersonate(10 * time.Minute)
	got := w.tokens(0, set("scope", "openid offline_access"))
	c := claims(t, got.Access)
	if life := c["exp"].(float64) - c["iat"].(float64); life > 600 || got.Expires > 600 {
		t.Errorf("the token lives %v s, it says %d", life, got.Expires)
	}
	code := w.code(0, set("scope", "openid offline_access"))
	err := w.cluster.DB[1].View(t.Context(), func(tx *fsm.Tx) error {
		for f, err := range family.Of(tx, tenant.ID, w.user.ID) {
			if err != nil {
				return err
			}
			if f.Offline || slices.Contains(f.Scope, federation.ScopeOffline) {
				t.Errorf("%+v", f)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	w.update(1, func(tx *fsm.Tx) error { return session.End(tx, tenant.ID, w.session) })
	w.wantError(w.post(0, "/oauth2/token", refreshForm(got.Refresh)), 400, "invalid_grant")
	w.wantError(w.post(1, "/oauth2/token", w.codeForm(code)), 400, "invalid_grant")
	if rec := w.userinfo(0, got.Access); rec.Code != 401 {
		t.Errorf("userinfo %d", rec.Code)
	}
}

// The administrator's rights end, and with them what applications hold.
func TestImpersonationHangsOnRights(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	admin := w.impersonate(time.Hour)
	got := w.tokens(0)
	w.update(1, func(tx *fsm.Tx) error {
		_, err1 := directory.CreateUser(tx, tenant.ID, directory.User{Username: "other", Admin: true})
		_, err2 := directory.UpdateUser(tx, tenant.ID, admin, 0, func(u *directory.User) error { u.Admin = false; return nil })
		return errors.Join(err1, err2)
	})
	w.wantError(w.post(0, "/oauth2/token", refreshForm(got.Refresh)), 400, "invalid_grant")
	if rec := w.userinfo(1, got.Access); rec.Code != 401 {
		t.Errorf("userinfo %d", rec.Code)
	}
	u, _ := w.back(w.get(0, "/oauth2/authorize?"+w.request().Encode(), true))
	if u.Path != "/login" {
		t.Errorf("leads to %s", u)
	}
}

// An application that asks for a second factor of its own is not opened.
func TestImpersonationMeetsNoPolicyOfApplications(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.impersonate(time.Hour)
	w.update(0, func(tx *fsm.Tx) error {
		_, err := federation.Update(tx, tenant.ID, w.app.ID, 0, func(a *federation.Application) error { a.MFAPolicy = "any"; return nil })
		return err
	})
	_, params := w.back(w.get(0, "/oauth2/authorize?"+w.request().Encode(), true))
	if params.Get("error") == "" || params.Get("code") != "" {
		t.Errorf("an application with a policy: %v", params)
	}
}

// What is essential is not met by nothing; a wish is no obstacle.
func TestImpersonationProvesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.impersonate(time.Hour)
	if c := claims(t, w.tokens(0, set("acr_values", "urn:quis:acr:aal2")).ID); c["acr"] != nil {
		t.Errorf("acr %v", c["acr"])
	}
	_, params := w.back(w.get(0, "/oauth2/authorize?"+w.request(set("claims", `{"id_token":{"acr":{"essential":true,"value":"urn:quis:acr:aal1"}}}`)).Encode(), true))
	if params.Get("error") == "" || params.Get("code") != "" {
		t.Errorf("essential acr: %v", params)
	}
	// Signing in as somebody ends it.
	next := w.passSignIn(0, w.get(0, "/oauth2/authorize?"+w.request(set("prompt", "login")).Encode(), true), "tester")
	if _, params := w.back(w.get(0, next, true)); params.Get("error") == "" && params.Get("code") == "" {
		t.Errorf("%v", params)
	}
	if s, err := w.nodes[0].sessions.Find(identity.WithTenant(t.Context(), tenant), tenant.ID, w.cookie.Value); err != nil || s.Impersonation != nil {
		t.Errorf("%+v, %v", s, err)
	}
}
