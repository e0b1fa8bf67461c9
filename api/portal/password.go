package portal

import (
	"errors"
	"net/http"
	"time"

	"github.com/quis-idp/quis/api/page"
	"github.com/quis-idp/quis/federation/oidc/family"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/credential/strength"
	"github.com/quis-idp/quis/identity/language"
	"github.com/quis-idp/quis/identity/session"
	"github.com/quis-idp/quis/identity/settings"
	"github.com/quis-idp/quis/identity/spare"
)

const (
	passwordPath  = securityPath + "/password"
	disowned      = "disowned"         // what is done: the person has said that something was not their doing
	refused       = "disowned-refused" // the same of a sign-in by which nobody got in
	passwordAfter = "password-"        // before these two: the password was changed since then
)

// password is the section of what the person knows by heart.
type password struct{ *Portal }

// passwordView is the form for another password.
type passwordView struct {
	Account                page.Navigation
	Has                    bool // there is one, which is asked for
	Notice                 string
	Alert                  page.Alert
	Action, Back, Username string
	Current, Fresh, Repeat page.Field
}

func (p *password) Card(tx *fsm.Tx, r *http.Request, v *Visitor) (Card, error) {
	set, err := credential.PasswordSet(tx, v.Tenant, v.UserID)
	if err != nil {
		return Card{}, err
	}
	decided, _, err := settings.Get(tx, v.Tenant)
	if err != nil {
		return Card{}, err
	}
	c := Card{Title: site.Text(r, "password.title"), Lead: site.Text(r, "password.lead")}
	if !decided.PasswordLogin {
		c.Lead = site.Text(r, "password.closed")
	}
	switch v.Done {
	case "password", passwordAfter + disowned, passwordAfter + refused:
		c.Notice = site.Text(r, "password.changed")
	case "password-made":
		c.Notice = site.Text(r, "password.made")
	case "password-removed":
		c.Notice = site.Text(r, "password.removed")
	}
	if set.IsZero() && !decided.PasswordLogin { // another one would be of no use
		return c, nil
	}
	if set.IsZero() {
		enters, err := spare.Enters(tx, v.User)
		if c.Lead = site.Text(r, "password.none"); !enters {
			c.Lead = site.Text(r, "password.alone")
		}
		c.Actions = []Action{{Label: site.Text(r, "password.add"), Path: passwordPath, Main: !enters}}
		return c, err
	}
	c.Rows = []Row{{
		Name: site.Text(r, "password.title"), Facts: []string{site.Text(r, "password.since", language.Date(page.Language(r), set))},
		Actions: []Action{
			{Label: site.Text(r, "password.change"), Path: passwordPath},
			{Label: site.Text(r, "password.remove"), Names: site.Text(r, "password.remove.title"), Path: removePasswordPath},
		},
	}}
	return c, nil
}

func (p *password) Routes(handle, _ Mount) {
	handle("GET "+passwordPath, p.ask)
	handle("POST "+passwordPath, p.change)
	handle("GET "+removePasswordPath, p.askRemoval)
	handle("POST "+removePasswordPath, p.remove)
}

// has reports whether v has a password, and whether it is due for a change.
func (p *password) has(r *http.Request, v *Visitor) (has, due bool, err error) {
	err = p.cfg.DB.View(r.Context(), func(tx *fsm.Tx) error {
		set, err := credential.PasswordSet(tx, v.Tenant, v.UserID)
		if has = !set.IsZero(); err != nil || !has {
			return err
		}
		why, err := credential.Expired(tx, v.Tenant, v.UserID)
		due = why != ""
		return err
	})
	return has, due, err
}

// ask shows the form, after a recent proof. Whoever has a password proves it there once more.
func (p *password) ask(w http.ResponseWriter, r *http.Request, v *Visitor) error {
	has, due, err := p.has(r, v)
	if err != nil {
		return err
	}
	if v.disowned() && !due { // nothing to change, or it has been on the way here, where it was asked for
		done := passwordAfter + v.Done
		if !has {
			done = v.Done
		}
		return page.Onward(w, r, page.Base(r)+securityPath+"?done="+done)
	}
	if ok, err := v.FreshToSetUp(w, r, v.passwordForm()); !ok {
		return err
	}
	return p.write(w, r, v, has, http.StatusOK, nil)
}

// passwordForm is where the form is for v, who may have said that something was not their doing.
func (v *Visitor) passwordForm() string {
	if v.disowned() {
		return passwordPath + "?done=" + v.Done
	}
	return passwordPath
}

func (v *Visitor) disowned() bool { return v.Done == disowned || v.Done == refused }

func (p *password) write(w http.ResponseWriter, r *http.Request, v *Visitor, has bool, status int, faults []*identity.Error) error {
	policy, err := credential.PolicyNow(r.Context(), p.cfg.DB, v.Tenant)
	if err != nil {
		return err
	}
	return writePassword(w, r, v, has, status, policy.Least(), faults)
}

// writePassword is the form for passwords of at least so many characters.
func writePassword(w http.ResponseWriter, r *http.Request, v *Visitor, has bool, status, least int, faults []*identity.Error) error {
	view := passwordView{
		Account: v.Account(r, "security"), Has: has, Action: page.Base(r) + v.passwordForm(), Back: page.Base(r) + securityPath, Username: v.User.Username,
		Current: page.Field{Name: "current", Label: site.Text(r, "password.current"), Type: "password", Autocomplete: "current-password", Focus: has},
		Fresh:   page.Field{Name: "password", Label: site.Text(r, "password.fresh"), Type: "password", Autocomplete: "new-password", Hint: site.Text(r, "password.hint", least), Focus: !has, Check: page.CheckPath(r)},
		Repeat:  page.Field{Name: "repeat", Label: site.Text(r, "password.repeat"), Type: "password", Autocomplete: "new-password"},
	}
	switch v.Done {
	case disowned:
		view.Notice = site.Text(r, "password.disowned")
	case refused:
		view.Notice = site.Text(r, "password.refused")
	}
	page.Refuse(r, &view.Alert, faults, &view.Current, &view.Fresh, &view.Repeat)
	return passwordPage.Write(w, r, status, view)
}

// change sets another password. Every other session ends with it, and what applications
// hold: whoever else knew the old one is out.
func (p *password) change(w http.ResponseWriter, r *http.Request, v *Visitor) error {
	f, err := page.Form(r)
	if err != nil {
		return err
	}
	has, _, err := p.has(r, v)
	if err != nil {
		return err
	}
	if ok, err := v.FreshToSetUp(w, r, v.passwordForm()); !ok {
		return err
	}
	again := func(status int, err error) error {
		return p.write(w, r, v, has, status, identity.Errors(err))
	}
	if f.Get("password") != f.Get("repeat") {
		return again(http.StatusUnprocessableEntity, identity.Invalid("repeat", site.Text(r, "password.differ")))
	}
	var known time.Time // when the password was set that has been proved
	if has {
		if known, err = p.prove(r, v, f.Get("current")); errors.Is(err, identity.ErrUnauthenticated) {
			return again(http.StatusUnprocessableEntity, identity.Invalid("current", site.Text(r, "password.wrong")))
		} else if err != nil {
			return err
		}
		if err := credential.Another(f.Get("current"), f.Get("password")); err != nil {
			return again(http.StatusUnprocessableEntity, err)
		}
	}
	phc, err := credential.Prepare(r.Context(), p.cfg.DB, p.cfg.Pool, p.cfg.Checks, whose(r, v), f.Get("password"))
	if errors.Is(err, identity.ErrInvalid) {
		return again(http.StatusUnprocessableEntity, err)
	}
	if err != nil {
		return err
	}
	if err := p.set(r, v, known, phc); err != nil {
		return err
	}
	done := "password"
	switch {
	case !has:
		done = "password-made"
	case v.disowned():
		done = passwordAfter + v.Done
	}
	return page.Onward(w, r, page.Base(r)+securityPath+"?done="+done)
}

// whose is what the password must not be made of.
func whose(r *http.Request, v *Visitor) credential.Person {
	u := v.User
	return credential.Person{Tenant: v.Tenant, UserID: v.UserID, About: strength.About{
		Username: u.Username, Email: u.Email, Name: u.Name, Others: []string{u.GivenName, u.FamilyName, identity.TenantFrom(r.Context()).Slug},
	}}
}

// prove checks the present password and returns when it was set.
func (p *password) prove(r *http.Request, v *Visitor, current string) (set time.Time, err error) {
	if wait := p.guesses.Take(v.UserID); wait > 0 {
		return set, identity.Limited(site.Text(r, "password.wait"), wait)
	}
	err = p.cfg.DB.View(r.Context(), func(tx *fsm.Tx) (err error) {
		set, err = credential.PasswordSet(tx, v.Tenant, v.UserID)
		return err
	})
	if err != nil {
		return set, err
	}
	err = credential.CheckPassword(r.Context(), p.cfg.DB, p.cfg.Pool, v.Tenant, v.UserID, current)
	if !errors.Is(err, identity.ErrUnauthenticated) {
		p.guesses.GiveBack(v.UserID)
	}
	return set, err
}

// set is one log entry. A password that somebody has set meanwhile is not the one that was
// proved.
func (p *password) set(r *http.Request, v *Visitor, known time.Time, phc string) error {
	return v.UpdateToSetUp(r.Context(), func(tx *fsm.Tx) error {
		set, err := credential.PasswordSet(tx, v.Tenant, v.UserID)
		if err != nil {
			return err
		}
		if !set.Equal(known) {
			return identity.Invalid("", site.Text(r, "password.meanwhile"))
		}
		if err := credential.SetPassword(tx, v.Tenant, v.UserID, phc); err != nil {
			return err
		}
		return v.shutOut(tx, "password changed")
	})
}

// shutOut ends whatever somebody else may have begun who knew the password that is no more:
// every other session, and what applications hold.
func (v *Visitor) shutOut(tx *fsm.Tx, why string) error {
	if err := family.RevokeAll(tx, v.Tenant, v.UserID, why); err != nil {
		return err
	}
	_, err := session.EndOthersOf(tx, v.Tenant, v.UserID, v.ID)
	return err
}
