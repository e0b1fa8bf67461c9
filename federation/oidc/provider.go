package oidc

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/ory/fosite"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/claim"
	"github.com/quis-idp/quis/federation/consent"
	"github.com/quis-idp/quis/federation/dpop"
	"github.com/quis-idp/quis/federation/fetch"
	"github.com/quis-idp/quis/federation/jose"
	"github.com/quis-idp/quis/federation/oidc/caller"
	"github.com/quis-idp/quis/federation/oidc/family"
	"github.com/quis-idp/quis/federation/poll"
	"github.com/quis-idp/quis/federation/register"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/authn"
	"github.com/quis-idp/quis/identity/session"
	"github.com/quis-idp/quis/keys"
	"github.com/quis-idp/quis/keys/seal"
)

// Config is what a provider is made of. DB, Keys, Ring, Sessions, Flows, Fresh,
// ErrorPage, PostPage and Logger must be set.
type Config struct {
	DB       *fsm.DB
	Keys     *keys.Keys
	Ring     *seal.Ring
	Sessions *session.Store
	Flows    *authn.Flows

	// Fresh returns nil if this node's state is recent enough to say "yes" where
	// that depends on nothing having been revoked. It is asked before every answer
	// that no log entry decides.
	Fresh func(ctx context.Context) error

	// ErrorPage shows a person what went wrong when there is no application to send them back to.
	ErrorPage func(w http.ResponseWriter, r *http.Request, status int, title, detail string)
	// PostPage shows a form that takes an authorization response to the application (form_post).
	PostPage func(w http.ResponseWriter, r *http.Request, form PostedForm)
	// DeniedPage, if set, tells a person that they may not use an application; back
	// leads to the application with the error. Without it they are sent back at once.
	DeniedPage func(w http.ResponseWriter, r *http.Request, application, back string)

	// Fetch asks the addresses that applications registered. The default may reach
	// public ones only.
	Fetch *fetch.Client
	// Used, if set, is told of each application that is given tokens, by its tenant and ID.
	Used func(tenant, application string)
	// Refused, if set, is told of each error page that a person is shown, so that the ID on
	// it is found again. It must cost no log entry.
	Refused func(ctx context.Context, status int, reason, application string)
	// Documents knows applications by what their client_id leads to; nil: nobody is.
	Documents *register.Documents
	// SignedOutPage, if set, tells a person that they are signed out, has the browser load
	// the frames in which applications end their sessions (OpenID Connect Front-Channel
	// Logout), and leads on to where the application wants them; to may be empty. Without
	// it applications are told by the back channel only.
	SignedOutPage func(w http.ResponseWriter, r *http.Request, frames []string, to string)

	// ConsentPage asks a person what a question is about; the answer goes to consent.Desk. Without
	// it applications for which people must be asked cannot be used.
	ConsentPage func(w http.ResponseWriter, r *http.Request, app *federation.Application, q *consent.Question)

	// SessionCookie names the cookie that carries the tenant's session. The default
	// is quis_session, with __Host- before it if the issuer is https and _slug behind it
	// unless it is the default tenant.
	SessionCookie func(identity.Tenant) string
	LoginURL      string // path within the tenant; default /login
	LogoutURL     string // page that asks, and the one shown after signing out; default /logout

	// Certificates says that TLS client certificates can arrive here (identity.CertificateFrom).
	Certificates bool
	// ClientRoots are who may certify applications with tls_client_auth; nil: nobody.
	ClientRoots *x509.CertPool

	Grace    time.Duration // how long a traded refresh token yields its successor again; default 30 s
	Idle     time.Duration // how long a refresh token is good unused; default 30 days
	Absolute time.Duration // how long a family lives at most; default 90 days

	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// A Provider is the OpenID provider of all tenants: which one a request is for,
// and under which issuer, comes with its context (identity.WithTenant).
type Provider struct {
	db        *fsm.DB
	keys      *keys.Keys
	ring      *seal.Ring
	sessions  *session.Store
	flows     *authn.Flows
	fresh     func(context.Context) error
	page      func(http.ResponseWriter, *http.Request, int, string, string)
	post      func(http.ResponseWriter, *http.Request, PostedForm)
	denied    func(http.ResponseWriter, *http.Request, string, string)
	consent   func(http.ResponseWriter, *http.Request, *federation.Application, *consent.Question)
	desk      *consent.Desk
	goodbye   func(http.ResponseWriter, *http.Request, []string, string)
	used      func(tenant, application string)
	cookie    func(identity.Tenant) string
	login     string
	logoutAt  string
	fetch     *fetch.Client
	documents *register.Documents
	claims    *claim.Engine
	log       *slog.Logger
	metrics   *metrics
	fosite    *fosite.Fosite
	misses    *seal.Throttle
	pace      *poll.Pace
	sets      *caller.Sets
	callers   *caller.Callers
	proofs    *dpop.Verifier
	tls       tlsSupport
	families  *family.Store
	wait      time.Duration // for the log entry that minted a token
}

// New returns a provider. It panics if the configuration lacks what it must have.
func New(c Config) *Provider {
	if c.DB == nil || c.Keys == nil || c.Ring == nil || c.Sessions == nil || c.Flows == nil ||
		c.Fresh == nil || c.ErrorPage == nil || c.PostPage == nil || c.Logger == nil {
		panic("oidc: incomplete configuration")
	}
	p := &Provider{
		db: c.DB, keys: c.Keys, ring: c.Ring, sessions: c.Sessions, flows: c.Flows, fresh: c.Fresh,
		page: c.ErrorPage, post: c.PostPage, denied: c.DeniedPage,
		consent: c.ConsentPage, desk: consent.NewDesk(c.DB, c.Ring), cookie: c.SessionCookie,
		login: c.LoginURL, logoutAt: c.LogoutURL, log: c.Logger, metrics: newMetrics(c.Registerer), claims: claim.New(c.Logger, c.Registerer),
		families: family.New(family.Config{DB: c.DB, Ring: c.Ring, Sessions: c.Sessions, Grace: c.Grace, Idle: c.Idle, Absolute: c.Absolute}),
		wait:     2 * time.Second,
	}
	p.documents = c.Documents
	if p.fetch = c.Fetch; p.fetch == nil {
		p.fetch = fetch.New(fetch.Config{})
	}
	if p.cookie == nil {
		p.cookie = cookieName
	}
	setDefault(&p.login, "/login")
	setDefault(&p.logoutAt, "/logout")
	p.sets = caller.NewSets(fetch.NewCache(p.fetch, keySet, fetch.Standard, jose.ParseSet))
	p.fetch = p.fetch.Apart() // for request objects: whoever may register slow hosts must not keep key sets from being fetched
	p.tls = tlsSupport{certificates: c.Certificates, authorities: c.Certificates && c.ClientRoots != nil}
	p.proofs = dpop.New(c.Ring, c.DB.Now)
	p.callers = caller.New(caller.Config{Ring: c.Ring, Now: c.DB.Now, Application: p.partner, Sets: p.sets, Roots: c.ClientRoots})
	p.goodbye, p.used = c.SignedOutPage, c.Used
	p.tellRefusals(c.Refused)
	p.fosite = newPipeline(p)
	p.misses = seal.NewThrottle(20*time.Millisecond, seal.CatchUp(c.DB))
	p.pace = poll.NewPace()
	return p
}

// keySet is the document at a jwks_uri.
var keySet = fetch.Document{Name: "key set", Types: []string{"application/jwk-set+json", "application/json"}, MaxBytes: jose.MaxSet}

func setDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

func cookieName(t identity.Tenant) string {
	name := "quis_session"
	if strings.HasPrefix(t.Issuer, "https://") {
		name = "__Host-" + name
	}
	if t.Slug != "" {
		name += "_" + t.Slug
	}
	return name
}

// Routes mounts the provider's endpoints. The paths are those within a tenant.
func (p *Provider) Routes(mux *http.ServeMux) {
	mux.HandleFunc("GET /.well-known/openid-configuration", p.discovery)
	mux.HandleFunc("GET /.well-known/oauth-authorization-server", p.discovery)
	mux.HandleFunc("GET /.well-known/jwks.json", p.jwks)
	mux.HandleFunc("GET "+protectedPath, p.protected)
	mux.HandleFunc("GET "+protectedPath+"/{resource...}", p.protected)
	mux.HandleFunc("GET "+authorizePath, p.authorize)
	mux.HandleFunc("POST "+authorizePath, p.authorizePost)
	mux.HandleFunc("POST "+parPath, crossOrigin(p.push))
	mux.HandleFunc("POST /oauth2/token", crossOrigin(p.token))
	mux.HandleFunc("GET /oauth2/userinfo", crossOrigin(p.userinfo))
	mux.HandleFunc("POST /oauth2/userinfo", crossOrigin(p.userinfo))
	mux.HandleFunc("POST /oauth2/revoke", crossOrigin(p.revocation))
	mux.HandleFunc("POST /oauth2/introspect", p.introspection)
	mux.HandleFunc("POST "+devicePath, crossOrigin(starts(p, p.startDevice)))
	mux.HandleFunc("POST "+decoupledPath, starts(p, p.startDecoupled))
	mux.HandleFunc("GET "+logoutPath, p.logout)
	mux.HandleFunc("POST "+logoutPath, p.logoutPost)
	for _, path := range []string{parPath, devicePath, "/oauth2/token", "/oauth2/userinfo", "/oauth2/revoke"} {
		mux.HandleFunc("OPTIONS "+path, preflight)
	}
}

// lookup is fsm.DB.Read for what strangers can miss at will: all misses share
// one question to the leader at a time.
func (p *Provider) lookup(ctx context.Context, fn func(tx *fsm.Tx) error) error {
	err := p.db.View(ctx, fn)
	if !errors.Is(err, fsm.ErrNotFound) {
		return err
	}
	if err := p.misses.Do(ctx); err != nil {
		return err
	}
	return p.db.View(ctx, fn)
}

// basePath is what stands before the tenant's paths in URLs: the path of its issuer.
func basePath(t identity.Tenant) string {
	u, err := url.Parse(t.Issuer)
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(u.Path, "/")
}
