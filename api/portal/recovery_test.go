package portal_test

import (
	"strings"
	"testing"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/regain"
)

// While somebody gets back into an account, every page of whoever is signed in says so,
// and has the button that stops it.
func TestRecoveryIsSeenAndStopped(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s, grace := h.enter("ada"), h.enter("grace")
	begin := func(tx *fsm.Tx) error {
		_, err := regain.Begin(tx, identity.DefaultTenant, h.Users["ada"])
		return err
	}
	h.Update(begin)
	for _, path := range []string{"/account", "/account/security", "/account/sessions", "/account/activity", "/account/tokens"} {
		s.Get(path).Want(t, 200, "Somebody is about to get into your account", "in 24 hours", `action="/account/recovery/stop"`)
		if strings.Contains(grace.Get(path).Page, "about to get into") {
			t.Errorf("%s: told to somebody else", path)
		}
	}
	grace.Post("/account/recovery/stop", nil).Want(t, 303)
	h.Pass(25 * time.Hour)
	s = h.enter("ada")
	s.Get("/account").Want(t, 200, "Somebody can get into your account now")
	to := s.Post("/account/recovery/stop", nil).Want(t, 303).Header.Get("Location")
	a := s.Get(to).Want(t, 200, "It was stopped")
	if strings.Contains(a.Page, "/account/recovery/stop") {
		t.Error("the button is still there")
	}
	s.Get("/account/activity").Want(t, 200, "The recovery of your account was stopped")
	if err := h.DB.Update(t.Context(), begin); err == nil {
		t.Error("it is begun again at once")
	}
}

// The page after a button is pressed shows what that did, though another node did it a moment ago.
func TestStoppedThroughAnotherNode(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.enter("ada")
	h.Update(func(tx *fsm.Tx) error {
		_, err := regain.Begin(tx, identity.DefaultTenant, h.Users["ada"])
		return err
	})
	other := h.Cluster.DB[h.Cluster.Join(t)]
	h.Cluster.Pause(0)
	err := other.Update(t.Context(), func(tx *fsm.Tx) error {
		_, err := regain.Stop(tx, identity.DefaultTenant, h.Users["ada"], "stopped by the user")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Get("/account/security").Want(t, 200, "Somebody is about to get into your account") // this node has not heard
	a := s.Get("/account/security?done=recovery-stopped").Want(t, 200, "It was stopped")
	if strings.Contains(a.Page, "Somebody is about to get into your account") {
		t.Error("the page says that it was stopped, and that it goes on")
	}
}

// An account that was recovered gives away no tokens for a while.
func TestRecoveredAccountRests(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.Update(func(tx *fsm.Tx) error {
		_, err := regain.Begin(tx, identity.DefaultTenant, h.Users["ada"])
		return err
	})
	h.Pass(24 * time.Hour)
	h.Update(func(tx *fsm.Tx) error {
		r, err := regain.Waiting(tx, identity.DefaultTenant, h.Users["ada"])
		if err != nil {
			return err
		}
		return regain.Finish(tx, identity.DefaultTenant, h.Users["ada"], r.ID)
	})
	s := h.enter("ada")
	s.Get("/account/tokens/new").Want(t, 403, "recovered not long ago")
	s.Post("/account/tokens/new", map[string][]string{"name": {"cli"}, "days": {"30"}, "scope": {"me"}}).Want(t, 403, "recovered not long ago")
	h.Pass(24 * time.Hour)
	h.enter("ada").Get("/account/tokens/new").Want(t, 200)
}
