package authentication

import (
	"github.com/quis-idp/quis/api/admin/dispatch"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/credential/strength"
)

func (a *api) passwords() []route {
	return []route{{
		Method: "GET", Path: "/me/password-policy", Op: "getMyPasswordPolicy", Needs: dispatch.OfPerson, Do: handle(a.passwordPolicy),
		Summary: "Say what the tenant of the token's user asks of new passwords.",
	}}
}

// passwordPolicy is for forms of other programs, which tell it while somebody types; whether
// a password will do is decided where it is set.
func (a *api) passwordPolicy(c *call, _ *none) (*strength.Told, error) {
	var p strength.Policy
	err := a.cfg.DB.View(c.Ctx, func(tx *fsm.Tx) (err error) {
		p, err = credential.PolicyOf(tx, c.Tenant.ID)
		return err
	})
	if err != nil {
		return nil, err
	}
	told := p.Told()
	return &told, nil
}
