package consent

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/quis-idp/quis/api/limit"
	"github.com/quis-idp/quis/api/page"
	"github.com/quis-idp/quis/api/portal"
	"github.com/quis-idp/quis/federation/consent"
	"github.com/quis-idp/quis/federation/oidc/family"
	"github.com/quis-idp/quis/federation/poll"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/authn"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/session"
	"github.com/quis-idp/quis/keys/seal"
)

// MaxAge is how long ago a person may have signed in who decides something here.
const MaxAge = 15 * time.Minute

// Guesses at user codes that hit nothing: ten at once by one user, thirty from one address.
var (
	PerUser    = limit.Rate{Burst: 10, Every: 30 * time.Second}
	PerAddress = limit.Rate{Burst: 30, Every: 10 * time.Second}
)

// Config says what the pages work with; all of it is needed.
type Config struct {
	DB       *fsm.DB
	Ring     *seal.Ring
	Sessions *session.Store
	Flows    *authn.Flows
	// SessionCookie names the cookie that carries a session of a tenant.
	SessionCookie func(identity.Tenant) string
}

// Pages serves the pages.
type Pages struct {
	cfg           Config
	desk          *consent.Desk
	user, address *limit.Limiter
}

// New returns the pages.
func New(cfg Config) *Pages {
	return &Pages{cfg: cfg, desk: consent.NewDesk(cfg.DB, cfg.Ring), user: limit.New(PerUser), address: limit.New(PerAddress)}
}

// Routes mounts the pages under the paths within a tenant.
func (p *Pages) Routes(mux *http.ServeMux) {
	mux.Handle("GET /device", page.Handle(p.askUserCode))
	mux.Handle("POST /device", page.Handle(p.askDevice))
	mux.Handle("POST /device/decision", page.Handle(p.decideDevice))
	mux.Handle("POST "+questionPath, page.Handle(p.answer))
	mux.Handle("GET "+connectedPath, page.Handle(p.listConnected))
	mux.Handle("POST "+connectedPath, page.Handle(p.revoke))
	mux.Handle("GET /account/approvals", page.Handle(p.listApprovals))
	mux.Handle("POST /account/approvals", page.Handle(p.decideApproval))
}

// A visitor is who is signed in.
type visitor struct {
	*session.Session
	user *directory.User
}

// visitor returns who is signed in, if that is recent enough to decide something. Otherwise
// it leads to sign-in, which leads back to back, and returns nil.
func (p *Pages) visitor(w http.ResponseWriter, r *http.Request, back string) (*visitor, error) {
	return p.within(w, r, back, MaxAge)
}

// within is visitor for another age; 0: whenever they have signed in.
func (p *Pages) within(w http.ResponseWriter, r *http.Request, back string, age time.Duration) (*visitor, error) {
	s, err := p.session(r)
	if err != nil {
		return nil, err
	}
	if s == nil || age > 0 && s.Impersonation == nil && p.cfg.DB.Now().Sub(s.AuthTime) > age {
		need := authn.Need{ReturnTo: page.Base(r) + back, Login: s != nil}
		if age > 0 {
			need.MaxAge = &age
		}
		flow, err := p.cfg.Flows.Begin(r.Context(), need)
		if err != nil {
			return nil, err
		}
		return nil, page.Onward(w, r, page.Base(r)+"/login?"+url.Values{"flow": {flow}}.Encode())
	}
	if s.Impersonation != nil && r.Method == http.MethodPost {
		return nil, session.ErrImpersonated
	}
	v := &visitor{Session: s}
	err = p.cfg.DB.View(r.Context(), func(tx *fsm.Tx) (err error) {
		v.user, _, err = directory.GetUser(tx, s.Tenant, s.UserID)
		return err
	})
	return v, err
}

// decide is one log entry. The session is read again in it, so that one that ends meanwhile,
// on whichever node, decides nothing: with offline_access what it gave would outlive it. Of one that
// lacks something, by a policy that may be new, it reports *poll.NotEnough: see raise.
func (p *Pages) decide(ctx context.Context, v *visitor, id family.ID, how func(*fsm.Tx, string, family.ID, *session.Session) error) error {
	return p.cfg.DB.Update(ctx, func(tx *fsm.Tx) error {
		s, err := p.cfg.Sessions.Live(tx, v.Tenant, v.ID)
		if err != nil {
			return err
		}
		return how(tx, v.Tenant, id, s)
	})
}

// lacking is what v has yet to prove before an application may have what it waits for; nil: nothing.
func (p *Pages) lacking(ctx context.Context, v *visitor, application string) (*poll.NotEnough, error) {
	err := p.cfg.DB.View(ctx, func(tx *fsm.Tx) error { return poll.Admit(tx, v.Tenant, application, v.Session) })
	lacks, ok := errors.AsType[*poll.NotEnough](err)
	if ok || errors.Is(err, identity.ErrDenied) { // by what else, the decision says
		return lacks, nil
	}
	return nil, err
}

// raise leads v to where they prove, or set up, what they lack, and from there back to back.
func (p *Pages) raise(w http.ResponseWriter, r *http.Request, v *visitor, lacks *poll.NotEnough, back string) error {
	back = page.Base(r) + back
	switch lacks.Standing {
	case authn.Enrol, authn.EnrolBound:
		return portal.Enrol(w, r, lacks.Standing, lacks.Application, back)
	case authn.More:
		need := lacks.Need
		need.ReturnTo, need.LoginHint = back, v.user.Username
		flow, err := p.cfg.Flows.Begin(r.Context(), need)
		if err != nil {
			return err
		}
		return page.Onward(w, r, page.Base(r)+"/login?"+url.Values{"flow": {flow}}.Encode())
	}
	return lacks
}

func (p *Pages) session(r *http.Request) (*session.Session, error) {
	t := identity.TenantFrom(r.Context())
	c, err := r.Cookie(p.cfg.SessionCookie(t))
	if err != nil {
		return nil, nil
	}
	s, err := p.cfg.Sessions.Find(r.Context(), t.ID, c.Value)
	if errors.Is(err, identity.ErrUnauthenticated) {
		return nil, nil
	}
	return s, err
}
