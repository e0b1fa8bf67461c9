package portal_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quis-idp/quis/api/login"
	"github.com/quis-idp/quis/api/page/pagetest"
	"github.com/quis-idp/quis/api/portal/portaltest"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/assurance"
	"github.com/quis-idp/quis/identity/credential/certificate"
	"github.com/quis-idp/quis/identity/credential/certificate/certificatetest"
	"github.com/quis-idp/quis/identity/credential/factor"
	"github.com/quis-idp/quis/identity/credential/passkey"
	"github.com/quis-idp/quis/identity/credential/passkey/passkeytest"
	"github.com/quis-idp/quis/identity/credential/totp/totptest"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/session"
	"github.com/quis-idp/quis/identity/settings"
)

// factors are the IDs of what ada proves herself with besides the password.
func (h *house) factors() (ids []string) {
	h.T.Helper()
	h.view(func(tx *fsm.Tx) (err error) {
		ids, err = factor.Between(tx, identity.DefaultTenant, h.Users["ada"], time.Time{}, time.Time{})
		return err
	})
	return ids
}

// newest is the last of what happened to ada.
func (h *house) newest() (id string) {
	h.T.Helper()
	h.view(func(tx *fsm.Tx) error {
		all, _, err := event.About(tx, identity.DefaultTenant, h.Users["ada"], "", 1)
		id = all[0].ID
		return err
	})
	return id
}

// addApp gives ada an authenticator app.
func (h *house) addApp(name string) (id string) {
	h.T.Helper()
	h.Update(func(tx *fsm.Tx) error {
		app, _, err := totptest.Add(tx, h.Ring, identity.DefaultTenant, h.Users["ada"], name)
		id = app.ID
		return err
	})
	return id
}

// addKey gives ada a passkey that verifies whose it is.
func (h *house) addKey() {
	h.T.Helper()
	a := &passkeytest.Authenticator{Origin: portaltest.PublicURL, UV: true}
	tn := identity.Tenant{ID: identity.DefaultTenant, Issuer: portaltest.PublicURL}
	rules := settings.Default(tn.ID).Passkey
	h.Update(func(tx *fsm.Tx) error {
		u, _, err := directory.GetUser(tx, tn.ID, h.Users["ada"])
		if err != nil {
			return err
		}
		o, c, err := passkey.BeginRegistration(tx, tn, "House", rules, u, true)
		if err != nil {
			return err
		}
		r, err := a.Create(o)
		if err == nil {
			_, err = passkey.Register(tx, tn, rules, u.ID, c, r, "Phone")
		}
		return err
	})
}

// addCertificate gives ada one.
func (h *house) addCertificate() {
	h.T.Helper()
	ca := certificatetest.New(h.T, "Friends", nil)
	person := ca.Person(h.T, "eve's laptop")
	h.Update(func(tx *fsm.Tx) error {
		a, err := certificate.Add(tx, certificate.Authority{
			Tenant: identity.DefaultTenant, Name: "Friends", Certificate: ca.Cert.Raw, Revocation: certificate.RevocationOff,
			Rules: []certificate.Rule{{From: certificate.FromAdded}},
		})
		if err != nil {
			return err
		}
		names, err := certificate.NamesOf(person.Leaf)
		if err == nil {
			_, err = certificate.Bind(tx, a, names, h.Users["ada"], certificate.ByFingerprint, "")
		}
		return err
	})
}

// Attack: who is in the account adds a way to sign in. She says that it was not hers: it is gone, so that it lets nobody in
// and she is not asked for it, and she chooses another password.
func TestDisownedWayToSignInGoes(t *testing.T) {
	t.Parallel()
	for name, add := range map[string]func(h *house){
		"passkey":     (*house).addKey,
		"app":         func(h *house) { h.addApp("eve's") },
		"certificate": (*house).addCertificate,
	} {
		for _, confirmed := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				h := newHouse(t)
				h.Mails = func(*fsm.Tx, string) (bool, error) { return true, nil }
				h.open()
				h.Update(func(tx *fsm.Tx) error {
					_, err := directory.UpdateUser(tx, identity.DefaultTenant, h.Users["ada"], 0, func(u *directory.User) error { u.EmailVerified = confirmed; return nil })
					return err
				})
				s := h.enter("ada")
				h.Pass(20 * time.Minute) // no proof is recent any more
				add(h)
				said := s.Post("/account/activity", url.Values{"event": {h.newest()}}).Want(t, 303)
				if left := h.factors(); len(left) > 0 {
					t.Fatalf("%v is left", left)
				}
				// She is asked for what she has, and for another password; at the end she is to look through the rest.
				form := s.Get(s.Get(said.Header.Get("Location")).Want(t, 303).Header.Get("Location"))
				form = s.Post("/login/second", url.Values{"flow": form.Hidden("flow")[:1], "way": {"password"}, "code": {secret}})
				form.Want(t, 200, "A new password")
				in := s.Post("/login/renew", url.Values{"flow": form.Hidden("flow")[:1], "password": {another}}).Want(t, 200)
				at := strings.TrimPrefix(in.Header.Get("Refresh"), "0; url=")
				for range 2 { // without the ticket; without the form, which has been filled in
					at = s.Get(at).Want(t, 303).Header.Get("Location")
				}
				s.Get(at).Want(t, 200, "ways to sign in that were added since then are removed", "Look through what stands below", "Your password is changed")
			})
		}
	}
}

// Attack: who has but the cookie of a session says of what is long past that it was not them, to take away the second
// factor that they do not have.
func TestDisowningTakesNoFactorAwayWithoutAProof(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	long := h.newest()
	h.Pass(time.Hour)
	mine := h.addApp("mine")
	h.Pass(time.Minute)
	tn := identity.Tenant{ID: identity.DefaultTenant, Issuer: portaltest.PublicURL}
	var begun *session.Started
	h.Update(func(tx *fsm.Tx) (err error) {
		begun, err = h.Sessions.Start(tx, session.Session{Tenant: tn.ID, UserID: h.Users["ada"], Factors: []assurance.Factor{{Method: assurance.Password, At: tx.Now()}, {Method: assurance.TOTP, At: tx.Now()}}})
		return err
	})
	cookie, err := h.Sessions.Cookie(begun)
	if err != nil {
		t.Fatal(err)
	}
	say := func(event string) pagetest.Answer {
		return h.someone().Send("POST", "/account/activity", url.Values{"event": {event}}, http.Header{"Cookie": {login.SessionCookie(tn) + "=" + cookie}})
	}
	h.Pass(20 * time.Minute)
	say(long).Leads(t, "/login?flow=")
	h.addApp("eve's")
	say(h.newest()).Leads(t, "/account/security/password?done=disowned") // which she can say without
	if diff := cmp.Diff([]string{mine}, h.factors()); diff != "" {
		t.Error(diff)
	}
}

// Whoever has proved themselves a moment ago chooses another password on the page for it, which says what was done.
func TestDisownedPasswordIsChanged(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.enter("ada")
	h.addApp("eve's")
	s.done("/account/activity", url.Values{"event": {h.newest()}}).Want(t, 200, "ways to sign in that were added since then are removed", "Choose another password now")
	s.done("/account/security/password?done=disowned", url.Values{"current": {secret}, "password": {another}, "repeat": {another}}).
		Want(t, 200, "Look through what stands below", "Your password is changed")
}
