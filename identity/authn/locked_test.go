package authn_test

import (
	"context"
	"errors"
	"testing"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/authn"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/credential/passkey/passkeytest"
	"github.com/quis-idp/quis/identity/regain"
)

// lock is what ann's "this wasn't me" does to her sign-ins.
func (h *house) lock(t testing.TB) {
	t.Helper()
	h.update(t, 0, func(tx *fsm.Tx) error {
		if err := regain.Lock(tx, ten, h.ann.ID); err != nil {
			return err
		}
		return credential.RequireChange(tx, ten, h.ann.ID)
	})
}

func (h *house) locked(t testing.TB) (is bool) {
	t.Helper()
	h.update(t, 0, func(tx *fsm.Tx) (err error) {
		is, err = regain.Locked(tx, ten, h.ann.ID)
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
		return regain.Lock(tx, ten, h.ann.ID)
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
