package login

import (
	"net/http"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/quis-idp/quis/api/page"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/authn"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/session"
)

// PerAddress is how many failed attempts one address may make: thirty at once, then
// twelve a minute. Attempts that succeed do not count.
var PerAddress = Rate{Burst: 30, Every: 5 * time.Second}

// Config says what the pages work with; all but PerAddress and Registerer is needed.
type Config struct {
	DB       *fsm.DB
	Sessions *session.Store
	Flows    *authn.Flows
	Pool     *credential.Pool

	PerAddress Rate // zero: the default of that name
	Registerer prometheus.Registerer
}

// A Login serves the pages.
type Login struct {
	cfg     Config
	address *limiter
	limited *prometheus.CounterVec
}

// New returns the pages.
func New(cfg Config) *Login {
	if cfg.PerAddress.Burst == 0 {
		cfg.PerAddress = PerAddress
	}
	l := &Login{
		cfg: cfg, address: newLimiter(cfg.PerAddress),
		limited: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "quis_rate_limited_total", Help: "Requests refused because there were too many, by rule.",
		}, []string{"rule"}),
	}
	if cfg.Registerer != nil {
		cfg.Registerer.MustRegister(l.limited)
	}
	return l
}

// Rules of quis_rate_limited_total.
const (
	ruleAddress = "signin_address" // too many failures from one address
	ruleName    = "signin_name"    // too many failures for one name, or no room to hash passwords
	ruleSetup   = "setup_address"
)

// Routes mounts the pages under the paths within a tenant.
func (l *Login) Routes(mux *http.ServeMux) {
	mux.Handle("GET /{$}", page.Handle(l.home))
	mux.Handle("GET /login", page.Handle(l.signIn))
	mux.Handle("POST /login", page.Handle(l.password))
	mux.Handle("GET /logout", page.Handle(l.askSignOut))
	mux.Handle("POST /logout", page.Handle(l.signOut))
	mux.Handle("GET /setup/{token}", page.Handle(l.askSetup))
	mux.Handle("POST /setup/{token}", page.Handle(l.setup))
}

// admit counts an attempt of r's address against rule. When it is refused, wait says for
// how long; otherwise giveBack undoes the count, once the attempt has proved to be honest.
func (l *Login) admit(r *http.Request, rule string) (wait time.Duration, giveBack func()) {
	key := rule + " " + network(identity.RequestFrom(r.Context()).IP)
	if wait = l.address.take(key); wait > 0 {
		l.limited.WithLabelValues(rule).Inc()
		return wait, nil
	}
	return 0, func() { l.address.giveBack(key) }
}

// network is what one party is likely to hold: an IPv4 address, or the first 64 bits of IPv6.
func network(ip string) string {
	a, err := netip.ParseAddr(ip)
	if err != nil || a.Is4() {
		return ip
	}
	p, err := a.Prefix(64)
	if err != nil {
		return ip
	}
	return p.String()
}
