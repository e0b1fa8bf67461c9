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

// A Removal is how something goes of which a person has only one: they are asked once more.
type Removal struct {
	Path  string // within the tenant: asks by GET, and does it by POST
	Title string
	Lead  string // what it means
	Ends  string // what else ends; may be empty
	Label string // of the button

	Proof    *page.Field // to be filled in; nil: nothing is
	Username string      // with Proof: for password managers
}

type removalView struct {
	Removal
	Account      page.Navigation
	Alert        page.Alert // why it has to stay: then there is no button
	Action, Back string
}

// Ask asks v once more, after a recent proof. why says in a person's words why it has to stay, ""
// if it need not: that is told without a proof.
func (m Removal) Ask(w http.ResponseWriter, r *http.Request, v *Visitor, why string) error {
	if why == "" {
		if ok, err := v.Fresh(w, r, m.Path); !ok {
			return err
		}
	}
	return m.Write(w, r, v, http.StatusOK, why)
}

// Write shows the page.
func (m Removal) Write(w http.ResponseWriter, r *http.Request, v *Visitor, status int, why string) error {
	return removalPage.Write(w, r, status, removalView{
		Removal: m, Account: v.Account(r, "security"), Alert: page.Alert{Text: why}, Action: page.Base(r) + m.Path, Back: page.Base(r) + securityPath,
	})
}

// Do takes it away by take, in one transaction, or shows why it has to stay, which take says. What
// is gone already is as wanted. done is what the page of security then confirms; see Visitor.Done.
func (m Removal) Do(w http.ResponseWriter, r *http.Request, v *Visitor, done string, take func(tx *fsm.Tx) (why string, err error)) error {
	if ok, err := v.Fresh(w, r, m.Path); !ok {
		return err
	}
	var why string
	err := v.Update(r.Context(), func(tx *fsm.Tx) (err error) {
		if why, err = take(tx); err == nil && why != "" {
			err = identity.Denied(why)
		}
		return err
	})
	if errors.Is(err, identity.ErrDenied) && why != "" {
		return m.Write(w, r, v, http.StatusUnprocessableEntity, why)
	}
	if err != nil && !errors.Is(err, fsm.ErrNotFound) {
		return err
	}
	return page.Onward(w, r, page.Base(r)+securityPath+"?done="+done)
}

const removePasswordPath = passwordPath + "/remove"

// removal asks for the password that goes, as a change of it does: who finds a browser open could
// otherwise set another one after that, without knowing this.
func removal(r *http.Request, v *Visitor) Removal {
	return Removal{
		Path: removePasswordPath, Title: site.Text(r, "password.remove.title"), Lead: site.Text(r, "password.remove.lead"), Ends: site.Text(r, "password.ends"),
		Label: site.Text(r, "password.remove.submit"), Username: v.User.Username,
		Proof: &page.Field{Name: "current", Label: site.Text(r, "password.current"), Type: "password", Autocomplete: "current-password", Focus: true},
	}
}

// keeps are the keys of why a password has to stay: that, of all things, is what others come after.
var keeps = map[spare.Why]string{spare.OnlyWay: "password.only_way", spare.OnlyFactor: "password.only_factor", spare.Halved: "password.halved"}

// kept says in a person's words why v needs the password, "" if they do not.
func kept(tx *fsm.Tx, r *http.Request, v *Visitor) (string, error) {
	why, err := spare.Without(tx, v.Tenant, v.UserID, func(l *spare.Left) { l.Password = false })
	if err != nil || why == "" {
		return "", err
	}
	return site.Text(r, keeps[why]), nil
}

func (p *password) askRemoval(w http.ResponseWriter, r *http.Request, v *Visitor) error {
	has, err := p.has(r, v)
	if err != nil {
		return err
	}
	if !has {
		return page.Onward(w, r, page.Base(r)+securityPath)
	}
	var why string
	err = p.cfg.DB.View(r.Context(), func(tx *fsm.Tx) error {
		why, err = kept(tx, r, v)
		return err
	})
	if err != nil {
		return err
	}
	return removal(r, v).Ask(w, r, v, why)
}

// remove takes the password away, and what it was proved for: a recovery that waits would go on
// with less.
func (p *password) remove(w http.ResponseWriter, r *http.Request, v *Visitor) error {
	f, err := page.Form(r)
	if err != nil {
		return err
	}
	m := removal(r, v)
	if ok, err := v.Fresh(w, r, m.Path); !ok {
		return err
	}
	if has, err := p.has(r, v); err != nil {
		return err
	} else if !has { // pressed twice
		return page.Onward(w, r, page.Base(r)+securityPath+"?done=password-removed")
	}
	known, err := p.prove(r, v, f.Get("current"))
	if errors.Is(err, identity.ErrUnauthenticated) {
		m.Proof.Error = site.Text(r, "password.wrong")
		return m.Write(w, r, v, http.StatusUnprocessableEntity, "")
	} else if err != nil {
		return err
	}
	return m.Do(w, r, v, "password-removed", func(tx *fsm.Tx) (string, error) {
		if why, err := kept(tx, r, v); err != nil || why != "" {
			return why, err
		}
		if set, err := credential.PasswordSet(tx, v.Tenant, v.UserID); err != nil {
			return "", err
		} else if !set.Equal(known) {
			return site.Text(r, "password.meanwhile"), nil
		}
		if err := credential.RemovePassword(tx, v.Tenant, v.UserID); err != nil {
			return "", err
		}
		if _, err := regain.Cancel(tx, v.Tenant, v.UserID, "password removed"); err != nil {
			return "", err
		}
		return "", v.shutOut(tx, "password removed")
	})
}
