package login

import (
	"net/http"

	"github.com/quis-idp/quis/api/page"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/authn"
)

// mail sends a code to whoever was named, if they have an address, and says so in any case. It is counted
// for itself, since anybody can be named, and given back by the code: who signs in by mail uses up nothing, and
// those who do not keep nobody behind the same address from using a password.
func (l *Login) mail(w http.ResponseWriter, r *http.Request) error {
	return l.step(w, r, func(f *authn.Flow) (authn.Result, error) {
		if wait := l.address.Take(l.keyOf(r, f, ruleMail)); wait > 0 {
			return authn.Result{}, authn.TooMany(wait)
		}
		return l.cfg.Flows.Mail(r.Context(), f, r.PostForm.Get("username"))
	}, func(r *http.Request, f *authn.Flow, status int, faults []*identity.Error) error {
		return l.showForm(w, r, f, status, r.PostForm.Get("username"), faults)
	})
}

// showMail asks for the code, or, of who followed the link, for a press of the button:
// scanners of mail follow links, but press no buttons.
func (l *Login) showMail(w http.ResponseWriter, r *http.Request, f *authn.Flow, status int, faults []*identity.Error) error {
	open, err := l.cfg.Flows.Open(r.Context(), f)
	if err != nil {
		return err
	}
	view := mailView{
		Purpose: purpose(r, f), Action: page.Base(r) + "/login/code", Flow: f.Sealed(),
		Token: r.URL.Query().Get("token"), Login: page.Typed(f.Login), Locked: f.Locked(), Closed: !open.Mail,
		Again: page.Base(r) + "/login/mail", Restart: again(r, f), timed: l.timed(f),
		Code: page.Field{Name: "code", Label: site.Text(r, "mail.code"), Autocomplete: "one-time-code", Numeric: true, Focus: true},
	}
	if len(faults) > 0 || !open.Letter.Link || view.Closed {
		view.Token = ""
	}
	if view.Closed { // since the flow came here: whatever was typed, there is nothing to be typed or waited for
		view.Code = page.Field{}
		return mailPage.Write(w, r, status, view)
	}
	wrong := "mail.wrong"
	if !open.Letter.Code {
		view.Code, wrong = page.Field{}, "mail.wrong.link"
	}
	for _, fault := range faults {
		if fault.Field == "code" && open.Letter.Code {
			view.Code.Error = site.Text(r, "second.empty")
			continue
		}
		view.Code.Wrong(&view.Alert, site.Text(r, wrong))
	}
	return mailPage.Write(w, r, status, view)
}

// mailCode takes the code, or the token of the link.
func (l *Login) mailCode(w http.ResponseWriter, r *http.Request) error {
	return l.step(w, r, func(f *authn.Flow) (authn.Result, error) {
		done, err := l.cfg.Flows.MailCode(r.Context(), f, r.PostForm.Get("code"))
		if err == nil && done.Step == authn.StepDone { // else the flow goes on, and the same answer may come again
			l.address.GiveBack(l.keyOf(r, f, ruleMail))
		}
		return done, err
	}, func(r *http.Request, f *authn.Flow, status int, faults []*identity.Error) error {
		return l.showMail(w, r, f, status, faults)
	})
}
