package portal

import (
	"errors"
	"net/http"

	"github.com/quis-idp/quis/api/page"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/regain"
)

// A Removal is how something goes of which a person has only one: they are asked once more.
type Removal struct {
	Path  string // within the tenant: asks by GET, and does it by POST
	Title string
	Lead  string // what it means
	Ends  string // what else ends; may be empty
	Loss  Loss   // what the loss of what is left would mean
	Label string // of the button

	Proof    *page.Field // to be filled in; nil: nothing is
	Username string      // with Proof: for password managers
}

type removalView struct {
	Removal
	Account      page.Navigation
	Alert        page.Alert // why it has to stay: then there is no button
	First        *Action    // what to add then
	Action, Back string
}

// Ask asks v once more, after a recent proof, unless it has to stay: that is told without one.
func (m Removal) Ask(w http.ResponseWriter, r *http.Request, v *Visitor, stay Stay) error {
	if stay.Why == "" {
		if ok, err := v.Fresh(w, r, m.Path); !ok {
			return err
		}
	}
	return m.Write(w, r, v, http.StatusOK, stay)
}

// Write shows the page.
func (m Removal) Write(w http.ResponseWriter, r *http.Request, v *Visitor, status int, stay Stay) error {
	return removalPage.Write(w, r, status, removalView{
		Removal: m, Account: v.Account(r, "security"), Alert: page.Alert{Text: stay.Why}, First: stay.First, Action: page.Base(r) + m.Path, Back: page.Base(r) + securityPath,
	})
}

// Do takes it away by take, in one transaction, or shows why it has to stay, which take says. What
// is gone already is as wanted. done is what the page of security then confirms; see Visitor.Done.
func (m Removal) Do(w http.ResponseWriter, r *http.Request, v *Visitor, done string, take func(tx *fsm.Tx) (Stay, error)) error {
	if ok, err := v.Fresh(w, r, m.Path); !ok {
		return err
	}
	var stay Stay
	err := v.UpdateFresh(r.Context(), func(tx *fsm.Tx) (err error) {
		if stay, err = take(tx); err == nil && stay.Why != "" {
			err = identity.Denied(stay.Why)
		}
		return err
	})
	if errors.Is(err, identity.ErrDenied) && stay.Why != "" {
		return m.Write(w, r, v, http.StatusUnprocessableEntity, stay)
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

func (p *password) askRemoval(w http.ResponseWriter, r *http.Request, v *Visitor) error {
	has, _, err := p.has(r, v)
	if err != nil {
		return err
	}
	if !has {
		return page.Onward(w, r, page.Base(r)+securityPath)
	}
	var stay Stay
	err = p.cfg.DB.View(r.Context(), func(tx *fsm.Tx) error {
		stay, err = kept(tx, r, v)
		return err
	})
	if err != nil {
		return err
	}
	m := removal(r, v)
	if m.Loss, err = p.loss(r, v); err != nil {
		return err
	}
	return m.Ask(w, r, v, stay)
}

// remove takes the password away, and what it was proved for: a recovery that waits would go on
// with less.
func (p *password) remove(w http.ResponseWriter, r *http.Request, v *Visitor) error {
	f, err := page.Form(r)
	if err != nil {
		return err
	}
	m := removal(r, v)
	if m.Loss, err = p.loss(r, v); err != nil {
		return err
	}
	if ok, err := v.Fresh(w, r, m.Path); !ok {
		return err
	}
	if has, _, err := p.has(r, v); err != nil {
		return err
	} else if !has { // pressed twice
		return page.Onward(w, r, page.Base(r)+securityPath+"?done=password-removed")
	}
	known, err := p.prove(r, v, f.Get("current"))
	if errors.Is(err, identity.ErrUnauthenticated) {
		m.Proof.Error = site.Text(r, "password.wrong")
		return m.Write(w, r, v, http.StatusUnprocessableEntity, Stay{})
	} else if err != nil {
		return err
	}
	return m.Do(w, r, v, "password-removed", func(tx *fsm.Tx) (Stay, error) {
		if stay, err := kept(tx, r, v); err != nil || stay.Why != "" {
			return stay, err
		}
		if set, err := credential.PasswordSet(tx, v.Tenant, v.UserID); err != nil {
			return Stay{}, err
		} else if !set.Equal(known) {
			return Stay{Why: site.Text(r, "password.meanwhile")}, nil
		}
		if err := credential.RemovePassword(tx, v.Tenant, v.UserID); err != nil {
			return Stay{}, err
		}
		if _, err := regain.Cancel(tx, v.Tenant, v.UserID, "password removed"); err != nil {
			return Stay{}, err
		}
		return Stay{}, v.shutOut(tx, "password removed")
	})
}
