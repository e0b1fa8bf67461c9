package admin_test

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/quis-idp/quis/api/client"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/directory"
)

// givePassword gives a user one; which is never asked for here.
func (h *house) givePassword(user string) {
	h.t.Helper()
	h.update(func(tx *fsm.Tx) error {
		return credential.SetPassword(tx, identity.DefaultTenant, user, "$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA")
	})
}

// Whoever has not followed their invitation, or has nothing to sign in with, does not stand in for
// the last administrator who has.
func TestTheLastAdministratorIsOneWhoCanSignIn(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	boss, token := h.person(identity.DefaultTenant, "boss", true)
	h.person(identity.DefaultTenant, "away", true)
	h.givePassword(h.rootUser)
	c := h.client(token)
	losses := map[string]func() error{
		"deleted":  func() error { return c.Users.Delete(t.Context(), h.rootUser) },
		"disabled": func() error { return only(c.Users.Set(t.Context(), h.rootUser, map[string]any{"disabled": true}, "")) },
		"demoted":  func() error { return only(c.Users.Set(t.Context(), h.rootUser, map[string]any{"admin": false}, "")) },
	}
	refused := func(when string) {
		t.Helper()
		for what, lose := range losses {
			if err := lose(); client.Status(err) != 403 || !strings.Contains(err.Error(), "root is the last administrator of this installation who can sign in") {
				t.Errorf("%s, %s: %v", when, what, err)
			}
		}
	}
	refused("nobody else has a password")
	h.givePassword(boss)
	h.update(func(tx *fsm.Tx) error {
		_, err := directory.UpdateUser(tx, identity.DefaultTenant, boss, 0, func(u *directory.User) error { u.Disabled = true; return nil })
		return err
	})
	c = h.client(h.root)
	if err := c.Users.Delete(t.Context(), h.rootUser); client.Status(err) != 403 {
		t.Errorf("the other is disabled: %v", err)
	}
	h.update(func(tx *fsm.Tx) error {
		_, err := directory.UpdateUser(tx, identity.DefaultTenant, boss, 0, func(u *directory.User) error { u.Disabled = false; return nil })
		return err
	})
	h.must(h.client(token).Users.Delete(t.Context(), h.rootUser)) // boss is left
}

// Of two who can sign in and remove each other at once, one stays; a third, who cannot, changes nothing.
func TestTwoAdministratorsWhoCanSignInRemoveEachOther(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	boss, _ := h.person(identity.DefaultTenant, "boss", true)
	h.person(identity.DefaultTenant, "invited", true)
	h.givePassword(h.rootUser)
	h.givePassword(boss)
	var both, done sync.WaitGroup // both have looked before either has written
	both.Add(2)
	errs := make([]error, 2)
	for i, other := range []string{h.rootUser, boss} {
		done.Go(func() {
			first := true
			errs[i] = h.db.Update(t.Context(), func(tx *fsm.Tx) error {
				err := directory.DeleteUser(tx, identity.DefaultTenant, other, 0)
				if first {
					first = false
					both.Done()
					both.Wait()
				}
				return err
			})
		})
	}
	done.Wait()
	if (errs[0] == nil) == (errs[1] == nil) || !errors.Is(errors.Join(errs...), identity.ErrDenied) {
		t.Errorf("%v", errs)
	}
}
