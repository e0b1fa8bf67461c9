package authentication

import (
	"github.com/quis-idp/quis/api/admin/dispatch"
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
	p, err := credential.PolicyNow(c.Ctx, a.cfg.DB, c.Tenant.ID)
	if err != nil {
		return nil, err
	}
	told := p.Told()
	return &told, nil
}
