package login

import (
	"net/url"
	"testing"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/directory"
)

// Who has to choose another password does not get by with the present one, though the policy
// remembers none.
func TestANewPasswordIsAnother(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	h.update(func(tx *fsm.Tx) error {
		u, err := directory.UserByUsername(tx, identity.DefaultTenant, "tester")
		if err != nil {
			return err
		}
		return credential.RequireChange(tx, identity.DefaultTenant, u.ID)
	})
	s := h.someone()
	a := s.try(s.form("/login"), "tester", secret).Want(t, 200, "Your password has to be replaced")
	renew := func(password string) {
		a = s.Post("/login/renew", url.Values{"flow": a.Hidden("flow")[:1], "password": {password}})
	}
	renew(secret)
	a.Want(t, 400, `id="password-error"`, "This is your current password")
	renew("")
	a.Want(t, 400, `id="password-error"`, "Enter your password")
	renew("another horse battery staple")
	a.Want(t, 200, "Signing you in")
	s.Get("/").Want(t, 200, "Hello, Test User")
}

const leaked = "a horse that others know"

// Who signs in with a password that was stolen elsewhere is told so, and in with another.
func TestWhyALeakedPasswordIsReplaced(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	phc, err := credential.NewPool(credential.Config{Params: credential.Params{Memory: 64, Time: 1, Threads: 1}}, nil).Hash(t.Context(), leaked)
	if err != nil {
		t.Fatal(err)
	}
	h.update(func(tx *fsm.Tx) error {
		u, err := directory.UserByUsername(tx, identity.DefaultTenant, "tester")
		if err != nil {
			return err
		}
		return credential.SetPassword(tx, identity.DefaultTenant, u.ID, phc)
	})
	s := h.someone()
	a := s.try(s.form("/login"), "tester", leaked).Want(t, 200, "This password is known from data that was stolen elsewhere")
	s.Post("/login/renew", url.Values{"flow": a.Hidden("flow")[:1], "password": {"another horse battery staple"}}).Want(t, 200, "Signing you in")
	s.Get("/").Want(t, 200, "Hello, Test User")
}
