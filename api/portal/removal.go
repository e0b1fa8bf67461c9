package portal

import (
	"errors"
	"net/http"

	"github.com/quis-idp/quis/api/page"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/regain"
	"github.com/quis-idp/quis/identity/spare"
)

const removePasswordPath = passwordPath + "/remove"

// removalView asks whether the password shall go, or says why it has to stay.
type removalView struct {
	Account      page.Navigation
	Alert        page.Alert // why it has to stay
	Action, Back string
}

// keeps are the keys of why a password has to stay: that of all things begins a sign-in.
var keeps = map[spare.Why]string{spare.OnlyWay: "password.only_way", spare.OnlyFactor: "password.only_factor", spare.Idle: "password.idle"}

func withoutPassword(tx *fsm.Tx, v *Visitor) (spare.Why, error) {
	return spare.Without(tx, v.Tenant, v.UserID, func(l *spare.Left) { l.Password = false })
}

// confirm asks once more. Who may not remove it is told so before they prove who they are.
func (p *password) confirm(w http.ResponseWriter, r *http.Request, v *Visitor) error {
	has, err := p.has(r, v)
	if err != nil {
		return err
	}
	if !has {
		return page.Onward(w, r, page.Base(r)+securityPath)
	}
	var why spare.Why
	err = p.cfg.DB.View(r.Context(), func(tx *fsm.Tx) error {
		why, err = withoutPassword(tx, v)
		return err
	})
	if err != nil {
		return err
	}
	if why == "" {
		if ok, err := v.Fresh(w, r, removePasswordPath); !ok {
			return err
		}
	}
	return writeRemoval(w, r, v, http.StatusOK, why)
}

func writeRemoval(w http.ResponseWriter, r *http.Request, v *Visitor, status int, why spare.Why) error {
	view := removalView{Account: v.Account(r, "security"), Action: page.Base(r) + removePasswordPath, Back: page.Base(r) + securityPath}
	if why != "" {
		view.Alert.Text = site.Text(r, keeps[why])
	}
	return removalPage.Write(w, r, status, view)
}

// remove takes the password away, unless it is needed. One that is gone is as wanted.
func (p *password) remove(w http.ResponseWriter, r *http.Request, v *Visitor) error {
	if ok, err := v.Fresh(w, r, removePasswordPath); !ok {
		return err
	}
	var why spare.Why
	err := v.Update(r.Context(), func(tx *fsm.Tx) (err error) {
		if why, err = withoutPassword(tx, v); err != nil {
			return err
		}
		if why != "" {
			return identity.Denied(site.Text(r, keeps[why]))
		}
		if err := credential.RemovePassword(tx, v.Tenant, v.UserID); err != nil {
			return err
		}
		if _, err := regain.Cancel(tx, v.Tenant, v.UserID, "password removed"); err != nil { // which had proved it
			return err
		}
		return v.shutOut(tx, "password removed")
	})
	if errors.Is(err, identity.ErrDenied) && why != "" {
		return writeRemoval(w, r, v, http.StatusUnprocessableEntity, why)
	}
	if err != nil && !errors.Is(err, fsm.ErrNotFound) {
		return err
	}
	return page.Onward(w, r, page.Base(r)+securityPath+"?done=password-removed")
}
