package portal

import (
	"net/http"
	"time"

	"github.com/quis-idp/quis/api/page"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/assurance"
	"github.com/quis-idp/quis/identity/authn"
	"github.com/quis-idp/quis/identity/credential/recovery"
	"github.com/quis-idp/quis/identity/language"
	"github.com/quis-idp/quis/identity/regain"
	"github.com/quis-idp/quis/identity/settings"
	"github.com/quis-idp/quis/identity/spare"
)

// A Loss is what it means to lose all passkeys, for who has nothing else.
type Loss struct {
	Says  string  // in a person's words; "": they have something else
	Codes *Action // makes recovery codes, where these would make it easier; nil: they would not
}

// loss says how v gets back in who has no password any more and then loses all passkeys, as
// package authn and regain let them.
func (p *password) loss(r *http.Request, v *Visitor) (l Loss, err error) {
	open, err := p.cfg.Flows.Open(r.Context(), &authn.Flow{Need: authn.Need{Tenant: v.Tenant}})
	if err != nil {
		return l, err
	}
	err = p.cfg.DB.View(r.Context(), func(tx *fsm.Tx) error {
		left, err := spare.LeftTo(tx, v.User)
		if err != nil {
			return err
		}
		a, _, err := settings.Get(tx, v.Tenant)
		if err != nil {
			return err
		}
		set, err := recovery.Get(tx, v.Tenant, v.UserID)
		if err != nil {
			return err
		}
		certified, err := spare.Certified(tx, v.User)
		left.Password, left.Codes = false, set != nil && set.Left() > 0
		if err == nil && !certified && left.OnlyPasskeys(a) {
			l = lossOf(r, left, a, open.Recover && left.Mail)
		}
		return err
	})
	return l, err
}

// lossOf is loss of who has left; mailed: a code by mail lets them begin.
func lossOf(r *http.Request, left spare.Left, a *settings.Authentication, mailed bool) Loss {
	both := []assurance.Method{assurance.Mail, assurance.Recovery}
	_, counts := regain.Combinations(a.Recovery.Methods, both, []assurance.Factor{{Method: both[0]}, {Method: both[1]}})
	counts = counts && mailed
	asked := left.Passkeys > left.Unasked // what a browser made by itself nobody is asked for
	switch {
	case counts && left.Codes:
		return Loss{Says: site.Text(r, "loss.codes")}
	case mailed && regain.Alone(a) && (!asked || a.Recovery.Delay == 0):
		return Loss{Says: site.Text(r, "loss.mail")}
	}
	l := Loss{Says: site.Text(r, "loss.administrator")}
	if mailed && regain.Alone(a) {
		l.Says = site.Text(r, "loss.wait", language.Duration(page.Language(r), time.Duration(a.Recovery.Delay)*time.Hour))
	}
	if counts {
		l.Says = site.Text(r, "sentences", l.Says, site.Text(r, "loss.advice"))
		l.Codes = &Action{Label: site.Text(r, "loss.make"), Path: page.Base(r) + securityPath + "/codes"}
	}
	return l
}
