package portal

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/quis-idp/quis/api/limit"
	"github.com/quis-idp/quis/api/page"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/assurance"
	"github.com/quis-idp/quis/identity/authn"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/regain"
	"github.com/quis-idp/quis/identity/session"
)

// PerUser is how often the present password may be guessed: five times at once, then twice
// a minute.
var PerUser = limit.Rate{Burst: 5, Every: 30 * time.Second}

// Config says what the pages work with; all but Checks and Feature is needed.
type Config struct {
	DB       *fsm.DB
	Sessions *session.Store
	Flows    *authn.Flows
	Pool     *credential.Pool
	Checks   credential.Checks // of new passwords; zero: the policy alone
	// SessionCookie names the cookie that carries a session of a tenant.
	SessionCookie func(identity.Tenant) string
	// Mails says whether a tenant's mail is sent; nil: none is.
	Mails func(tx *fsm.Tx, tenant string) (bool, error)
	// Feature makes sure that every member of the cluster knows a feature before it is used;
	// nil: there is one release only.
	Feature func(ctx context.Context, name string) error
}

// Portal serves the pages.
type Portal struct {
	cfg      Config
	sections []Section
	guesses  *limit.Limiter
}

// New returns the pages. Security shows the sections in their order, after the password.
func New(cfg Config, sections ...Section) *Portal {
	p := &Portal{cfg: cfg, guesses: limit.New(PerUser)}
	p.sections = append([]Section{&password{p}}, sections...)
	return p
}

// A Handler answers a visitor. It returns nil once it has begun its answer.
type Handler func(w http.ResponseWriter, r *http.Request, v *Visitor) error

// Routes mounts the pages under the paths within a tenant.
func (p *Portal) Routes(mux *http.ServeMux) {
	handle := func(pattern string, h Handler) { mux.Handle(pattern, p.signedIn(h)) }
	handle("GET /account", p.showProfile)
	handle("POST /account", p.changeProfile)
	handle("GET "+securityPath, p.showSecurity)
	handle("GET "+sessionsPath, p.listSessions)
	handle("POST "+sessionsPath, p.endSessions)
	handle("GET "+activityPath, p.listActivity)
	handle("POST "+activityPath, p.disown)
	handle("GET "+tokensPath, p.listTokens)
	handle("POST "+tokensPath, p.revokeToken)
	handle("GET "+newToken, p.askToken)
	handle("POST "+newToken, p.createToken)
	handle("GET "+appsPath, p.listApps)
	handle("POST "+recoveryPath, p.stopRecovery)
	unattended := func(pattern string, h Handler) { mux.Handle(pattern, p.unattended(h)) }
	unattended("GET "+askedPath, p.showAsked)
	mux.HandleFunc("GET "+page.WorkerPath, page.Worker)
	for _, s := range p.sections {
		s.Routes(handle, unattended)
	}
}

// A Visitor is who is signed in.
type Visitor struct {
	*session.Session
	User *directory.User
	// Done is what the address says was done last ("removed"), for a section to confirm; a
	// stranger can make a link with any value, so it is a key and never shown itself.
	Done string

	asked    bool             // a sign-in waits for their approval
	approver bool             // this browser may give it
	told     page.Told        // of such sign-ins, by push
	revision uint64           // of User
	recovery *regain.Recovery // that waits; nil: none
	portal   *Portal
}

// signedIn lets h answer who is signed in, and has everybody else sign in first. The way
// back is the page that was asked for; after a form that was posted too late, the profile.
func (p *Portal) signedIn(h Handler) http.Handler {
	return page.Handle(func(w http.ResponseWriter, r *http.Request) error {
		v, err := p.visitor(r)
		if err != nil {
			return err
		}
		if v == nil {
			back := "/account"
			if r.Method == http.MethodGet || r.Method == http.MethodHead {
				back = r.URL.RequestURI()
			}
			return p.signIn(w, r, authn.Need{ReturnTo: page.Base(r) + back})
		}
		if q := r.URL.Query(); q.Has(authn.TicketParameter) && r.Method == http.MethodGet {
			q.Del(authn.TicketParameter) // of use to protocols only; out of the address bar
			return page.Onward(w, r, page.Base(r)+strings.TrimSuffix(r.URL.EscapedPath()+"?"+q.Encode(), "?"))
		}
		if v.Impersonation != nil && r.Method != http.MethodGet && r.Method != http.MethodHead {
			return session.ErrImpersonated
		}
		r = r.WithContext(identity.WithActor(r.Context(), v.Actor()))
		r = page.Account(r, v.User.Locale)
		if err = h(w, r, v); !errors.Is(err, errShort) {
			return err
		}
		if ok, err := v.Fresh(w, r, securityPath); !ok {
			return err
		}
		return page.Onward(w, r, page.Base(r)+securityPath)
	})
}

func (p *Portal) signIn(w http.ResponseWriter, r *http.Request, need authn.Need) error {
	flow, err := p.cfg.Flows.Begin(r.Context(), need)
	if errors.Is(err, identity.ErrInvalid) { // an address that no flow carries
		need.ReturnTo = page.Base(r) + "/account"
		flow, err = p.cfg.Flows.Begin(r.Context(), need)
	}
	if err != nil {
		return err
	}
	return page.Onward(w, r, page.Base(r)+"/login?"+url.Values{"flow": {flow}}.Encode())
}

// visitor returns who is signed in, nil if nobody is.
func (p *Portal) visitor(r *http.Request) (*Visitor, error) {
	t := identity.TenantFrom(r.Context())
	c, err := r.Cookie(p.cfg.SessionCookie(t))
	if err != nil {
		return nil, nil
	}
	s, err := p.cfg.Sessions.Find(r.Context(), t.ID, c.Value)
	if errors.Is(err, identity.ErrUnauthenticated) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	v := &Visitor{Session: s, Done: r.URL.Query().Get("done"), portal: p}
	look := p.cfg.DB.View
	if v.Done != "" { // by way of another node, perhaps: who did it wants to see it
		look = func(ctx context.Context, fn func(tx *fsm.Tx) error) error { return authn.Settled(ctx, p.cfg.DB, fn) }
	}
	err = look(r.Context(), func(tx *fsm.Tx) (err error) {
		if v.User, v.revision, err = directory.GetUser(tx, s.Tenant, s.UserID); err != nil {
			return err
		}
		if v.recovery, err = regain.Waiting(tx, s.Tenant, s.UserID); err != nil {
			return err
		}
		if v.asked, v.approver, err = asked(tx, s); err == nil && v.approver {
			v.told, err = told(tx, r, s)
		}
		return err
	})
	if errors.Is(err, fsm.ErrNotFound) { // deleted this very moment
		return nil, nil
	}
	return v, err
}

// Fresh reports whether v has proved who they are, by all that policy asks of them, recently
// enough for a change that matters. If not it has answered already: with the way to what is still to be
// proved or set up, which leads back to back, a path within the tenant that is asked for by GET. The
// caller returns err then.
func (v *Visitor) Fresh(w http.ResponseWriter, r *http.Request, back string) (ok bool, err error) {
	return v.fresh(w, r, back, false)
}

// FreshToSetUp is Fresh for pages that set up a factor, or a password. They are where people get what policy
// asks of them, so it is enough that they have proved recently all that they have.
func (v *Visitor) FreshToSetUp(w http.ResponseWriter, r *http.Request, back string) (ok bool, err error) {
	return v.fresh(w, r, back, true)
}

func (v *Visitor) fresh(w http.ResponseWriter, r *http.Request, back string, setUp bool) (ok bool, err error) {
	p := v.portal
	if v.Impersonation != nil {
		return false, session.ErrImpersonated
	}
	standing, need, err := p.cfg.Flows.Sensitive(r.Context(), v.Session)
	if err != nil {
		return false, err
	}
	switch {
	case passes(standing, setUp):
		return true, nil
	case lacks(standing):
		return false, Enrol(w, r, standing, "", page.Base(r)+back)
	case standing == authn.More:
	case p.cfg.DB.Now().Sub(v.AuthTime) > *need.MaxAge: // nothing that they have is asked for at a step-up, such as a mail
		need.Login, need.Sensitive = true, false
	default:
		return false, identity.Denied("There is no way to sign in to this account. An administrator can help.")
	}
	need.ReturnTo, need.LoginHint = page.Base(r)+back, v.User.Username
	return false, p.signIn(w, r, need)
}

// passes reports whether a session that stands so is let pass, or to what sets up what policy asks for.
func passes(standing authn.Standing, setUp bool) bool {
	return standing == authn.Enough || lacks(standing) && setUp
}

func lacks(standing authn.Standing) bool {
	return standing == authn.Enrol || standing == authn.EnrolBound
}

// Enrol leads somebody who lacks a factor, of the kind that standing says, to where they are told so,
// and from there to then. The application is the ID of what asks for it; "": none does.
func Enrol(w http.ResponseWriter, r *http.Request, standing authn.Standing, application, then string) error {
	query := url.Values{"then": {then}}
	if application != "" {
		query.Set("application", application)
	}
	if standing == authn.EnrolBound {
		query.Set("kind", "bound")
	}
	return page.Onward(w, r, page.Base(r)+"/login/enrol?"+query.Encode())
}

// Raise has v prove more, so that their session reaches a level, and leads back to back as
// Fresh does. It is for a session that is below.
func (v *Visitor) Raise(w http.ResponseWriter, r *http.Request, l assurance.Level, back string) error {
	return v.portal.signIn(w, r, authn.Need{ReturnTo: page.Base(r) + back, ACR: []string{l.ACR()}, LoginHint: v.User.Username})
}

// Update runs change in a transaction that holds only if v's session still stands in it, on
// whichever node it may have ended meanwhile. Else it reports identity.ErrUnauthenticated.
func (v *Visitor) Update(ctx context.Context, change func(tx *fsm.Tx) error) error {
	return v.update(ctx, func(tx *fsm.Tx, _ *session.Session) error { return change(tx) })
}

// errShort is what UpdateFresh reports of a session that Fresh does not let pass any more. What a handler makes no
// answer of leads to where that is proved, and then to the page of security.
var errShort = fmt.Errorf("the session falls short: %w", identity.ErrUnauthenticated)

// UpdateFresh is Update for what outlasts the session: what Fresh wants must stand in the transaction, too, for
// this node may have been behind when it was asked, or policy have been made stricter since, or its person have
// set up a factor elsewhere, against whoever has this session. Else it has to be begun anew.
func (v *Visitor) UpdateFresh(ctx context.Context, change func(tx *fsm.Tx) error) error {
	return v.updateFresh(ctx, false, change)
}

// UpdateToSetUp is UpdateFresh for what FreshToSetUp is asked of.
func (v *Visitor) UpdateToSetUp(ctx context.Context, change func(tx *fsm.Tx) error) error {
	return v.updateFresh(ctx, true, change)
}

func (v *Visitor) updateFresh(ctx context.Context, setUp bool, change func(tx *fsm.Tx) error) error {
	return v.update(ctx, func(tx *fsm.Tx, s *session.Session) error {
		standing, _, err := authn.Sensitive(tx, s)
		if err != nil {
			return err
		}
		if !passes(standing, setUp) {
			return errShort
		}
		return change(tx)
	})
}

func (v *Visitor) update(ctx context.Context, change func(tx *fsm.Tx, s *session.Session) error) error {
	return v.portal.cfg.DB.Update(ctx, func(tx *fsm.Tx) error {
		s, err := v.portal.cfg.Sessions.Live(tx, v.Tenant, v.ID)
		if errors.Is(err, fsm.ErrNotFound) {
			return fmt.Errorf("the session has ended: %w", identity.ErrUnauthenticated)
		}
		if err != nil {
			return err
		}
		return change(tx, s)
	})
}

// Account is the navigation, on the page at.
func (v *Visitor) Account(r *http.Request, at string) page.Navigation {
	a := page.Navigation{Base: page.Base(r), At: at, Name: v.User.Name, Login: v.User.Username, Acting: v.Impersonation != nil, Warning: warning(r, v), Asked: v.asked && v.Impersonation == nil, Answer: page.Base(r) + AnswerPath}
	if v.approver {
		a.Poll, a.Told = page.Base(r)+askedPath, v.told
	}
	if v.User.Email != "" {
		a.Login = v.User.Email
	}
	if a.Name == "" {
		a.Name = v.User.Username
	}
	return a
}
