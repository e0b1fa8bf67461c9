package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/quis-idp/quis/api/metrics"
	"github.com/quis-idp/quis/api/page"
	"github.com/quis-idp/quis/api/problem"
	"github.com/quis-idp/quis/fsm"
)

// A Room serves paths of the public listener.
type Room interface {
	Routes(mux *http.ServeMux)
}

// Config says what the front door opens to. PublicURL, DB and Metrics are needed.
type Config struct {
	// PublicURL is the origin that browsers and applications use, and the default tenant's issuer.
	PublicURL string
	// DB is asked for tenants by their slug.
	DB *fsm.DB

	// Rooms are served for every tenant: at / for the default one, at /t/{slug}/ for the others.
	Rooms []Room
	// Global rooms are served at / only.
	Global []Room

	// Look says how the pages of a request's tenant look; nil: like ours. See [TenantLook].
	Look func(context.Context) page.Look

	// TrustedProxies are the addresses whose X-Forwarded-For and X-Request-Id are believed.
	TrustedProxies []netip.Prefix
	// CertificateHeader is the header in which these pass on the TLS client certificate that
	// was proven to them; empty: none.
	CertificateHeader string
	// CrossOrigin are further ServeMux patterns of paths that other sites may post to,
	// beside the protocol endpoints that quis knows itself.
	CrossOrigin []string

	// Metrics counts requests; its registry is served on the operations listener.
	Metrics *metrics.Metrics
	// Checks are the conditions of readiness.
	Checks []metrics.Check
	// Logger is told of faults; slog's default if nil.
	Logger *slog.Logger
}

// An API is the front door of one node.
type API struct {
	// Public serves people and applications.
	Public http.Handler
	// Operations serves metrics and health to the operator.
	Operations http.Handler
}

// door is the public handler.
type door struct {
	cfg      Config
	always   http.Header // of every answer
	log      *slog.Logger
	mistakes *problem.Log
	origin   *http.CrossOriginProtection
	root     *http.ServeMux // default tenant
	tenant   *http.ServeMux // the others, their prefix taken off
}

// New checks cfg and builds the handlers. It starts nothing.
func New(cfg Config) (*API, error) {
	public, err := origin(cfg.PublicURL)
	if err != nil {
		return nil, err
	}
	if cfg.DB == nil || cfg.Metrics == nil {
		return nil, errors.New("api: DB and Metrics are needed")
	}
	cfg.PublicURL = public.Scheme + "://" + public.Host
	d := &door{
		cfg: cfg, always: secure(public.Scheme == "https"), log: cfg.Logger,
		root: http.NewServeMux(), tenant: http.NewServeMux(),
	}
	if d.log == nil {
		d.log = slog.Default()
	}
	d.mistakes = problem.NewLog(d.log)
	if d.origin, err = crossOrigin(cfg.PublicURL, cfg.CrossOrigin); err != nil {
		return nil, err
	}
	d.root.Handle("GET /assets/", page.Assets())
	health(d.root, false, cfg.Checks)
	for _, room := range cfg.Rooms {
		room.Routes(d.root)
		room.Routes(d.tenant)
	}
	for _, room := range cfg.Global {
		room.Routes(d.root)
	}
	operations := http.NewServeMux()
	health(operations, true, cfg.Checks)
	operations.Handle("GET /metrics", cfg.Metrics.Handler())
	return &API{Public: d, Operations: operations}, nil
}

// health mounts the endpoints that load balancers and supervisors ask.
func health(mux *http.ServeMux, reasons bool, checks []metrics.Check) {
	mux.Handle("GET /livez", metrics.Live())
	mux.Handle("GET /healthz", metrics.Live()) // what some platforms ask for by habit
	mux.Handle("GET /readyz", metrics.Ready(reasons, checks...))
}

// origin accepts a URL that is scheme and host only. A path would put cookies and
// well-known documents where RFC 8414 and the __Host- prefix do not allow them.
func origin(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("public URL: %w", err)
	}
	if u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil ||
		strings.TrimSuffix(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("public URL %q: want https://host[:port] and nothing else", raw)
	}
	return u, nil
}
