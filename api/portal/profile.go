package portal

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/quis-idp/quis/api/page"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/language"
)

// EmailPath is where a person changes their address, within a tenant: pages of another room.
const EmailPath = "/account/email"

// profileView is who the person is, to be changed.
type profileView struct {
	Account page.Navigation
	Notice  string
	Alert   page.Alert
	Action  string

	Revision                    uint64 // of what the form shows
	Name, GivenName, FamilyName page.Field
	Locales                     []choice
	Username, Email             string
	EmailVerified               bool
	ChangeEmail                 string // where that is done
	Unreached                   string // what depends on an address that is not confirmed, or not there; "": nothing
}

// A choice is a language that the person may be spoken to in.
type choice struct {
	Tag, Name string
	Chosen    bool
}

func (p *Portal) showProfile(w http.ResponseWriter, r *http.Request, v *Visitor) error {
	return p.writeProfile(w, r, v, http.StatusOK, v.User, nil)
}

func (p *Portal) writeProfile(w http.ResponseWriter, r *http.Request, v *Visitor, status int, u *directory.User, faults []*identity.Error) error {
	view := profileView{
		Account: v.Account(r, "profile"), Action: page.Base(r) + "/account", Revision: v.revision,
		Name:       page.Field{Name: "name", Value: u.Name, Autocomplete: "name", Hint: site.Text(r, "profile.name.hint")},
		GivenName:  page.Field{Name: "given_name", Value: u.GivenName, Autocomplete: "given-name"},
		FamilyName: page.Field{Name: "family_name", Value: u.FamilyName, Autocomplete: "family-name"},
		Locales:    locales(r, u.Locale),
		Username:   v.User.Username, Email: v.User.Email, EmailVerified: v.User.EmailVerified, ChangeEmail: page.Base(r) + EmailPath,
	}
	view.Name.Label, view.GivenName.Label, view.FamilyName.Label = site.Text(r, "profile.name"), site.Text(r, "profile.given_name"), site.Text(r, "profile.family_name")
	if v.Done == "changed" {
		view.Notice = site.Text(r, "profile.changed")
	}
	if p.cfg.Mails != nil {
		err := p.cfg.DB.View(r.Context(), func(tx *fsm.Tx) error {
			c, err := p.unreached(tx, r, v)
			view.Unreached = c.Lead
			return err
		})
		if err != nil {
			return err
		}
	}
	fields := []*page.Field{&view.Name, &view.GivenName, &view.FamilyName}
	for _, f := range fields {
		f.Optional, f.Fixed = true, view.Account.Acting
	}
	page.Refuse(r, &view.Alert, faults, fields...)
	return profilePage.Write(w, r, status, view)
}

// locales offers the languages, and the present one if an administrator has set another.
func locales(r *http.Request, chosen string) []choice {
	all := []choice{{Name: site.Text(r, "profile.locale.browser")}}
	for _, t := range language.All {
		all = append(all, choice{Tag: string(t), Name: t.Name()})
	}
	known := false
	for i := range all {
		all[i].Chosen = all[i].Tag == chosen
		known = known || all[i].Chosen
	}
	if !known {
		all = append(all, choice{Tag: chosen, Name: chosen, Chosen: true})
	}
	return all
}

// changeProfile takes the form. It changes what the person saw and nothing that somebody
// else has changed meanwhile.
func (p *Portal) changeProfile(w http.ResponseWriter, r *http.Request, v *Visitor) error {
	f, err := page.Form(r)
	if err != nil {
		return err
	}
	rev, err := strconv.ParseUint(f.Get("revision"), 10, 64)
	if err != nil || rev == 0 {
		return page.Unreadable(r)
	}
	typed := *v.User
	edit := func(u *directory.User) error {
		u.Name, u.GivenName, u.FamilyName = strings.TrimSpace(f.Get("name")), strings.TrimSpace(f.Get("given_name")), strings.TrimSpace(f.Get("family_name"))
		u.Locale = f.Get("locale")
		return nil
	}
	_ = edit(&typed) // for the form, if it comes back; it never fails
	err = v.Update(r.Context(), func(tx *fsm.Tx) error {
		_, err := directory.UpdateUser(tx, v.Tenant, v.UserID, rev, edit)
		return err
	})
	switch {
	case errors.Is(err, identity.ErrPrecondition):
		stale := identity.Invalid("", site.Text(r, "profile.stale"))
		return p.writeProfile(w, r, v, http.StatusConflict, &typed, identity.Errors(stale))
	case errors.Is(err, identity.ErrInvalid):
		return p.writeProfile(w, r, v, http.StatusUnprocessableEntity, &typed, identity.Errors(err))
	case err != nil:
		return err
	}
	return page.Onward(w, r, page.Base(r)+"/account?done=changed")
}
