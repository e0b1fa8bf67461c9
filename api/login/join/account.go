package join

import (
	"errors"
	"net/http"

	"github.com/quis-idp/quis/api/page"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/assurance"
	"github.com/quis-idp/quis/identity/authn"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/credential/passkey"
	"github.com/quis-idp/quis/identity/credential/strength"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/registration"
	"github.com/quis-idp/quis/identity/settings"
)

// An entry is an account that somebody may make, and what their form says of it.
type entry struct {
	id      string   // of the invitation or registration: what a passkey is begun for
	action  string   // where the form goes
	passkey string   // where it goes for a passkey instead of a password
	hidden  []hidden // what it carries
	flow    *authn.Flow

	email    string
	chooses  bool // the person chooses a username, or none: then it is the address
	username string
	name     string
	proved   []assurance.Factor // by the way here

	may   func(tx *fsm.Tx, e *entry) error // what makes would report
	makes func(tx *fsm.Tx, e *entry) (*directory.User, error)

	giveBack     func() // undoes that the network was counted
	hashed, made bool   // what a post came to
}

// whose is what a passkey's ceremony is bound to.
func (e *entry) whose(r *http.Request) string {
	return identity.TenantFrom(r.Context()).ID + "/" + e.id
}

// read takes what was typed.
func (e *entry) read(r *http.Request) {
	if r.PostForm.Has("name") {
		e.name = r.PostForm.Get("name")
	}
	if e.chooses {
		e.username = r.PostForm.Get("username")
	}
}

// login is the name to sign in with, for password managers and passkeys.
func (e *entry) login() string {
	if e.username != "" {
		return e.username
	}
	return e.email
}

// A first credential is added in the transaction that makes its user.
type first func(tx *fsm.Tx, u *directory.User) (assurance.Factor, error)

// submit makes the account and leads on. again shows the form with what was wrong.
func (p *Pages) submit(w http.ResponseWriter, r *http.Request, e *entry) error {
	e.read(r)
	again := p.askAccount
	add := p.withPassword
	if r.PostForm.Has("response") {
		add, again = p.withPasskey, p.askPasskey
	}
	if err := p.cfg.Modern(r.Context()); err != nil {
		return err
	}
	var done authn.Result
	give, err := add(r, e)
	if err == nil {
		done, err = p.cfg.Flows.Join(r.Context(), e.flow, func(tx *fsm.Tx) (string, []assurance.Factor, error) {
			u, err := e.makes(tx, e)
			if err != nil {
				return "", nil, err
			}
			f, err := give(tx, u)
			return u.ID, append(e.proved[:len(e.proved):len(e.proved)], f), err
		})
	}
	switch {
	case err == nil:
		e.made = true
		return p.cfg.SignIn.Enter(w, r, e.flow, done)
	case errors.Is(err, authn.ErrDeadFlow), errors.Is(err, registration.ErrDead):
		return message(w, r, http.StatusGone, "late")
	case errors.Is(err, identity.ErrInvalid), errors.Is(err, fsm.ErrExists):
		faults := identity.Errors(err)
		if len(faults) == 0 {
			return err
		}
		if !e.chooses || faults[0].Field != "username" {
			return again(w, r, e, http.StatusUnprocessableEntity, faults)
		}
		return p.askAccount(w, r, e, http.StatusUnprocessableEntity, faults) // where the name can be typed
	}
	return err
}

// withPassword hashes the password that was typed, outside of any transaction, if an account can come
// of it: a proof or an invitation that makes none would cost a hash as often as it is posted.
func (p *Pages) withPassword(r *http.Request, e *entry) (first, error) {
	ways, err := p.ways(r)
	if err != nil {
		return nil, err
	}
	if !ways.password {
		return nil, identity.Invalid("", "This way to sign in is not open here. Choose another.")
	}
	tenant := identity.TenantFrom(r.Context()).ID
	who := credential.Person{Tenant: tenant, About: strength.About{Username: e.username, Email: e.email, Name: e.name}}
	var phc string
	err = p.cfg.Flows.Hash(r.Context(), e.flow, func(tx *fsm.Tx) error { return e.may(tx, e) }, func() (err error) {
		phc, err = credential.Prepare(r.Context(), p.cfg.DB, p.cfg.Pool, p.cfg.Checks, who, r.PostForm.Get("password"))
		return err
	})
	e.hashed = phc != ""
	if err != nil {
		return nil, err
	}
	return func(tx *fsm.Tx, u *directory.User) (assurance.Factor, error) {
		return assurance.Factor{Method: assurance.Password}, credential.ChoosePassword(tx, tenant, u.ID, phc)
	}, nil
}

// withPasskey takes what the browser has made.
func (p *Pages) withPasskey(r *http.Request, e *entry) (first, error) {
	session, err := passkey.Carried(p.cfg.Ring, r.PostForm.Get("session"), e.whose(r))
	if err != nil {
		return nil, err
	}
	t, response := identity.TenantFrom(r.Context()), []byte(r.PostForm.Get("response"))
	return func(tx *fsm.Tx, u *directory.User) (assurance.Factor, error) {
		s, _, err := settings.Get(tx, t.ID)
		if err != nil {
			return assurance.Factor{}, err
		}
		k, err := passkey.RegisterNewcomer(tx, t, s.Passkey, e.id, u.ID, session, response, "")
		if err != nil {
			return assurance.Factor{}, err
		}
		return assurance.Factor{Method: assurance.Passkey, Verified: k.UVInitialized, Bound: !k.Synced, Attested: k.InHardware(true), Ref: k.ID}, nil
	}, nil
}

// ways are those in which somebody can sign in from then on.
type ways struct {
	password, passkey bool
	least             int // characters of a password
}

func (p *Pages) ways(r *http.Request) (out ways, err error) {
	t := identity.TenantFrom(r.Context())
	err = p.cfg.DB.View(r.Context(), func(tx *fsm.Tx) error {
		s, _, err := settings.Get(tx, t.ID)
		if err != nil {
			return err
		}
		policy, err := credential.PolicyOf(tx, t.ID)
		if err != nil {
			return err
		}
		_, noPasskeys := passkey.RPID(t.Issuer)
		out = ways{password: s.PasswordLogin, passkey: s.PasskeyLogin && noPasskeys == nil, least: policy.Least()}
		return nil
	})
	return out, err
}

// askAccount shows the form that makes the account.
func (p *Pages) askAccount(w http.ResponseWriter, r *http.Request, e *entry, status int, faults []*identity.Error) error {
	ways, err := p.ways(r)
	if err != nil {
		return err
	}
	view := accountView{
		Email: e.email, Login: e.login(), Action: e.action, Hidden: e.hidden, Chooses: e.chooses, WithPassword: ways.password,
		Name: page.Field{Name: "name", Label: site.Text(r, "account.name"), Value: page.Typed(e.name), Autocomplete: "name", Optional: true, Focus: true},
		Username: page.Field{
			Name: "username", Label: site.Text(r, "account.username"), Value: page.Typed(e.username), Autocomplete: "username",
			Hint: site.Text(r, "account.username.hint"), Optional: true,
		},
		Password: page.Field{
			Name: "password", Label: site.Text(r, "account.password"), Type: "password", Autocomplete: "new-password", Hint: site.Text(r, "password.hint", ways.least),
		},
	}
	if ways.passkey {
		view.Passkey = e.passkey
	}
	fields := []*page.Field{&view.Name, &view.Username, &view.Password}
	if !e.chooses { // what is wrong with it belongs to no field
		fields = []*page.Field{&view.Name, &view.Password}
	}
	p.refuse(r, &view.Alert, faults, fields...)
	return accountPage.Write(w, r, status, view)
}

// refuse is page.Refuse, which knows nothing of an address that somebody has got meanwhile.
func (p *Pages) refuse(r *http.Request, alert *page.Alert, faults []*identity.Error, fields ...*page.Field) {
	for i, f := range faults {
		if errors.Is(f.Kind, fsm.ErrExists) && f.Field == "email" {
			faults[i] = identity.Invalid("", site.Text(r, "account.taken"))
		}
	}
	page.Refuse(r, alert, faults, fields...)
}

// byPasskey goes on with a passkey instead of a password, or the other way round.
func (p *Pages) byPasskey(w http.ResponseWriter, r *http.Request, e *entry) error {
	if r.PostForm.Get("instead") == "password" {
		e.read(r)
		return p.askAccount(w, r, e, http.StatusOK, nil)
	}
	return p.askPasskey(w, r, e, http.StatusOK, nil)
}

// askPasskey shows the form that makes the account with a passkey.
func (p *Pages) askPasskey(w http.ResponseWriter, r *http.Request, e *entry, status int, faults []*identity.Error) error {
	e.read(r)
	t := identity.TenantFrom(r.Context())
	view := passkeyView{Action: e.action, Hidden: append(e.hidden[:len(e.hidden):len(e.hidden)], hidden{"name", e.name})}
	ways, err := p.ways(r)
	if err != nil {
		return err
	}
	if ways.password {
		view.Password = e.passkey
	}
	if e.chooses {
		view.Hidden = append(view.Hidden, hidden{"username", e.username})
	}
	var session []byte
	err = p.cfg.DB.View(r.Context(), func(tx *fsm.Tx) error {
		s, _, err := settings.Get(tx, t.ID)
		if err != nil {
			return err
		}
		called, err := settings.NameOf(tx, t.ID)
		if err != nil {
			return err
		}
		// Nobody is the user yet: the entry stands for them.
		who := &directory.User{ID: e.id, Tenant: t.ID, Username: e.login(), Name: e.name}
		options, begun, err := passkey.BeginRegistration(tx, t, called, s.Passkey, who, s.PasskeyLogin)
		view.Options, session = string(options), begun
		return err
	})
	if err != nil {
		return err
	}
	if view.Session, err = passkey.Carry(p.cfg.Ring, session, e.whose(r)); err != nil {
		return err
	}
	p.refuse(r, &view.Alert, faults)
	return passkeyPage.Write(w, r, status, view)
}
