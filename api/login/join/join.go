package join

import (
	"context"
	"net/http"
	"time"

	"github.com/quis-idp/quis/api/limit"
	"github.com/quis-idp/quis/api/login"
	"github.com/quis-idp/quis/api/page"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/authn"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/notify"
	"github.com/quis-idp/quis/identity/pending"
	"github.com/quis-idp/quis/identity/registration"
	"github.com/quis-idp/quis/keys/seal"
)

// How much mail strangers may ask for who want an account, on each node; package notify limits
// what goes to one address besides.
var (
	PerNetwork = limit.Rate{Burst: 10, Every: time.Minute}
	PerTenant  = limit.Rate{Burst: 200, Every: 3 * time.Second}
)

// Rules of quis_rate_limited_total.
const (
	ruleInvitation   = "invitation"
	ruleRegistration = "registration"
)

// Config says what the pages work with; all but Checks is needed.
type Config struct {
	DB     *fsm.DB
	Ring   *seal.Ring
	SignIn *login.Login
	Flows  *authn.Flows
	Pool   *credential.Pool
	Checks credential.Checks // of new passwords; zero: the policy alone
	Mail   *notify.Room
	// Modern makes sure that every member of the cluster knows passkeys before there is one.
	Modern func(context.Context) error
}

// Pages serve the pages.
type Pages struct {
	cfg     Config
	desk    *registration.Desk
	network *limit.Limiter
	tenant  *limit.Limiter
}

// New returns the pages.
func New(cfg Config) *Pages {
	return &Pages{cfg: cfg, desk: registration.New(cfg.DB, cfg.Ring, cfg.Flows), network: limit.New(PerNetwork), tenant: limit.New(PerTenant)}
}

// Routes mounts the pages under the paths within a tenant.
func (p *Pages) Routes(mux *http.ServeMux) {
	mux.Handle("GET "+pending.InvitationPath+"{secret}", page.Handle(p.askInvited))
	mux.Handle("POST "+pending.InvitationPath+"{secret}", page.Handle(p.accept))
	mux.Handle("POST "+pending.InvitationPath+"{secret}/passkey", page.Handle(p.invitedByPasskey))
	mux.Handle("GET "+login.RegisterPath, page.Handle(p.askAddress))
	mux.Handle("POST "+login.RegisterPath, page.Handle(p.sendCode))
	mux.Handle("POST "+login.RegisterPath+"/code", page.Handle(p.takeCode))
	mux.Handle("POST "+login.RegisterPath+"/account", page.Handle(p.register))
	mux.Handle("POST "+login.RegisterPath+"/passkey", page.Handle(p.registerByPasskey))
}

// message tells something and leads to the start page.
func message(w http.ResponseWriter, r *http.Request, status int, key string) error {
	return messagePage.Write(w, r, status, messageView{
		Title: site.Text(r, key+".title"), Detail: site.Text(r, key+".detail"), Link: page.Base(r) + "/",
	})
}
