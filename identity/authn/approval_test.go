package authn_test

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/assurance"
	"github.com/quis-idp/quis/identity/authn"
	"github.com/quis-idp/quis/identity/credential/approval"
	"github.com/quis-idp/quis/identity/credential/totp"
	"github.com/quis-idp/quis/identity/session"
	"github.com/quis-idp/quis/identity/settings"
)

// An approver is a browser of ann's, signed in with her app, in which she may approve.
type approver struct{ session, cookie string }

// enter signs ann in with her app, in a browser.
func (h *house) enter(t testing.TB, a app, b authn.Browser) session.Session {
	t.Helper()
	ctx := from(t, "192.0.2.1")
	r, err := h.nodes[0].Code(ctx, h.nodes[0].half(t, ctx, b), assurance.TOTP, a.code(h.DB[0].Now()))
	if err != nil {
		t.Fatal(err)
	}
	h.Pass(t, 30*time.Second) // to the next code
	return r.Session
}

func (h *house) approver(t testing.TB, a app) (b approver) {
	t.Helper()
	b.session = h.enter(t, a, authn.Browser{}).ID
	h.update(t, 0, func(tx *fsm.Tx) (err error) {
		_, b.cookie, err = approval.Allow(tx, h.ring, ten, h.ann.ID, b.session, "telephone")
		return err
	})
	return b
}

// approve types the number of a flow into an approver, at a node.
func (h *house) approve(t testing.TB, node int, b approver, f *authn.Flow) (right bool, err error) {
	err = h.DB[node].Update(t.Context(), func(tx *fsm.Tx) (err error) {
		_, right, err = approval.Answer(tx, h.ring, ten, h.ann.ID, b.session, f.Asked.ID, f.Asked.Number)
		return err
	})
	return right, err
}

func TestApproval(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3)
	b := h.approver(t, h.app(t))
	ctx := from(t, "198.51.100.7")
	f := h.nodes[0].half(t, ctx, authn.Browser{})
	if ways, err := h.nodes[1].Offer(ctx, f); err != nil || !slices.Equal(ways, []assurance.Method{assurance.TOTP, assurance.Approval}) {
		t.Fatalf("offered %v, %v", ways, err)
	}
	if _, err := h.nodes[1].Approved(ctx, f); !errors.Is(err, identity.ErrInvalid) {
		t.Errorf("approved before it was asked: %v", err)
	}
	before := h.Entries()
	r, err := h.nodes[1].Ask(ctx, f)
	if err != nil || r.Step != authn.StepSecond || f.Asked == nil || h.Entries()-before != 1 {
		t.Fatalf("%+v, %v, %d entries", r, err, h.Entries()-before)
	}
	if _, err := h.nodes[2].Approved(ctx, f); !errors.Is(err, identity.ErrInvalid) {
		t.Errorf("nobody has approved: %v", err)
	}
	if right, err := h.approve(t, 2, b, f); !right || err != nil {
		t.Fatalf("%v, %v", right, err)
	}
	if r, err = h.nodes[0].Approved(ctx, f); err != nil || r.Step != authn.StepDone {
		t.Fatalf("%+v, %v", r, err)
	}
	if s := r.Session; s.Level() != 2 || !slices.Equal(s.AMR, []string{"mca", "mfa", "pwd"}) || s.Factors[0].Ref != "" || len(s.Factors[0].Box) != 0 {
		t.Errorf("%+v", s)
	}
	if n := h.Entries() - before; n != 3 { // asked, answered, signed in
		t.Errorf("%d entries", n)
	}
	if state, err := h.nodes[0].Approval(ctx, f); err != nil || state != approval.Gone {
		t.Errorf("spent, and still %d, %v", state, err)
	}
}

// A node that lags neither asks again for what was asked through another one, nor denies what was
// approved there.
func TestALaggingNodeKnowsOfAnApproval(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2)
	b := h.approver(t, h.app(t))
	ctx := from(t, "198.51.100.7")
	f := h.nodes[0].half(t, ctx, authn.Browser{})
	h.Pause(1)
	if _, err := h.nodes[0].Ask(ctx, f); err != nil {
		t.Fatal(err)
	}
	if state, err := h.nodes[1].Approval(ctx, f); err != nil || state != approval.Pending {
		t.Errorf("asked a moment ago: %d, %v", state, err)
	}
	if right, err := h.approve(t, 0, b, f); !right || err != nil {
		t.Fatalf("%v, %v", right, err)
	}
	if r, err := h.nodes[1].Approved(ctx, f); err != nil || r.Step != authn.StepDone {
		t.Errorf("approved a moment ago: %+v, %v", r, err)
	}
}

// Who may not approve: the browser that signs in, one that is signed out, one that was let in by
// an approval itself, and any where the tenant does not want it or nothing else is left.
func TestWhoApproves(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2)
	a := h.app(t)
	b := h.approver(t, a)
	n := h.nodes[0]
	ctx := from(t, "198.51.100.7")
	offered := func(b authn.Browser, want bool) {
		t.Helper()
		ways, err := n.Offer(ctx, n.half(t, ctx, b))
		if err != nil || slices.Contains(ways, assurance.Approval) != want {
			t.Errorf("offered %v, %v, want approval %v", ways, err, want)
		}
		if want {
			return
		}
		if _, err := n.Ask(ctx, n.half(t, ctx, b)); !errors.Is(err, identity.ErrInvalid) {
			t.Errorf("asked: %v", err)
		}
	}
	offered(authn.Browser{}, true)
	offered(authn.Browser{Approver: b.cookie}, false)
	offered(authn.Browser{SessionID: b.session}, false)

	f := n.half(t, ctx, authn.Browser{})
	if _, err := n.Ask(ctx, f); err != nil {
		t.Fatal(err)
	}
	if right, err := h.approve(t, 1, b, f); !right || err != nil {
		t.Fatalf("%v, %v", right, err)
	}
	r, err := n.Approved(ctx, f)
	if err != nil {
		t.Fatal(err)
	}
	h.update(t, 0, func(tx *fsm.Tx) error {
		if _, _, err := approval.Allow(tx, h.ring, ten, h.ann.ID, r.Session.ID, "by an approval"); err != nil {
			return err
		}
		return session.End(tx, ten, b.session)
	})
	offered(authn.Browser{}, false)
	if s := h.enter(t, a, authn.Browser{Approver: b.cookie}); s.ID == b.session {
		t.Fatal("the session that was ended goes on")
	}
	offered(authn.Browser{}, true) // signed in again in the browser that may

	h.decide(t, func(s *settings.Authentication) { s.MFAMethods = []string{settings.MethodTOTP} })
	offered(authn.Browser{}, false)
	h.decide(t, func(s *settings.Authentication) { *s = settings.Default(ten) })
	offered(authn.Browser{}, true)
	facts := func() (out []assurance.Method) {
		err := h.DB[0].View(t.Context(), func(tx *fsm.Tx) error {
			f, err := authn.Facts(tx, ten, h.ann.ID)
			for _, e := range f.Enrolled {
				out = append(out, e.Method)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	if !slices.Contains(facts(), assurance.Approval) {
		t.Errorf("enrolled: %v", facts())
	}
	h.update(t, 0, func(tx *fsm.Tx) error {
		apps, err := totp.List(tx, ten, h.ann.ID)
		if err != nil {
			return err
		}
		return totp.Remove(tx, ten, h.ann.ID, apps[0].ID)
	})
	if slices.Contains(facts(), assurance.Approval) {
		t.Error("an approval stands alone beside the password")
	}
}

// A session that is not sure enough is raised by an approval; the approver itself is not.
func TestApprovalRaises(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2)
	a := h.app(t)
	b := h.approver(t, a)
	n := h.nodes[0]
	ctx := from(t, "198.51.100.7")
	r, err := n.Code(ctx, n.half(t, ctx, authn.Browser{}), assurance.TOTP, a.code(h.DB[0].Now()))
	if err != nil {
		t.Fatal(err)
	}
	h.decide(t, func(s *settings.Authentication) { s.MFAPolicy, s.MFAReauth = settings.MFAAny, 5 })
	h.Pass(t, 6*time.Minute)
	f := n.fresh(t, ctx)
	f.Browser.SessionID = r.Session.ID
	if raised, err := n.Raise(ctx, f, &r.Session); !raised || err != nil {
		t.Fatalf("%v, %v", raised, err)
	}
	if _, err := n.Ask(ctx, f); err != nil {
		t.Fatal(err)
	}
	if right, err := h.approve(t, 1, b, f); !right || err != nil {
		t.Fatalf("%v, %v", right, err)
	}
	done, err := n.Approved(ctx, f)
	if err != nil || done.Session.ID != r.Session.ID || !assurance.Has(done.Session.Factors, assurance.Approval) {
		t.Errorf("%+v, %v", done, err)
	}
}

// Recovering is for who is signed in nowhere: an approval is no part of it.
func TestApprovalRecoversNothing(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	h.verify(t)
	h.approver(t, h.app(t))
	n := h.nodes[0]
	ctx := from(t, "198.51.100.7")
	f, _ := n.lost(t, ctx, "ann")
	r, err := n.MailCode(ctx, f, n.letter().Code)
	if err != nil || r.Step != authn.StepSecond {
		t.Fatalf("%+v, %v", r, err)
	}
	if ways, err := n.Offer(ctx, f); err != nil || !slices.Equal(ways, []assurance.Method{assurance.TOTP}) {
		t.Errorf("offered %v, %v", ways, err)
	}
}

// An approval signs in once: one flow finished at two nodes at a time makes one session.
func TestApprovalOnceOnTwoNodes(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3)
	a := h.app(t)
	b := h.approver(t, a)
	ctx := from(t, "198.51.100.7")
	for round := range races {
		if round%15 == 14 { // sessions end; the browser stays an approver by its cookie
			b.session = h.enter(t, a, authn.Browser{Approver: b.cookie}).ID
		}
		f := h.nodes[round%3].half(t, ctx, authn.Browser{})
		if _, err := h.nodes[round%3].Ask(ctx, f); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if right, err := h.approve(t, (round+1)%3, b, f); !right || err != nil {
			t.Fatalf("round %d: %v, %v", round, right, err)
		}
		var errs [2]error
		var wg sync.WaitGroup
		for i := range errs {
			copied := *f
			wg.Go(func() {
				for { // a node that is behind says so, as the page does
					_, errs[i] = h.nodes[i].Approved(ctx, &copied)
					if state, err := h.nodes[i].Approval(ctx, f); err != nil || errs[i] == nil || state != approval.Pending {
						return
					}
				}
			})
		}
		wg.Wait()
		if (errs[0] == nil) == (errs[1] == nil) {
			t.Fatalf("round %d: %v and %v", round, errs[0], errs[1])
		}
		if err := errors.Join(errs[:]...); !errors.Is(err, identity.ErrUnauthenticated) && !errors.Is(err, identity.ErrInvalid) {
			t.Fatalf("round %d: the loser is told %v", round, err)
		}
		h.Age(t)
	}
}

// A leader that dies while an approval waits takes nothing along: what was asked is answered under
// the next one, once, although the first answer to it was lost, and signs in.
func TestApprovalOutlivesTheLeader(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3)
	b := h.approver(t, h.app(t))
	ctx := from(t, "198.51.100.7")
	f := h.nodes[0].half(t, ctx, authn.Browser{})
	elected := func() { h.NewTerm(); h.SetLeader(true) }

	h.SetLeader(false)
	if _, err := h.nodes[1].Ask(ctx, f); !errors.Is(err, fsm.ErrUnavailable) || f.Asked != nil {
		t.Fatalf("asked without a leader: %v", err)
	}
	elected()
	if _, err := h.nodes[1].Ask(ctx, f); err != nil {
		t.Fatal(err)
	}
	h.SetLeader(false)
	if state, err := h.nodes[2].Approval(ctx, f); err != nil || state != approval.Pending {
		t.Errorf("what waits is %d without a leader, %v", state, err)
	}
	if _, err := h.approve(t, 2, b, f); !errors.Is(err, fsm.ErrUnavailable) {
		t.Errorf("answered without a leader: %v", err)
	}
	elected()
	if r, err := h.nodes[0].Approved(ctx, f); !errors.Is(err, identity.ErrInvalid) {
		t.Errorf("an answer that was refused counts: %+v, %v", r, err)
	}
	h.LoseAnswers(1)
	if _, err := h.approve(t, 2, b, f); !errors.Is(err, fsm.ErrUnknown) {
		t.Errorf("the answer is lost: %v", err)
	}
	h.NewTerm()
	if right, err := h.approve(t, 1, b, f); right || !errors.Is(err, fsm.ErrNotFound) {
		t.Errorf("answered twice: %v, %v", right, err)
	}
	h.SetLeader(false)
	if r, err := h.nodes[0].Approved(ctx, f); err == nil {
		t.Errorf("signed in without a leader: %+v", r)
	}
	elected()
	if r, err := h.nodes[0].Approved(ctx, f); err != nil || r.Step != authn.StepDone || r.Session.UserID != h.ann.ID {
		t.Errorf("%+v, %v", r, err)
	}
	if r, err := h.nodes[1].Approved(ctx, f); err == nil {
		t.Errorf("spent twice: %+v", r)
	}
}
