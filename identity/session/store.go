package session

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/keys/seal"
)

const (
	waitForRow   = 2 * time.Second // for a row that another node has just written
	maxIP        = 64
	maxUserAgent = 512
)

// Config says what a Store works with; DB and Ring are needed.
type Config struct {
	DB   *fsm.DB
	Ring *seal.Ring

	// Fresh returns nil once this node's state is young enough to say that
	// something has not been revoked. Nil means that it always is: a single node.
	Fresh func(ctx context.Context) error

	Flush time.Duration // how often "last seen" is written; default 60 s

	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// A Store finds sessions by their cookies and remembers when they were last seen.
type Store struct {
	cfg    Config
	seen   seen
	active prometheus.Gauge
}

// NewStore returns a Store. Run must run for "last seen" to be written.
func NewStore(cfg Config) *Store {
	if cfg.Flush == 0 {
		cfg.Flush = time.Minute
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	st := &Store{cfg: cfg, active: prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "quis_sessions_active", Help: "Sessions that have neither expired nor been ended.",
	})}
	st.seen.at = map[seenKey]int64{}
	if cfg.Registerer != nil {
		cfg.Registerer.MustRegister(st.active)
	}
	return st
}

// Find returns the session that a cookie of this tenant stands for and notes that
// it was seen. It reports identity.ErrUnauthenticated if there is none: the cookie
// is not ours, or the session has expired, is idle too long, has ended or lost its
// user. It reports fsm.ErrUnavailable if this node cannot know.
func (st *Store) Find(ctx context.Context, tenant, cookie string) (*Session, error) {
	s, err := st.Look(ctx, tenant, cookie)
	if err == nil {
		st.Touch(tenant, s.ID)
	}
	return s, err
}

// Look is Find for what a browser asks for by itself: it does not count as activity.
func (st *Store) Look(ctx context.Context, tenant, cookie string) (*Session, error) {
	h, err := st.open(tenant, cookie)
	if errors.Is(err, seal.ErrSealed) {
		return nil, fmt.Errorf("session cookie: %w", err)
	}
	if err != nil {
		return nil, nobody()
	}
	if err := st.reach(ctx, h.index); err != nil {
		return nil, err
	}
	if st.cfg.Fresh != nil {
		if err := st.cfg.Fresh(ctx); err != nil {
			return nil, fmt.Errorf("find session: %w", err)
		}
	}
	var s *Session
	err = st.cfg.DB.View(ctx, func(tx *fsm.Tx) (err error) {
		s, err = st.Live(tx, tenant, identity.FormatID(identity.PrefixSession, h.id))
		return err
	})
	if errors.Is(err, fsm.ErrNotFound) {
		return nil, nobody()
	}
	if err != nil {
		return nil, fmt.Errorf("find session: %w", err)
	}
	hash := sha256.Sum256(h.secret[:])
	if subtle.ConstantTimeCompare(hash[:], s.SecretHash) != 1 {
		return nil, nobody()
	}
	return s, nil
}

func nobody() error { return identity.Unauthenticated("You are not signed in.") }

// reach waits for the log index in a cookie. If it does not come, the cluster is
// asked: an index that lies beyond everything acknowledged is from a life before
// a restore, and no session of ours.
func (st *Store) reach(ctx context.Context, index uint64) error {
	wait, cancel := context.WithTimeout(ctx, waitForRow)
	defer cancel()
	if st.cfg.DB.WaitApplied(wait, index) == nil {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("find session: %w", err)
	}
	err := st.cfg.DB.Read(ctx, func(tx *fsm.Tx) error {
		if tx.Index() < index {
			return fsm.ErrNotFound
		}
		return nil
	})
	if errors.Is(err, fsm.ErrNotFound) {
		return nobody()
	}
	if err != nil {
		return fmt.Errorf("find session: %w", err)
	}
	return nil
}

// Live returns a session that stands in every respect: not expired, not ended, not
// idle, its user there and enabled. Else it reports fsm.ErrNotFound. LastSeen and Expires are
// as of now; the session is not touched.
func (st *Store) Live(tx *fsm.Tx, tenant, id string) (*Session, error) {
	s, err := Get(tx, tenant, id)
	if err != nil {
		return nil, err
	}
	l, err := lifetimeOf(tx, tenant)
	if err != nil {
		return nil, err
	}
	stands, err := st.stands(tx, s, l)
	if err != nil {
		return nil, err
	}
	if !stands {
		return nil, fmt.Errorf("session is over: %w", fsm.ErrNotFound)
	}
	u, _, err := directory.GetUser(tx, tenant, s.UserID)
	if err != nil {
		return nil, err
	}
	if u.Disabled {
		return nil, fmt.Errorf("session of a disabled user: %w", fsm.ErrNotFound)
	}
	return s, nil
}
