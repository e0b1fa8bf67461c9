package authn_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/assurance"
	"github.com/quis-idp/quis/identity/authn"
	"github.com/quis-idp/quis/identity/credential/device"
	"github.com/quis-idp/quis/identity/credential/recovery"
	"github.com/quis-idp/quis/identity/credential/totp"
	"github.com/quis-idp/quis/identity/credential/totp/totptest"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/session"
	"github.com/quis-idp/quis/identity/settings"
)

// An app is a person's authenticator app.
type app struct{ secret []byte }

// app gives ann an authenticator app; the code of the step it was confirmed with is spent.
func (h *house) app(t testing.TB) app {
	t.Helper()
	var a app
	h.update(t, 0, func(tx *fsm.Tx) (err error) {
		_, a.secret, err = totptest.Add(tx, h.ring, ten, h.ann.ID, "telephone")
		return err
	})
	h.Pass(t, 30*time.Second)
	return a
}

func (a app) code(at time.Time) string { return totp.Parameters{}.Code(a.secret, at) }

// half is a flow of ann's that waits for the second factor.
func (n *node) half(t testing.TB, ctx context.Context, b authn.Browser) *authn.Flow {
	t.Helper()
	f := n.fresh(t, ctx)
	f.Browser = b
	r, err := n.Password(ctx, f, "ann", good)
	if err != nil || r.Step != authn.StepSecond {
		t.Fatalf("step %q, %v", r.Step, err)
	}
	return f
}

func TestSecondFactor(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3)
	a := h.app(t)
	ctx := from(t, "192.0.2.1")
	sealed, binding := h.nodes[0].begin(t, ctx)
	before := h.Entries()
	r, err := h.nodes[1].Password(ctx, h.nodes[1].load(t, ctx, sealed, binding), "ann", good)
	if err != nil || r.Step != authn.StepSecond || r.Cookie != "" {
		t.Fatalf("%+v, %v", r, err)
	}
	f := h.nodes[2].load(t, ctx, r.Flow, binding)
	if ways, err := h.nodes[2].Offer(ctx, f); err != nil || !slices.Equal(ways, []assurance.Method{assurance.TOTP}) {
		t.Errorf("offered %v, %v", ways, err)
	}
	for name, try := range map[string]func() error{
		"a wrong code":             func() error { _, err := h.nodes[2].Code(ctx, f, assurance.TOTP, "000000"); return err },
		"the password once more":   func() error { _, err := h.nodes[2].Password(ctx, f, "ann", good); return err },
		"a method she has not":     func() error { _, err := h.nodes[2].Code(ctx, f, assurance.Recovery, "aaaa-aaaa-aaaa"); return err },
		"no code":                  func() error { _, err := h.nodes[2].Code(ctx, f, assurance.TOTP, " "); return err },
		"a method that is no code": func() error { _, err := h.nodes[2].Code(ctx, f, assurance.Device, "x"); return err },
	} {
		if err := try(); !errors.Is(err, identity.ErrUnauthenticated) && !errors.Is(err, identity.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := h.Entries() - before; got != 0 {
		t.Errorf("what did not finish cost %d entries", got)
	}
	if r, err = h.nodes[2].Code(ctx, f, assurance.TOTP, a.code(h.DB[0].Now())); err != nil {
		t.Fatal(err)
	}
	if got := h.Entries() - before; got != 1 {
		t.Errorf("signing in cost %d entries, want 1", got)
	}
	s, err := h.nodes[0].sessions.Find(ctx, ten, r.Cookie)
	if err != nil || s.Level() != 2 || s.ACR != "urn:quis:acr:aal2" || !slices.Equal(s.AMR, []string{"mfa", "otp", "pwd"}) {
		t.Errorf("%+v, %v", s, err)
	}
	if len(s.Factors) != 2 || s.Factors[0].Ref == "" || s.Factors[0].Count != 0 || s.Factors[0].At.IsZero() {
		t.Errorf("factors %+v", s.Factors)
	}
	if _, err := h.nodes[0].Load(ctx, f.Sealed(), binding); !errors.Is(err, authn.ErrDeadFlow) {
		t.Errorf("the flow lives on: %v", err)
	}
}

// Codes are few: guesses are slowed down, also when each comes with a fresh flow.
func TestCodesAreNotGuessed(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	h.app(t)
	n := h.nodes[0]
	for range 5 {
		ctx := from(t, "192.0.2.1")
		if _, err := n.Code(ctx, n.half(t, ctx, authn.Browser{}), assurance.TOTP, "000000"); !errors.Is(err, identity.ErrUnauthenticated) {
			t.Fatal(err)
		}
	}
	ctx := from(t, "198.51.100.7") // another network, and another flow
	if _, err := n.Code(ctx, n.half(t, ctx, authn.Browser{}), assurance.TOTP, "000000"); !errors.Is(err, identity.ErrLimited) {
		t.Errorf("the sixth guess: %v", err)
	}
}

// races is how often each race is run.
const races = 1000

// Whatever is used once is used once: two flows that were both proved with it are finished at
// the same time on two nodes, and one session is made.
func TestOnceOnTwoNodes(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3)
	a := h.app(t)
	ctx := from(t, "192.0.2.1")
	var codes []string
	for round := range races {
		for _, m := range []assurance.Method{assurance.TOTP, assurance.Recovery} {
			if m == assurance.Recovery && len(codes) == 0 {
				h.update(t, 0, func(tx *fsm.Tx) (err error) {
					codes, err = recovery.Generate(tx, h.ring, ten, h.ann.ID)
					return err
				})
			}
			code := a.code(h.DB[0].Now())
			if m == assurance.Recovery {
				code, codes = codes[0], codes[1:]
			}
			var flows [2]*authn.Flow
			for i := range flows {
				flows[i] = h.nodes[i].half(t, ctx, authn.Browser{})
			}
			var errs [2]error
			var wg sync.WaitGroup
			for i := range flows {
				wg.Go(func() { _, errs[i] = h.nodes[i].Code(ctx, flows[i], m, code) })
			}
			wg.Wait()
			if (errs[0] == nil) == (errs[1] == nil) {
				t.Fatalf("round %d, %s: %v and %v", round, m, errs[0], errs[1])
			}
			if err := errors.Join(errs[:]...); !errors.Is(err, identity.ErrUnauthenticated) && !errors.Is(err, identity.ErrInvalid) { // the last code: the way is closed
				t.Fatalf("round %d, %s: the loser is told %v", round, m, err)
			}
			h.Age(t)
			if m != assurance.TOTP || round > 20 {
				continue
			}
			again := 0
			for _, e := range h.events(t, event.SigninFailed) {
				if e.Data["reason"] == "code_used_again" {
					again++
				}
			}
			if again != round+1 {
				t.Fatalf("round %d: %d second uses are on record", round, again)
			}
		}
		h.Pass(t, 30*time.Second)
	}
}

// Age forgets the failures of all nodes, so that the next round is not delayed.
func (h *house) Age(t testing.TB) {
	for _, n := range h.nodes {
		n.Flows.Age(time.Hour)
		if err := n.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	h.Pass(t, 41*time.Minute)
}

func TestRaise(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2)
	n := h.nodes[0]
	ctx := from(t, "192.0.2.1")
	r, err := n.try(t, ctx, authn.Browser{}, "ann", good)
	if err != nil {
		t.Fatal(err)
	}
	s := &r.Session
	need := authn.Need{ReturnTo: "/", ACR: []string{assurance.Level(2).ACR()}}
	stands := func(want authn.Standing) {
		t.Helper()
		if got, err := n.Stands(ctx, s, need); err != nil || got != want {
			t.Errorf("standing %d, want %d, %v", got, want, err)
		}
	}
	stands(authn.Enough) // it is wished for, and she has nothing that would give it
	a := h.app(t)
	stands(authn.More)
	h.Pass(t, time.Minute)
	open, err := n.Begin(ctx, need)
	if err != nil {
		t.Fatal(err)
	}
	f := n.load(t, ctx, open, "")
	binding, err := n.Bind(f, "")
	if err != nil {
		t.Fatal(err)
	}
	f.Browser.SessionID = s.ID
	if raised, err := n.Raise(ctx, f, s); err != nil || !raised || f.Step() != authn.StepSecond {
		t.Fatalf("raised %v, %v", raised, err)
	}
	f = h.nodes[1].load(t, ctx, f.Sealed(), binding)
	if _, err := h.nodes[1].Code(ctx, f, assurance.TOTP, a.code(h.DB[0].Now())); !errors.Is(err, authn.ErrDeadFlow) {
		t.Errorf("in a browser without the session: %v", err)
	}
	f.Browser.SessionID = s.ID
	up, err := h.nodes[1].Code(ctx, f, assurance.TOTP, a.code(h.DB[0].Now()))
	if err != nil {
		t.Fatal(err)
	}
	if up.Session.ID != s.ID || up.Session.Level() != 2 || !up.Session.AuthTime.After(s.AuthTime) || !assurance.Has(up.Session.Factors, assurance.Password) {
		t.Errorf("%+v", up.Session)
	}
	s = &up.Session
	stands(authn.Enough)
}

// A session that has ended meanwhile is not raised, nor is what it proved believed.
func TestRaiseOfAnEndedSession(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	n := h.nodes[0]
	ctx := from(t, "192.0.2.1")
	r, err := n.try(t, ctx, authn.Browser{}, "ann", good)
	if err != nil {
		t.Fatal(err)
	}
	a := h.app(t)
	f := n.fresh(t, ctx)
	f.Browser.SessionID = r.Session.ID
	if raised, err := n.Raise(ctx, f, &r.Session); err != nil || !raised {
		t.Fatalf("raised %v, %v", raised, err)
	}
	h.update(t, 0, func(tx *fsm.Tx) error { return session.End(tx, ten, r.Session.ID) })
	if _, err := n.Code(ctx, f, assurance.TOTP, a.code(h.DB[0].Now())); !errors.Is(err, authn.ErrDeadFlow) {
		t.Errorf("got %v", err)
	}
}

// A trusted device spares the factor that a policy asks for. It is none: no level and no amr says so, and who asks for
// a level gets it proved.
func TestTrustedDevice(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	h.app(t)
	n := h.nodes[0]
	ctx := from(t, "192.0.2.1")
	var cookie string
	var d *device.Device
	h.update(t, 0, func(tx *fsm.Tx) (err error) {
		d, cookie, err = device.Trust(tx, h.ring, ten, h.ann.ID, "desk", 24*time.Hour)
		return err
	})
	r, err := n.try(t, ctx, authn.Browser{Trust: cookie}, "ann", good)
	if err != nil || r.Step != authn.StepDone || r.Session.Level() != 1 || r.Session.ACR != assurance.Level(1).ACR() || !slices.Equal(r.Session.AMR, []string{"pwd"}) {
		t.Fatalf("%+v, %v", r, err)
	}
	for _, c := range []struct {
		need authn.Need
		want authn.Standing
	}{
		{authn.Need{Tenant: ten, MFA: settings.MFAOTP}, authn.Enough},
		{authn.Need{Tenant: ten, MFA: settings.MFAPasskey}, authn.Enrol},
		{authn.Need{Tenant: ten, ACR: []string{assurance.Level(2).ACR()}}, authn.More},
	} {
		if got, err := n.Stands(ctx, &r.Session, c.need); err != nil || got != c.want {
			t.Errorf("%+v: %v, want %v, %v", c.need, got, c.want, err)
		}
	}
	raised := n.step(t, ctx, &r.Session, authn.Need{Tenant: ten, ReturnTo: "/", ACR: []string{assurance.Level(2).ACR()}}, authn.Browser{Trust: cookie})
	if raised.Step() != authn.StepSecond {
		t.Errorf("a level that is asked for: %q", raised.Step())
	}
	n.half(t, ctx, authn.Browser{Trust: cookie + "x"})
	n.half(t, ctx, authn.Browser{Remember: "desk"}) // nobody is trusted for wanting it
	h.update(t, 0, func(tx *fsm.Tx) error { return device.Revoke(tx, ten, h.ann.ID, d.ID) })
	n.half(t, ctx, authn.Browser{Trust: cookie})
}

// Somebody else's second factor is of no use, nor is a flow that goes on as somebody else.
func TestRestart(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	h.app(t)
	n := h.nodes[0]
	ctx := from(t, "192.0.2.1")
	f := n.half(t, ctx, authn.Browser{})
	if err := n.Restart(f); err != nil || f.Step() != authn.StepPassword || f.UserID != "" || len(f.Factors) != 0 {
		t.Fatalf("%+v, %v", f, err)
	}
	if r, err := n.Password(ctx, f, "ann", good); err != nil || r.Step != authn.StepSecond {
		t.Errorf("%+v, %v", r, err)
	}
}

// Who proves a second factor may have this browser spared the next time, where the tenant lets them.
func TestDeviceBecomesTrusted(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	a := h.app(t)
	n := h.nodes[0]
	ctx := from(t, "192.0.2.1")
	for _, days := range []int64{0, 30} {
		h.decide(t, func(s *settings.Authentication) { s.TrustedDevices = days })
		f := n.half(t, ctx, authn.Browser{Remember: "desk"})
		r, err := n.Code(ctx, f, assurance.TOTP, a.code(h.DB[0].Now()))
		if err != nil || (r.Trust != "") != (days > 0) || r.TrustFor != time.Duration(days)*24*time.Hour {
			t.Fatalf("%d days: trust %q for %v, %v", days, r.Trust, r.TrustFor, err)
		}
		h.Pass(t, 30*time.Second)
		if days == 0 {
			continue
		}
		if r, err := n.try(t, ctx, authn.Browser{Trust: r.Trust}, "ann", good); err != nil || r.Step != authn.StepDone {
			t.Errorf("%+v, %v", r, err)
		}
	}
}
