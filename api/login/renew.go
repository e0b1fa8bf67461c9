package login

import (
	"net/http"
	"net/url"

	"github.com/quis-idp/quis/api/page"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/assurance"
	"github.com/quis-idp/quis/identity/authn"
	"github.com/quis-idp/quis/identity/credential"
)

// recover begins a flow for somebody who has forgotten their password; the flow that they come
// from, if any, says where to go on afterwards.
func (l *Login) recover(w http.ResponseWriter, r *http.Request) error {
	need := authn.Need{ReturnTo: page.Base(r) + "/", Recover: true}
	if sealed := r.URL.Query().Get("flow"); sealed != "" {
		f, err := l.cfg.Flows.Load(r.Context(), sealed, read(r, flowCookie))
		if err != nil {
			return flowFault(w, r, err)
		}
		need = f.Need
		need.Recover, need.Login = true, true
	}
	sealed, err := l.cfg.Flows.Begin(r.Context(), need)
	if err != nil {
		return err
	}
	return page.Onward(w, r, page.Base(r)+"/login?"+url.Values{"flow": {sealed}}.Encode())
}

// showRecover asks who has forgotten their password.
func (l *Login) showRecover(w http.ResponseWriter, r *http.Request, f *authn.Flow, status int, username string, faults []*identity.Error) error {
	open, err := l.cfg.Flows.Open(r.Context(), f)
	if err != nil {
		return err
	}
	if !open.Mail {
		return tell(w, r, http.StatusForbidden, "recover.closed.title", site.Text(r, "recover.closed.detail"))
	}
	need := f.Need
	need.Recover = false
	back, err := l.cfg.Flows.Begin(r.Context(), need)
	if err != nil {
		return err
	}
	view := recoverView{
		timed: l.timed(f), Action: page.Base(r) + "/login/mail", Flow: f.Sealed(), SignIn: page.Base(r) + "/login?" + url.Values{"flow": {back}}.Encode(),
		Username: page.Field{Name: "username", Label: site.Text(r, "sign_in.username"), Value: page.Typed(username), Autocomplete: "username", Focus: true},
	}
	if len(faults) > 0 {
		view.Username.Error = site.Text(r, "recover.empty")
	}
	return recoverPage.Write(w, r, status, view)
}

// showRenew asks for another password.
func (l *Login) showRenew(w http.ResponseWriter, r *http.Request, f *authn.Flow, status int, faults []*identity.Error) error {
	policy, err := credential.PolicyNow(r.Context(), l.cfg.DB, f.Need.Tenant)
	if err != nil {
		return err
	}
	view := renewView{
		timed: l.timed(f), Action: page.Base(r) + "/login/renew", Flow: f.Sealed(), Why: "due",
		Login: page.Typed(f.Login),
		Password: page.Field{
			Name: "password", Label: site.Text(r, "renew.password"), Type: "password", Autocomplete: "new-password", Focus: true,
			Hint: site.Text(r, "password.hint", policy.Least()), Check: page.CheckPath(r),
		},
	}
	switch {
	case f.First:
		view.Why = "first"
	case f.Need.Recover || f.Recovery != "":
		view.Why = "recover"
	case f.Leaked:
		view.Why = "leaked"
	}
	for _, fault := range faults {
		view.Password.Error = page.Detail(r, fault)
	}
	return renewPage.Write(w, r, status, view)
}

// renew takes another password. Whoever has proved theirs is told if it is the same; nobody else is, or it
// could be guessed here.
func (l *Login) renew(w http.ResponseWriter, r *http.Request) error {
	return l.step(w, r, func(f *authn.Flow) (authn.Result, error) {
		if f.Step() == authn.StepRenew && f.Bound() && assurance.Has(f.Factors, assurance.Password) {
			if err := credential.AnotherThan(r.Context(), l.cfg.DB, l.cfg.Pool, f.Need.Tenant, f.UserID, f.PasswordSet, r.PostForm.Get("password")); err != nil {
				return authn.Result{}, err
			}
		}
		return l.cfg.Flows.Renew(r.Context(), f, r.PostForm.Get("password"))
	}, func(r *http.Request, f *authn.Flow, status int, faults []*identity.Error) error {
		return l.showRenew(w, r, f, status, faults)
	})
}
