package join

import (
	"cmp"
	"errors"
	"net/http"

	"github.com/quis-idp/quis/api/page"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/assurance"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/pending"
)

var errUsed = errors.New("invitation does not stand")

// used says that it is the invitation that is not found.
func used(err error) error {
	if errors.Is(err, fsm.ErrNotFound) {
		return errors.Join(errUsed, err)
	}
	return err
}

// invited returns the account that an invitation lets its holder make. It uses nothing up. nil:
// it has answered already.
func (p *Pages) invited(w http.ResponseWriter, r *http.Request) (*entry, *http.Request, error) {
	wait, giveBack := p.cfg.SignIn.Admit(r, ruleInvitation)
	if wait > 0 {
		return nil, r, identity.Limited("", wait)
	}
	tenant, secret := identity.TenantFrom(r.Context()).ID, r.PathValue("secret")
	var i *pending.Invitation
	err := p.cfg.DB.Read(r.Context(), func(tx *fsm.Tx) (err error) {
		i, err = pending.FindInvitation(tx, tenant, secret)
		return err
	})
	if errors.Is(err, fsm.ErrNotFound) {
		return nil, r, message(w, r, http.StatusGone, "used")
	}
	if err != nil {
		return nil, r, err
	}
	w.Header().Set("Referrer-Policy", "no-referrer") // the address holds the secret
	action := page.Base(r) + pending.InvitationPath + secret
	r = page.Within(r, i.Locale, action)
	e := &entry{
		id: i.ID, action: action, passkey: action + "/passkey", email: i.Email, username: i.Username, chooses: i.Username == "", name: i.Name, giveBack: giveBack,
		may: func(tx *fsm.Tx, e *entry) error {
			return used(pending.CheckAcceptance(tx, tenant, secret, pending.Acceptance{Username: e.username, Name: e.name}))
		},
		makes: func(tx *fsm.Tx, e *entry) (*directory.User, error) {
			u, err := pending.Accept(tx, tenant, secret, pending.Acceptance{
				Username: e.username, Name: e.name, Locale: cmp.Or(i.Locale, string(page.Language(r))),
			})
			return u, used(err)
		},
	}
	if i.Mailed {
		e.proved = []assurance.Factor{{Method: assurance.Mail}}
	}
	return e, r, nil
}

func (p *Pages) askInvited(w http.ResponseWriter, r *http.Request) error {
	e, r, err := p.invited(w, r)
	if e == nil {
		return err
	}
	e.giveBack()
	return p.askAccount(w, r, e, http.StatusOK, nil)
}

// accept takes the form of an invitation. The network stays counted after a hash of which no account came.
func (p *Pages) accept(w http.ResponseWriter, r *http.Request) error {
	if _, err := page.Form(r); err != nil {
		return err
	}
	e, r, err := p.invited(w, r)
	if e == nil {
		return err
	}
	defer func() {
		if e.made || !e.hashed {
			e.giveBack()
		}
	}()
	if e.flow, err = p.cfg.SignIn.Visit(w, r, ""); err != nil {
		return err
	}
	err = p.submit(w, r, e)
	if errors.Is(err, errUsed) { // by somebody who was faster
		return message(w, r, http.StatusGone, "used")
	}
	return err
}

func (p *Pages) invitedByPasskey(w http.ResponseWriter, r *http.Request) error {
	if _, err := page.Form(r); err != nil {
		return err
	}
	e, r, err := p.invited(w, r)
	if e == nil {
		return err
	}
	e.giveBack()
	return p.byPasskey(w, r, e)
}
