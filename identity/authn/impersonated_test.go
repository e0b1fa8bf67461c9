package authn_test

import (
	"testing"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/authn"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/session"
	"github.com/quis-idp/quis/identity/settings"
)

// acting begins a session in which an administrator acts as ann.
func (h *house) acting(t testing.TB) (s *session.Session) {
	t.Helper()
	root := h.user(t, directory.User{Username: "root", Admin: true}, good)
	h.update(t, 0, func(tx *fsm.Tx) error {
		a := settings.Default(ten)
		a.AllowImpersonation = true
		if err := settings.Put(tx, 0, a); err != nil {
			return err
		}
		started, err := h.nodes[0].sessions.Impersonate(tx, ten, h.ann.ID, session.Impersonation{UserID: root.ID, Tenant: ten, Reason: "ticket"}, time.Hour)
		if err == nil {
			s = &started.Session
		}
		return err
	})
	return s
}

// Who acts as somebody else gets into what the tenant asks of sign-ins, but not into what asks
// for more, and never raises the session.
func TestImpersonatedSessionStands(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	n := h.nodes[0]
	h.app(t)
	s, ctx := h.acting(t), from(t, "192.0.2.1")
	for mfa, want := range map[string]authn.Standing{"": authn.Enough, "inherit": authn.Enough, "disabled": authn.Enough, "any": authn.Unmet, "passkey": authn.Unmet, "nonsense": authn.Unmet} {
		if got, err := n.Stands(ctx, s, authn.Need{MFA: mfa}); err != nil || got != want {
			t.Errorf("%q: %d, %v", mfa, got, err)
		}
	}
	if got, _, err := n.Sensitive(ctx, s); err != nil || got != authn.Unmet {
		t.Errorf("sensitive: %d, %v", got, err)
	}
	f := n.fresh(t, ctx)
	f.Browser.SessionID = s.ID
	if raised, err := n.Raise(ctx, f, s); err != nil || raised {
		t.Errorf("raised %v, %v", raised, err)
	}
	// The person themselves, in that very browser, begins a session of their own.
	f = n.half(t, ctx, authn.Browser{SessionID: s.ID})
	if f.UserID != h.ann.ID || len(f.Have) != 0 {
		t.Errorf("%+v", f)
	}
}
