package ciba_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quis-idp/quis/federation/ciba"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/session"
)

func TestRefusesAFloodOfOneUser(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2)
	var all sync.WaitGroup
	var mu sync.Mutex
	begun, limited := 0, 0
	for i := range 3 * ciba.MaxPending {
		r := h.request(t)
		all.Go(func() {
			err := h.DB[i%2].Update(t.Context(), func(tx *fsm.Tx) error { return ciba.Start(tx, r, 0) })
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				begun++
			case errors.Is(err, identity.ErrLimited):
				limited++
			default:
				t.Error(err)
			}
		})
	}
	all.Wait()
	if begun != ciba.MaxPending || limited != 2*ciba.MaxPending {
		t.Errorf("%d began, %d were refused", begun, limited)
	}
	other := h.request(t)
	other.UserID = h.grace.UserID
	h.update(t, 0, func(tx *fsm.Tx) error { return ciba.Start(tx, other, 0) })
}

// Requests that were denied, again and again, must not be a way around the limit.
func TestRefusesAFloodOfDeniedRequests(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	for range 4 * ciba.MaxPending {
		r := h.start(t)
		h.update(t, 0, func(tx *fsm.Tx) error { return ciba.Deny(tx, tenant, r.Family, h.ada) })
	}
	r := h.request(t)
	err := h.DB[0].Update(t.Context(), func(tx *fsm.Tx) error { return ciba.Start(tx, r, 0) })
	if !errors.Is(err, identity.ErrLimited) {
		t.Errorf("one more: %v", err)
	}
}

func TestRefusesADecisionByAnotherUser(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	r := h.start(t)
	stranger := *h.ada
	stranger.Tenant = "ten_other"
	for what, decide := range map[string]func(tx *fsm.Tx) error{
		"approve": func(tx *fsm.Tx) error { return ciba.Approve(tx, tenant, r.Family, h.grace) },
		"deny":    func(tx *fsm.Tx) error { return ciba.Deny(tx, tenant, r.Family, h.grace) },
		"tenant":  func(tx *fsm.Tx) error { return ciba.Approve(tx, tenant, r.Family, &stranger) },
	} {
		if err := h.DB[0].Update(t.Context(), decide); !errors.Is(err, fsm.ErrNotFound) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestRefusesApprovalInSomebodyElsesName(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	r := h.start(t)
	s := *h.ada
	s.Impersonation = &session.Impersonation{UserID: "usr_admin", Tenant: tenant, Reason: "x"}
	err := h.DB[0].Update(t.Context(), func(tx *fsm.Tx) error { return ciba.Approve(tx, tenant, r.Family, &s) })
	if !errors.Is(err, identity.ErrDenied) {
		t.Errorf("approved: %v", err)
	}
}

func TestDecidedOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2)
	for round := range 50 {
		r := h.start(t)
		decide := []func(tx *fsm.Tx) error{
			func(tx *fsm.Tx) error { return ciba.Approve(tx, tenant, r.Family, h.ada) },
			func(tx *fsm.Tx) error { return ciba.Deny(tx, tenant, r.Family, h.ada) },
		}
		var errs [2]error
		var all sync.WaitGroup
		for i := range errs {
			all.Go(func() { errs[i] = h.DB[i].Update(t.Context(), decide[(i+round)%2]) })
		}
		all.Wait()
		if (errs[0] == nil) == (errs[1] == nil) || !errors.Is(errors.Join(errs[0], errs[1]), ciba.ErrDecided) {
			t.Fatalf("%v and %v", errs[0], errs[1])
		}
		h.pass(t, 2*time.Minute)
	}
}

func TestRequestIsWhatPeopleCanRead(t *testing.T) {
	t.Parallel()
	for message, want := range map[string]bool{
		"": true, "W4SCT": true, "Zahlung über 12,50 €": true, strings.Repeat("x", 101): false,
		"a\u202eb": false, "two\nlines": false, "\xff": false,
	} {
		if ciba.ValidMessage(message) != want {
			t.Errorf("message %q: %v", message, !want)
		}
	}
	for token, want := range map[string]bool{
		token: true, "short": false, strings.Repeat("x", 1025): false, token + "\r\nX: y": false, token + "==": true, "": false,
	} {
		if ciba.ValidToken(token) != want {
			t.Errorf("token %q: %v", token, !want)
		}
	}
	for text, want := range map[string]time.Duration{"": 0, "60": time.Minute, "99999": ciba.MaxLifetime, "0": -1, "-1": -1, "1.5": -1, "x": -1, "99999999999": -1} {
		got, ok := ciba.ParseExpiry(text)
		if ok != (want >= 0) || ok && got != want {
			t.Errorf("expiry %q: %v, %v", text, got, ok)
		}
	}
}
