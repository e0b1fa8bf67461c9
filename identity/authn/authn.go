package authn

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/assurance"
	"github.com/quis-idp/quis/identity/authn/throttle"
	"github.com/quis-idp/quis/identity/authn/wave"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/credential/certificate/desk"
	"github.com/quis-idp/quis/identity/credential/mailcode"
	"github.com/quis-idp/quis/identity/regain"
	"github.com/quis-idp/quis/identity/session"
	"github.com/quis-idp/quis/keys/seal"
)

// Tables are the definitions that a store needs for sign-in, and for getting back in.
var Tables = slices.Concat([]fsm.Definition{spent, putOff}, regain.Tables, wave.Tables, throttle.Tables)

// ACRs are the authentication contexts that signing in can reach, surest first.
var ACRs = assurance.ACRs

// Reachable reports whether signing in can reach acr.
func Reachable(acr string) bool { return assurance.LevelOf(acr) > 0 }

// ErrDeadFlow is the kind of a flow that cannot be gone on with: spent, expired,
// another browser's, or no flow at all. It is an identity.ErrInvalid; pages show
// that the link is dead and where to begin again.
var ErrDeadFlow = fmt.Errorf("sign-in flow is dead: %w", identity.ErrInvalid)

// Config says what Flows work with; what may be nil or zero says so.
type Config struct {
	DB       *fsm.DB
	Ring     *seal.Ring
	Sessions *session.Store

	// CheckPassword is credential.CheckPassword with its store and pool: nil for the
	// user's password, identity.ErrUnauthenticated for any other. For the empty user
	// ID, nobody, it takes the same time and fails.
	CheckPassword func(ctx context.Context, tenant, userID, password string) error
	// FailPassword is credential.FailPassword with them: it takes the time of CheckPassword for
	// that user, and fails. Nil: CheckPassword does, for nobody.
	FailPassword func(ctx context.Context, tenant, userID, password string) error
	// Leaked is credential.Leaked with its store and checks: whoever proves such a password must choose
	// another before they are in. It is asked only about one that is right. Nil: nobody knows.
	Leaked func(ctx context.Context, tenant, password string) bool
	// NameKey chooses users whose passwords take as long as names that nobody has. It is a secret, and
	// the same on every node for as long as may be.
	NameKey [32]byte

	// SendMail hands a letter over to be sent and returns at once, so that the time it takes
	// does not tell whether there is a letter. Nil: nobody can sign in by mail.
	SendMail func(ctx context.Context, l Letter)

	// Tell has the browsers of these sessions of a user told that a sign-in waits for an
	// approval, if they want to be, and returns at once. Nil: nobody is told.
	Tell func(tenant, userID string, sessions []string)
	// Warn has all of theirs told that in this flow somebody who reads their mail gets back in. Nil: nobody is told.
	Warn func(tenant, userID, flow string)

	// NewPassword is credential.Prepare with its store, pool and checks: the hash of a new
	// password, or identity.ErrInvalid, field password.
	NewPassword func(ctx context.Context, who credential.Person, password string) (phc string, err error)

	Certificates *desk.Desk // looks at people's certificates; nil: none can arrive at this node

	// Forget revokes what applications hold of a user whose password has changed, or who has
	// got back in. Nil: nothing.
	Forget func(tx *fsm.Tx, tenant, user string) error

	// Modern makes sure that every member of the cluster knows recoveries before there is
	// one. Nil: they do.
	Modern func(ctx context.Context) error

	// Strangers is how many attempts of browsers that are not known may be under way on this node,
	// so that there is room for the others whoever knocks; default 32 for each worker that hashes.
	Strangers int

	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// Flows begins, advances and finishes sign-ins. It is safe for concurrent use.
type Flows struct {
	cfg      Config
	attempts *throttle.Attempts
	flushing sync.Mutex // one at a time
	waves    *wave.Watch
	codes    *mailcode.Codes
	metrics  metrics
}

// New returns Flows. Run must run for failed attempts to be written.
func New(cfg Config) *Flows {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.CheckPassword == nil {
		panic("authn: Config.CheckPassword is needed")
	}
	if cfg.Strangers <= 0 {
		cfg.Strangers = 32 * max(1, runtime.GOMAXPROCS(0)/2)
	}
	return &Flows{cfg: cfg, attempts: throttle.New(cfg.Strangers), waves: wave.New(cfg.DB, cfg.Ring, cfg.Registerer), codes: mailcode.New(cfg.Ring, cfg.DB.Now), metrics: newMetrics(cfg.Registerer)}
}

type metrics struct {
	logins   *prometheus.CounterVec
	duration *prometheus.HistogramVec
	lost     prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) metrics {
	m := metrics{
		logins: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "quis_logins_total", Help: "Attempts to sign in, by method, result (success, failure, error) and reason.",
		}, []string{"method", "result", "reason"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "quis_login_duration_seconds", Help: "Time that an attempt to sign in took.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"method"}),
		lost: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "quis_login_failures_unrecorded_total", Help: "Failed attempts whose event was lost because the log took no writes for too long.",
		}),
	}
	if reg != nil {
		reg.MustRegister(m.logins, m.duration, m.lost)
	}
	return m
}
