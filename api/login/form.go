package login

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/quis-idp/quis/api/page"
	"github.com/quis-idp/quis/api/problem"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/authn"
	"github.com/quis-idp/quis/identity/credential/passkey"
	"github.com/quis-idp/quis/identity/language"
)

// showForm writes the form, with what is wrong with the last attempt. The cursor is where
// the person has to type next.
func (l *Login) showForm(w http.ResponseWriter, r *http.Request, f *authn.Flow, status int, username string, faults []*identity.Error) error {
	if f.Need.Recover {
		return l.showRecover(w, r, f, status, username, faults)
	}
	open, err := l.cfg.Flows.Open(r.Context(), f)
	if err != nil {
		return err
	}
	key, err := l.passkey(r, f)
	if err != nil {
		return err
	}
	known, err := l.remembered(r)
	if err != nil {
		return err
	}
	var alert page.Alert
	view := signInView{
		timed: l.timed(f), Purpose: purpose(r, f), Action: page.Base(r) + "/login", Flow: f.Sealed(),
		Username: page.Field{
			Name: "username", Label: site.Text(r, "sign_in.username"), Value: page.Typed(username), Autocomplete: "username webauthn", Focus: username == "" || !open.Password,
		},
		Password: page.Field{Name: "password", Label: site.Text(r, "sign_in.password"), Type: "password", Autocomplete: "current-password", Focus: username != ""},
		Stay:     days(r, open.Stay), Staying: f.Stay,
	}
	if key != nil {
		view.Passkey = *key
	}
	if !open.Password {
		view.Password = page.Field{}
	}
	if open.Recover {
		view.Forgotten = page.Base(r) + "/recover?" + url.Values{"flow": {f.Sealed()}}.Encode()
	}
	if open.Register {
		view.Register = page.Base(r) + RegisterPath + "?" + url.Values{"flow": {f.Sealed()}}.Encode()
	}
	if open.Mail {
		view.Mail, view.MailLink = page.Base(r)+"/login/mail", !open.Letter.Code
	}
	if open.Certificate {
		view.Certificate = l.certificateLink(r, f)
	}
	view.recall(r, f, known)
	for _, fault := range faults {
		switch fault.Field {
		case "username":
			view.Username.Error, view.Username.Focus, view.Password.Focus = page.Detail(r, fault), true, false
		case "password":
			view.Password.Error = page.Detail(r, fault)
		case "passkey":
			alert.Text = site.Text(r, "sign_in.passkey.wrong")
			view.Unknown = fault.Detail
		case passkey.BarredField:
			alert.Text = page.Detail(r, fault)
		default:
			alert.Text = site.Text(r, "sign_in.wrong")
			view.Username.Describes, view.Password.Describes, alert.AtField = "alert", "alert", true
		}
	}
	if !alert.AtField {
		alert.Start(&view.Username, &view.Password)
	}
	if alert.Text != "" {
		view.Alert = &alert
	}
	view.Password.Later = open.Password && username == "" && view.Password.Error == "" && view.Password.Describes == ""
	if len(faults) == 0 && username == "" {
		return view.still(w, r, f.Sealed())
	}
	return signInPage.Write(w, r, status, view)
}

// still writes the form as it is for everybody who comes with nothing: what is this flow's own is filled in.
func (v *signInView) still(w http.ResponseWriter, r *http.Request, flow string) error {
	options := v.Passkey.Options
	if options != "" {
		v.Passkey.Options = page.Gap
	}
	for _, s := range []*string{&v.Flow, &v.Passkey.Flow, &v.Forgotten, &v.Register, &v.Accounts, &v.Certificate} {
		*s = strings.ReplaceAll(*s, flow, page.Hole)
	}
	return signInStill.Write(w, page.Here(r, page.Base(r)+"/login?flow="+page.Hole), http.StatusOK, *v, flow, options)
}

// days writes a number of days for the person; nothing of none.
func days(r *http.Request, n int) string {
	if n <= 0 {
		return ""
	}
	return language.Duration(page.Language(r), time.Duration(n)*24*time.Hour)
}

// holdBack says when the next attempt may come.
func holdBack(w http.ResponseWriter, r *http.Request, f *authn.Flow, wait time.Duration) error {
	w.Header().Set("Retry-After", problem.RetryAfter(wait))
	r = page.Within(r, f.Need.Locales, "") // a choice of languages would cost more than the rest
	return waitPage.Write(w, r, http.StatusTooManyRequests, held(r, "wait.detail", page.Gap), f.Sealed(), language.Duration(page.Language(r), wait))
}

// held is the page of who is not let on, for the reason that a text gives; it leads back into the flow. It is what
// a flood is answered with.
func held(r *http.Request, text string, args ...any) waitView {
	return waitView{site.Text(r, text, args...), page.Base(r) + "/login?flow=" + page.Hole}
}
