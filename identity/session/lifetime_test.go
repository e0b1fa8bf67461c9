package session_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/session"
	"github.com/quis-idp/quis/identity/settings"
)

// remember is start for a person who asks to stay signed in.
func (h *house) remember(t testing.TB, node int) (session.Session, string) {
	t.Helper()
	var s *session.Started
	h.update(t, node, func(tx *fsm.Tx) (err error) {
		s, err = h.stores[node].Start(tx, session.Session{Tenant: ten, UserID: h.user.ID, AMR: []string{"pwd"}, Remembered: true})
		return err
	})
	cookie, err := h.stores[node].Cookie(s)
	if err != nil {
		t.Fatal(err)
	}
	return s.Session, cookie
}

// What a tenant lowers counts for sessions that live, on every node; what it raises again
// does not bring them back to more than they began with.
func TestLoweredLifetimesEndLivingSessions(t *testing.T) {
	t.Parallel()
	for name, lower := range map[string]func(s *settings.Session){
		"idle":     func(s *settings.Session) { s.Idle = 30 },
		"absolute": func(s *settings.Session) { s.Idle, s.Absolute = 30, 30 },
	} {
		h := newHouse(t, 3, session.Config{})
		s, cookie := h.start(t, 0, h.user.ID)
		h.Pass(t, 40*time.Minute)
		h.decide(t, 1, lower)
		for node := range h.DB {
			h.find(t, node, cookie, identity.ErrUnauthenticated)
			err := h.DB[node].View(t.Context(), func(tx *fsm.Tx) error {
				all, err := h.stores[node].ListOf(tx, ten, h.user.ID)
				page, _, lerr := h.stores[node].ListAll(tx, ten, "", 0)
				if len(all)+len(page) != 0 {
					t.Errorf("%s: node %d lists %d and %d sessions that are over", name, node, len(all), len(page))
				}
				return errors.Join(err, lerr)
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		h.decide(t, 2, func(s *settings.Session) { s.Idle, s.Absolute = 24*60, 30*24*60 })
		h.find(t, 1, cookie, nil)
		h.Pass(t, s.Expires.Sub(s.AuthTime)-40*time.Minute)
		h.find(t, 2, cookie, identity.ErrUnauthenticated)
	}
}

// A node that has not heard of the settings yet asks before it says yes.
func TestStaleNodeDoesNotOutliveLoweredLifetime(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2, session.Config{})
	_, cookie := h.start(t, 0, h.user.ID)
	h.Pass(t, 40*time.Minute)
	h.find(t, 1, cookie, nil)
	h.Pause(1)
	h.decide(t, 0, func(s *settings.Session) { s.Idle, s.Absolute = 10, 10 })
	fresh := session.NewStore(session.Config{DB: h.DB[1], Ring: h.rings[1], Fresh: func(context.Context) error {
		h.Resume(t, 1)
		return nil
	}})
	if _, err := fresh.Find(t.Context(), ten, cookie); !errors.Is(err, identity.ErrUnauthenticated) {
		t.Errorf("got %v", err)
	}
}

func TestRememberedSessions(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3, session.Config{})
	s, cookie := h.remember(t, 0)
	if s.Remembered || !s.Expires.Equal(s.AuthTime.Add(12*time.Hour)) {
		t.Errorf("remembered although the tenant does not offer it: %+v", s)
	}
	h.decide(t, 1, func(s *settings.Session) { s.RememberMe = 10 })
	h.Pass(t, 3*time.Hour)
	h.find(t, 0, cookie, identity.ErrUnauthenticated) // idle; it never was one that is remembered

	s, cookie = h.remember(t, 0)
	if !s.Remembered || !s.Expires.Equal(s.AuthTime.Add(10*24*time.Hour)) {
		t.Fatalf("%+v", s)
	}
	h.Pass(t, 9*24*time.Hour)
	for node := range h.DB {
		if got := h.find(t, node, cookie, nil); got == nil || !got.Expires.Equal(s.Expires) {
			t.Errorf("node %d: %+v", node, got)
		}
	}
	h.decide(t, 2, func(s *settings.Session) { s.RememberMe = 9 })
	h.find(t, 1, cookie, identity.ErrUnauthenticated)
	h.decide(t, 2, func(s *settings.Session) { s.RememberMe = 10 })
	h.find(t, 1, cookie, nil)
	h.decide(t, 2, func(s *settings.Session) { s.RememberMe = 0 }) // it is one like any other then
	h.find(t, 0, cookie, identity.ErrUnauthenticated)
	h.decide(t, 2, func(s *settings.Session) { s.RememberMe = 365 })
	h.Pass(t, 24*time.Hour)
	h.find(t, 0, cookie, identity.ErrUnauthenticated)
}

// An idle session that is remembered, and is no more, ends as if it had been idle all the time.
func TestIdleCountsOnceNobodyIsRemembered(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, session.Config{})
	h.decide(t, 0, func(s *settings.Session) { s.RememberMe = 1 })
	_, cookie := h.remember(t, 0)
	h.Pass(t, 4*time.Hour)
	h.find(t, 0, cookie, nil)
	h.Pass(t, 4*time.Hour)
	h.decide(t, 0, func(s *settings.Session) { s.RememberMe = 0 })
	h.find(t, 0, cookie, identity.ErrUnauthenticated)
}

// Proving more in a session that is remembered leaves it so; signing in anew without asking
// for it does not.
func TestRenewedSessionsAreRememberedIfAsked(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, session.Config{})
	h.decide(t, 0, func(s *settings.Session) { s.RememberMe = 10 })
	old, _ := h.remember(t, 0)
	for _, asked := range []bool{true, false} {
		h.update(t, 0, func(tx *fsm.Tx) error {
			r, err := h.stores[0].Renew(tx, old.ID, session.Session{Tenant: ten, UserID: h.user.ID, Remembered: asked})
			if err == nil && (r.Session.ID != old.ID || r.Session.Remembered != asked) {
				t.Errorf("asked %v: %+v", asked, r.Session)
			}
			return err
		})
	}
}
