package session_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/assurance"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/session"
	"github.com/quis-idp/quis/identity/settings"
)

// allow lets administrators act as others, or not.
func (h *house) allow(t testing.TB, node int, yes bool) {
	t.Helper()
	h.update(t, node, func(tx *fsm.Tx) error {
		a, _, err := settings.Get(tx, ten)
		if err != nil {
			return err
		}
		a.AllowImpersonation = yes
		return settings.Put(tx, 0, *a)
	})
}

// member makes a user of a tenant.
func (h *house) member(t testing.TB, tenant, name string, admin bool) (u *directory.User) {
	t.Helper()
	h.update(t, 0, func(tx *fsm.Tx) (err error) {
		u, err = directory.CreateUser(tx, tenant, directory.User{Username: name, Admin: admin})
		return err
	})
	return u
}

func (h *house) change(t testing.TB, node int, u *directory.User, change func(*directory.User)) {
	t.Helper()
	h.update(t, node, func(tx *fsm.Tx) error {
		_, err := directory.UpdateUser(tx, u.Tenant, u.ID, 0, func(u *directory.User) error { change(u); return nil })
		return err
	})
}

// impersonate begins at a node, and returns the session and its cookie.
func (h *house) impersonate(t testing.TB, node int, by *directory.User, life time.Duration) (session.Session, string) {
	t.Helper()
	var s *session.Started
	h.update(t, node, func(tx *fsm.Tx) (err error) {
		s, err = h.stores[node].Impersonate(tx, ten, h.user.ID, session.Impersonation{UserID: by.ID, Tenant: by.Tenant, Reason: "ticket 4711"}, life)
		return err
	})
	cookie, err := h.stores[node].Cookie(s)
	if err != nil {
		t.Fatal(err)
	}
	return s.Session, cookie
}

// events returns those of the tenant whose type begins so, newest first.
func (h *house) events(t testing.TB, typ string) (page []event.Event) {
	t.Helper()
	err := h.DB[0].View(t.Context(), func(tx *fsm.Tx) (err error) {
		page, _, err = event.List(tx, ten, event.Query{Type: typ, Limit: 100})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return page
}

func TestImpersonation(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3, session.Config{})
	admin := h.member(t, ten, "admin", true)
	h.allow(t, 0, true)
	s, cookie := h.impersonate(t, 0, admin, 5*time.Hour)
	if s.Level() != 0 || len(s.AMR) != 0 || s.Expires.Sub(s.AuthTime) != session.MaxImpersonation || s.Impersonator() != admin.ID {
		t.Errorf("%+v", s)
	}
	for node := range h.DB {
		got := h.find(t, node, cookie, nil)
		if got == nil || got.UserID != h.user.ID || got.Actor().Impersonator != admin.ID || got.Actor().ID != h.user.ID {
			t.Errorf("node %d: %+v", node, got)
		}
	}
	begun := h.events(t, string(event.ImpersonationStarted))
	if len(begun) != 1 || begun[0].Data["reason"] != "ticket 4711" || begun[0].Data["impersonator"] != admin.ID || begun[0].Data["until"] == "" ||
		begun[0].Actor.Impersonator != admin.ID || begun[0].Target.ID != s.ID {
		t.Errorf("%+v", begun)
	}
	if n := len(h.events(t, string(event.SessionStarted))); n != 0 {
		t.Errorf("%d events say that the person signed in", n)
	}
	for range 2 {
		h.update(t, 1, func(tx *fsm.Tx) error { return session.End(tx, ten, s.ID) })
	}
	h.find(t, 2, cookie, identity.ErrUnauthenticated)
	over := h.events(t, string(event.ImpersonationEnded))
	if len(over) != 1 || over[0].Data["why"] != "ended" || over[0].Data["impersonator"] != admin.ID {
		t.Errorf("%+v", over)
	}
}

func TestRefusesImpersonation(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, session.Config{})
	var acme *directory.Tenant
	h.update(t, 0, func(tx *fsm.Tx) (err error) {
		acme, err = directory.CreateTenant(tx, directory.Tenant{Slug: "acme", Name: "Acme"})
		return err
	})
	root, plain, off := h.member(t, ten, "root", true), h.member(t, ten, "plain", false), h.member(t, ten, "off", false)
	h.change(t, 0, off, func(u *directory.User) { u.Disabled = true })
	boss, worker := h.member(t, acme.ID, "boss", true), h.member(t, acme.ID, "worker", false)
	may := func(as, by *directory.User) error {
		return h.DB[0].View(t.Context(), func(tx *fsm.Tx) error {
			return session.MayImpersonate(tx, as.Tenant, as.ID, session.Impersonation{UserID: by.ID, Tenant: by.Tenant})
		})
	}
	if err := may(plain, root); !errors.Is(err, identity.ErrDenied) || !strings.Contains(err.Error(), "allow_impersonation") {
		t.Errorf("although nobody has allowed it: %v", err)
	}
	for _, tenant := range []string{ten, acme.ID} {
		h.update(t, 0, func(tx *fsm.Tx) error {
			a := settings.Default(tenant)
			a.AllowImpersonation = true
			return settings.Put(tx, 0, a)
		})
	}
	for _, c := range []struct {
		name   string
		as, by *directory.User
		ok     bool
	}{
		{"an administrator, as a user", plain, root, true},
		{"an administrator of everything, in another tenant", worker, root, true},
		{"an administrator of everything, as one of a tenant", boss, root, true},
		{"an administrator of a tenant, in it", worker, boss, true},
		{"an administrator of a tenant, as one of everything", root, boss, false},
		{"an administrator of a tenant, as a user of another", plain, boss, false},
		{"a user", worker, plain, false},
		{"a user, as an administrator", root, plain, false},
		{"oneself", root, root, false},
		{"a disabled user", off, root, false},
		{"nobody", &directory.User{Tenant: ten, ID: "usr_none"}, root, false},
		{"by nobody", plain, &directory.User{Tenant: ten, ID: "usr_none"}, false},
		{"by somebody of another tenant than they say", worker, &directory.User{Tenant: acme.ID, ID: root.ID}, false},
	} {
		if err := may(c.as, c.by); (err == nil) != c.ok || err != nil && !errors.Is(err, identity.ErrDenied) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	h.change(t, 0, boss, func(u *directory.User) { u.Disabled = true })
	if err := may(worker, boss); !errors.Is(err, identity.ErrDenied) {
		t.Errorf("by a disabled administrator: %v", err)
	}
}

// What an impersonation rests on is looked at with every request, on every node.
func TestImpersonationEndsWithWhatItRestsOn(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		take func(h *house, admin *directory.User)
		why  string
	}{
		"rights": {func(h *house, admin *directory.User) {
			h.change(t, 1, admin, func(u *directory.User) { u.Admin = false })
		}, "withdrawn"},
		"account": {func(h *house, admin *directory.User) {
			h.change(t, 1, admin, func(u *directory.User) { u.Disabled = true })
		}, "withdrawn"},
		"leave": {func(h *house, _ *directory.User) { h.allow(t, 1, false) }, "withdrawn"},
		"user": {func(h *house, _ *directory.User) {
			h.change(t, 1, h.user, func(u *directory.User) { u.Disabled = true })
		}, "withdrawn"},
		"time": {func(h *house, _ *directory.User) { h.Pass(t, 21*time.Minute) }, "expired"},
		"factor": {func(h *house, admin *directory.User) {
			h.update(t, 1, func(tx *fsm.Tx) error {
				all, err := h.stores[1].ListOf(tx, ten, admin.ID)
				if err != nil {
					return err
				}
				for _, m := range []assurance.Method{assurance.Password, assurance.TOTP} {
					if err := session.Prove(tx, ten, all[0].ID, assurance.Factor{Method: m, At: tx.Now()}); err != nil {
						return err
					}
				}
				return nil
			})
			h.update(t, 1, func(tx *fsm.Tx) error {
				return session.Disown(tx, ten, admin.ID, assurance.TOTP, "")
			})
		}, "withdrawn"},
		"sessions": {func(h *house, admin *directory.User) {
			h.update(t, 1, func(tx *fsm.Tx) error {
				n, err := session.EndAllOf(tx, ten, admin.ID)
				if n != 1 {
					t.Errorf("%d ended", n)
				}
				return err
			})
		}, "withdrawn"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, 3, session.Config{})
			admin := h.member(t, ten, "admin", true)
			h.member(t, ten, "other", true) // so that one stays
			h.allow(t, 0, true)
			_, cookie := h.impersonate(t, 0, admin, 20*time.Minute)
			_, own := h.start(t, 0, admin.ID)
			h.Pass(t, 19*time.Minute)
			for node := range h.DB {
				h.find(t, node, cookie, nil)
			}
			c.take(h, admin)
			for node := range h.DB {
				h.find(t, node, cookie, identity.ErrUnauthenticated)
				err := h.DB[node].View(t.Context(), func(tx *fsm.Tx) error {
					all, err := h.stores[node].ListOf(tx, ten, h.user.ID)
					if len(all) != 0 {
						t.Errorf("node %d lists %+v", node, all)
					}
					return err
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			if name == "time" || name == "leave" || name == "user" {
				h.find(t, 2, own, nil) // what is the administrator's own stays
			}
			var all sync.WaitGroup
			for node := range h.DB { // all three tell of the end, at once
				all.Go(func() {
					if err := h.stores[node].Sweep(t.Context()); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
			over := h.events(t, string(event.ImpersonationEnded))
			if len(over) != 1 || over[0].Data["why"] != c.why || over[0].Data["impersonator"] != admin.ID {
				t.Errorf("%+v", over)
			}
			before := h.Entries()
			if err := h.stores[1].Sweep(t.Context()); err != nil || h.Entries() != before {
				t.Errorf("sweeping nothing: %v, %d entries", err, h.Entries()-before)
			}
		})
	}
}

// While nothing can be written the end is not told; it ends all the same, and is told once that is over.
func TestEndIsToldOnceThereIsALeader(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2, session.Config{})
	admin := h.member(t, ten, "admin", true)
	h.allow(t, 0, true)
	_, cookie := h.impersonate(t, 0, admin, time.Minute)
	h.Pass(t, 2*time.Minute)
	h.SetLeader(false)
	for node := range h.DB {
		if err := h.stores[node].Sweep(t.Context()); !errors.Is(err, fsm.ErrUnavailable) {
			t.Errorf("node %d: %v", node, err)
		}
		h.find(t, node, cookie, identity.ErrUnauthenticated)
	}
	h.SetLeader(true)
	for node := range h.DB {
		if err := h.stores[node].Sweep(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if over := h.events(t, string(event.ImpersonationEnded)); len(over) != 1 || over[0].Data["why"] != "expired" {
		t.Errorf("%+v", over)
	}
}

// An impersonation that goes on is left alone.
func TestSweepLeavesWhatStands(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2, session.Config{})
	admin := h.member(t, ten, "admin", true)
	h.allow(t, 0, true)
	_, cookie := h.impersonate(t, 0, admin, time.Hour)
	before := h.Entries()
	for node := range h.DB {
		if err := h.stores[node].Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if h.Entries() != before {
		t.Errorf("%d entries", h.Entries()-before)
	}
	h.find(t, 1, cookie, nil)
}

// Attack: whoever acts as a user, and knows how to sign in as them, must not make of that session one
// that does not say so.
func TestImpersonationIsNotRenewed(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, session.Config{})
	admin := h.member(t, ten, "admin", true)
	h.allow(t, 0, true)
	s, cookie := h.impersonate(t, 0, admin, time.Hour)
	var r *session.Started
	h.update(t, 0, func(tx *fsm.Tx) (err error) {
		r, err = h.stores[0].Renew(tx, s.ID, session.Session{Tenant: ten, UserID: h.user.ID, Impersonation: s.Impersonation})
		return err
	})
	if r.Session.ID == s.ID || r.Session.Impersonation != nil {
		t.Errorf("%+v", r.Session)
	}
	h.find(t, 0, cookie, identity.ErrUnauthenticated)
	if n := len(h.events(t, string(event.ImpersonationEnded))); n != 1 {
		t.Errorf("%d ends", n)
	}
}

// The tenant's own lifetimes bound it, too.
func TestImpersonationLastsNoLongerThanSessions(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, session.Config{})
	admin := h.member(t, ten, "admin", true)
	h.allow(t, 0, true)
	h.decide(t, 0, func(s *settings.Session) { s.Idle, s.Absolute, s.RememberMe = 10, 10, 30 })
	if s, _ := h.impersonate(t, 0, admin, time.Hour); s.Expires.Sub(s.AuthTime) != 10*time.Minute || s.Remembered {
		t.Errorf("%+v", s)
	}
}
