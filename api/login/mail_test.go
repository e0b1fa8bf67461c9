package login

import (
	"net/url"
	"testing"
	"time"

	"github.com/quis-idp/quis/api/limit"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/settings"
)

// Letters cost nothing to ask for, so they are counted, and the code that comes back undoes that: who signs in
// by mail uses up nothing, and who does not keeps nobody at the same address from using a password.
func TestLettersAreLimited(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(c *Config) { c.PerAddress = limit.Rate{Burst: 2, Every: time.Hour} })
	h.update(func(tx *fsm.Tx) error {
		u, err := directory.UserByLogin(tx, identity.DefaultTenant, "tester")
		if err != nil {
			return err
		}
		_, err = directory.UpdateUser(tx, identity.DefaultTenant, u.ID, 0, func(u *directory.User) error { u.EmailVerified = true; return nil })
		return err
	})
	h.decide(func(a *settings.Authentication) { a.EmailOTP = true })
	ask := func(name string) (s *someone, flow string, status int) {
		s = h.someone()
		a := s.Post("/login/mail", url.Values{"flow": {s.form("/login")}, "username": {name}})
		if a.StatusCode == 200 {
			flow = a.Hidden("flow")[0]
		}
		return s, flow, a.StatusCode
	}
	for i := range 5 {
		s, flow, status := ask("tester")
		if status != 200 {
			t.Fatalf("letter %d of somebody who signs in with it: %d", i+1, status)
		}
		s.Post("/login/code", url.Values{"flow": {flow}, "code": {h.sent.Load().Code}}).Want(t, 200)
	}
	for i, want := range []int{200, 200, 429} {
		if _, _, got := ask("nobody"); got != want {
			t.Errorf("letter %d of which no code comes back: %d, want %d", i+1, got, want)
		}
	}
	s := h.someone()
	s.try(s.form("/login"), "tester", secret).Want(t, 200)
}
