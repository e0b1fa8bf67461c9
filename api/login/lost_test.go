package login

import (
	"context"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/quis-idp/quis/api/page/pagetest"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/authn"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/credential/recovery"
	"github.com/quis-idp/quis/identity/credential/totp/totptest"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/regain"
	"github.com/quis-idp/quis/identity/settings"
)

// protect proves the tester's address and gives them an authenticator app, which they have
// lost at once.
func (h *house) protect() (user string) {
	h.t.Helper()
	h.update(func(tx *fsm.Tx) error {
		u, err := directory.UserByUsername(tx, identity.DefaultTenant, "tester")
		if err != nil {
			return err
		}
		user = u.ID
		if _, err := directory.UpdateUser(tx, u.Tenant, u.ID, 0, func(u *directory.User) error { u.EmailVerified = true; return nil }); err != nil {
			return err
		}
		_, _, err = totptest.Add(tx, h.ring, u.Tenant, u.ID, "telephone")
		return err
	})
	return user
}

// reach goes from the front page to where somebody is who has lost the second factor.
func (s *someone) reach() (page string, flow string) {
	s.t.Helper()
	a := s.try(s.form("/login"), "tester", secret)
	a.Want(s.t, 200, "I cannot use", `action="/login/lost"`)
	a = s.Post("/login/lost", url.Values{"flow": a.Hidden("flow")[:1]})
	a.Want(s.t, 200, "Check your email")
	a = s.Post("/login/code", url.Values{"flow": a.Hidden("flow")[:1], "code": {s.sent.Load().Code}})
	a.Want(s.t, 200, "Get back in")
	flows := a.Hidden("flow")
	if len(flows) == 0 {
		return a.Page, ""
	}
	return a.Page, flows[0]
}

// Somebody who had only passkeys and has lost them gets back in by a code and a wait, or at once with a
// recovery code: api/portal says so to who removes the password.
func TestLostPasskeysOfWhoHasNoPassword(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	h.passkey()
	var codes []string
	keep := func(codesToo bool) {
		h.update(func(tx *fsm.Tx) error {
			u, err := directory.UserByUsername(tx, identity.DefaultTenant, "tester")
			if err != nil {
				return err
			}
			if codesToo {
				codes, err = recovery.Generate(tx, h.ring, u.Tenant, u.ID)
				return err
			}
			if _, err := directory.UpdateUser(tx, u.Tenant, u.ID, 0, func(u *directory.User) error { u.EmailVerified = true; return nil }); err != nil {
				return err
			}
			return credential.RemovePassword(tx, u.Tenant, u.ID)
		})
	}
	keep(false)
	forgotten := func() (*someone, string) {
		s := h.someone()
		a := s.Get(s.Get("/recover").Want(t, 303).Header.Get("Location"))
		a = s.Post("/login/mail", url.Values{"flow": a.Hidden("flow")[:1], "username": {"tester"}}).Want(t, 200, "Check your email")
		a = s.Post("/login/code", url.Values{"flow": a.Hidden("flow")[:1], "code": {s.sent.Load().Code}}).Want(t, 200, "One more step", "I cannot use ")
		return s, a.Hidden("flow")[0]
	}
	s, flow := forgotten()
	s.Post("/login/lost", url.Values{"flow": {flow}}).Want(t, 200, "Then you wait: 24 hours.")
	keep(true)
	s, flow = forgotten()
	s.Post("/login/second", url.Values{"flow": {flow}, "way": {"recovery"}, "code": codes[:1]}).Want(t, 200, "Choose a new password")
}

// A password beside a code by mail is a field for passwords, and who has lost the rest, and may have forgotten
// that as well, is told why it is asked for and whom to ask.
func TestPasswordAsSecondProof(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	h.protect()
	h.update(func(tx *fsm.Tx) error {
		a := settings.Default(identity.DefaultTenant)
		a.EmailOTP, a.MFAPolicy = true, settings.MFAOTP
		return settings.Put(tx, 0, a)
	})
	const why = "If you do not know it, ask your administrator to let you back in."
	isPassword := func(a pagetest.Answer) pagetest.Answer {
		a.Want(t, 200, "One more step", `name="code" type="password" value="" autocomplete="current-password"`, `class="link peek"`)
		if strings.Contains(a.Page, "one-time-code") {
			t.Error("a password is taken for a code")
		}
		pagetest.Check(t, "second", a.Page)
		return a
	}
	byMail := func(s *someone, a pagetest.Answer) pagetest.Answer {
		a = s.Post("/login/mail", url.Values{"flow": a.Hidden("flow")[:1], "username": {"tester"}})
		return s.Post("/login/code", url.Values{"flow": a.Hidden("flow")[:1], "code": {s.sent.Load().Code}}).Want(t, 200, "One more step")
	}
	s := h.someone()
	a := byMail(s, s.Get("/login"))
	a = isPassword(s.Get("/login?way=password&flow=" + a.Hidden("flow")[0]))
	if strings.Contains(a.Page, why) {
		t.Error("who has lost nothing is told of it")
	}
	flow := a.Hidden("flow")[:1]
	a = s.Post("/login/second", url.Values{"flow": flow, "way": {"password"}, "code": {""}})
	if a.Want(t, 400, `id="code-error">Enter your password.<`); strings.Contains(a.Page, "Enter the code.") {
		t.Error("a code is asked for")
	}
	s.Post("/login/second", url.Values{"flow": flow, "way": {"password"}, "code": {secret}}).Want(t, 200, "Open your authenticator app")

	s = h.someone()
	a = byMail(s, s.Get(s.Get("/recover").Want(t, 303).Header.Get("Location")))
	isPassword(s.Post("/login/lost", url.Values{"flow": a.Hidden("flow")[:1]})).Want(t, 200, why)
}

// Somebody who has lost the second factor gets back in, in two visits.
func TestLostSecondFactor(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	h.protect()
	s := h.someone()
	page, flow := s.reach()
	if !strings.Contains(page, "Then you wait: 24 hours.") || !strings.Contains(page, "You can stop it from there") {
		t.Errorf("the page says %s", page)
	}
	s.Post("/login/regain", url.Values{"flow": {flow}}).Want(t, 200, "You can go on in 24 hours", "sign in with it")
	s.Get("/login?flow="+flow).Want(t, 200, "You can go on in 24 hours")
	if h.sessions() != 0 {
		t.Errorf("%d sessions", h.sessions())
	}
	h.cluster.Advance(24 * time.Hour)
	h.update(func(tx *fsm.Tx) error { // an entry that carries the time
		_, err := directory.CreateGroup(tx, identity.DefaultTenant, directory.Group{Name: "tick"})
		return err
	})
	later := h.someone()
	page, flow = later.reach()
	_, id, _ := strings.Cut(page, `name="recovery" value="`)
	id, _, _ = strings.Cut(id, `"`)
	if !strings.HasPrefix(id, regain.Prefix+"_") || !strings.Contains(page, "You can go on now") {
		t.Fatalf("the page says %s", page)
	}
	later.Post("/login/regain", url.Values{"flow": {flow}, "recovery": {"rcv_other"}}).Want(t, 410)
	later.Post("/login/regain", url.Values{"flow": {flow}, "recovery": {id}}).Want(t, 200, "Protect your account")
	if h.sessions() != 1 {
		t.Errorf("%d sessions", h.sessions())
	}
	later.Get("/").Want(t, 200, "Hello, Test User")
}

// Where a tenant has nobody wait, nobody is told to wait.
func TestLostSecondFactorWithoutDelay(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	h.protect()
	h.update(func(tx *fsm.Tx) error {
		a := settings.Default(identity.DefaultTenant)
		a.Recovery.Delay = 0
		return settings.Put(tx, 0, a)
	})
	s := h.someone()
	page, flow := s.reach()
	if !strings.Contains(page, "You can go on now") || !strings.Contains(page, "Remove them and sign in") || strings.Contains(page, "It takes a while") {
		t.Errorf("the page says %s", page)
	}
	s.Post("/login/regain", url.Values{"flow": {flow}}).Want(t, 200, "Protect your account")
	if h.sessions() != 1 {
		t.Errorf("%d sessions", h.sessions())
	}
}

// Where mail is not enough, whoever has lost the second factor is told whom to ask.
func TestLostSecondFactorWhereMailIsNotEnough(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	h.protect()
	h.update(func(tx *fsm.Tx) error {
		a := settings.Default(identity.DefaultTenant)
		a.Recovery.Methods = nil
		return settings.Put(tx, 0, a)
	})
	s := h.someone()
	a := s.try(s.form("/login"), "tester", secret)
	a.Want(t, 200, "ask your administrator to let you back in")
	if strings.Contains(a.Page, "/login/lost") {
		t.Error("it is offered")
	}
	s.Post("/login/lost", url.Values{"flow": a.Hidden("flow")[:1]}).Want(t, 400, "One more step")
}

// The link of an administrator shows a page that changes nothing, and works once.
func TestRecoveryLink(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	user := h.protect()
	link := func(two bool) (path, id string) {
		ctx := identity.WithActor(t.Context(), identity.Actor{Kind: identity.ActorOperator})
		err := h.db.Update(ctx, func(tx *fsm.Tx) error {
			a, rev, err := settings.Get(tx, identity.DefaultTenant)
			if err != nil {
				return err
			}
			a.Recovery.TwoPerson = two
			if err := settings.Put(tx, rev, *a); err != nil {
				return err
			}
			r, secret, err := regain.NewLink(tx, identity.DefaultTenant, user, time.Hour)
			if err == nil {
				path, id = "/regain/"+secret, r.ID
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return path, id
	}
	s := h.someone()
	s.Get("/regain/nonsense").Want(t, 410, "This link no longer works")
	path, _ := link(true)
	s.Get(path).Want(t, 403, "A second administrator has to approve this link first")
	s.Post(path, nil).Want(t, 403, "Not yet")
	path, _ = link(false)
	for range 2 {
		a := s.Get(path).Want(t, 200, "It works once", `action="`+path+`"`)
		if got := a.Header.Get("Referrer-Policy"); got != "no-referrer" {
			t.Errorf("Referrer-Policy %q", got)
		}
	}
	a := s.Post(path, nil)
	a.Want(t, 200, "Choose a new password", "signed out everywhere else")
	a = s.Post("/login/renew", url.Values{"flow": a.Hidden("flow")[:1], "password": {"another horse battery staple"}})
	a.Want(t, 200, "Protect your account")
	s.Get("/").Want(t, 200, "Hello, Test User")
	h.someone().Get(path).Want(t, 410, "This link no longer works")
	h.someone().Post(path, nil).Want(t, 410, "This link no longer works")
}

// A link works as soon as it is approved, through whatever node.
func TestRecoveryLinkApprovedThroughAnotherNode(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	user := h.protect()
	var r *regain.Recovery
	var second *directory.User
	var secret string
	maker := identity.WithActor(t.Context(), identity.Actor{Kind: identity.ActorOperator})
	err := h.db.Update(maker, func(tx *fsm.Tx) (err error) {
		a := settings.Default(identity.DefaultTenant)
		a.Recovery.TwoPerson = true
		if err = settings.Put(tx, 0, a); err != nil {
			return err
		}
		if second, err = directory.CreateUser(tx, identity.DefaultTenant, directory.User{Username: "second", Admin: true}); err != nil {
			return err
		}
		r, secret, err = regain.NewLink(tx, identity.DefaultTenant, user, time.Hour)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	other := h.cluster.DB[h.cluster.Join(t)]
	h.cluster.Pause(0)
	err = other.Update(identity.WithActor(t.Context(), identity.Actor{Kind: identity.ActorUser, ID: second.ID}), func(tx *fsm.Tx) error {
		_, err := regain.Approve(tx, identity.DefaultTenant, user, r.ID)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	h.someone().Get("/regain/"+secret).Want(t, 200, "It works once")
}

// Guessing links is slowed down.
func TestRecoveryLinksAreNotGuessed(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	s := h.someone()
	status := 0
	for range PerAddress.Burst + 1 {
		status = s.Get("/regain/" + strings.Repeat("A", 43)).StatusCode
	}
	if status != 429 {
		t.Errorf("status %d", status)
	}
}

// passwords is what these pages need to take a new one.
func passwords(h *house, pool *credential.Pool) func(context.Context, credential.Person, string) (string, error) {
	return func(ctx context.Context, who credential.Person, password string) (string, error) {
		return credential.Prepare(ctx, h.db, pool, credential.Checks{}, who, password)
	}
}

func (h *house) keep(_ context.Context, l authn.Letter) { h.sent.Store(&l) }

// Whoever was never in their account is welcomed by the link, and not told of what they lose.
func TestFirstLink(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	path := ""
	h.update(func(tx *fsm.Tx) error {
		u, err := directory.CreateUser(tx, identity.DefaultTenant, directory.User{Username: "newcomer"})
		if err != nil {
			return err
		}
		_, secret, err := regain.NewLink(tx, u.Tenant, u.ID, time.Hour)
		path = "/regain/" + secret
		return err
	})
	s := h.someone()
	if a := s.Get(path).Want(t, 200, "Welcome", "Your account newcomer is ready"); strings.Contains(a.Page, "removed") {
		t.Errorf("what is lost: %s", a.Page)
	}
	a := s.Post(path, nil).Want(t, 200, "Choose the password that you will sign in with")
	s.Post("/login/renew", url.Values{"flow": a.Hidden("flow")[:1], "password": {"another horse battery staple"}}).Want(t, 200, "Protect your account")
	s.Get("/").Want(t, 200, "newcomer")
	h.someone().Get(path).Want(t, 410, "This link no longer works")
}

// Who waits for a mail where nobody signs in by mail any more is not told to wait.
func TestMailIsClosedMeanwhile(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	h.decide(func(a *settings.Authentication) { a.EmailOTP = true })
	s := h.someone()
	a := s.Post("/login/mail", url.Values{"flow": {s.form("/login")}, "username": {"tester"}}).Want(t, 200, "a code is on its way")
	h.decide(func(a *settings.Authentication) { a.EmailOTP = false })
	a = s.Post("/login/code", url.Values{"flow": a.Hidden("flow")[:1], "code": {s.sent.Load().Code}}).Want(t, 401, "Nobody can sign in here by mail any more", "Start again")
	if strings.Contains(a.Page, "on its way") || strings.Contains(a.Page, `name="code"`) {
		t.Errorf("there is something to wait for: %s", a.Page)
	}
}
