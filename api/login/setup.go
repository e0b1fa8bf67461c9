package login

import (
	"context"
	"errors"
	"net/http"

	"github.com/quis-idp/quis/api/page"
	"github.com/quis-idp/quis/api/problem"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/assurance"
	"github.com/quis-idp/quis/identity/authn"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/credential/strength"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/session"
)

// askSetup shows the form to whoever has a setup link that still works.
func (l *Login) askSetup(w http.ResponseWriter, r *http.Request) error {
	wait, giveBack := l.admit(r, ruleSetup)
	if wait > 0 {
		return identity.Limited("", wait)
	}
	if _, err := l.setupStands(r); err != nil {
		return setupFault(w, r, err)
	}
	giveBack()
	return l.showSetup(w, r, http.StatusOK, newcomer{}, nil)
}

// setup makes an administrator, mostly the first, and signs them in, in one transaction with the use
// of the link: of two people with the same link, one comes in.
func (l *Login) setup(w http.ResponseWriter, r *http.Request) error {
	if _, err := page.Form(r); err != nil {
		return err
	}
	r = page.Here(r, r.URL.Path)
	wait, giveBack := l.admit(r, ruleSetup)
	if wait > 0 {
		return identity.Limited("", wait)
	}
	by, err := l.setupStands(r)
	if err != nil { // before a hash is spent on a stranger
		return setupFault(w, r, err)
	}
	giveBack()
	who := newcomer{
		username: r.PostForm.Get("username"), email: r.PostForm.Get("email"), name: r.PostForm.Get("name"),
		password: identity.Secret(r.PostForm.Get("password")), repeat: identity.Secret(r.PostForm.Get("repeat")),
	}
	if faults := who.check(r); faults != nil {
		return l.showSetup(w, r, http.StatusUnprocessableEntity, who, faults)
	}
	phc, err := credential.Prepare(r.Context(), l.cfg.DB, l.cfg.Pool, l.cfg.Checks, who.person(), who.password.Reveal())
	var started *session.Started
	if err == nil {
		started, err = l.admitFirst(identity.WithActor(r.Context(), by), r.PathValue("token"), who, phc)
	}
	if faults := identity.Errors(err); len(faults) > 0 && faults[0].Field != "" {
		return l.showSetup(w, r, http.StatusUnprocessableEntity, who, faults)
	}
	if err != nil {
		return setupFault(w, r, err)
	}
	cookie, err := l.cfg.Sessions.Cookie(started)
	if err != nil {
		return err
	}
	write(w, r, sessionCookie, cookie, 0)
	l.cfg.Memory.Remember(w, r, started.Session.UserID, assurance.Password)
	page.Leave(w, "/")
	return leavingPage.Write(w, r, http.StatusOK, leavingView{Target: "/"})
}

// admitFirst is the transaction of setup. It is whoever made the link that acts: an administrator
// who follows their own does not become another one whom the operator has appointed.
func (l *Login) admitFirst(ctx context.Context, token string, who newcomer, phc string) (started *session.Started, err error) {
	tenant := identity.DefaultTenant
	err = l.cfg.DB.Update(ctx, func(tx *fsm.Tx) error {
		if err := credential.UseSetup(tx, token); err != nil {
			return dead(err)
		}
		u, err := directory.CreateUser(tx, tenant, directory.User{
			Username: who.username, Email: who.email, Name: who.name, Admin: true,
		})
		if err != nil {
			return err
		}
		if err := credential.ChoosePassword(tx, tenant, u.ID, phc); err != nil {
			return err
		}
		started, err = l.cfg.Sessions.Start(tx, session.Session{
			Tenant: tenant, UserID: u.ID, Factors: []assurance.Factor{{Method: assurance.Password, At: tx.Now()}},
		})
		return err
	})
	return started, err
}

var errDeadLink = errors.New("setup link does not stand")

// dead marks a miss as one of the link, and of nothing else in the transaction.
func dead(err error) error {
	if errors.Is(err, fsm.ErrNotFound) {
		return errors.Join(errDeadLink, fsm.ErrNotFound)
	}
	return err
}

// setupStands returns who made the link of r, if it works.
func (l *Login) setupStands(r *http.Request) (by identity.Actor, err error) {
	if identity.TenantFrom(r.Context()).ID != identity.DefaultTenant {
		return by, problem.ErrRoute
	}
	err = l.cfg.DB.Read(r.Context(), func(tx *fsm.Tx) (err error) {
		by, err = credential.FindSetup(tx, r.PathValue("token"))
		return dead(err)
	})
	return by, err
}

func setupFault(w http.ResponseWriter, r *http.Request, err error) error {
	if !errors.Is(err, errDeadLink) {
		return err
	}
	return messagePage.Write(w, r, http.StatusGone, messageView{
		Title: site.Text(r, "link_dead.title"), Detail: site.Text(r, "setup_dead.detail"),
		Link: "/", Label: site.Text(r, "error.home"),
	})
}

// A newcomer is what the setup form says.
type newcomer struct {
	username, email, name string
	password, repeat      identity.Secret
}

// person is whose password is judged.
func (n newcomer) person() credential.Person {
	return credential.Person{Tenant: identity.DefaultTenant, About: strength.About{Username: n.username, Email: n.email, Name: n.name}}
}

// check finds what neither the directory nor the rules for passwords know of.
func (n newcomer) check(r *http.Request) []*identity.Error {
	if n.password != n.repeat {
		return []*identity.Error{identity.Invalid("repeat", site.Text(r, "setup.differ"))}
	}
	return nil
}

func (l *Login) showSetup(w http.ResponseWriter, r *http.Request, status int, who newcomer, faults []*identity.Error) error {
	policy, err := credential.PolicyNow(r.Context(), l.cfg.DB, identity.DefaultTenant)
	if err != nil {
		return err
	}
	var others bool
	err = authn.Settled(r.Context(), l.cfg.DB, func(tx *fsm.Tx) (err error) {
		others, err = directory.Administered(tx, identity.DefaultTenant)
		return err
	})
	if err != nil {
		return err
	}
	return writeSetup(w, r, status, !others, policy.Least(), who, faults)
}

// writeSetup is the form for the first administrator or another one, for passwords of at least
// so many characters.
func writeSetup(w http.ResponseWriter, r *http.Request, status int, first bool, least int, who newcomer, faults []*identity.Error) error {
	field := func(name, kind, value, autocomplete string) page.Field {
		return page.Field{
			Name: name, Label: site.Text(r, "setup."+name), Type: kind,
			Value: identity.Printable(value, maxShown), Autocomplete: autocomplete,
		}
	}
	view := setupView{
		Action:   r.URL.Path,
		First:    first,
		Username: field("username", "text", who.username, "username"),
		Email:    field("email", "email", who.email, "email"),
		Name:     field("name", "text", who.name, "name"),
		Password: field("password", "password", "", "new-password"),
		Repeat:   field("repeat", "password", "", "new-password"),
	}
	view.Password.Hint, view.Password.Check = site.Text(r, "password.hint", least), page.CheckPath(r)
	view.Username.Focus = true
	page.Refuse(r, &view.Alert, faults, &view.Username, &view.Email, &view.Name, &view.Password, &view.Repeat)
	return setupPage.Write(w, r, status, view)
}
