package login

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/quis-idp/quis/api/login/memory"
	"github.com/quis-idp/quis/api/page"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/assurance"
	"github.com/quis-idp/quis/identity/authn"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/session"
)

// A remembered account is one that has signed in in this browser, as the directory knows it.
type remembered struct {
	memory.Account
	*directory.User
}

// remembered returns whom this browser remembers and the directory still has, who has signed
// in last first. Who is disabled is among them: nobody shall see that here.
func (l *Login) remembered(r *http.Request) (known []remembered, err error) {
	accounts := l.cfg.Memory.Accounts(r)
	if len(accounts) == 0 {
		return nil, nil
	}
	err = l.cfg.DB.View(r.Context(), func(tx *fsm.Tx) error {
		known = nil
		for _, a := range accounts {
			u, _, err := directory.GetUser(tx, identity.TenantFrom(r.Context()).ID, a.UserID)
			if errors.Is(err, fsm.ErrNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			known = append(known, remembered{a, u})
		}
		return nil
	})
	return known, err
}

// chooses reports whether the person is asked which account it shall be: because an application
// wants it (OpenID Connect Core, prompt=select_account), because several have signed in
// here and none is, or because they want to.
func chooses(r *http.Request, f *authn.Flow, s *session.Session, known []remembered) bool {
	q := r.URL.Query()
	some := s != nil || len(known) > 0
	switch {
	case f.Step() != authn.StepPassword || f.Need.Recover || named(q):
		return false
	case f.Need.Select && !f.Need.Login, q.Has("accounts"):
		return some
	case f.Need.Select:
		return len(known) > 0
	}
	return s == nil && f.Need.LoginHint == "" && len(known) > 1
}

// named reports whether the person has chosen: one of the accounts (as), none of them
// (another), or to begin once more.
func named(q url.Values) bool { return q.Has("as") || q.Has("another") || q.Has("again") }

// fill is the name that the form begins with: what the application says, the account that was
// chosen, or the only one that there is.
func fill(r *http.Request, f *authn.Flow, known []remembered) string {
	q := r.URL.Query()
	for _, k := range known {
		if k.Key == q.Get("as") {
			return k.Username
		}
	}
	if f.Need.LoginHint == "" && len(known) == 1 && !named(q) {
		return known[0].Username
	}
	return f.Need.LoginHint
}

// lastUsed is how a sign-in in this browser began last, of the account that was chosen if one
// was; "" if that is not known.
func lastUsed(r *http.Request, known []remembered) assurance.Method {
	q := r.URL.Query()
	for _, k := range known {
		if k.Key == q.Get("as") {
			return k.Method
		}
	}
	if len(known) == 0 || q.Has("another") {
		return ""
	}
	return known[0].Method
}

// recall puts on the form what the browser remembers.
func (v *signInView) recall(r *http.Request, f *authn.Flow, known []remembered) {
	if len(known) == 0 {
		return
	}
	v.Accounts = page.Base(r) + "/login?" + url.Values{"flow": {f.Sealed()}, "accounts": {"yes"}}.Encode()
	ways := 0
	for _, open := range []bool{v.Password.Name != "", v.Passkey.Options != "", v.Mail != "", v.Certificate != ""} {
		if open {
			ways++
		}
	}
	if ways < 2 { // there is nothing to choose from
		return
	}
	v.Last = string(lastUsed(r, known))
	v.Passkey.Last = v.Last == string(assurance.Passkey)
}

// showAccounts asks which account it shall be. The one that is signed in (u, or nil) may go on
// at once, unless it has to be proved again; the others have to sign in.
func (l *Login) showAccounts(w http.ResponseWriter, r *http.Request, f *authn.Flow, s *session.Session, u *directory.User, known []remembered) error {
	at := page.Base(r) + "/login"
	to := func(key, value string) string {
		return at + "?" + url.Values{"flow": {f.Sealed()}, key: {value}}.Encode()
	}
	view := accountView{
		Acting: page.ActingIf(r, s != nil && s.Impersonation != nil), Application: f.Need.Application, Action: at + "/continue", Forget: at + "/forget", Flow: f.Sealed(), Another: to("another", "yes"),
	}
	here := ""
	if u != nil && f.Need.Select && !f.Need.Login {
		p := shown(u)
		view.Person, here = &p, u.ID
	}
	for _, k := range known {
		if k.ID != here {
			view.Others = append(view.Others, accountLine{person: shown(k.User), Key: k.Key, To: to("as", k.Key)})
		}
	}
	return accountPage.Write(w, r, http.StatusOK, view)
}

// keep goes on with the account that is signed in. It changes nothing, so a session that
// has ended meanwhile only leads to the form.
func (l *Login) keep(w http.ResponseWriter, r *http.Request) error {
	if _, err := page.Form(r); err != nil {
		return err
	}
	f, err := l.cfg.Flows.Load(r.Context(), r.PostForm.Get("flow"), read(r, flowCookie))
	if err != nil {
		return l.ended(w, r, err)
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
	return leave(w, r, f.Need.Application, to)
}

// forget has this browser forget an account, and shows those that are left. It proves and
// ends nothing: who is signed in stays so.
func (l *Login) forget(w http.ResponseWriter, r *http.Request) error {
	if _, err := page.Form(r); err != nil {
		return err
	}
	l.cfg.Memory.Forget(w, r, r.PostForm.Get("account"))
	return page.Onward(w, r, page.Base(r)+"/login?"+url.Values{"flow": {r.PostForm.Get("flow")}, "accounts": {"yes"}}.Encode())
}

// began is the method of the first proof in a flow that has made its session. What stands in
// for a second factor is no way to begin, and whoever got back in has a new password.
func began(f *authn.Flow) assurance.Method {
	if f.Need.Recover {
		return assurance.Password
	}
	for i := len(f.Factors) - 1; i >= 0; i-- {
		if m := f.Factors[i].Method; m != assurance.Device {
			return m
		}
	}
	return assurance.Password
}
