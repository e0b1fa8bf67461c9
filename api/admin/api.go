package admin

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/quis-idp/quis/api/admin/audit"
	"github.com/quis-idp/quis/api/admin/authentication"
	"github.com/quis-idp/quis/api/admin/certificates"
	"github.com/quis-idp/quis/api/admin/dispatch"
	"github.com/quis-idp/quis/api/admin/mail"
	"github.com/quis-idp/quis/api/admin/oauth"
	"github.com/quis-idp/quis/api/admin/people"
	"github.com/quis-idp/quis/api/limit"
	"github.com/quis-idp/quis/api/problem"
	"github.com/quis-idp/quis/cluster"
	"github.com/quis-idp/quis/cluster/backup"
	"github.com/quis-idp/quis/cluster/checkup"
	"github.com/quis-idp/quis/cluster/feature"
	"github.com/quis-idp/quis/cluster/rootkey"
	"github.com/quis-idp/quis/federation/fetch"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/impersonation"
	"github.com/quis-idp/quis/identity/notify"
	"github.com/quis-idp/quis/identity/session"
	"github.com/quis-idp/quis/identity/settings"
	"github.com/quis-idp/quis/keys"
	"github.com/quis-idp/quis/keys/seal"
)

// Cluster is what the API shows and asks of this node's place in the cluster.
type Cluster interface {
	Status(ctx context.Context) cluster.Status
	Ready() error // says to a person what is missing
	Transfer(ctx context.Context, to string) error
	Remove(ctx context.Context, id string, force bool) error
	Demote(ctx context.Context, id string, force bool) error
	Promote(ctx context.Context, id string) error
	CatchUp(ctx context.Context) error
	Checkup(ctx context.Context) []checkup.Finding
	Admission
}

// Config is what the API works on.
type Config struct {
	DB        *fsm.DB
	Ring      *seal.Ring
	Keys      *keys.Keys
	Passwords *credential.Pool
	Checks    credential.Checks // of new passwords
	Sessions  *session.Store
	Offers    *impersonation.Offers
	Cluster   Cluster
	Backups   *backup.Keeper
	RootKeys  *rootkey.Keeper
	PublicURL string // without trailing slash
	Version   string // of the program
	Mail      *notify.Room
	// Fetch asks the addresses that applications registered.
	Fetch *fetch.Client
	// Feature makes sure that every member knows a feature of the cluster before it is
	// used; nil: they do.
	Feature func(ctx context.Context, name string) error
	// Fresh reports an error if this node's state may be older than the bound within which a
	// revoked token may still be honoured; nil: it never is.
	Fresh func(context.Context) error
}

// oauth is the part of c that the resources of applications work on.
func (c Config) oauth() oauth.Config {
	return oauth.Config{DB: c.DB, Ring: c.Ring, Fetch: c.Fetch, Modern: c.modern(feature.Applications), Factors: c.factors}
}

// authentication is the part of c that the resources about signing in work on.
func (c Config) authentication() authentication.Config {
	return authentication.Config{DB: c.DB, Modern: c.modern(feature.Authentication), Factors: c.factors, Checks: c.Checks, Mail: c.Mail}
}

// people is the part of c that the resources that bring people in work on.
func (c Config) people() people.Config {
	return people.Config{DB: c.DB, Ring: c.Ring, Mail: c.Mail, Offers: c.Offers, Modern: c.modern(feature.Authentication)}
}

// modern returns a function that makes sure that every member knows a feature, or says so
// in a person's words.
func (c Config) modern(name string) func(context.Context) error {
	return func(ctx context.Context) error {
		if c.Feature == nil {
			return nil
		}
		err := c.Feature(ctx, name)
		if errors.Is(err, fsm.ErrUnavailable) {
			return &identity.Error{Kind: err, Detail: "Settings like these need the present release on every node, and not every node has said yet that it runs it: `quis status` shows which."}
		}
		return err
	}
}

// factors makes sure that every member holds people to a policy of second factors.
func (c Config) factors(ctx context.Context, mfa string) error {
	if mfa == settings.MFADeviceBound {
		return c.modern(feature.DeviceBound)(ctx)
	}
	return c.modern(feature.Authentication)(ctx)
}

// An API is the admin API of one node.
type API struct {
	cfg      Config
	table    []route
	openapi  []byte
	failures *limit.Limiter // by address: bad tokens
	requests *limit.Limiter // by token
	uses     *limit.Limiter // by token: how often its use is written down
}

// New returns the API. Its error is a fault in the route table itself.
func New(cfg Config) (*API, error) {
	a := &API{cfg: cfg, failures: limit.New(limit.Rate{Burst: 20, Every: time.Second}), requests: limit.New(limit.Rate{Burst: 1000, Every: 2 * time.Millisecond}),
		uses: limit.New(limit.Rate{Burst: 1, Every: 15 * time.Minute})}
	a.table = slices.Concat(a.tenants(), a.users(), a.credentials(), a.groups(), oauth.Routes(cfg.oauth()), authentication.Routes(cfg.authentication()), people.Routes(cfg.people()), certificates.Routes(certificates.Config{DB: cfg.DB, Modern: cfg.modern(feature.Authentication), Take: a.takeFactors}), mail.Routes(mail.Config{DB: cfg.DB, Ring: cfg.Ring, Mail: cfg.Mail, Modern: cfg.modern(feature.Authentication)}),
		a.factors(), a.me(), a.sessions(), a.signingKeys(), audit.Routes(audit.Config{DB: cfg.DB, Node: func(ctx context.Context) string { return cfg.Cluster.Status(ctx).NodeID }}), a.installation(), a.backups(), a.clusterRoutes(), a.admission(), a.rootKeys())
	var err error
	a.openapi, err = dispatch.Document(a.table, cfg.Version)
	return a, err
}

// Routes adds /api/v1/ and /api/openapi.json for whoever has a token of an admin user.
func (a *API) Routes(mux *http.ServeMux) { a.routes(mux, a.bearer) }

// Local serves the same to the operator of the machine, without a token: it belongs
// behind a Unix socket that nobody else may open.
func (a *API) Local() http.Handler {
	mux := http.NewServeMux()
	a.routes(mux, a.operator)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		request := identity.Request{ID: identity.NewID("req"), UserAgent: r.UserAgent()}
		w.Header().Set("X-Request-Id", request.ID)
		mux.ServeHTTP(w, r.WithContext(identity.WithRequest(r.Context(), request)))
	})
}

func (a *API) routes(mux *http.ServeMux, who identify) {
	for i := range a.table {
		r := &a.table[i]
		mux.Handle(r.Method+" "+prefix+r.Path, problem.Handle(a.serve(r, who)))
	}
	mux.HandleFunc("GET /api/openapi.json", a.describe)
	mux.Handle("/api/", problem.Handle(func(w http.ResponseWriter, r *http.Request) error {
		return dispatch.Unmatched(mux, w, r)
	}))
}

func (a *API) describe(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "public, max-age=300")
	_, _ = w.Write(a.openapi) // the client has left: nobody to tell
}

// serve takes one request through identification, permission, handler and answer.
func (a *API) serve(rt *route, who identify) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		caller, err := who(w, r)
		if err != nil {
			return err
		}
		if err := may(rt, caller); err != nil {
			return err
		}
		c := &call{R: r, Route: rt, Header: w.Header()}
		if err := a.chooseTenant(c, caller); err != nil {
			return err
		}
		if rt.Needs == ofPerson && c.Other {
			return identity.Denied("An account is in the tenant of its token.")
		}
		c.Ctx = identity.WithActor(identity.WithTenant(r.Context(), c.Tenant), caller.actor)
		c.Ctx = context.WithValue(c.Ctx, sentToken{}, caller.token)
		if rt.Reads() && r.URL.Query().Get("consistent") == "true" {
			if err := a.cfg.Cluster.CatchUp(c.Ctx); err != nil {
				return err
			}
		}
		if rt.Do.Stream != nil {
			return rt.Do.Stream(c, w)
		}
		out, err := rt.Do.Serve(c)
		if err != nil {
			return err
		}
		return dispatch.Answer(w, r, rt, out)
	}
}
