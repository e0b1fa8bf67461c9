// Package refusal remembers that people were shown an error page by the protocols, so that
// the error ID on the page is found again in the event log.
//
// A stranger can have such a page shown as often as they like, so it must not cost a log
// entry: what is alike is gathered, in memory and within bounds, and written every few
// seconds as one event with a count and the first error IDs. Every single one is in the
// node's log. What could not be written is dropped with a warning: nobody relies on it.
//
// Not here: the pages, and failed sign-ins (identity/authn).
package refusal

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/event"
)

const (
	flushEvery = 5 * time.Second
	lastFlush  = 2 * time.Second
	maxKinds   = 100 // between two flushes, and so the most events in one entry
	maxIDs     = 12  // of one kind; an event's value holds them
	other      = "Several reasons."
)

// A kind is what makes refusals alike.
type kind struct {
	tenant, application, reason string
	status                      int
}

type tally struct {
	request identity.Request // of the first
	count   int64
	ids     []string
}

// A Log gathers refusals and writes them.
type Log struct {
	db  *fsm.DB
	log *slog.Logger

	mu    sync.Mutex
	kinds map[kind]*tally // guarded by mu
}

// New returns a Log. Run must run for anything to be written.
func New(db *fsm.DB, log *slog.Logger) *Log {
	return &Log{db: db, log: log, kinds: map[kind]*tally{}}
}

// Note remembers that the page of the request in ctx was an error. reason is one of our own
// sentences; application may be empty.
func (l *Log) Note(ctx context.Context, status int, reason, application string) {
	r := identity.RequestFrom(ctx)
	l.log.InfoContext(ctx, "error page shown", "error_id", r.ID, "status", status, "reason", reason, "application", application)
	k := kind{identity.TenantFrom(ctx).ID, application, reason, status}
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.kinds[k]
	if t == nil && len(l.kinds) >= maxKinds {
		k = kind{reason: other}
		t = l.kinds[k]
	}
	if t == nil {
		t = &tally{request: r}
		l.kinds[k] = t
	}
	t.count++
	if len(t.ids) < maxIDs && r.ID != "" {
		t.ids = append(t.ids, r.ID)
	}
}

// Run writes what was gathered every five seconds, and once more when ctx ends, which it
// does not report as an error.
func (l *Log) Run(ctx context.Context) error {
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			l.flush(ctx)
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastFlush)
			defer cancel()
			l.flush(last)
			return nil
		}
	}
}

func (l *Log) flush(ctx context.Context) {
	if err := l.Flush(ctx); err != nil {
		l.log.WarnContext(ctx, "error pages not written to the event log", "error", err)
	}
}

// Flush writes what was gathered: one log entry, or none if there is nothing.
func (l *Log) Flush(ctx context.Context) error {
	l.mu.Lock()
	kinds := l.kinds
	l.kinds = map[kind]*tally{}
	l.mu.Unlock()
	if len(kinds) == 0 {
		return nil
	}
	err := l.db.Update(ctx, func(tx *fsm.Tx) error {
		for k, t := range kinds {
			if err := event.Append(tx, eventOf(k, t)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("write %d kinds of error page: %w", len(kinds), err)
	}
	return nil
}

func eventOf(k kind, t *tally) event.Event {
	e := event.Event{
		Tenant: k.tenant, Type: event.AuthorizationRefused, Request: t.request,
		Actor: identity.Actor{Kind: identity.ActorAnonymous},
		Data: map[string]string{
			"reason": k.reason, "count": strconv.FormatInt(t.count, 10), event.ErrorIDs: strings.Join(t.ids, " "),
		},
	}
	if k.status != 0 {
		e.Data["status"] = strconv.Itoa(k.status)
	}
	if k.application != "" {
		e.Target = event.Target{Kind: "application", Name: k.application}
	}
	return e
}
