package logout

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/fetch"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/event/courier"
)

// Config is what a Room works with; all but Registerer and Pause must be set.
type Config struct {
	DB *fsm.DB
	// Tenant returns what a token needs to know of a tenant, or fsm.ErrNotFound.
	Tenant func(tx *fsm.Tx, id string) (identity.Tenant, error)
	// Token signs a logout token that the application can tell apart by jti. The tenant
	// comes with ctx. The token is good for a short time only: each attempt has its own.
	Token func(ctx context.Context, app *federation.Application, userID, sessionID, jti string) (string, error)
	// Post sends a message to an address that somebody else has chosen: fetch.Client's.
	Post func(ctx context.Context, url string, m fetch.Message) (fetch.Receipt, error)

	Pause func(attempts int) time.Duration // before the next attempt; default grows from 5 s to 30 min

	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// A Room writes and sends deliveries. Run Read and Send on the leader.
type Room struct {
	db      *fsm.DB
	cfg     Config
	metrics *metrics
}

// New returns a Room. It panics if the configuration lacks what it must have.
func New(c Config) *Room {
	if c.DB == nil || c.Tenant == nil || c.Token == nil || c.Post == nil || c.Logger == nil {
		panic("logout: incomplete configuration")
	}
	if c.Pause == nil {
		c.Pause = courier.Pause
	}
	return &Room{db: c.DB, cfg: c, metrics: newMetrics(c.Registerer)}
}

var (
	errGone   = errors.New("nobody to tell any more")
	errNotDue = errors.New("not due any more")
)
