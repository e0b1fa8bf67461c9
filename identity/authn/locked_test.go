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
	"github.com/quis-idp/quis/identity/credential/passkey/passkeytest"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/regain"
	"github.com/quis-idp/quis/identity/settings"
)

// lock is what ann's "this wasn't me" does to her sign-ins.
func (h *house) lock(t testing.TB) { h.lockAt(t, 0) }

func (h *house) lockAt(t testing.TB, node int) {
	t.Helper()
	h.update(t, node, func(tx *fsm.Tx) error {
		u, _, err := directory.GetUser(tx, ten, h.ann.ID)
		if err != nil {
			return err
		}
		mail := ""
		if u.EmailVerified {
			mail = u.Email
		}
		if err := regain.Lock(tx, ten, u.ID, mail); err != nil {
			return err
		}
		return credential.RequireChange(tx, ten, h.ann.ID)
	})
}

func (h *house) locked(t testing.TB) (is bool) {
	t.Helper()
	h.update(t, 0, func(tx *fsm.Tx) (err error) {
		u, _, err := directory.GetUser(tx, ten, h.ann.ID)
		if err == nil {
			var bar *regain.Bar
			bar, err = regain.Locked(tx, u)
			is = bar != nil
		}
		return err
	})
	return is
}

// unlocked gets ann through the rest of a sign-in that has come to the mail.
func (n *node) unlocked(t testing.TB, ctx context.Context, f *authn.Flow) {
	t.Helper()
	r, err := n.MailCode(ctx, f, n.letter().Code)
	if err != nil || r.Step != authn.StepRenew {
		t.Fatalf("%+v, %v", r, err)
	}
	if r, err = n.Renew(ctx, f, better); err != nil || r.Step != authn.StepDone {
		t.Fatalf("%+v, %v", r, err)
	}
}

// Whoever was in a locked account may know its password: at no node are they the one who chooses
// another.
func TestLockedAccountNeedsTheMailbox(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2)
	h.verify(t)
	n, ctx := h.nodes[1], from(t, "192.0.2.1")
	h.lock(t)
	f := n.fresh(t, ctx)
	before := h.Entries()
	r, err := n.Password(ctx, f, "ann", good)
	if err != nil || r.Step != authn.StepMail || !f.Locked() {
		t.Fatalf("%+v, %v", r, err)
	}
	if l := n.letter(); l == nil || l.User.ID != h.ann.ID || l.Recover {
		t.Fatalf("letter %+v", l)
	}
	first := n.letter().Code
	for name, try := range map[string]func() error{
		"another password":   func() error { _, err := n.Renew(ctx, f, better); return err },
		"a wrong code":       func() error { _, err := n.MailCode(ctx, f, "nonsense"); return err },
		"no code":            func() error { _, err := n.MailCode(ctx, f, ""); return err },
		"the password again": func() error { _, err := n.Password(ctx, f, "ann", good); return err },
		"the lost factor":    func() error { _, err := n.Lose(ctx, f); return err },
	} {
		if err := try(); err == nil {
			t.Errorf("%s: passes", name)
		}
	}
	if got := h.Entries() - before; got != 0 {
		t.Errorf("%d entries before the end", got)
	}
	if r, err = n.Mail(ctx, f, "bob"); err != nil || r.Step != authn.StepMail || n.letter().User.ID != h.ann.ID {
		t.Fatalf("another letter: %+v, %v", r, err)
	}
	if _, err := n.MailCode(ctx, f, first); first != n.letter().Code && !errors.Is(err, identity.ErrUnauthenticated) {
		t.Errorf("the code before: %v", err)
	}
	n.unlocked(t, ctx, f)
	if h.locked(t) {
		t.Error("it is locked still")
	}
	if r, err := n.try(t, ctx, authn.Browser{}, "ann", better); err != nil || r.Step != authn.StepDone {
		t.Errorf("afterwards: %+v, %v", r, err)
	}
}

// Attack: whoever says in a session that something was not them keeps that session. It may be the intruder, who took the
// owner's second factor away so: to raise it, and to choose another password, they need the mailbox as everybody does.
func TestTheSessionThatIsLeftNeedsTheMailboxToo(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	h.verify(t)
	n, ctx := h.nodes[0], from(t, "192.0.2.1")
	r, err := n.try(t, ctx, authn.Browser{}, "ann", good)
	if err != nil {
		t.Fatal(err)
	}
	h.Pass(t, 16*time.Minute)
	h.lock(t)
	f := n.step(t, ctx, &r.Session, n.sensitive(t, &r.Session, authn.More), authn.Browser{})
	if r, err := n.Code(ctx, f, assurance.Password, good); err != nil || r.Step != authn.StepMail || !f.Locked() {
		t.Fatalf("%+v, %v", r, err)
	}
	if _, err := n.Renew(ctx, f, better); err == nil {
		t.Error("another password without the mailbox")
	}
	n.unlocked(t, ctx, f)
	if h.locked(t) {
		t.Error("it is locked still")
	}
}

// Whoever was in an account has a browser that is known there. From the lock on they wait as strangers
// do, at every node, and stay strangers when it is unlocked; the person's browser is known anew.
func TestNoBrowserIsKnownFromBeforeALock(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2)
	h.verify(t)
	n, ctx := h.nodes[0], from(t, "192.0.2.9")
	was, err := n.try(t, ctx, authn.Browser{}, "ann", good)
	if err != nil || n.KnownIn(ten, was.Device) != h.ann.ID {
		t.Fatalf("%+v, %v", was, err)
	}
	former := authn.Browser{Device: was.Device}
	guess(t, n, "192.0.2.1", "ann", 12)
	if limited(t, n, "192.0.2.1", former, "ann") != 0 {
		t.Fatal("her browser is not known")
	}
	h.lockAt(t, 1)
	unknown := func(when string) {
		t.Helper()
		for i, n := range h.nodes {
			if n.KnownIn(ten, was.Device) != "" {
				t.Errorf("%s, node %d: a browser of before is known", when, i)
			}
		}
		if limited(t, n, "192.0.2.1", former, "ann") == 0 {
			t.Errorf("%s: a browser of before does not wait", when)
		}
	}
	unknown("locked")
	n.Age(31 * time.Second) // as long as the others' guesses keep her waiting
	f := n.fresh(t, ctx)
	if r, err := n.Password(ctx, f, "ann", good); err != nil || r.Step != authn.StepMail {
		t.Fatalf("%+v, %v", r, err)
	}
	n.unlocked(t, ctx, f)
	unknown("unlocked")
	n.Age(31 * time.Second)
	now, err := n.try(t, ctx, former, "ann", better)
	if err != nil || n.KnownIn(ten, now.Device) != h.ann.ID || h.nodes[1].KnownIn(ten, now.Device) != h.ann.ID {
		t.Errorf("her browser is not known anew: %v", err)
	}
}

// A passkey may have been added by whoever was in the account; and the password is still known to them.
func TestLockedAccountNeedsTheMailboxBesideAPasskey(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	h.verify(t)
	n, ctx := h.nodes[0], at(t)
	a := &passkeytest.Authenticator{Origin: origin, UV: true, Synced: true}
	h.passkey(t, a)
	signIn := func() (*authn.Flow, authn.Result) {
		f := n.fresh(t, ctx)
		r, err := n.Passkey(ctx, f, n.answer(t, ctx, f, a))
		if err != nil {
			t.Fatal(err)
		}
		return f, r
	}
	h.lock(t)
	f, r := signIn()
	if r.Step != authn.StepMail || n.letter() == nil {
		t.Fatalf("%+v", r)
	}
	n.unlocked(t, ctx, f)
	if _, r := signIn(); r.Step != authn.StepDone {
		t.Errorf("afterwards: %+v", r)
	}
	h.update(t, 0, func(tx *fsm.Tx) error { // and without a password, where there is none to choose
		if err := credential.RemovePassword(tx, ten, h.ann.ID); err != nil {
			return err
		}
		return regain.Lock(tx, ten, h.ann.ID, h.ann.Email)
	})
	f, _ = signIn()
	if r, err := n.MailCode(ctx, f, n.letter().Code); err != nil || r.Step != authn.StepDone || h.locked(t) {
		t.Errorf("without a password: %+v, %v", r, err)
	}
}

// A sign-in that was proved before the account was locked ends with the lock, at whichever node.
func TestLockStopsSignInsUnderWay(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2)
	h.verify(t)
	n, ctx := h.nodes[1], from(t, "192.0.2.1")
	h.update(t, 0, func(tx *fsm.Tx) error { return credential.RequireChange(tx, ten, h.ann.ID) })
	f := n.fresh(t, ctx)
	if r, err := n.Password(ctx, f, "ann", good); err != nil || r.Step != authn.StepRenew {
		t.Fatalf("%+v, %v", r, err)
	}
	h.lock(t)
	if r, err := n.Renew(ctx, f, better); !errors.Is(err, authn.ErrDeadFlow) || !h.locked(t) {
		t.Errorf("%+v, %v", r, err)
	}
}

// lockFirst is the log of the first node, by which the second locks ann's account before the first entry.
type lockFirst struct {
	h    *house
	t    testing.TB
	done int
}

func (l *lockFirst) Propose(_ context.Context, batch []byte) (fsm.Outcome, error) {
	if l.done++; l.done == 1 {
		l.h.lockAt(l.t, 1)
	}
	index, verdicts, err := l.h.Cluster.Propose(0, batch)
	if err != nil {
		return fsm.Outcome{}, err
	}
	return fsm.Outcome{Index: index, Verdict: verdicts[0]}, nil
}

func (l *lockFirst) CatchUp(context.Context) error { return nil }

// The lock comes between the last step's look and its transaction, which runs again: nobody takes it away
// without another password, whether they proved the mailbox or there is none.
func TestLockIsNotTakenAwayByAClosureThatRunsTwice(t *testing.T) {
	t.Parallel()
	for name, mailbox := range map[string]bool{"by mail": true, "without a mailbox": false} {
		h := newHouse(t, 2)
		n, ctx := h.nodes[0], from(t, "192.0.2.1")
		if mailbox {
			h.verify(t)
			h.decide(t, func(a *settings.Authentication) { a.EmailOTP = true })
		}
		f := n.fresh(t, ctx)
		finish := func() (authn.Result, error) { return n.Password(ctx, f, "ann", good) }
		if mailbox {
			if _, err := n.Mail(ctx, f, "ann"); err != nil {
				t.Fatal(err)
			}
			finish = func() (authn.Result, error) { return n.MailCode(ctx, f, n.letter().Code) }
		}
		locks := &lockFirst{h: h, t: t}
		n.db.SetLog(locks)
		r, err := finish()
		if !errors.Is(err, authn.ErrDeadFlow) || !h.locked(t) || locks.done == 0 {
			t.Errorf("%s: %+v, %v, locked %v, %d times", name, r, err, h.locked(t), locks.done)
		}
	}
}

// Who has no mailbox here gets in as ever, and so does whom an administrator lets in.
func TestLockedAccountWithoutAMailbox(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	n, ctx := h.nodes[0], from(t, "192.0.2.1")
	h.lock(t)
	f := n.fresh(t, ctx)
	if r, err := n.Password(ctx, f, "ann", good); err != nil || r.Step != authn.StepRenew {
		t.Fatalf("%+v, %v", r, err)
	}
	h.verify(t)
	h.lock(t)
	f = n.fresh(t, ctx)
	if r, err := n.Follow(ctx, f, h.link(t)); err != nil || r.Step != authn.StepRenew {
		t.Fatalf("by a link: %+v, %v", r, err)
	}
	if r, err := n.Renew(ctx, f, better); err != nil || r.Step != authn.StepDone || h.locked(t) {
		t.Errorf("by a link: %+v, %v", r, err)
	}
}

// The letter says whether strangers can ask for it: who has proved the rest has mail of their own.
func TestLetterTellsWhetherTheRestIsProved(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	h.verify(t)
	h.decide(t, func(a *settings.Authentication) { a.EmailOTP = true })
	n, ctx := h.nodes[0], from(t, "192.0.2.1")
	if _, err := n.Mail(ctx, n.fresh(t, ctx), "ann"); err != nil || n.letter().Proved {
		t.Errorf("anybody's: %+v, %v", n.letter(), err)
	}
	h.lock(t)
	if r, err := n.Password(ctx, n.fresh(t, ctx), "ann", good); err != nil || r.Step != authn.StepMail || !n.letter().Proved {
		t.Errorf("hers: %+v, %+v, %v", r.Step, n.letter(), err)
	}
}
