package portal_test

import (
	"strings"
	"testing"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/settings"
)

const (
	lost   = "you cannot get back in by mail when you have forgotten your password"
	missed = "messages about your account may not reach you"
)

// mails opens another door, behind which mail is sent, or not.
func (h *house) mails(yes bool) {
	h.T.Helper()
	h.Mails = func(*fsm.Tx, string) (bool, error) { return yes, nil }
	h.open()
}

func (h *house) address(name, email string, proved bool) {
	h.T.Helper()
	h.Update(func(tx *fsm.Tx) error {
		_, err := directory.UpdateUser(tx, identity.DefaultTenant, h.Users[name], 0, func(u *directory.User) error {
			u.Email, u.EmailVerified = email, proved
			return nil
		})
		return err
	})
}

// silent checks that nothing is said about an address.
func (s *someone) silent(why string) {
	s.T.Helper()
	for _, path := range []string{"/account", "/account/security"} {
		if a := s.Get(path).Want(s.T, 200); strings.Contains(a.Page, missed) {
			s.T.Errorf("%s: %s says that messages may go astray", why, path)
		}
	}
}

// Whom no mail is sure to reach reads what that means, and where it is mended.
func TestWhomNoMailReachesIsTold(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.enter("ada").silent("nobody knows of mail")
	h.mails(false)
	h.enter("ada").silent("no mail is sent")
	h.mails(true)
	s := h.enter("ada")
	s.Get("/account").Want(t, 200, lost, missed, `href="/account/email">Confirm this address`)
	s.Get("/account/security").Want(t, 200, "Your email address is not confirmed", lost, missed, `href="/account/email">Confirm this address`)
	h.address("ada", "", false)
	s.Get("/account").Want(t, 200, lost, missed, `href="/account/email">Add an email address`)
	s.Get("/account/security").Want(t, 200, "Your account has no email address", lost, missed, `href="/account/email">Add an email address`)
	h.Update(func(tx *fsm.Tx) error {
		a := settings.Default(identity.DefaultTenant)
		a.ForgotPassword = false
		return settings.Put(tx, 0, a)
	})
	for _, path := range []string{"/account", "/account/security"} {
		if a := s.Get(path).Want(t, 200, missed); strings.Contains(a.Page, lost) {
			t.Errorf("%s promises a recovery that is not open", path)
		}
	}
	h.address("ada", "ada@example.com", true)
	s.silent("the address is confirmed")
}

// Who acts as somebody reads it, too, but is led nowhere: it is not theirs to mend.
func TestActingReadsOfTheAddress(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.mails(true)
	s := h.acting()
	for _, path := range []string{"/account", "/account/security"} {
		if a := s.Get(path).Want(t, 200, lost); strings.Contains(a.Page, "/account/email") {
			t.Errorf("%s leads to a change of the address", path)
		}
	}
}
