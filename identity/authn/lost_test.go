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
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/credential/totp"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/regain"
	"github.com/quis-idp/quis/identity/settings"
)

// loses is a flow of ann's who has typed her password, has lost her app, and has the code
// that came by mail.
func (n *node) loses(t testing.TB, ctx context.Context) *authn.Flow {
	t.Helper()
	f := n.half(t, ctx, authn.Browser{})
	r, err := n.Lose(ctx, f)
	if err != nil || r.Step != authn.StepMail {
		t.Fatalf("%+v, %v", r, err)
	}
	if r, err = n.MailCode(ctx, f, n.letter().Code); err != nil || r.Step != authn.StepLost {
		t.Fatalf("%+v, %v", r, err)
	}
	return f
}

// apps counts ann's authenticator apps.
func (h *house) apps(t testing.TB) (n int) {
	t.Helper()
	h.update(t, 0, func(tx *fsm.Tx) error {
		all, err := totp.List(tx, ten, h.ann.ID)
		n = len(all)
		return err
	})
	return n
}

// Whoever has lost the second factor proves mail and password, waits, and proves them again:
// at whatever node.
func TestLostSecondFactor(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3)
	h.verify(t)
	h.app(t)
	ctx := from(t, "192.0.2.1")
	f := h.nodes[0].loses(t, ctx)
	if r, err := h.nodes[0].Recovering(ctx, f); err != nil || r != nil {
		t.Errorf("before: %+v, %v", r, err)
	}
	before := h.Entries()
	if r, err := h.nodes[1].Regain(ctx, f, ""); err != nil || r.Step != authn.StepLost || r.Cookie != "" {
		t.Fatalf("%+v, %v", r, err)
	}
	if r, err := h.nodes[2].Regain(ctx, f, ""); err != nil || r.Step != authn.StepLost {
		t.Fatalf("once more: %+v, %v", r, err)
	}
	if got := h.Entries() - before; got != 1 {
		t.Errorf("to begin cost %d entries, want 1", got)
	}
	if r, err := h.nodes[2].Recovering(ctx, f); err != nil || r == nil || r.Kind != regain.ByPerson {
		t.Errorf("%+v, %v", r, err)
	}
	if h.apps(t) != 1 || len(h.events(t, event.RecoveryStarted)) != 1 {
		t.Errorf("%d apps, %d events", h.apps(t), len(h.events(t, event.RecoveryStarted)))
	}
	h.Pass(t, 24*time.Hour)
	if _, err := h.nodes[0].Regain(ctx, f, ""); !errors.Is(err, authn.ErrDeadFlow) {
		t.Errorf("with yesterday's flow: %v", err)
	}
	f = h.nodes[1].loses(t, ctx)
	waits, err := h.nodes[1].Recovering(ctx, f)
	if err != nil || waits == nil {
		t.Fatalf("%+v, %v", waits, err)
	}
	if _, err := h.nodes[1].Regain(ctx, f, "rcv_other"); !errors.Is(err, authn.ErrDeadFlow) {
		t.Errorf("another recovery: %v", err)
	}
	r, err := h.nodes[2].Regain(ctx, f, waits.ID)
	if err != nil || r.Step != authn.StepDone || r.Enrol == nil || !r.Enrol.Optional {
		t.Fatalf("%+v, %v", r, err)
	}
	if s, err := h.nodes[0].sessions.Find(ctx, ten, r.Cookie); err != nil || s.Level() != 1 {
		t.Errorf("%+v, %v", s, err)
	}
	if h.apps(t) != 0 || len(h.events(t, event.RecoveryFinished)) != 1 {
		t.Errorf("%d apps, %d events", h.apps(t), len(h.events(t, event.RecoveryFinished)))
	}
}

// Neither mail nor the password alone is enough, and the delay is not cut short.
func TestLostSecondFactorNeedsTheRest(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	h.verify(t)
	h.app(t)
	n := h.nodes[0]
	ctx := from(t, "192.0.2.1")
	f, _ := n.lost(t, ctx, "ann") // who has forgotten the password as well
	if r, err := n.MailCode(ctx, f, n.letter().Code); err != nil || r.Step != authn.StepSecond {
		t.Fatalf("%+v, %v", r, err)
	}
	r, err := n.Lose(ctx, f)
	if err != nil || r.Step != authn.StepSecond {
		t.Fatalf("%+v, %v", r, err)
	}
	if ways, err := n.Offer(ctx, f); err != nil || !slices.Equal(ways, []assurance.Method{assurance.Password}) {
		t.Errorf("offered %v, %v", ways, err)
	}
	for name, try := range map[string]func() error{
		"without the password":    func() error { _, err := n.Regain(ctx, f, ""); return err },
		"with a wrong one":        func() error { _, err := n.Code(ctx, f, assurance.Password, "wrong"); return err },
		"lost once more":          func() error { _, err := n.Lose(ctx, f); return err },
		"with another password":   func() error { _, err := n.Renew(ctx, f, better); return err },
		"without proving a thing": func() error { _, err := n.Lose(ctx, n.fresh(t, ctx)); return err },
	} {
		if err := try(); err == nil {
			t.Errorf("%s: passes", name)
		}
	}
	if r, err = n.Code(ctx, f, assurance.Password, good); err != nil || r.Step != authn.StepLost {
		t.Fatalf("%+v, %v", r, err)
	}
	half := n.half(t, ctx, authn.Browser{})
	if r, err = n.Lose(ctx, half); err != nil || r.Step != authn.StepMail {
		t.Fatalf("%+v, %v", r, err)
	}
	if _, err := n.Regain(ctx, half, ""); !errors.Is(err, authn.ErrDeadFlow) {
		t.Errorf("without mail: %v", err)
	}
	if l := n.letter(); l == nil || !l.Recover || l.User.ID != h.ann.ID {
		t.Errorf("letter %+v", l)
	}
	if _, err := n.Mail(ctx, half, "somebody.else@example.com"); err != nil || n.letter().User.ID != h.ann.ID {
		t.Errorf("the code goes to another: %v", err)
	}
}

// Where the tenant does not let mail alone be enough, or there is no address that was
// proved, only an administrator helps; nor is it for who proved a second factor.
func TestWhoMayLose(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	h.app(t)
	n := h.nodes[0]
	ctx := from(t, "192.0.2.1")
	may := func() bool {
		t.Helper()
		f := n.half(t, ctx, authn.Browser{})
		may, err := n.MayLose(ctx, f)
		if _, lost := n.Lose(ctx, f); err != nil || (lost == nil) != may {
			t.Errorf("may %v, %v, but Lose: %v", may, err, lost)
		}
		return may
	}
	if may() {
		t.Error("an address that was never proved is enough")
	}
	h.verify(t)
	if !may() {
		t.Error("mail is not enough")
	}
	h.decide(t, func(a *settings.Authentication) { a.Recovery.Methods = []string{"email+recovery_code"} })
	if may() {
		t.Error("mail is enough where the tenant wants more")
	}
}

// Whoever signs in with the second factor has not lost it: what waited is over.
func TestSigningInStopsARecovery(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2)
	h.verify(t)
	a := h.app(t)
	n := h.nodes[0]
	ctx := from(t, "192.0.2.1")
	if _, err := n.Regain(ctx, n.loses(t, ctx), ""); err != nil {
		t.Fatal(err)
	}
	if _, err := h.nodes[1].Code(ctx, h.nodes[1].half(t, ctx, authn.Browser{}), assurance.TOTP, a.code(h.DB[0].Now())); err != nil {
		t.Fatal(err)
	}
	if e := h.events(t, event.RecoveryCancelled); len(e) != 1 || e[0].Actor.ID != h.ann.ID {
		t.Errorf("events %+v", e)
	}
	h.Pass(t, 24*time.Hour)
	if r, err := n.Regain(ctx, n.loses(t, ctx), ""); err != nil || r.Step != authn.StepLost || h.apps(t) != 1 {
		t.Errorf("%+v, %v", r, err)
	}
}

// What waits is finished once: of two flows that prove everything at the same time, on two
// nodes, one makes a session.
func TestLostSecondFactorOnceOnTwoNodes(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2)
	h.verify(t)
	h.decide(t, func(a *settings.Authentication) { a.Recovery.Delay, a.Recovery.CoolingOff = 0, 0 })
	ctx := from(t, "192.0.2.1")
	for round := range races / 5 {
		h.app(t)
		var flows [2]*authn.Flow
		for i := range flows {
			flows[i] = h.nodes[i].loses(t, ctx)
		}
		var r *regain.Recovery
		h.update(t, 0, func(tx *fsm.Tx) (err error) {
			r, err = regain.Begin(tx, ten, h.ann.ID)
			return err
		})
		var errs [2]error
		var wg sync.WaitGroup
		for i := range flows {
			wg.Go(func() { _, errs[i] = h.nodes[i].Regain(ctx, flows[i], r.ID) })
		}
		wg.Wait()
		if (errs[0] == nil) == (errs[1] == nil) {
			t.Fatalf("round %d: %v and %v", round, errs[0], errs[1])
		}
		if err := errors.Join(errs[:]...); !errors.Is(err, authn.ErrDeadFlow) {
			t.Fatalf("round %d: the loser is told %v", round, err)
		}
		h.Age(t)
	}
}

// vouched is a fresh flow that has followed a link.
func (n *node) vouched(t testing.TB, ctx context.Context, secret string) (*authn.Flow, error) {
	t.Helper()
	f := n.fresh(t, ctx)
	r, err := n.Follow(ctx, f, secret)
	if err == nil && (r.Step != authn.StepRenew || r.Cookie != "") {
		t.Fatalf("%+v", r)
	}
	return f, err
}

// link makes a link for ann.
func (h *house) link(t testing.TB) (secret string) {
	t.Helper()
	by := identity.WithActor(t.Context(), identity.Actor{Kind: identity.ActorUser, ID: "usr_root"})
	err := h.DB[0].Update(by, func(tx *fsm.Tx) (err error) {
		_, secret, err = regain.NewLink(tx, ten, h.ann.ID, time.Hour)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

// The link of an administrator leads to another password and a session, once.
func TestRecoveryLink(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2)
	h.app(t)
	ctx := from(t, "192.0.2.1")
	secret := h.link(t)
	if _, err := h.nodes[0].vouched(t, ctx, "x"); !errors.Is(err, fsm.ErrNotFound) {
		t.Errorf("no link: %v", err)
	}
	before := h.Entries()
	f, err := h.nodes[0].vouched(t, ctx, secret)
	if err != nil {
		t.Fatal(err)
	}
	if got := h.Entries() - before; got != 0 || h.apps(t) != 1 {
		t.Errorf("%d entries before the end, %d apps", got, h.apps(t))
	}
	if _, err := h.nodes[1].Renew(ctx, f, "short"); !errors.Is(err, identity.ErrInvalid) {
		t.Errorf("a bad password: %v", err)
	}
	r, err := h.nodes[1].Renew(ctx, f, better)
	if err != nil || r.Step != authn.StepDone || r.Enrol == nil {
		t.Fatalf("%+v, %v", r, err)
	}
	if s, err := h.nodes[0].sessions.Find(ctx, ten, r.Cookie); err != nil || s.Level() != 1 || h.apps(t) != 0 {
		t.Errorf("%+v, %v", s, err)
	}
	if n := len(h.events(t, event.RecoveryFinished)); n != 1 {
		t.Errorf("%d events", n)
	}
	if _, err := h.nodes[1].vouched(t, ctx, secret); !errors.Is(err, fsm.ErrNotFound) {
		t.Errorf("twice: %v", err)
	}
	if _, err := h.nodes[0].try(t, ctx, authn.Browser{}, "ann", better); err != nil {
		t.Errorf("the new password: %v", err)
	}
}

// A link that was followed on two nodes at once lets one in, a thousand times; what the
// loser typed is not the password.
func TestRecoveryLinkOnceOnTwoNodes(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2)
	ctx := from(t, "192.0.2.1")
	for round := range races {
		secret := h.link(t)
		var flows [2]*authn.Flow
		for i := range flows {
			var err error
			if flows[i], err = h.nodes[i].vouched(t, ctx, secret); err != nil {
				t.Fatal(err)
			}
		}
		var errs [2]error
		var wg sync.WaitGroup
		for i := range flows {
			wg.Go(func() { _, errs[i] = h.nodes[i].Renew(ctx, flows[i], better) })
		}
		wg.Wait()
		if (errs[0] == nil) == (errs[1] == nil) {
			t.Fatalf("round %d: %v and %v", round, errs[0], errs[1])
		}
		if err := errors.Join(errs[:]...); !errors.Is(err, authn.ErrDeadFlow) {
			t.Fatalf("round %d: the loser is told %v", round, err)
		}
	}
}

// A link that is taken back while somebody chooses a password lets nobody in.
func TestRecoveryLinkTakenBack(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2)
	ctx := from(t, "192.0.2.1")
	f, err := h.nodes[1].vouched(t, ctx, h.link(t))
	if err != nil {
		t.Fatal(err)
	}
	h.update(t, 0, func(tx *fsm.Tx) error { _, err := regain.Cancel(tx, ten, h.ann.ID, "test"); return err })
	if _, err := h.nodes[1].Renew(ctx, f, better); !errors.Is(err, authn.ErrDeadFlow) {
		t.Errorf("%v", err)
	}
	if _, err := h.nodes[0].try(t, ctx, authn.Browser{}, "ann", good); err != nil {
		t.Errorf("the former password: %v", err)
	}
}

// A password that is due is chosen before who has lost a second factor gets in.
func TestLostSecondFactorAndPasswordDue(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	h.verify(t)
	h.app(t)
	h.decide(t, func(a *settings.Authentication) { a.Recovery.Delay = 0 })
	h.update(t, 0, func(tx *fsm.Tx) error { return credential.RequireChange(tx, ten, h.ann.ID) })
	n := h.nodes[0]
	ctx := from(t, "192.0.2.1")
	f := n.loses(t, ctx)
	r, err := n.Regain(ctx, f, "")
	if err != nil || r.Step != authn.StepRenew || r.Cookie != "" || h.apps(t) != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	if r, err = n.Renew(ctx, f, better); err != nil || r.Step != authn.StepDone || h.apps(t) != 0 {
		t.Errorf("%+v, %v", r, err)
	}
}
