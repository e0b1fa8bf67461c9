package portal

import (
	"net/http"

	"github.com/quis-idp/quis/api/page"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/settings"
)

// unreached is what v is told whom no mail is sure to reach, though mail is sent from here, with where that
// is mended; without a title, it reaches them.
func (p *Portal) unreached(tx *fsm.Tx, r *http.Request, v *Visitor) (c Card, err error) {
	if p.cfg.Mails == nil || v.User.Email != "" && v.User.EmailVerified {
		return c, nil
	}
	if sends, err := p.cfg.Mails(tx, v.Tenant); err != nil || !sends {
		return c, err
	}
	a, _, err := settings.Get(tx, v.Tenant)
	if err != nil {
		return c, err
	}
	mend := Action{Label: site.Text(r, "profile.confirm_email"), Path: page.Base(r) + EmailPath, Main: true}
	c.Title, c.Lead = site.Text(r, "reach.unproved"), site.Text(r, "reach.messages")
	if v.User.Email == "" {
		c.Title, mend.Label = site.Text(r, "reach.none"), site.Text(r, "profile.add_email")
	}
	if a.LocalLogin && a.ForgotPassword {
		c.Lead = site.Text(r, "reach.recovery")
	}
	c.Actions = v.may(mend)
	return c, nil
}
