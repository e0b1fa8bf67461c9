package consent

import (
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/quis-idp/quis/api/page"
	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/device"
	"github.com/quis-idp/quis/federation/oidc/family"
	"github.com/quis-idp/quis/federation/poll"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/language"
)

const kindDevice = "device"

// askUserCode shows the form for a code. One in the address (RFC 8628, section 3.3.1) only
// fills it in: who follows a link that somebody sent has to read what it is about first.
func (p *Pages) askUserCode(w http.ResponseWriter, r *http.Request) error {
	typed := r.URL.Query().Get("user_code")
	code, ok := device.ParseUserCode(typed)
	back := "/device"
	if ok {
		back = deviceBack(code)
	}
	v, err := p.visitor(w, r, back)
	if v == nil {
		return err
	}
	r = page.Account(r, v.user.Locale)
	if ok {
		typed = device.ShowUserCode(code)
	}
	return p.showUserCode(w, r, v, http.StatusOK, typed, "")
}

func deviceBack(code string) string { return "/device?" + url.Values{"user_code": {code}}.Encode() }

func (p *Pages) showUserCode(w http.ResponseWriter, r *http.Request, v *visitor, status int, typed, fault string) error {
	return userCodePage.Write(w, r, status, userCodeView{
		Acting: page.ActingIf(r, v.Impersonation != nil), Person: shown(v.user), Action: page.Base(r) + "/device",
		Code: page.Field{
			Name: "user_code", Label: site.Text(r, "code.label"), Value: identity.Printable(typed, 32), Autocomplete: "off",
			Hint: site.Text(r, "code.hint"), Error: fault, Focus: true,
		},
	})
}

// askDevice looks the code up and shows what it is for.
func (p *Pages) askDevice(w http.ResponseWriter, r *http.Request) error {
	f, err := page.Form(r)
	if err != nil {
		return err
	}
	v, err := p.visitor(w, r, "/device")
	if v == nil {
		return err
	}
	r = page.Account(r, v.user.Locale)
	typed := f.Get("user_code")
	a, app, err := p.findDevice(r, v, typed)
	if errors.Is(err, fsm.ErrNotFound) {
		return p.showUserCode(w, r, v, http.StatusNotFound, typed, site.Text(r, "code.wrong"))
	}
	if err != nil {
		return err
	}
	lacks, err := p.lacking(r.Context(), v, a.Application)
	if err != nil {
		return err
	}
	if lacks != nil {
		return p.raise(w, r, v, lacks, deviceBack(a.UserCode))
	}
	ticket, err := p.ticket(kindDevice, v, a.Family)
	if err != nil {
		return err
	}
	asks, err := p.asksOf(r, app, &a.Grant)
	if err != nil {
		return err
	}
	return devicePage.Write(w, r, http.StatusOK, deviceView{
		Person: shown(v.user), Application: app.DisplayName(), Code: device.ShowUserCode(a.UserCode),
		Asks: asks, From: origin(r, a.From), Begun: language.Ago(page.Language(r), time.UnixMilli(a.Created), p.cfg.DB.Now()),
		Elsewhere: a.From.Network() != identity.RequestFrom(r.Context()).Network(),
		Action:    page.Base(r) + "/device/decision", Ticket: ticket,
	})
}

// findDevice finds what a code is for. A miss counts as a guess, and a hit does not.
func (p *Pages) findDevice(r *http.Request, v *visitor, typed string) (a *device.Authorization, app *federation.Application, err error) {
	code, ok := device.ParseUserCode(typed)
	if !ok {
		return nil, nil, fsm.ErrNotFound // cannot be a code: nothing is learned by it
	}
	network := identity.RequestFrom(r.Context()).Network()
	if wait := max(p.user.Take(v.Tenant+" "+v.UserID), p.address.Take(network)); wait > 0 {
		return nil, nil, identity.Limited(site.Text(r, "code.limited"), wait)
	}
	err = p.cfg.DB.Read(r.Context(), func(tx *fsm.Tx) (err error) {
		if a, err = device.ByUserCode(tx, v.Tenant, code); err != nil {
			return err
		}
		app, _, err = federation.Get(tx, v.Tenant, a.Application)
		return err
	})
	if err == nil {
		p.user.GiveBack(v.Tenant + " " + v.UserID)
		p.address.GiveBack(network)
	}
	return a, app, err
}

// decideDevice takes the decision.
func (p *Pages) decideDevice(w http.ResponseWriter, r *http.Request) error {
	f, err := page.Form(r)
	if err != nil {
		return err
	}
	v, err := p.visitor(w, r, "/device")
	if v == nil {
		return err
	}
	r = page.Account(r, v.user.Locale)
	id, err := p.asked(kindDevice, v, f.Get("ticket"))
	if err != nil {
		return p.gone(w, r, err)
	}
	decide, text := device.Deny, "denied"
	if f.Get("decision") == "allow" { // anything else is a no
		decide, text = device.Approve, "allowed"
	}
	if err := p.decide(r.Context(), v, id, decide); err != nil {
		return p.undecided(w, r, v, id, err)
	}
	return messagePage.Write(w, r, http.StatusOK, messageView{
		Title: site.Text(r, "device."+text+".title"), Detail: site.Text(r, "device."+text+".detail"),
		Link: page.Base(r) + "/", Label: site.Text(r, "home.link"),
	})
}

// undecided tells why the decision about a device did not count, or leads to what is to be proved first.
func (p *Pages) undecided(w http.ResponseWriter, r *http.Request, v *visitor, id family.ID, why error) error {
	var lacks *poll.NotEnough
	if !errors.As(why, &lacks) {
		return p.gone(w, r, why)
	}
	var a *device.Authorization
	err := p.cfg.DB.View(r.Context(), func(tx *fsm.Tx) (err error) {
		a, err = device.Get(tx, v.Tenant, id)
		return err
	})
	if err != nil {
		return p.gone(w, r, err)
	}
	return p.raise(w, r, v, lacks, deviceBack(a.UserCode))
}

// gone tells that there is nothing to decide any more; other errors stay errors.
func (p *Pages) gone(w http.ResponseWriter, r *http.Request, err error) error {
	if !errors.Is(err, fsm.ErrNotFound) && !errors.Is(err, fsm.ErrExists) {
		return err
	}
	return messagePage.Write(w, r, http.StatusGone, messageView{
		Title: site.Text(r, "gone.title"), Detail: site.Text(r, "gone.detail"),
		Link: page.Base(r) + "/", Label: site.Text(r, "home.link"),
	})
}
