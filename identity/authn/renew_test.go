package authn_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/assurance"
	"github.com/quis-idp/quis/identity/authn"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/credential/recovery"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/settings"
)

const better = "a better one than before"

// decide changes what the tenant decides about signing in.
func (h *house) decide(t testing.TB, change func(a *settings.Authentication)) {
	t.Helper()
	h.update(t, 0, func(tx *fsm.Tx) error {
		a, rev, err := settings.Get(tx, ten)
		if err != nil {
			return err
		}
		change(a)
		return settings.Put(tx, rev, *a)
	})
}

// verify makes ann's address one that was proved.
func (h *house) verify(t testing.TB) {
	t.Helper()
	h.update(t, 0, func(tx *fsm.Tx) error {
		_, err := directory.UpdateUser(tx, ten, h.ann.ID, 0, func(u *directory.User) error { u.EmailVerified = true; return nil })
		return err
	})
}

// letter is the latest that was sent from a node; nil: none.
func (n *node) letter() *authn.Letter { return n.sent.Load() }

// lost is a flow of somebody who says they are name and have forgotten their password.
func (n *node) lost(t testing.TB, ctx context.Context, name string) (*authn.Flow, authn.Result) {
	t.Helper()
	open, err := n.Begin(ctx, authn.Need{ReturnTo: "/", Recover: true})
	if err != nil {
		t.Fatal(err)
	}
	f := n.load(t, ctx, open, "")
	if _, err := n.Bind(f, ""); err != nil {
		t.Fatal(err)
	}
	r, err := n.Mail(ctx, f, name)
	if err != nil || r.Step != authn.StepMail {
		t.Fatalf("%+v, %v", r, err)
	}
	return f, r
}

// Attack: who reads her mail sets another password. Her browsers are told while they are still hers, before anything is
// written; not of a sign-in by mail, or of who has not got the letter.
func TestWhoGetsBackInByMailIsToldOf(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	h.verify(t)
	h.decide(t, func(a *settings.Authentication) { a.EmailOTP = true })
	n, ctx := h.nodes[0], from(t, "192.0.2.1")
	in := n.fresh(t, ctx)
	if _, err := n.Mail(ctx, in, "ann"); err != nil {
		t.Fatal(err)
	}
	if r, err := n.MailCode(ctx, in, n.letter().Code); err != nil || r.Step != authn.StepDone {
		t.Fatalf("%+v, %v", r.Step, err)
	}
	f, _ := n.lost(t, ctx, "ann")
	if _, err := n.MailCode(ctx, f, "000 000 0"); err == nil || n.warned.Load() != nil {
		t.Fatalf("%v; told of %v", err, n.warned.Load())
	}
	before := h.Entries()
	if r, err := n.MailCode(ctx, f, n.letter().Code); err != nil || r.Step != authn.StepRenew {
		t.Fatalf("%+v, %v", r, err)
	}
	if said := n.warned.Load(); said == nil || *said != h.ann.ID+" "+f.ID || h.Entries() != before {
		t.Errorf("told of %v; %d entries", said, h.Entries()-before)
	}
}

func TestRecover(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	h.verify(t)
	n := h.nodes[0]
	ctx := from(t, "192.0.2.1")
	old, err := n.try(t, ctx, authn.Browser{}, "ann", good)
	if err != nil {
		t.Fatal(err)
	}
	before := h.Entries()
	f, _ := n.lost(t, ctx, "ann@example.com")
	l := n.letter()
	if l == nil || !l.Recover || l.User.ID != h.ann.ID {
		t.Fatalf("letter %+v", l)
	}
	if _, err := n.MailCode(ctx, f, "000000"); l.Code != "000000" && !errors.Is(err, identity.ErrUnauthenticated) {
		t.Errorf("a wrong code: %v", err)
	}
	r, err := n.MailCode(ctx, f, l.Code)
	if err != nil || r.Step != authn.StepRenew {
		t.Fatalf("%+v, %v", r, err)
	}
	if got := h.Entries() - before; got != 0 {
		t.Errorf("%d entries before the end", got)
	}
	if _, err := n.Renew(ctx, f, "short"); !errors.Is(err, identity.ErrInvalid) {
		t.Errorf("a bad password: %v", err)
	}
	if r, err = n.Renew(ctx, f, better); err != nil || r.Step != authn.StepDone {
		t.Fatalf("%+v, %v", r, err)
	}
	if len(h.events(t, event.RecoveryFinished)) != 1 {
		t.Error("no event")
	}
	if _, err := n.sessions.Find(ctx, ten, old.Cookie); !errors.Is(err, identity.ErrUnauthenticated) {
		t.Errorf("the old session: %v", err)
	}
	if s, err := n.sessions.Find(ctx, ten, r.Cookie); err != nil || s.Level() != 1 {
		t.Errorf("%+v, %v", s, err)
	}
	if _, err := n.try(t, ctx, authn.Browser{}, "ann", good); !errors.Is(err, identity.ErrUnauthenticated) {
		t.Errorf("the old password: %v", err)
	}
	if _, err := n.try(t, ctx, authn.Browser{}, "ann", better); err != nil {
		t.Errorf("the new password: %v", err)
	}
}

// Who has a second factor needs it to get back in.
func TestRecoverNeedsTheSecondFactor(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	h.verify(t)
	a := h.app(t)
	n := h.nodes[0]
	ctx := from(t, "192.0.2.1")
	f, _ := n.lost(t, ctx, "ann")
	r, err := n.MailCode(ctx, f, n.letter().Token)
	if err != nil || r.Step != authn.StepSecond {
		t.Fatalf("%+v, %v", r, err)
	}
	if _, err := n.Renew(ctx, f, better); !errors.Is(err, authn.ErrDeadFlow) {
		t.Errorf("without it: %v", err)
	}
	if r, err = n.Code(ctx, f, assurance.TOTP, a.code(h.DB[0].Now())); err != nil || r.Step != authn.StepRenew {
		t.Fatalf("%+v, %v", r, err)
	}
	if _, err := n.Renew(ctx, f, better); err != nil {
		t.Error(err)
	}
}

// Codes that are left of a second factor that was removed are asked for here if they are when signing in: where
// the tenant wants a second factor, and nowhere else.
func TestRecoverAsksForCodesAsASignInDoes(t *testing.T) {
	t.Parallel()
	for mfa, want := range map[string]authn.Step{settings.MFADisabled: authn.StepRenew, settings.MFAAny: authn.StepSecond} {
		h := newHouse(t, 1)
		h.verify(t)
		h.decide(t, func(a *settings.Authentication) { a.MFAPolicy, a.MFAEnforce = mfa, mfa == settings.MFAAny })
		h.update(t, 0, func(tx *fsm.Tx) error { _, err := recovery.Generate(tx, h.ring, ten, h.ann.ID); return err })
		n, ctx := h.nodes[0], from(t, "192.0.2.1")
		if r, err := n.try(t, ctx, authn.Browser{}, "ann", good); err != nil || (r.Step == authn.StepSecond) != (want == authn.StepSecond) {
			t.Errorf("%q: signing in: %+v, %v", mfa, r, err)
		}
		f, _ := n.lost(t, ctx, "ann")
		if r, err := n.MailCode(ctx, f, n.letter().Token); err != nil || r.Step != want {
			t.Errorf("%q: %+v, %v", mfa, r, err)
		}
	}
}

// Nobody learns who is here: a name that nobody has, an address that was not proved and a
// disabled user look like ann, and no code is ever right for them.
func TestRecoverTellsNothing(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	n := h.nodes[0]
	for i, name := range []string{"nobody", "ann"} { // whose address is not proved
		ctx := from(t, "192.0.2.1")
		f, r := n.lost(t, ctx, name)
		if l := n.letter(); l == nil || l.User != nil {
			t.Errorf("%s: letter %+v", name, l)
		}
		if len(r.Flow) == 0 {
			t.Errorf("%d: no flow", i)
		}
		if _, err := n.MailCode(ctx, f, n.letter().Code); !errors.Is(err, identity.ErrUnauthenticated) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A code to get back in signs nobody in, and the other way round; nor does one of an address
// that has changed meanwhile.
func TestMailCodes(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	h.verify(t)
	h.decide(t, func(a *settings.Authentication) { a.EmailOTP = true })
	n := h.nodes[0]
	ctx := from(t, "192.0.2.1")
	mailed := func() *authn.Flow {
		f := n.fresh(t, ctx)
		if _, err := n.Mail(ctx, f, "ann"); err != nil {
			t.Fatal(err)
		}
		return f
	}
	f := mailed()
	if r, err := n.MailCode(ctx, f, n.letter().Code); err != nil || r.Session.Level() != 1 || r.Session.AMR[0] != "otp" {
		t.Errorf("%+v, %v", r, err)
	}
	other, _ := n.lost(t, ctx, "ann")
	code := n.letter().Code
	if _, err := n.MailCode(ctx, mailed(), code); !errors.Is(err, identity.ErrUnauthenticated) {
		t.Errorf("a code of another flow: %v", err)
	}
	other.Need.Recover = false // were it possible
	if _, err := n.MailCode(ctx, other, code); !errors.Is(err, identity.ErrUnauthenticated) {
		t.Errorf("a code to get back in: %v", err)
	}
	f = mailed()
	h.Pass(t, 11*time.Minute)
	if _, err := n.MailCode(ctx, f, n.letter().Code); !errors.Is(err, identity.ErrUnauthenticated) {
		t.Errorf("after eleven minutes: %v", err)
	}
	h.decide(t, func(a *settings.Authentication) { a.EmailOTP = false })
	if _, err := n.Mail(ctx, n.fresh(t, ctx), "ann"); !errors.Is(err, identity.ErrInvalid) {
		t.Errorf("where it is not open: %v", err)
	}
}

// A password that an administrator wants changed is changed before there is a session.
func TestPasswordDue(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	n := h.nodes[0]
	ctx := from(t, "192.0.2.1")
	h.update(t, 0, func(tx *fsm.Tx) error { return credential.RequireChange(tx, ten, h.ann.ID) })
	f := n.fresh(t, ctx)
	r, err := n.Password(ctx, f, "ann", good)
	if err != nil || r.Step != authn.StepRenew || r.Cookie != "" {
		t.Fatalf("%+v, %v", r, err)
	}
	if r, err = n.Renew(ctx, f, better); err != nil || r.Step != authn.StepDone {
		t.Fatalf("%+v, %v", r, err)
	}
	if r, err := n.try(t, ctx, authn.Browser{}, "ann", better); err != nil || r.Step != authn.StepDone {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestLeakedPasswordIsReplaced: who signs in with a password that is known from leaks, at either step, chooses another
// before they are in, at whatever node they go on; a wrong one is asked nothing about.
func TestLeakedPasswordIsReplaced(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2)
	ctx := from(t, "192.0.2.1")
	for _, n := range h.nodes {
		known := good
		n.leaked.Store(&known)
	}
	n := h.nodes[0]
	sealed, binding := n.begin(t, ctx)
	r, err := n.Password(ctx, n.load(t, ctx, sealed, binding), "ann", good)
	if err != nil || r.Step != authn.StepRenew || r.Cookie != "" {
		t.Fatalf("%+v, %v", r, err)
	}
	if !h.nodes[1].load(t, ctx, r.Flow, binding).Leaked {
		t.Error("the page would not know why")
	}
	if _, err := n.try(t, ctx, authn.Browser{}, "ann", "a wrong one"); !errors.Is(err, identity.ErrUnauthenticated) {
		t.Errorf("a wrong password: %v", err)
	}
	if r, err := n.try(t, ctx, authn.Browser{}, "ann", good); err != nil || r.Step != authn.StepRenew {
		t.Errorf("once more: %+v, %v", r.Step, err)
	}
	f := n.fresh(t, ctx)
	if r, err = n.Password(ctx, f, "ann", good); err != nil || r.Step != authn.StepRenew {
		t.Fatalf("%+v, %v", r, err)
	}
	if r, err = n.Renew(ctx, f, better); err != nil || r.Step != authn.StepDone {
		t.Fatalf("%+v, %v", r, err)
	}
	if r, err := n.try(t, ctx, authn.Browser{}, "ann", better); err != nil || r.Step != authn.StepDone {
		t.Errorf("%+v, %v", r, err)
	}
}

// Where second factors are enforced they may be put off as often as the tenant says.
func TestEnrolmentIsPutOff(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	h.decide(t, func(a *settings.Authentication) { a.MFAPolicy, a.MFAEnforce, a.MFAGrace = settings.MFAAny, true, 2 })
	n := h.nodes[0]
	ctx := from(t, "192.0.2.1")
	for left := 2; left >= 0; left-- {
		r, err := n.try(t, ctx, authn.Browser{}, "ann", good)
		if err != nil || r.Enrol == nil || r.Enrol.Optional != (left > 0) || r.Enrol.Left != left {
			t.Fatalf("left %d: %+v, %v", left, r.Enrol, err)
		}
		want := authn.Enough
		if left == 0 {
			want = authn.Enrol
		}
		if got, err := n.Stands(ctx, &r.Session, authn.Need{}); err != nil || got != want {
			t.Errorf("left %d: standing %d, want %d, %v", left, got, want, err)
		}
	}
}
