package login

import (
	"net/http"
	"testing"

	"github.com/quis-idp/quis/api/page/pagetest"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential/passkey"
	"github.com/quis-idp/quis/identity/credential/passkey/passkeytest"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/settings"
)

// Whoever has a passkey is asked for it after the password.
func TestPasskeyIsAskedForAsSecondFactor(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	site := identity.Tenant{ID: identity.DefaultTenant, Issuer: publicURL}
	a := &passkeytest.Authenticator{Origin: publicURL, UV: true}
	rules := settings.Default(site.ID).Passkey
	h.update(func(tx *fsm.Tx) error {
		u, err := directory.UserByUsername(tx, site.ID, "tester")
		if err != nil {
			return err
		}
		options, session, err := passkey.BeginRegistration(tx, site, "A house", rules, u, true)
		if err != nil {
			return err
		}
		response, err := a.Create(options)
		if err == nil {
			_, err = passkey.Register(tx, site, rules, u.ID, session, response, "key")
		}
		return err
	})
	s := h.someone()
	second := s.try(s.form("/login"), "tester", secret).Want(t, http.StatusOK, "Use your passkey", `data-passkey="get"`)
	pagetest.Check(t, "second", second.Page)
}
