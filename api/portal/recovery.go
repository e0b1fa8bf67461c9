package portal

import (
	"net/http"

	"github.com/quis-idp/quis/api/page"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/language"
	"github.com/quis-idp/quis/identity/regain"
)

const recoveryPath = "/account/recovery/stop"

// warning is what every page of v shows while somebody is getting into the account without
// what it is signed in to with: a channel that nobody has but who is signed in.
func warning(r *http.Request, v *Visitor) page.Warning {
	if v.recovery == nil {
		return page.Warning{}
	}
	w := page.Warning{Text: site.Text(r, "recovery.warning.now"), Label: site.Text(r, "recovery.stop"), Action: page.Base(r) + recoveryPath}
	if left := v.recovery.Ready.Sub(v.portal.cfg.DB.Now()); left > 0 {
		w.Text = site.Text(r, "recovery.warning", language.Duration(page.Language(r), left))
	}
	return w
}

// stopRecovery takes a person's word that it is not them who gets back in.
func (p *Portal) stopRecovery(w http.ResponseWriter, r *http.Request, v *Visitor) error {
	err := v.Update(r.Context(), func(tx *fsm.Tx) error {
		_, err := regain.Stop(tx, v.Tenant, v.UserID, "stopped by the user")
		return err
	})
	if err != nil {
		return err
	}
	return page.Onward(w, r, page.Base(r)+securityPath+"?done=recovery-stopped")
}
