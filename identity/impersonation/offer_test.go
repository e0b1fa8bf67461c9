package impersonation_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/impersonation"
	"github.com/quis-idp/quis/identity/session"
)

func TestOfferOfImpersonation(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3)
	n := h.nodes[0]
	root, ctx := h.admin(t)
	for name, c := range map[string]struct {
		ctx          context.Context
		user, reason string
		want         error
	}{
		"by the operator of the machine": {identity.WithActor(ctx, identity.Actor{Kind: identity.ActorOperator}), h.ann.ID, "x", identity.ErrDenied},
		"by a user":                      {identity.WithActor(ctx, identity.Actor{Kind: identity.ActorUser, ID: h.ann.ID}), root.ID, "x", identity.ErrDenied},
		"without a reason":               {ctx, h.ann.ID, "  ", identity.ErrInvalid},
		"with a long one":                {ctx, h.ann.ID, strings.Repeat("x", 201), identity.ErrInvalid},
		"with one that is no text":       {ctx, h.ann.ID, "a\nb", identity.ErrInvalid},
		"as nobody":                      {ctx, "usr_none", "x", fsm.ErrNotFound},
	} {
		if _, _, err := n.Make(c.ctx, ten, c.user, c.reason, time.Hour); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if all := h.events(t, event.ImpersonationOffered); len(all) != 0 {
		t.Errorf("%+v", all)
	}
	ticket, o, err := n.Make(ctx, ten, h.ann.ID, "ticket 4711", 9*time.Hour)
	if err != nil || o.Life != time.Hour || len(ticket) > 1000 {
		t.Fatalf("%+v, %d bytes, %v", o, len(ticket), err)
	}
	all := h.events(t, event.ImpersonationOffered)
	if len(all) != 1 || all[0].Actor.ID != root.ID || all[0].Data["reason"] != "ticket 4711" || all[0].Target.ID != h.ann.ID {
		t.Errorf("%+v", all)
	}
	other := identity.WithTenant(ctx, identity.Tenant{ID: "ten_other"})
	for _, bad := range []string{"", "x", ticket + "A", ticket[1:], strings.Repeat("A", 5000)} {
		if _, err := h.nodes[1].Open(ctx, bad); !errors.Is(err, impersonation.ErrDead) {
			t.Errorf("%.20q: %v", bad, err)
		}
	}
	if _, err := h.nodes[1].Open(other, ticket); !errors.Is(err, impersonation.ErrDead) {
		t.Errorf("in another tenant: %v", err)
	}
	got, err := h.nodes[2].Open(ctx, ticket)
	if err != nil || got.UserID != h.ann.ID || got.By.UserID != root.ID || got.By.Reason != "ticket 4711" {
		t.Errorf("%+v, %v", got, err)
	}
	h.Pass(t, 5*time.Minute+time.Second)
	if _, err := h.nodes[2].Open(ctx, ticket); !errors.Is(err, impersonation.ErrDead) {
		t.Errorf("after its time: %v", err)
	}
	if _, _, err := h.nodes[1].Use(ctx, got); !errors.Is(err, impersonation.ErrDead) {
		t.Errorf("begun after its time: %v", err)
	}
}

// A ticket that somebody else has made in an administrator's name is worth nothing once that one has ended
// everything; however many sessions they began end with it, at the cost of one row.
func TestOfferEndsWithAllThatItsAdministratorBegan(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2)
	root, ctx := h.admin(t)
	_, offer, err := h.nodes[0].Make(ctx, ten, h.ann.ID, "theirs", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	h.update(t, 1, func(tx *fsm.Tx) error { _, err := session.EndAllOf(tx, ten, root.ID); return err })
	if _, _, err := h.nodes[1].Use(ctx, offer); !errors.Is(err, identity.ErrDenied) {
		t.Errorf("used all the same: %v", err)
	}
	var began *session.Session
	if _, offer, err = h.nodes[0].Make(ctx, ten, h.ann.ID, "hers", time.Hour); err == nil {
		_, began, err = h.nodes[1].Use(ctx, offer)
	}
	if err != nil || began.UserID != h.ann.ID {
		t.Errorf("another: %+v, %v", began, err)
	}
}

// A ticket is used once, also by two at once on two nodes.
func TestOfferIsUsedOnceOnTwoNodes(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3)
	_, ctx := h.admin(t)
	for round := range 100 {
		ticket, o, err := h.nodes[2].Make(ctx, ten, h.ann.ID, "ticket", time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		var errs [2]error
		var wg sync.WaitGroup
		for i := range errs {
			wg.Go(func() { _, _, errs[i] = h.nodes[i].Use(ctx, o) })
		}
		wg.Wait()
		if (errs[0] == nil) == (errs[1] == nil) || !errors.Is(errors.Join(errs[:]...), impersonation.ErrDead) {
			t.Fatalf("round %d: %v and %v", round, errs[0], errs[1])
		}
		if _, err := h.nodes[2].Open(ctx, ticket); !errors.Is(err, impersonation.ErrDead) {
			t.Fatalf("round %d: it opens again: %v", round, err)
		}
		h.Pass(t, 2*time.Minute)
	}
}

// Whoever loses the right between link and use does not begin.
func TestOfferIsNoRight(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2)
	root, ctx := h.admin(t)
	_, o, err := h.nodes[0].Make(ctx, ten, h.ann.ID, "ticket", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	h.update(t, 1, func(tx *fsm.Tx) error {
		_, err1 := directory.CreateUser(tx, ten, directory.User{Username: "other", Admin: true})
		_, err2 := directory.UpdateUser(tx, ten, root.ID, 0, func(u *directory.User) error { u.Admin = false; return nil })
		return errors.Join(err1, err2)
	})
	if _, _, err := h.nodes[1].Use(ctx, o); !errors.Is(err, identity.ErrDenied) {
		t.Errorf("got %v", err)
	}
}
