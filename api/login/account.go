package login

import (
	"net/http"
	"net/url"

	"github.com/quis-idp/quis/api/page"
	"github.com/quis-idp/quis/identity/authn"
	"github.com/quis-idp/quis/identity/directory"
)

// showAccount asks whether it shall be the account that is signed in: an application wants
// the person to choose (OpenID Connect Core, prompt=select_account).
func showAccount(w http.ResponseWriter, r *http.Request, f *authn.Flow, u *directory.User) error {
	base := page.Base(r) + "/login"
	return accountPage.Write(w, r, http.StatusOK, accountView{
		Application: f.Need.Application, Person: shown(u), Action: base + "/continue", Flow: f.Sealed(),
		Another: base + "?" + url.Values{"flow": {f.Sealed()}, "another": {"yes"}}.Encode(),
	})
}

// keep goes on with the account that is signed in. It changes nothing, so a session that
// has ended meanwhile only leads to the form.
func (l *Login) keep(w http.ResponseWriter, r *http.Request) error {
	if _, err := page.Form(r); err != nil {
		return err
	}
	f, err := l.cfg.Flows.Load(r.Context(), r.PostForm.Get("flow"), read(r, flowCookie))
	if err != nil {
		return flowFault(w, r, err)
	}
	r = inFlow(r, f)
	s, _, err := l.signedIn(r)
	if err != nil {
		return err
	}
	if s == nil {
		return l.showForm(w, r, f, http.StatusOK, f.Need.LoginHint, nil)
	}
	to, err := l.cfg.Flows.Keep(f, s)
	if err != nil {
		return flowFault(w, r, err)
	}
	page.Leave(w, to)
	return leavingPage.Write(w, r, http.StatusOK, leavingView{Application: f.Need.Application, Target: to})
}
