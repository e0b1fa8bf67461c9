package regain_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential/factor"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/regain"
	"github.com/quis-idp/quis/identity/session"
	"github.com/quis-idp/quis/identity/settings"
)

func (h *house) follow(secret string) error {
	return h.DB[0].View(h.t.Context(), func(tx *fsm.Tx) error {
		_, err := regain.Follow(tx, ten, secret)
		return err
	})
}

func (h *house) approve(ctx context.Context, id string) error {
	return h.try(ctx, func(tx *fsm.Tx) error {
		_, err := regain.Approve(tx, ten, h.ann, id)
		return err
	})
}

func TestLinkWorksOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	own := h.begin()
	r, secret := h.link(h.admin("usr_root"))
	if err := h.follow(secret); err != nil {
		t.Error(err)
	}
	if err := h.try(t.Context(), h.finish(own.ID)); !errors.Is(err, fsm.ErrNotFound) {
		t.Errorf("what the link took the place of: %v", err)
	}
	h.do(h.finish(r.ID))
	for _, bad := range []string{secret, "", "x", secret[:42], secret + "x"} {
		if err := h.follow(bad); !errors.Is(err, fsm.ErrNotFound) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	_, first := h.link(h.admin("usr_root"))
	_, second := h.link(h.admin("usr_root"))
	if err := h.follow(first); !errors.Is(err, fsm.ErrNotFound) {
		t.Errorf("a link that another took the place of: %v", err)
	}
	h.Pass(t, time.Hour)
	if err := h.follow(second); !errors.Is(err, fsm.ErrNotFound) {
		t.Errorf("an hour later: %v", err)
	}
	if n := len(h.events(event.RecoveryStarted)); n != 4 {
		t.Errorf("%d events", n)
	}
}

func TestLinkIsRefused(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	ask := func(ctx context.Context, user string, life time.Duration) error {
		return h.try(ctx, func(tx *fsm.Tx) error { _, _, err := regain.NewLink(tx, ten, user, life); return err })
	}
	root := h.admin("usr_root")
	if err := ask(h.admin(h.ann), h.ann, time.Hour); !errors.Is(err, identity.ErrDenied) {
		t.Errorf("for oneself: %v", err)
	}
	if err := ask(root, "usr_none", time.Hour); !errors.Is(err, fsm.ErrNotFound) {
		t.Errorf("for nobody: %v", err)
	}
	for _, life := range []time.Duration{0, time.Minute, regain.MaxLink + time.Second} {
		if err := ask(root, h.ann, life); !errors.Is(err, identity.ErrInvalid) {
			t.Errorf("for %s: %v", life, err)
		}
	}
	h.do(func(tx *fsm.Tx) error {
		_, err := directory.UpdateUser(tx, ten, h.ann, 0, func(u *directory.User) error { u.Disabled = true; return nil })
		return err
	})
	if err := ask(root, h.ann, time.Hour); !errors.Is(err, identity.ErrDenied) {
		t.Errorf("for who is disabled: %v", err)
	}
}

// Where one takes the place of another, both are on record, but one letter goes: that another was stopped would
// belie it.
func TestOneLetterOfTwoRecoveries(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	h.app()
	own := h.begin()
	first, _ := h.link(h.admin("usr_root"))
	h.link(h.admin("usr_root"))
	started, ended := h.events(event.RecoveryStarted), h.events(event.RecoveryCancelled)
	if len(started) != 3 || len(ended) != 2 || ended[0].Data["recovery"] != first.ID || ended[1].Data["recovery"] != own.ID { // the newest first
		t.Fatalf("%d begun, and ended: %+v", len(started), ended)
	}
	for _, e := range append(started, ended...) {
		if told := e.Data[regain.QuietKey] == ""; told != (e.Type == event.RecoveryStarted) {
			t.Errorf("%s is told by mail: %v", e.Type, told)
		}
	}
	h = newHouse(t, 1) // of a link for who was never in nobody is told: then it is said that the other was stopped
	h.begin()
	h.link(h.admin("usr_root"))
	if ended := h.events(event.RecoveryCancelled); len(ended) != 1 || ended[0].Data[regain.QuietKey] != "" {
		t.Errorf("ended: %+v", ended)
	}
}

// Where the tenant wants two administrators, a link is worth nothing until a second one
// agrees, who is neither the first nor the user.
func TestTwoPersonRule(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	h.decide(func(r *settings.Recovery) { r.TwoPerson = true })
	former, _ := h.link(h.admin("usr_root"))
	r, secret := h.link(h.admin("usr_root"))
	if err := h.follow(secret); !errors.Is(err, identity.ErrDenied) {
		t.Errorf("before: %v", err)
	}
	if err := h.try(t.Context(), h.finish(r.ID)); !errors.Is(err, identity.ErrDenied) {
		t.Errorf("finished before: %v", err)
	}
	for name, err := range map[string]error{
		"the first":      h.approve(h.admin("usr_root"), r.ID),
		"the user":       h.approve(h.admin(h.ann), r.ID),
		"of another one": h.approve(h.admin("usr_other"), former.ID),
	} {
		if !errors.Is(err, identity.ErrDenied) && !errors.Is(err, fsm.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := h.approve(h.admin("usr_other"), r.ID); err != nil {
		t.Fatal(err)
	}
	if err := h.approve(h.admin("usr_third"), r.ID); err != nil || h.waiting().Approver.ID != h.admins["usr_other"] {
		t.Errorf("approved twice: %v, by %+v", err, h.waiting().Approver)
	}
	if err := h.follow(secret); err != nil {
		t.Error(err)
	}
	approved := h.events(event.RecoveryApproved)
	if len(approved) != 1 || approved[0].Actor.ID != h.admins["usr_other"] || approved[0].Data["recovery"] != r.ID {
		t.Errorf("events %+v", approved)
	}
	h.do(h.finish(r.ID))

	operator := h.as(identity.ActorOperator, "") // of whom there may be many, but who knows
	r, _ = h.link(operator)
	if err := h.approve(operator, r.ID); !errors.Is(err, identity.ErrDenied) {
		t.Errorf("the operator twice: %v", err)
	}
	if err := h.approve(h.admin("usr_root"), r.ID); err != nil {
		t.Error(err)
	}
	for ctx, want := range map[context.Context]error{h.admin("usr_root"): identity.ErrDenied, operator: nil} {
		if err := h.try(ctx, func(tx *fsm.Tx) error { return regain.Single(tx, ten) }); !errors.Is(err, want) {
			t.Errorf("alone: %v, want %v", err, want)
		}
	}
}

// Who makes another account is still one person, whichever of the two makes the link.
func TestLinkIsNotApprovedByAnAccountOfOnesOwn(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	h.decide(func(r *settings.Recovery) { r.TwoPerson = true })
	root := h.admin("usr_root")
	err := h.try(root, func(tx *fsm.Tx) error {
		u, err := directory.CreateUser(tx, ten, directory.User{Username: "puppet", Admin: true})
		if err == nil {
			h.admins["puppet"] = u.ID
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	puppet := h.admin("puppet")
	for _, pair := range [][2]context.Context{{root, puppet}, {puppet, root}} {
		r, _ := h.link(pair[0])
		if err := h.approve(pair[1], r.ID); !errors.Is(err, identity.ErrDenied) {
			t.Errorf("at once: %v", err)
		}
	}
	h.Pass(t, settings.Probation)
	r, _ := h.link(root)
	if err := h.approve(puppet, r.ID); err != nil {
		t.Errorf("a day later: %v", err)
	}
}

// A person's own recovery needs nobody's approval, and gets none.
func TestOwnRecoveryIsNotApproved(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	h.decide(func(r *settings.Recovery) { r.TwoPerson = true })
	r := h.begin()
	if err := h.approve(h.admin("usr_root"), r.ID); !errors.Is(err, fsm.ErrNotFound) {
		t.Errorf("approved: %v", err)
	}
	h.Pass(t, 24*time.Hour)
	h.do(h.finish(r.ID))
}

// Who comes into an account for the first time has lost nothing: nobody is written to, and nothing rests. That is so
// only if nobody was in it before, be it while the link waits; what strangers fail at does not count.
func TestFirstTimeIsNoRecovery(t *testing.T) {
	t.Parallel()
	nothing := func(*house) {}
	signIn := func(h *house) {
		h.do(func(tx *fsm.Tx) error {
			_, err := session.NewStore(session.Config{DB: h.DB[0], Ring: h.ring}).Start(tx, session.Session{Tenant: ten, UserID: h.ann})
			return err
		})
	}
	knock := func(h *house) {
		for range 150 {
			h.do(func(tx *fsm.Tx) error {
				return event.Append(tx, event.Event{Tenant: ten, Type: event.SigninFailed, Target: event.Target{Kind: "user", ID: h.ann}})
			})
		}
	}
	for name, c := range map[string]struct {
		before, meanwhile func(h *house)
		is, stays         bool // the first time
	}{
		"nothing yet":         {nothing, nothing, true, true},
		"strangers knock":     {nothing, knock, true, true},
		"made long ago":       {func(h *house) { h.Pass(t, 100*24*time.Hour) }, nothing, true, true},
		"an app":              {(*house).app, nothing, false, false},
		"an app, taken away":  {func(h *house) { h.app(); signIn(h); h.lose() }, nothing, false, false},
		"a sign-in by mail":   {signIn, nothing, false, false},
		"a sign-in long ago":  {func(h *house) { signIn(h); h.Pass(t, 100*24*time.Hour) }, nothing, false, false},
		"a sign-in meanwhile": {nothing, signIn, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, 1)
			c.before(h)
			r, secret := h.link(h.admin("usr_root"))
			c.meanwhile(h)
			var followed *regain.Recovery
			h.do(func(tx *fsm.Tx) (err error) { followed, err = regain.Follow(tx, ten, secret); return err })
			if r.First != c.is || followed.First != c.stays {
				t.Errorf("made: %t, followed: %t", r.First, followed.First)
			}
			h.do(h.finish(r.ID))
			over := h.events(event.RecoveryFinished)
			if len(over) != 1 || (over[0].Data[regain.QuietKey] != "") != c.stays {
				t.Errorf("told: %+v", over)
			}
			err := h.DB[0].View(t.Context(), func(tx *fsm.Tx) error { return regain.Held(tx, ten, h.ann) })
			if (err == nil) != c.stays {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
}

// lose takes all factors away from ann.
func (h *house) lose() {
	h.t.Helper()
	h.do(func(tx *fsm.Tx) error { return factor.RemoveAll(tx, ten, h.ann, "lost") })
}
