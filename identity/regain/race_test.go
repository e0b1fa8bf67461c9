package regain_test

import (
	"errors"
	"testing"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/regain"
	"github.com/quis-idp/quis/identity/settings"
)

// A link is finished once, whoever races for it on two nodes.
func TestLinkIsFinishedOnceOnTwoNodes(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2)
	for round := range races {
		r, _ := h.link(h.admin("usr_root"))
		errs := h.race(h.finish(r.ID), h.finish(r.ID))
		if (errs[0] == nil) == (errs[1] == nil) {
			t.Fatalf("round %d: %v and %v", round, errs[0], errs[1])
		}
		if err := errors.Join(errs...); !errors.Is(err, fsm.ErrNotFound) {
			t.Fatalf("round %d: the loser is told %v", round, err)
		}
	}
}

// Of finishing and stopping at once one happens, on whatever nodes: never both, never none.
func TestFinishAgainstStop(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2)
	h.decide(func(r *settings.Recovery) { r.Delay, r.CoolingOff = 0, 0 })
	finished, stopped := 0, 0
	for round := range races {
		r, _ := h.link(h.admin("usr_root"))
		there := false
		errs := h.race(h.finish(r.ID), func(tx *fsm.Tx) (err error) {
			there, err = regain.Stop(tx, ten, h.ann, "stopped by the user")
			return err
		})
		switch {
		case errs[1] != nil:
			t.Fatalf("round %d: stop: %v", round, errs[1])
		case errs[0] == nil && !there:
			finished++
		case errors.Is(errs[0], fsm.ErrNotFound) && there:
			stopped++
		default:
			t.Fatalf("round %d: finish %v, stopped %v", round, errs[0], there)
		}
		if h.waiting() != nil {
			t.Fatalf("round %d: it still waits", round)
		}
	}
	t.Logf("%d finished, %d stopped", finished, stopped)
}

// Three nodes begin at once, and there is one recovery, with one event.
func TestBegunOnceOnThreeNodes(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3)
	var got [3]*regain.Recovery
	begin := func(i int) func(tx *fsm.Tx) error {
		return func(tx *fsm.Tx) (err error) {
			got[i], err = regain.Begin(tx, ten, h.ann)
			return err
		}
	}
	for _, err := range h.race(begin(0), begin(1), begin(2)) {
		if err != nil {
			t.Error(err)
		}
	}
	if got[0].ID != got[1].ID || got[1].ID != got[2].ID || len(h.events(event.RecoveryStarted)) != 1 {
		t.Errorf("%s, %s, %s, %d events", got[0].ID, got[1].ID, got[2].ID, len(h.events(event.RecoveryStarted)))
	}
}

// Two administrators approve at once: one of them did.
func TestApprovedOnceOnTwoNodes(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2)
	h.decide(func(r *settings.Recovery) { r.TwoPerson = true })
	for range 50 {
		r, _ := h.link(h.admin("usr_root"))
		errs := make(chan error, 2)
		for i, who := range []string{"usr_a", "usr_b"} {
			go func() {
				errs <- h.DB[i].Update(h.admin(who), func(tx *fsm.Tx) error {
					_, err := regain.Approve(tx, ten, h.ann, r.ID)
					return err
				})
			}()
		}
		if err := errors.Join(<-errs, <-errs); err != nil {
			t.Fatal(err)
		}
		by := h.waiting().Approver.ID
		if last := h.events(event.RecoveryApproved)[0]; last.Actor.ID != by || last.Data["recovery"] != r.ID {
			t.Fatalf("approved by %s, the event says %+v", by, last)
		}
	}
	if n := len(h.events(event.RecoveryApproved)); n != 50 {
		t.Errorf("%d events", n)
	}
}

// A leader that dies takes nothing with it: what was not said to be done can be done again,
// and a node that had fallen behind sees it.
func TestLeaderChange(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3)
	r, secret := h.link(h.admin("usr_root"))
	h.Pause(2)
	h.SetLeader(false)
	if err := h.DB[1].Update(t.Context(), h.finish(r.ID)); !errors.Is(err, fsm.ErrUnavailable) {
		t.Errorf("without a leader: %v", err)
	}
	h.NewTerm()
	h.SetLeader(true)
	h.LoseAnswers(1) // done, and nobody is told
	if err := h.DB[1].Update(t.Context(), h.finish(r.ID)); err != nil && !errors.Is(err, fsm.ErrUnknown) {
		t.Errorf("the answer is lost: %v", err)
	}
	h.Resume(t, 2)
	if err := h.DB[2].Update(t.Context(), h.finish(r.ID)); !errors.Is(err, fsm.ErrNotFound) {
		t.Errorf("at a node that had fallen behind: %v", err)
	}
	err := h.DB[2].View(t.Context(), func(tx *fsm.Tx) error { _, err := regain.Follow(tx, ten, secret); return err })
	if !errors.Is(err, fsm.ErrNotFound) || len(h.events(event.RecoveryFinished)) != 1 {
		t.Errorf("followed: %v, %d events", err, len(h.events(event.RecoveryFinished)))
	}
	h.Repeat(1) // sent twice, done once
	h.Pass(t, 25*time.Hour)
	h.begin()
	if n := len(h.events(event.RecoveryStarted)); n != 2 {
		t.Errorf("%d begun", n)
	}
}
