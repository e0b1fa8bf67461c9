package oidc

import (
	"context"
	"net/http"
	"net/url"
	"testing"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/authn"
	"github.com/quis-idp/quis/identity/credential/passkey"
	"github.com/quis-idp/quis/identity/credential/passkey/passkeytest"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/settings"
)

// enrol gives the user a passkey on an authenticator.
func (w *world) enrol(a *passkeytest.Authenticator) {
	w.t.Helper()
	rules := settings.Default(tenant.ID).Passkey
	w.update(0, func(tx *fsm.Tx) error {
		options, ceremony, err := passkey.BeginRegistration(tx, tenant, "House", rules, w.user, true)
		if err != nil {
			return err
		}
		response, err := a.Create(options)
		if err == nil {
			_, err = passkey.Register(tx, tenant, rules, w.user.ID, ceremony, response, "key")
		}
		return err
	})
}

// asked is the flow that params lead to, at the browser of the session, and the challenge for a passkey.
func (w *world) asked(i int, params url.Values) (ctx context.Context, f *authn.Flow, options []byte) {
	w.t.Helper()
	ctx, flows := identity.WithTenant(w.t.Context(), tenant), w.nodes[i].flows
	f, err := flows.Load(ctx, params.Get("flow"), "")
	if err == nil {
		_, err = flows.Bind(f, "")
	}
	if err == nil && w.cookie != nil {
		s, fault := w.nodes[i].sessions.Find(ctx, tenant.ID, w.cookie.Value)
		if fault != nil {
			w.t.Fatal(fault)
		}
		f.Browser.SessionID = s.ID
		_, err = flows.Raise(ctx, f, s)
	}
	if err == nil {
		options, err = flows.Challenge(ctx, f)
	}
	if err != nil || options == nil {
		w.t.Fatalf("no challenge: %v", err)
	}
	return ctx, f, options
}

// prove answers the challenge of a flow and takes the session that is made.
func (w *world) prove(i int, params url.Values, a *passkeytest.Authenticator) authn.Result {
	w.t.Helper()
	ctx, f, options := w.asked(i, params)
	response, err := a.Get(options)
	if err != nil {
		w.t.Fatal(err)
	}
	r, err := w.nodes[i].flows.Passkey(ctx, f, response)
	if err != nil || r.Step != authn.StepDone {
		w.t.Fatalf("%+v, %v", r, err)
	}
	w.cookie, w.session = &http.Cookie{Name: "quis_session", Value: r.Cookie}, r.Session.ID
	return r
}

// An application that asks for a passkey which never leaves its device lets nobody in by another: who has
// but such is told so, and who has one is asked for that very one, in the session that they have.
func TestDeviceBoundApplication(t *testing.T) {
	t.Parallel()
	for name, policy := range map[string]func(w *world){
		"of the application": func(w *world) {
			w.change(func(a *federation.Application) { a.MFAPolicy = federation.MFADeviceBound })
		},
		"of a group": func(w *world) {
			w.change(func(a *federation.Application) { a.MFAPolicy = federation.MFAPasskey })
			w.update(0, func(tx *fsm.Tx) error {
				decided := settings.Default(tenant.ID)
				decided.MFAGrace = 0
				if err := settings.Put(tx, 0, decided); err != nil {
					return err
				}
				g, err := directory.CreateGroup(tx, tenant.ID, directory.Group{Name: "admins"})
				if err == nil {
					err = directory.AddMember(tx, tenant.ID, g.ID, w.user.ID)
				}
				if err == nil {
					err = settings.SetOfGroup(tx, tenant.ID, g.ID, settings.MFADeviceBound)
				}
				return err
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 2)
			policy(w)
			phone, key := &passkeytest.Authenticator{Origin: issuer, UV: true, Synced: true}, &passkeytest.Authenticator{Origin: issuer, UV: true}
			w.enrol(phone)
			w.cookie = nil
			_, params := w.back(w.authorize())
			if r := w.prove(1, params, phone); r.Enrol == nil || !r.Enrol.Bound || r.Enrol.Optional || r.Enrol.Organization != (name == "of a group") {
				t.Fatalf("told %+v", r.Enrol)
			}
			if u, params := w.back(w.authorize()); u.Path != "/login/enrol" || params.Get("kind") != "bound" || params.Get("application") != w.app.ID {
				t.Fatalf("a passkey that may be copied leads to %s", u)
			}
			w.authorizeError(w.authorize(set("prompt", "none")), "login_required")
			w.enrol(key)
			session := w.session
			u, params := w.back(w.authorize())
			if u.Path != "/login" {
				t.Fatalf("who has one is led to %s", u)
			}
			_, f, options := w.asked(0, params)
			if _, err := phone.Get(options); err == nil || !f.DeviceBound() {
				t.Error("the passkey that would not do is asked for again")
			}
			r := w.prove(1, params, key)
			if r.Enrol != nil || r.Session.ID != session {
				t.Fatalf("%+v", r)
			}
			if _, params := w.back(w.get(0, r.ReturnTo, true)); params.Get("code") == "" {
				t.Errorf("after the key: %v", params)
			}
		})
	}
}
