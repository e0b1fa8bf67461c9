package join

import (
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/quis-idp/quis/api/login"
	"github.com/quis-idp/quis/api/page"
	"github.com/quis-idp/quis/api/problem"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/assurance"
	"github.com/quis-idp/quis/identity/authn"
	"github.com/quis-idp/quis/identity/credential/mailcode"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/notify"
	"github.com/quis-idp/quis/identity/notify/letter"
	"github.com/quis-idp/quis/identity/registration"
)

// longestLink bounds the link in a mail: some programs break longer ones. The code does the same.
const longestLink = 2000

// begin returns the flow of a request to a page of registration. nil: it has answered already.
func (p *Pages) begin(w http.ResponseWriter, r *http.Request) (*authn.Flow, *http.Request, error) {
	if _, err := page.Form(r); err != nil {
		return nil, r, err
	}
	f, err := p.cfg.SignIn.Visit(w, r, r.FormValue("flow"))
	if err != nil {
		return nil, r, err
	}
	r = page.Within(r, f.Need.Locales, page.Base(r)+login.RegisterPath+"?flow="+url.QueryEscape(f.Sealed()))
	open, err := p.cfg.Flows.Open(r.Context(), f)
	if err != nil {
		return nil, r, err
	}
	var state notify.State
	err = p.cfg.DB.View(r.Context(), func(tx *fsm.Tx) (err error) {
		state, err = p.cfg.Mail.State(tx, identity.TenantFrom(r.Context()).ID)
		return err
	})
	if err == nil && (!open.Register || state == notify.StateNone) {
		return nil, r, message(w, r, http.StatusForbidden, "closed")
	}
	return f, r, err
}

// askAddress is where registering begins, and where the link of the mail leads. It says
// nothing about an address, so it may be asked for by anybody.
func (p *Pages) askAddress(w http.ResponseWriter, r *http.Request) error {
	f, r, err := p.begin(w, r)
	if err != nil || f == nil {
		return err
	}
	q := r.URL.Query()
	if q.Has("join") {
		w.Header().Set("Referrer-Policy", "no-referrer")
		return p.showCode(w, r, f, http.StatusOK, q.Get("join"), q.Get("token"), nil)
	}
	return showAddress(w, r, f, http.StatusOK, f.Need.LoginHint, nil)
}

func showAddress(w http.ResponseWriter, r *http.Request, f *authn.Flow, status int, email string, faults []*identity.Error) error {
	view := addressView{
		Application: f.Need.Application, Action: page.Base(r) + login.RegisterPath, Flow: f.Sealed(),
		SignIn: page.Base(r) + "/login?" + url.Values{"flow": {f.Sealed()}, "another": {"yes"}}.Encode(),
		Email: page.Field{
			Name: "email", Label: site.Text(r, "address.email"), Type: "email", Value: page.Typed(email), Autocomplete: "email", Focus: true,
		},
	}
	page.Refuse(r, &view.Alert, faults, &view.Email)
	return addressPage.Write(w, r, status, view)
}

// sendCode mails a code to the address, whether it may be used or is somebody's already, and
// says the same in both cases.
func (p *Pages) sendCode(w http.ResponseWriter, r *http.Request) error {
	f, r, err := p.begin(w, r)
	if err != nil || f == nil {
		return err
	}
	t := identity.TenantFrom(r.Context())
	if wait := p.network.Take(identity.RequestFrom(r.Context()).Network()); wait > 0 {
		return identity.Limited("", wait)
	}
	if wait := p.tenant.Take(t.ID); wait > 0 {
		return identity.Limited("", wait)
	}
	email := r.PostForm.Get("email")
	begun, err := p.desk.Begin(r.Context(), t.ID, email)
	if errors.Is(err, identity.ErrInvalid) {
		return showAddress(w, r, f, http.StatusUnprocessableEntity, email, identity.Errors(err))
	}
	if err != nil {
		return err
	}
	m := notify.Message{Letter: letter.VerifyEmail, To: begun.To, Locale: string(page.Language(r)), Data: letter.Data{
		Application: f.Need.Application, Code: begun.Code, Minutes: int(mailcode.Lifetime.Minutes()), Link: linkTo(t, f, begun),
	}}
	if begun.Taken {
		m.Letter, m.Data.Code, m.Data.Link = letter.AddressTaken, "", t.Issuer+"/login"
	}
	p.cfg.Mail.Send(r.Context(), t.ID, m)
	return p.showCode(w, r, f, http.StatusOK, begun.Box, "", nil)
}

// linkTo leads back to the flow where the link is followed in the same browser; elsewhere, and
// where that would make it too long, to the start page.
func linkTo(t identity.Tenant, f *authn.Flow, b *registration.Begun) string {
	to := t.Issuer + login.RegisterPath + "?" + url.Values{"join": {b.Box}, "token": {b.Token}}.Encode()
	with := to + "&" + url.Values{"flow": {f.Sealed()}}.Encode()
	if len(with) <= longestLink {
		return with
	}
	return to
}

// showCode asks for the code, or, of who followed the link, for a press of the button.
func (p *Pages) showCode(w http.ResponseWriter, r *http.Request, f *authn.Flow, status int, box, token string, faults []*identity.Error) error {
	email, err := p.desk.Address(r.Context(), identity.TenantFrom(r.Context()).ID, box)
	if errors.Is(err, registration.ErrDead) {
		return message(w, r, http.StatusGone, "late")
	}
	if err != nil {
		return err
	}
	base := page.Base(r) + login.RegisterPath
	view := codeView{
		Action: base + "/code", Flow: f.Sealed(), Box: box, Token: token, Email: email, Again: base,
		Code:    page.Field{Name: "code", Label: site.Text(r, "code.code"), Autocomplete: "one-time-code", Numeric: true, Focus: true},
		Restart: base + "?" + url.Values{"flow": {f.Sealed()}}.Encode(),
	}
	if len(faults) > 0 {
		view.Token = ""
	}
	for _, fault := range faults {
		if fault.Field == "code" {
			view.Code.Error = page.Detail(r, fault)
			continue
		}
		text := site.Text(r, "code.wrong")
		if fault.RetryAfter > 0 { // it was not looked at: it may be right
			text = page.Detail(r, fault)
		}
		view.Code.Wrong(&view.Alert, text)
	}
	return codePage.Write(w, r, status, view)
}

// takeCode takes the code, or the token of the link, and shows the form of the account.
func (p *Pages) takeCode(w http.ResponseWriter, r *http.Request) error {
	f, r, err := p.begin(w, r)
	if err != nil || f == nil {
		return err
	}
	wait, giveBack := p.cfg.SignIn.Admit(r, ruleRegistration)
	if wait > 0 {
		return identity.Limited("", wait)
	}
	box := r.PostForm.Get("join")
	proved, err := p.desk.Prove(r.Context(), identity.TenantFrom(r.Context()).ID, box, r.PostForm.Get("code"))
	guessed := errors.Is(err, identity.ErrUnauthenticated) || errors.Is(err, identity.ErrLimited)
	if !guessed {
		giveBack()
	}
	switch {
	case errors.Is(err, registration.ErrDead):
		return message(w, r, http.StatusGone, "late")
	case guessed, errors.Is(err, identity.ErrInvalid):
		status, faults := http.StatusUnprocessableEntity, identity.Errors(err)
		if wait := longest(faults); wait > 0 {
			status = http.StatusTooManyRequests
			w.Header().Set("Retry-After", problem.RetryAfter(wait))
		}
		return p.showCode(w, r, f, status, box, "", faults)
	case err != nil:
		return err
	}
	e, err := p.proved(w, r, f, proved)
	if e == nil {
		return err
	}
	return p.askAccount(w, r, e, http.StatusOK, nil)
}

// longest is when to come back, if one of faults says so.
func longest(faults []*identity.Error) (wait time.Duration) {
	for _, f := range faults {
		wait = max(wait, f.RetryAfter)
	}
	return wait
}

// proved returns the account that a proved address lets its owner make. nil: it has answered.
func (p *Pages) proved(w http.ResponseWriter, r *http.Request, f *authn.Flow, box string) (*entry, error) {
	tenant := identity.TenantFrom(r.Context()).ID
	a, err := p.desk.Open(r.Context(), tenant, box)
	if errors.Is(err, registration.ErrDead) {
		return nil, message(w, r, http.StatusGone, "late")
	}
	if err != nil {
		return nil, err
	}
	base := page.Base(r) + login.RegisterPath
	return &entry{
		id: a.ID, action: base + "/account", passkey: base + "/passkey", email: a.Email, flow: f,
		hidden: []hidden{{"flow", f.Sealed()}, {"proved", box}}, proved: []assurance.Factor{{Method: assurance.Mail, Ref: a.Email, At: a.At}},
		may: func(tx *fsm.Tx, _ *entry) error { return p.desk.Check(tx, tenant, a) },
		makes: func(tx *fsm.Tx, e *entry) (*directory.User, error) {
			return p.desk.Finish(tx, tenant, a, e.name, string(page.Language(r)))
		},
	}, nil
}

// register takes the form of the account.
func (p *Pages) register(w http.ResponseWriter, r *http.Request) error {
	return p.withProved(w, r, p.submit)
}

func (p *Pages) registerByPasskey(w http.ResponseWriter, r *http.Request) error {
	return p.withProved(w, r, p.byPasskey)
}

func (p *Pages) withProved(w http.ResponseWriter, r *http.Request, then func(http.ResponseWriter, *http.Request, *entry) error) error {
	f, r, err := p.begin(w, r)
	if err != nil || f == nil {
		return err
	}
	wait, _ := p.cfg.SignIn.Admit(r, ruleRegistration) // not given back: what follows may cost a hash, as often as it is asked
	if wait > 0 {
		return identity.Limited("", wait)
	}
	e, err := p.proved(w, r, f, r.PostForm.Get("proved"))
	if e == nil {
		return err
	}
	return then(w, r, e)
}
