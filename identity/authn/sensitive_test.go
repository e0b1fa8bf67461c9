package authn_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/assurance"
	"github.com/quis-idp/quis/identity/authn"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/session"
	"github.com/quis-idp/quis/identity/settings"
)

// sensitive checks what ann's session is good for, and returns what a flow needs.
func (n *node) sensitive(t testing.TB, s *session.Session, want authn.Standing) authn.Need {
	t.Helper()
	got, need, err := n.Sensitive(t.Context(), s)
	if err != nil || got != want {
		t.Errorf("standing %d, want %d, %v", got, want, err)
	}
	need.ReturnTo = "/account/security"
	return need
}

// step begins what raises s, and returns the flow at the step where a proof is asked for.
func (n *node) step(t testing.TB, ctx context.Context, s *session.Session, need authn.Need, b authn.Browser) *authn.Flow {
	t.Helper()
	open, err := n.Begin(ctx, need)
	if err != nil {
		t.Fatal(err)
	}
	f := n.load(t, ctx, open, "")
	if _, err := n.Bind(f, ""); err != nil {
		t.Fatal(err)
	}
	b.SessionID = s.ID
	f.Browser = b
	if raised, err := n.Raise(ctx, f, s); err != nil || !raised || f.Step() != authn.StepSecond {
		t.Fatalf("raised %v, at %s, %v", raised, f.Step(), err)
	}
	return f
}

// Whoever may sign in a few times without the second factor that is enforced may not do meanwhile what outlasts that.
func TestGraceIsNotForWhatIsSensitive(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	n := h.nodes[0]
	decide := func(enforce bool) {
		h.update(t, 0, func(tx *fsm.Tx) error {
			a := settings.Default(ten)
			a.MFAPolicy, a.MFAEnforce, a.MFAGrace = settings.MFAAny, enforce, 3
			return settings.Put(tx, 0, a)
		})
	}
	decide(true)
	r, err := n.try(t, from(t, "192.0.2.1"), authn.Browser{}, "ann", good)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := n.Stands(t.Context(), &r.Session, authn.Need{Tenant: ten}); err != nil || got != authn.Enough {
		t.Errorf("for the rest: standing %d, %v", got, err)
	}
	n.sensitive(t, &r.Session, authn.Enrol)
	decide(false) // they need never
	n.sensitive(t, &r.Session, authn.Enough)
}

// Whoever has nothing but a password proves that again, in the same session.
func TestSensitiveWantsAFreshPassword(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2)
	n := h.nodes[0]
	ctx := from(t, "192.0.2.1")
	r, err := n.try(t, ctx, authn.Browser{}, "ann", good)
	if err != nil {
		t.Fatal(err)
	}
	n.sensitive(t, &r.Session, authn.Enough)
	h.Pass(t, 16*time.Minute)
	need := h.nodes[1].sensitive(t, &r.Session, authn.More)
	f := n.step(t, ctx, &r.Session, need, authn.Browser{})
	if ways, err := n.Offer(ctx, f); err != nil || !slices.Equal(ways, []assurance.Method{assurance.Password}) {
		t.Errorf("offered %v, %v", ways, err)
	}
	if _, err := n.Code(ctx, f, assurance.Password, "wrong"); !errors.Is(err, identity.ErrUnauthenticated) {
		t.Errorf("wrong password: %v", err)
	}
	h.Pass(t, 14*time.Minute) // the person is slow; what they prove counts all the same
	done, err := n.Code(ctx, f, assurance.Password, good)
	if err != nil || done.Step != authn.StepDone || done.Session.ID != r.Session.ID {
		t.Fatalf("%+v, %v", done, err)
	}
	h.nodes[1].sensitive(t, &done.Session, authn.Enough)
}

// Whoever has a second factor proves that; neither the password nor a trusted device will do.
func TestSensitiveWantsTheSecondFactor(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	n := h.nodes[0]
	h.update(t, 0, func(tx *fsm.Tx) error {
		a := settings.Default(ten)
		a.TrustedDevices = 30
		return settings.Put(tx, 0, a)
	})
	a := h.app(t)
	ctx := from(t, "192.0.2.1")
	first, err := n.Code(ctx, n.half(t, ctx, authn.Browser{Remember: "Firefox"}), assurance.TOTP, a.code(h.DB[0].Now()))
	if err != nil || first.Trust == "" {
		t.Fatalf("%+v, %v", first, err)
	}
	n.sensitive(t, &first.Session, authn.Enough)
	h.Pass(t, time.Minute)
	trusted, err := n.try(t, ctx, authn.Browser{Trust: first.Trust}, "ann", good)
	if err != nil || trusted.Session.Level() != 1 {
		t.Fatalf("%+v, %v", trusted, err)
	}
	need := n.sensitive(t, &trusted.Session, authn.More) // signed in a moment ago, but by a device that was trusted
	f := n.step(t, ctx, &trusted.Session, need, authn.Browser{Trust: first.Trust})
	ways, err := n.Offer(ctx, f)
	if err != nil || slices.Contains(ways, assurance.Password) || !slices.Contains(ways, assurance.TOTP) {
		t.Errorf("offered %v, %v", ways, err)
	}
	done, err := n.Code(ctx, f, assurance.TOTP, a.code(h.DB[0].Now()))
	if err != nil || done.Session.ID != trusted.Session.ID {
		t.Fatalf("%+v, %v", done, err)
	}
	n.sensitive(t, &done.Session, authn.Enough)
	h.Pass(t, 16*time.Minute)
	n.sensitive(t, &done.Session, authn.More)
}

// The interval of second factors counts where it is the shorter, and for everything.
func TestReauthenticationInterval(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	n := h.nodes[0]
	a := h.app(t)
	ctx := from(t, "192.0.2.1")
	r, err := n.Code(ctx, n.half(t, ctx, authn.Browser{}), assurance.TOTP, a.code(h.DB[0].Now()))
	if err != nil {
		t.Fatal(err)
	}
	h.update(t, 0, func(tx *fsm.Tx) error {
		s := settings.Default(ten)
		s.MFAReauth = 5
		return settings.Put(tx, 0, s)
	})
	n.sensitive(t, &r.Session, authn.Enough)
	h.Pass(t, 6*time.Minute)
	need := n.sensitive(t, &r.Session, authn.More)
	if got, err := n.Stands(ctx, &r.Session, authn.Need{}); err != nil || got != authn.More {
		t.Errorf("for an application: %d, %v", got, err)
	}
	f := n.step(t, ctx, &r.Session, need, authn.Browser{})
	done, err := n.Code(ctx, f, assurance.TOTP, a.code(h.DB[0].Now()))
	if err != nil {
		t.Fatal(err)
	}
	n.sensitive(t, &done.Session, authn.Enough)
	if got, err := n.Stands(ctx, &done.Session, authn.Need{}); err != nil || got != authn.Enough {
		t.Errorf("for an application, afterwards: %d, %v", got, err)
	}
}

// A factor that is set up has been proved: nobody is asked for it the moment after.
func TestSettingUpProves(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	n := h.nodes[0]
	ctx := from(t, "192.0.2.1")
	r, err := n.try(t, ctx, authn.Browser{}, "ann", good)
	if err != nil {
		t.Fatal(err)
	}
	h.app(t)
	n.sensitive(t, &r.Session, authn.More)
	h.update(t, 0, func(tx *fsm.Tx) error {
		return session.Prove(tx, ten, r.Session.ID, assurance.Factor{Method: assurance.TOTP, Ref: "otp_1"})
	})
	s, err := n.sessions.Find(ctx, ten, r.Cookie)
	if err != nil || s.Level() != 2 || !slices.Contains(s.AMR, "mfa") || !s.AuthTime.Equal(r.Session.AuthTime) || s.Factors[0].Ref != "otp_1" {
		t.Fatalf("%+v, %v", s, err)
	}
	n.sensitive(t, s, authn.Enough)
}

// Whoever asked to stay signed in gets a cookie that lasts, if the tenant offers it; the choice travels
// with the flow, and a step-up does not lose it.
func TestStay(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2)
	n := h.nodes[0]
	ctx := from(t, "192.0.2.1")
	in := func(stay bool) authn.Result {
		f := n.fresh(t, ctx)
		f.Stay = stay
		r, err := n.Password(ctx, f, "ann", good)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if r := in(true); r.CookieFor != 0 || r.Session.Remembered {
		t.Errorf("not offered: %+v", r)
	}
	h.update(t, 0, func(tx *fsm.Tx) error {
		a := settings.Default(ten)
		a.Session.RememberMe = 30
		return settings.Put(tx, 0, a)
	})
	if r := in(false); r.CookieFor != 0 || r.Session.Remembered {
		t.Errorf("not asked for: %+v", r)
	}
	r := in(true)
	if r.CookieFor != 30*24*time.Hour || !r.Session.Remembered {
		t.Errorf("%v, %+v", r.CookieFor, r.Session)
	}
	h.Pass(t, 16*time.Minute)
	f := n.step(t, ctx, &r.Session, n.sensitive(t, &r.Session, authn.More), authn.Browser{})
	done, err := n.Code(ctx, f, assurance.Password, good)
	if err != nil || !done.Session.Remembered || done.CookieFor != 30*24*time.Hour {
		t.Errorf("after a step-up: %+v, %v", done, err)
	}
	a := h.app(t)
	g := n.fresh(t, ctx)
	g.Stay = true
	half, err := n.Password(ctx, g, "ann", good)
	if err != nil || half.Step != authn.StepSecond {
		t.Fatalf("%+v, %v", half, err)
	}
	if done, err = n.Code(ctx, g, assurance.TOTP, a.code(h.DB[0].Now())); err != nil || done.CookieFor == 0 {
		t.Errorf("over two steps: %+v, %v", done, err)
	}
}

// Who has proved who they are, and is not let in, is on record with the ID that they were shown.
func TestDenialsAreOnRecord(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	n := h.nodes[0]
	h.update(t, 0, func(tx *fsm.Tx) error {
		a := settings.Default(ten)
		a.MFAMethods = []string{settings.MethodTOTP}
		return settings.Put(tx, 0, a)
	})
	try := func(id, password string) error {
		ctx := identity.WithRequest(from(t, "192.0.2.1"), identity.Request{ID: id, IP: "192.0.2.1"})
		open, err := n.Begin(ctx, authn.Need{ReturnTo: "/", MFA: settings.MFAPasskey})
		if err != nil {
			t.Fatal(err)
		}
		f := n.load(t, ctx, open, "")
		if _, err := n.Bind(f, ""); err != nil {
			t.Fatal(err)
		}
		_, err = n.Password(ctx, f, "ann", password)
		return err
	}
	if err := try("req_0", "wrong"); !errors.Is(err, identity.ErrUnauthenticated) {
		t.Errorf("wrong password: %v", err)
	}
	before := h.Entries()
	for _, id := range []string{"req_1", "req_2"} {
		if err := try(id, good); !errors.Is(err, identity.ErrDenied) {
			t.Errorf("right password: %v", err)
		}
	}
	if n := h.Entries() - before; n != 0 {
		t.Errorf("%d entries before the flush", n)
	}
	if err := n.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, e := range h.events(t, event.SigninFailed) {
		switch e.Data["reason"] {
		case "denied":
			found++
			if e.Data["count"] != "2" || e.Data[event.ErrorIDs] != "req_1 req_2" || e.Target.ID != h.ann.ID || e.Request.IP != "192.0.2.1" {
				t.Errorf("%+v", e)
			}
		case "wrong_password":
			if e.Data[event.ErrorIDs] != "" {
				t.Errorf("%+v", e)
			}
		}
	}
	if found != 1 {
		t.Errorf("%d events of denials", found)
	}
}
