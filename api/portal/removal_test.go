package portal_test

import (
	"cmp"
	"context"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quis-idp/quis/api/page/pagetest"
	"github.com/quis-idp/quis/api/portal/portaltest"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/assurance"
	"github.com/quis-idp/quis/identity/authn"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/credential/device"
	"github.com/quis-idp/quis/identity/credential/passkey"
	"github.com/quis-idp/quis/identity/credential/passkey/passkeytest"
	"github.com/quis-idp/quis/identity/credential/recovery"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/regain"
	"github.com/quis-idp/quis/identity/session"
	"github.com/quis-idp/quis/identity/settings"
)

const removal = "/account/security/password/remove"

// proof is what the form of removal wants.
var proof = url.Values{"current": {secret}}

// mailed lets people sign in by mail, ada among them.
func (h *house) mailed() {
	h.T.Helper()
	h.Update(func(tx *fsm.Tx) error {
		a := settings.Default(identity.DefaultTenant)
		a.MagicLink = true
		if err := settings.Put(tx, 0, a); err != nil {
			return err
		}
		_, err := directory.UpdateUser(tx, identity.DefaultTenant, h.Users["ada"], 0, func(u *directory.User) error { u.EmailVerified = true; return nil })
		return err
	})
}

// app gives ada an authenticator app, which she has used in the session of hers.
func (h *house) app() {
	h.T.Helper()
	h.addApp("Phone")
	h.Update(func(tx *fsm.Tx) error { return h.proves(tx, assurance.TOTP, nil) })
}

// passkey gives ada a passkey that her browser has made by itself, and she has used.
func (h *house) passkey() {
	h.T.Helper()
	at := identity.Tenant{ID: identity.DefaultTenant, Issuer: portaltest.PublicURL}
	a := &passkeytest.Authenticator{Origin: portaltest.PublicURL}
	h.Update(func(tx *fsm.Tx) error {
		u, _, err := directory.GetUser(tx, identity.DefaultTenant, h.Users["ada"])
		if err != nil {
			return err
		}
		policy := settings.Default(identity.DefaultTenant).Passkey
		options, ceremony, err := passkey.BeginUnasked(tx, at, "Example", policy, u)
		if err != nil {
			return err
		}
		response, err := a.Create(options)
		if err != nil {
			return err
		}
		_, err = passkey.Register(tx, at, policy, u.ID, ceremony, response, "Phone")
		return h.proves(tx, assurance.Passkey, err)
	})
}

// key gives ada a passkey that has verified her.
func (h *house) key() {
	h.T.Helper()
	h.addKey()
	h.Update(func(tx *fsm.Tx) error { return h.proves(tx, assurance.Passkey, nil) })
}

// proves has ada prove something in each session of hers.
func (h *house) proves(tx *fsm.Tx, m assurance.Method, err error) error {
	all, lerr := h.Sessions.ListOf(tx, identity.DefaultTenant, h.Users["ada"])
	if err = cmp.Or(err, lerr); err != nil {
		return err
	}
	for i := range all {
		if err := session.Prove(tx, identity.DefaultTenant, all[i].ID, assurance.Factor{Method: m}); err != nil {
			return err
		}
	}
	return nil
}

// has reports whether ada has a password.
func (h *house) has() (has bool) {
	h.T.Helper()
	h.view(func(tx *fsm.Tx) error {
		set, err := credential.PasswordSet(tx, identity.DefaultTenant, h.Users["ada"])
		has = !set.IsZero()
		return err
	})
	return has
}

// about are the types of what happened to ada, the latest first.
func (h *house) about() (types []string) {
	h.T.Helper()
	h.view(func(tx *fsm.Tx) error {
		events, _, err := event.About(tx, identity.DefaultTenant, h.Users["ada"], "", 100)
		for _, e := range events {
			types = append(types, string(e.Type))
		}
		return err
	})
	return types
}

// A password goes with all that whoever else knew it may have begun.
func TestPasswordIsRemoved(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.mailed()
	s, other, grace := h.enter("ada"), h.enter("ada"), h.enter("grace")
	form := h.someone()
	late := form.Get(form.Get("/account").Header.Get("Location")).Hidden("flow")
	h.Update(func(tx *fsm.Tx) error {
		if _, _, err := device.Trust(tx, h.Ring, identity.DefaultTenant, h.Users["ada"], "Firefox on Linux", time.Hour); err != nil {
			return err
		}
		_, err := regain.Begin(tx, identity.DefaultTenant, h.Users["ada"])
		return err
	})
	h.Pass(time.Second)
	s.Get("/account/security").Want(t, 200, `href="`+removal+`" aria-label="Remove your password"`)
	s.Get(removal).Want(t, 200, "You can set a new password at any time", "On all other devices you are signed out", `method="post" action="`+removal+`"`)
	if !h.has() {
		t.Fatal("looking removes it")
	}
	s.Post(removal, url.Values{"current": {another}}).Want(t, 422, "That is not your current password")
	if !h.has() {
		t.Fatal("another password removes it")
	}
	s.done(removal, proof).Want(t, 200, "Your password is removed", "you sign in by other means", "Set a password")
	if h.has() {
		t.Error("it is there")
	}
	s.Get(removal).Leads(t, "/account/security")
	s.Post(removal, proof).Leads(t, "/account/security?done=password-removed") // a double click
	other.Get("/account").Want(t, 303)
	grace.Get("/account").Want(t, 200)
	if a := form.Post("/login", url.Values{"flow": late[:1], "username": {"ada"}, "password": {secret}}); a.StatusCode != 422 && a.StatusCode != 401 {
		t.Errorf("it signs in: %d %s", a.StatusCode, a.Page)
	}
	h.view(func(tx *fsm.Tx) error {
		if all, err := device.List(tx, identity.DefaultTenant, h.Users["ada"]); err != nil || len(all) != 0 {
			t.Errorf("trusted devices: %v, %v", all, err)
		}
		if r, err := regain.Waiting(tx, identity.DefaultTenant, h.Users["ada"]); err != nil || r != nil {
			t.Errorf("a recovery waits that had proved it: %v, %v", r, err)
		}
		all, _, err := event.List(tx, identity.DefaultTenant, event.Query{})
		if !slices.ContainsFunc(all, func(e event.Event) bool {
			return e.Type == event.FamilyRevoked && e.Target.ID == h.Users["ada"] && e.Data["reason"] == "password removed"
		}) {
			t.Errorf("what applications hold stays: %v", all)
		}
		return err
	})
	if got := strings.Join(h.about(), " "); strings.Count(got, "password.removed") != 1 || strings.Count(got, "recovery.cancelled") != 1 {
		t.Errorf("told are %s", got)
	}
	s.Get("/account/activity").Want(t, 200, "Your password was removed")
	s.done("/account/security/password", url.Values{"password": {another}, "repeat": {another}}).Want(t, 200, "Your password is set")
}

// A password stays while it is what begins a sign-in, or one of the factors that are asked for,
// and the page says why and has no button.
func TestPasswordThatIsNeededStays(t *testing.T) {
	t.Parallel()
	const newPasskey = "/account/security/passkeys/new"
	later := func(a *settings.Authentication) { a.PasskeyLogin, a.Passkey.UserVerification = false, "preferred" }
	two := func(a *settings.Authentication) { a.MFAPolicy, a.MFAEnforce = settings.MFAAny, true }
	for name, c := range map[string]struct {
		mail   bool
		decide func(*settings.Authentication)
		key    bool // a browser has made a passkey by itself, which is one factor
		app    bool
		why    string
		first  string // what helps: a sentence, and
		to     string // where its button leads; "": there is none
	}{
		"nothing else":                         {why: "nothing else that you have is sure to begin a sign-in", first: "Add a passkey first.", to: newPasskey},
		"an app, which begins nothing":         {app: true, why: "nothing else that you have is sure to begin a sign-in", first: "Add a passkey first.", to: newPasskey},
		"an app that would be asked no more":   {mail: true, app: true, why: "would count as your only one", first: "or remove the other factor", to: newPasskey},
		"the same, and no passkey verifies":    {mail: true, app: true, decide: func(a *settings.Authentication) { a.MagicLink = true; later(a) }, why: "would count as your only one", first: "Remove the other factor first."},
		"two factors, of which it is one":      {key: true, decide: two, why: "your password is one of your two", first: "Add a passkey first.", to: newPasskey},
		"a passkey with which nobody signs in": {key: true, decide: later, why: "nothing else that you have is sure", first: "Nothing that you can add here would take its place"},
		"the same, but codes are mailed":       {key: true, decide: func(a *settings.Authentication) { later(a); a.EmailOTP = true }, why: "nothing else that you have is sure", first: "Confirm an email address first", to: "/account/email"},
		"mail":                                 {mail: true},
		"a passkey":                            {key: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			s := h.enter("ada")
			if c.mail {
				h.mailed()
			}
			if c.app {
				h.app()
			}
			if c.key {
				h.passkey()
			}
			if c.decide != nil {
				h.Update(func(tx *fsm.Tx) error {
					a := settings.Default(identity.DefaultTenant)
					c.decide(&a)
					return settings.Put(tx, 0, a)
				})
			}
			page := s.Get(removal).Want(t, 200, c.why, c.first)
			if _, main, _ := strings.Cut(page.Page, `class="alert"`); c.why != "" && strings.Contains(main, `class="button" href="`+c.to) != (c.to != "") {
				t.Errorf("the button that leads on: %s", main)
			}
			if strings.Contains(page.Page, `action="`+removal+`"`) != (c.why == "") {
				t.Errorf("the button: %s", page.Page)
			}
			a := s.Post(removal, proof)
			if c.why == "" {
				a.Leads(t, "/account/security?done=password-removed")
			} else {
				a.Want(t, 422, `role="alert"`, c.why, c.first)
			}
			if h.has() != (c.why != "") {
				t.Errorf("there is a password: %v", h.has())
			}
		})
	}
}

// Where nobody signs in by password, the card says so, and offers none.
func TestPasswordsThatAreClosed(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.enter("ada")
	s.Get("/account/security").Want(t, 200, "Use it nowhere else")
	h.Update(func(tx *fsm.Tx) error {
		a := settings.Default(identity.DefaultTenant)
		a.PasswordLogin, a.ForgotPassword = false, false
		return settings.Put(tx, 0, a)
	})
	s.Get("/account/security").Want(t, 200, "does not let anybody sign in with a password", `href="`+removal+`"`)
}

// Whoever finds a browser open cannot remove it, nor can who acts as somebody else.
func TestRemovingThePasswordWantsAFreshProof(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.mailed()
	s := h.enter("ada")
	h.Pass(settings.Default("").Session.SensitiveTime() + time.Second)
	s.Get(removal).Leads(t, "/login?flow=")
	s.Post(removal, proof).Leads(t, "/login?flow=")
	if !h.has() {
		t.Fatal("it is gone")
	}
	if back := s.stepUp(removal, secret); back != removal {
		t.Errorf("leads back to %s", back)
	}
	s.Get(removal).Want(t, 200, "Remove the password")
	s.Post(removal, proof).Leads(t, "/account/security?done=password-removed")
	h.someone().Post(removal, proof).Leads(t, "/login?flow=")
}

// Who would have only passkeys then is told how they would get back in without them, as
// TestLostPasskeysOfWhoHasNoPassword in api/login does.
func TestRemovingThePasswordSaysWhatLosingPasskeysMeans(t *testing.T) {
	t.Parallel()
	const make = `href="/account/security/codes">Make recovery codes`
	decide := func(change func(a *settings.Authentication)) func(h *house) {
		return func(h *house) {
			h.Update(func(tx *fsm.Tx) error {
				a := settings.Default(identity.DefaultTenant)
				change(&a)
				return settings.Put(tx, 0, a)
			})
		}
	}
	for name, c := range map[string]struct {
		unproved, silent bool // the address; no mail is sent
		unasked, codes   bool
		also             func(h *house)
		want             string
		advice           bool
	}{
		"an address":                   {want: "after a wait of 24 hours. With recovery codes", advice: true},
		"an address that is no proof":  {unproved: true, want: "only an administrator can let you back in."},
		"no mail is sent":              {silent: true, want: "only an administrator can let you back in."},
		"codes":                        {codes: true, want: "and one of your recovery codes."},
		"nobody is asked for it":       {unasked: true, want: "with a code sent to your email address."},
		"another delay":                {also: decide(func(a *settings.Authentication) { a.Recovery.Delay = 72 }), want: "after a wait of 3 days", advice: true},
		"no delay":                     {also: decide(func(a *settings.Authentication) { a.Recovery.Delay = 0 }), want: "with a code sent to your email address."},
		"codes are the only way":       {also: decide(func(a *settings.Authentication) { a.Recovery.Methods = []string{"email+recovery_code"} }), want: "only an administrator can let you back in. With recovery codes", advice: true},
		"an app would be the only way": {also: decide(func(a *settings.Authentication) { a.Recovery.Methods = []string{"email+totp"} }), want: "only an administrator can let you back in."},
		"nobody forgets passwords":     {also: decide(func(a *settings.Authentication) { a.ForgotPassword = false }), want: "only an administrator can let you back in."},
		"an app besides":               {also: (*house).app},
		"codes begin a sign-in":        {also: decide(func(a *settings.Authentication) { a.EmailOTP = true })},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			if !c.silent {
				h.SignIn(authn.Config{SendMail: func(context.Context, authn.Letter) {}})
				h.open()
			}
			s := h.enter("ada")
			h.Update(func(tx *fsm.Tx) error {
				_, err := directory.UpdateUser(tx, identity.DefaultTenant, h.Users["ada"], 0, func(u *directory.User) error { u.EmailVerified = !c.unproved; return nil })
				if err == nil && c.codes {
					_, err = recovery.Generate(tx, h.Ring, identity.DefaultTenant, h.Users["ada"])
				}
				return err
			})
			if h.passkey(); !c.unasked {
				h.key()
			}
			if c.also != nil {
				c.also(h)
			}
			for _, a := range []pagetest.Answer{s.Get(removal).Want(t, 200, c.want), s.Post(removal, url.Values{"current": {another}}).Want(t, 422, c.want)} {
				if strings.Contains(a.Page, "lose all your passkeys") != (c.want != "") || strings.Contains(a.Page, make) != c.advice {
					t.Errorf("the page says %s", a.Page)
				}
			}
		})
	}
}
