package federation

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/quis-idp/quis/fsm"
)

const (
	useEvery     = time.Minute
	usesAtOnce   = 1000 // applications written in one transaction
	useLastFlush = 2 * time.Second
)

// lastUse is when an application last got tokens, in milliseconds since 1970. It is raised
// and never read by what decides anything, so that no two nodes can be in each other's way.
var lastUse = fsm.NewCounter(105, "application_use")

// LastUsed returns when an application was last given tokens, to about a minute; zero:
// never since this is written down.
func LastUsed(tx *fsm.Tx, tenant, id string) (time.Time, error) {
	ms, err := lastUse.Get(tx, fsm.Scope(tenant), fsm.K(id))
	if err != nil || ms == 0 {
		return time.Time{}, err
	}
	return time.UnixMilli(ms).UTC(), nil
}

type useKey struct{ tenant, id string }

// Uses remembers when this node last gave tokens to each application, until that is
// written: one log entry a minute at most, however many tokens there are.
type Uses struct {
	db  *fsm.DB
	log *slog.Logger

	mu sync.Mutex
	at map[useKey]int64 // guarded by mu

	noted chan struct{} // holds one while there is something to write
}

// NewUses returns Uses. Run must run for anything to be written.
func NewUses(db *fsm.DB, log *slog.Logger) *Uses {
	return &Uses{db: db, log: log, at: map[useKey]int64{}, noted: make(chan struct{}, 1)}
}

// Touch notes that an application, which there is, was given tokens now.
func (u *Uses) Touch(tenant, id string) {
	now := u.db.Now().UnixMilli()
	u.mu.Lock()
	k := useKey{tenant, id}
	u.at[k] = max(u.at[k], now)
	u.mu.Unlock()
	u.wake()
}

func (u *Uses) wake() {
	select {
	case u.noted <- struct{}{}:
	default:
	}
}

// Run writes what was noted: the first use soon, so that whoever tries an application sees it,
// and what follows once a minute. It writes once more when ctx ends, which it does not report
// as an error.
func (u *Uses) Run(ctx context.Context) error {
	for {
		select {
		case <-u.noted:
			if err := u.Flush(ctx); err != nil && ctx.Err() == nil {
				u.log.WarnContext(ctx, "last use of applications not written yet", "error", err)
				u.wake()
			}
		case <-ctx.Done():
		}
		select {
		case <-time.After(useEvery):
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), useLastFlush)
			defer cancel()
			if err := u.Flush(last); err != nil {
				u.log.WarnContext(ctx, "last use of applications not written", "error", err)
			}
			return nil
		}
	}
}

// Flush writes what was noted. What could not be written stays for the next time.
func (u *Uses) Flush(ctx context.Context) error {
	u.mu.Lock()
	noted := maps.Clone(u.at)
	u.mu.Unlock()
	for len(noted) > 0 {
		some := map[useKey]int64{}
		for k, ms := range noted {
			if len(some) == usesAtOnce {
				break
			}
			some[k] = ms
			delete(noted, k)
		}
		if err := u.write(ctx, some); err != nil {
			return fmt.Errorf("write last use of applications: %w", err)
		}
	}
	return nil
}

func (u *Uses) write(ctx context.Context, some map[useKey]int64) error {
	gone := map[useKey]bool{}
	// Outside the Update, so that these reads are not verified and disturb nobody.
	err := u.db.View(ctx, func(tx *fsm.Tx) error {
		for k := range some {
			has, err := applications.Has(tx, fsm.Scope(k.tenant), fsm.K(k.id))
			if err != nil {
				return err
			}
			gone[k] = !has
		}
		return nil
	})
	if err != nil {
		return err
	}
	err = u.db.Update(ctx, func(tx *fsm.Tx) error {
		for k, ms := range some {
			if gone[k] {
				continue
			}
			if err := lastUse.Max(tx, fsm.Scope(k.tenant), fsm.K(k.id), ms, time.Time{}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	for k, ms := range some {
		if u.at[k] == ms {
			delete(u.at, k)
		}
	}
	return nil
}
