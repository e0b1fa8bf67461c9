package login

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/quis-idp/quis/api/limit"
	"github.com/quis-idp/quis/api/login/memory"
	"github.com/quis-idp/quis/api/page"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/authn"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/credential/certificate/desk"
	"github.com/quis-idp/quis/identity/impersonation"
	"github.com/quis-idp/quis/identity/session"
)

// PerAddress is how many failed attempts one address may make: thirty at once, then
// twelve a minute. Attempts that succeed do not count.
var PerAddress = limit.Rate{Burst: 30, Every: 5 * time.Second}

// Config says what the pages work with; all but Offers, Certificates, Desk, Checks, Memory, Offer, Frames, PerAddress and Registerer is needed.
type Config struct {
	DB       *fsm.DB
	Sessions *session.Store
	Flows    *authn.Flows
	Offers   *impersonation.Offers // nil: nobody acts as somebody else
	Pool     *credential.Pool
	Checks   credential.Checks // of new passwords; zero: the policy alone
	Memory   memory.Memory     // what browsers remember; zero: nothing

	// Offer, if set, returns where somebody is taken who has just signed in with a password in a
	// browser that makes passkeys, before they go on to the path to; "": nowhere.
	Offer func(r *http.Request, s *session.Session, to string) string

	// Called, if set, says by what name a person knows the browser of r: "Firefox on Linux". Else it
	// is what the browser says of itself.
	Called func(r *http.Request) string

	// Certificates is the origin at which browsers are asked for people's certificates, such as
	// https://id.example.com:8443; empty: they are nowhere. Desk takes those that are to be added.
	Certificates string
	Desk         *desk.Desk

	// Frames, if set, returns the addresses that a browser in which a session ends must
	// load, so that applications forget it.
	Frames func(tx *fsm.Tx, t identity.Tenant, userID, sessionID string) ([]string, error)

	PerAddress limit.Rate // zero: the default of that name
	Strangers  int        // whose passwords are looked at at once; zero: one for two processors
	Registerer prometheus.Registerer
}

// A Login serves the pages.
type Login struct {
	cfg     Config
	address *limit.Limiter
	gate    *limit.Gate // before passwords of browsers that are not known
	limited *prometheus.CounterVec
}

// New returns the pages.
func New(cfg Config) *Login {
	if cfg.PerAddress.Burst == 0 {
		cfg.PerAddress = PerAddress
	}
	l := &Login{
		cfg: cfg, address: limit.New(cfg.PerAddress), gate: limit.NewGate(cfg.Strangers),
		limited: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "quis_rate_limited_total", Help: "Requests refused because there were too many, by rule.",
		}, []string{"rule"}),
	}
	if cfg.Registerer != nil {
		cfg.Registerer.MustRegister(l.limited, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "quis_signin_waiting", Help: "Passwords of browsers that are not known that wait for each other, as in a flood of guesses.",
		}, func() float64 { return float64(l.gate.Waiting()) }))
	}
	return l
}

// Refused counts a request that another room refused by one of its rules.
func (l *Login) Refused(rule string) { l.limited.WithLabelValues(rule).Inc() }

// Rules of quis_rate_limited_total.
const (
	ruleAddress = "signin_address" // too many failures from one address
	ruleName    = "signin_name"    // too many failures for one name, or no room to hash passwords
	ruleCrowd   = "signin_crowd"   // too many browsers at once that are not known
	ruleLink    = "recovery_link"  // links that do not work, from one address
	ruleMail    = "signin_mail"    // too many letters asked for from one address, of which no code came back; told as ruleName

	ruleImpersonation = "impersonation_address"
)

// Routes mounts the pages under the paths within a tenant.
func (l *Login) Routes(mux *http.ServeMux) {
	mux.Handle("GET /{$}", page.Handle(l.home))
	mux.Handle("GET /login", page.Handle(l.signIn))
	mux.Handle("POST /login", page.Handle(l.password))
	mux.Handle("POST /login/passkey", page.Handle(l.passkeyAnswer))
	mux.Handle("GET /login/certificate", page.Handle(l.takeCertificate))
	mux.Handle("POST /login/certificate", page.Handle(l.certificate))
	mux.Handle("POST /login/mail", page.Handle(l.mail))
	mux.Handle("POST /login/code", page.Handle(l.mailCode))
	mux.Handle("GET /login/enrol", page.Handle(l.enrol))
	mux.Handle("GET /recover", page.Handle(l.recover))
	mux.Handle("POST /login/renew", page.Handle(l.renew))
	mux.Handle("POST /login/lost", page.Handle(l.lose))
	mux.Handle("POST /login/regain", page.Handle(l.regain))
	mux.Handle("GET /regain/{secret}", page.Handle(l.askLink))
	mux.Handle("POST /regain/{secret}", page.Handle(l.followLink))
	mux.Handle("POST /login/second", page.Handle(l.second))
	mux.Handle("POST /login/ask", page.Handle(l.ask))
	mux.Handle("POST /login/asked", page.Handle(l.asked))
	mux.Handle("POST /login/continue", page.Handle(l.keep))
	if l.cfg.Offers != nil {
		mux.Handle("GET /impersonate/{ticket}", page.Handle(l.askImpersonate))
		mux.Handle("POST /impersonate/{ticket}", page.Handle(l.impersonate))
	}
	mux.Handle("POST /impersonate/end", page.Handle(l.endImpersonation))
	mux.Handle("POST /login/forget", page.Handle(l.forget))
	mux.Handle("GET /logout", page.Handle(l.askSignOut))
	mux.Handle("POST /logout", page.Handle(l.signOut))
}

// admit counts an attempt of r's address against rule. When it is refused, wait says for
// how long; otherwise giveBack undoes the count, once the attempt has proved to be honest.
func (l *Login) admit(r *http.Request, rule string) (wait time.Duration, giveBack func()) {
	return l.admitAs(rule+" "+identity.RequestFrom(r.Context()).Network(), rule)
}

// keyOf is under what a step of a flow counts. A browser in which somebody has signed in before counts
// for itself: a stranger behind the same address cannot use up what is its.
func (l *Login) keyOf(r *http.Request, f *authn.Flow, rule string) string {
	if browser := l.cfg.Flows.Known(f); browser != "" {
		return rule + " browser " + browser
	}
	return rule + " " + identity.RequestFrom(r.Context()).Network()
}

func (l *Login) admitAs(key, rule string) (wait time.Duration, giveBack func()) {
	if wait = l.address.Take(key); wait > 0 {
		l.limited.WithLabelValues(rule).Inc()
		return wait, nil
	}
	return 0, func() { l.address.GiveBack(key) }
}
