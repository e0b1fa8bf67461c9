package setup

import (
	"context"
	"errors"
	"net/http"

	"github.com/quis-idp/quis/api/login"
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

// ruleSetup is that of quis_rate_limited_total: links that do not work, from one address.
const ruleSetup = "setup_address"

// Config says what the pages work with; all but Checks is needed.
type Config struct {
	DB       *fsm.DB
	Sessions *session.Store
	SignIn   *login.Login
	Pool     *credential.Pool
	Checks   credential.Checks // of new passwords; zero: the policy alone
}

// Pages serve the pages.
type Pages struct{ cfg Config }

// New returns the pages.
func New(cfg Config) *Pages { return &Pages{cfg} }

// Routes mounts the pages under the paths within a tenant; there are links to that of the house only.
func (p *Pages) Routes(mux *http.ServeMux) {
	mux.Handle("GET /setup/{token}", page.Handle(p.askSetup))
	mux.Handle("POST /setup/{token}", page.Handle(p.setup))
}

// askSetup shows the form to whoever has a setup link that still works.
func (p *Pages) askSetup(w http.ResponseWriter, r *http.Request) error {
	wait, giveBack := p.cfg.SignIn.Admit(r, ruleSetup)
	if wait > 0 {
		return identity.Limited("", wait)
	}
	if _, err := p.setupStands(r); err != nil {
		return setupFault(w, r, err)
	}
	giveBack()
	return p.showSetup(w, r, http.StatusOK, newcomer{}, nil)
}

// setup makes an administrator, mostly the first, and signs them in, in one transaction with the use
// of the link: of two people with the same link, one comes in.
func (p *Pages) setup(w http.ResponseWriter, r *http.Request) error {
	if _, err := page.Form(r); err != nil {
		return err
	}
	r = page.Here(r, r.URL.Path)
	wait, giveBack := p.cfg.SignIn.Admit(r, ruleSetup)
	if wait > 0 {
		return identity.Limited("", wait)
	}
	by, err := p.setupStands(r)
	if err != nil { // before a hash is spent on a stranger
		return setupFault(w, r, err)
	}
	giveBack()
	who := newcomer{
		username: r.PostForm.Get("username"), email: r.PostForm.Get("email"), name: r.PostForm.Get("name"),
		password: identity.Secret(r.PostForm.Get("password")), repeat: identity.Secret(r.PostForm.Get("repeat")),
	}
	phc, err := credential.Prepare(r.Context(), p.cfg.DB, p.cfg.Pool, p.cfg.Checks, who.person(), who.password.Reveal())
	err = errors.Join(err, who.differ(r), p.cfg.DB.View(r.Context(), func(tx *fsm.Tx) error { // all faults are shown at once
		return directory.CheckUser(tx, identity.DefaultTenant, who.user())
	}))
	var started *session.Started
	if err == nil {
		started, err = p.admitFirst(identity.WithActor(r.Context(), by), r.PathValue("token"), who, phc)
	}
	if faults := identity.Errors(err); len(faults) > 0 && faults[0].Field != "" {
		return p.showSetup(w, r, http.StatusUnprocessableEntity, who, faults)
	}
	if err != nil {
		return setupFault(w, r, err)
	}
	return p.cfg.SignIn.EnterHome(w, r, started, assurance.Password)
}

// admitFirst is the transaction of setup. It is whoever made the link that acts: an administrator
// who follows their own does not become another one whom the operator has appointed.
func (p *Pages) admitFirst(ctx context.Context, token string, who newcomer, phc string) (started *session.Started, err error) {
	err = p.cfg.DB.Update(ctx, func(tx *fsm.Tx) error {
		if err := credential.UseSetup(tx, token); err != nil {
			return dead(err)
		}
		u, err := directory.CreateUser(tx, identity.DefaultTenant, who.user())
		if err != nil {
			return err
		}
		if err := credential.ChoosePassword(tx, u.Tenant, u.ID, phc); err != nil {
			return err
		}
		started, err = p.cfg.Sessions.Start(tx, session.Session{
			Tenant: u.Tenant, UserID: u.ID, Factors: []assurance.Factor{{Method: assurance.Password, At: tx.Now()}},
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
func (p *Pages) setupStands(r *http.Request) (by identity.Actor, err error) {
	if identity.TenantFrom(r.Context()).ID != identity.DefaultTenant {
		return by, problem.ErrRoute
	}
	err = p.cfg.DB.Read(r.Context(), func(tx *fsm.Tx) (err error) {
		by, err = credential.FindSetup(tx, r.PathValue("token"))
		return dead(err)
	})
	return by, err
}

func setupFault(w http.ResponseWriter, r *http.Request, err error) error {
	if !errors.Is(err, errDeadLink) {
		return err
	}
	return login.DeadLink(w, r, site.Text(r, "setup_dead.detail"))
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

func (n newcomer) user() directory.User {
	return directory.User{Username: n.username, Email: n.email, Name: n.name, Admin: true}
}

func (n newcomer) differ(r *http.Request) error {
	if n.password != n.repeat {
		return identity.Invalid("repeat", site.Text(r, "setup.differ"))
	}
	return nil
}

func (p *Pages) showSetup(w http.ResponseWriter, r *http.Request, status int, who newcomer, faults []*identity.Error) error {
	policy, err := credential.PolicyNow(r.Context(), p.cfg.DB, identity.DefaultTenant)
	if err != nil {
		return err
	}
	var others bool
	err = authn.Settled(r.Context(), p.cfg.DB, func(tx *fsm.Tx) (err error) {
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
			Value: page.Typed(value), Autocomplete: autocomplete,
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
