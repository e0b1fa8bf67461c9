package session

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/quis-idp/quis/fsm"
)

const (
	seenAtOnce = 1000    // sessions written in one transaction, some 100 bytes each
	seenLimit  = 500_000 // sessions remembered between two flushes
	flushGrace = 2 * time.Second
)

type seenKey struct{ tenant, id string }

// seen remembers when this node last saw each session, until that is written.
type seen struct {
	mu sync.Mutex
	at map[seenKey]int64 // milliseconds since 1970
}

// Touch notes that the session is in use now. It costs no log entry: see Run.
func (st *Store) Touch(tenant, id string) {
	now := st.cfg.DB.Now().UnixMilli()
	st.seen.mu.Lock()
	defer st.seen.mu.Unlock()
	k := seenKey{tenant, id}
	if _, known := st.seen.at[k]; known || len(st.seen.at) < seenLimit {
		st.seen.at[k] = max(st.seen.at[k], now)
	}
}

// lastSeen is the latest that this node knows: sign-in, what was written, what it saw itself.
func (st *Store) lastSeen(tx *fsm.Tx, s *Session) (time.Time, error) {
	ms, err := lastSeen.Get(tx, fsm.Scope(s.Tenant), fsm.K(s.ID))
	if err != nil {
		return time.Time{}, err
	}
	st.seen.mu.Lock()
	ms = max(ms, st.seen.at[seenKey{s.Tenant, s.ID}], s.AuthTime.UnixMilli())
	st.seen.mu.Unlock()
	return time.UnixMilli(ms).UTC(), nil
}

// Run writes what was seen every Config.Flush, and once more when ctx ends, which
// it does not report as an error. It also counts the active sessions, and tells of
// impersonations that have ended by themselves.
func (st *Store) Run(ctx context.Context) error {
	tick := time.NewTicker(st.cfg.Flush)
	defer tick.Stop()
	for {
		if err := st.count(ctx); err != nil && ctx.Err() == nil {
			st.cfg.Logger.WarnContext(ctx, "sessions not counted", "error", err)
		}
		select {
		case <-tick.C:
			if err := st.flush(ctx); err != nil {
				st.cfg.Logger.WarnContext(ctx, "last seen not written", "error", err)
			}
			if err := st.sweep(ctx); err != nil {
				st.cfg.Logger.WarnContext(ctx, "end of impersonations not told yet", "error", err)
			}
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushGrace)
			defer cancel()
			if err := st.flush(last); err != nil {
				st.cfg.Logger.WarnContext(ctx, "last seen not written", "error", err)
			}
			return nil
		}
	}
}

// flush writes everything seen since the last one. What could not be written stays for the next.
func (st *Store) flush(ctx context.Context) error {
	st.seen.mu.Lock()
	keys := make([]seenKey, 0, len(st.seen.at))
	for k := range st.seen.at {
		keys = append(keys, k)
	}
	st.seen.mu.Unlock()
	for len(keys) > 0 {
		n := min(len(keys), seenAtOnce)
		if err := st.flushSome(ctx, keys[:n]); err != nil {
			return err
		}
		keys = keys[n:]
	}
	return nil
}

func (st *Store) flushSome(ctx context.Context, keys []seenKey) error {
	written := make(map[seenKey]int64, len(keys))
	expires := make(map[seenKey]time.Time, len(keys))
	// Outside the Update, so that these reads are not verified and disturb nobody.
	err := st.cfg.DB.View(ctx, func(tx *fsm.Tx) error {
		for _, k := range keys {
			s, err := Get(tx, k.tenant, k.id)
			if errors.Is(err, fsm.ErrNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			expires[k] = s.Expires
		}
		return nil
	})
	if err != nil {
		return err
	}
	st.seen.mu.Lock()
	for _, k := range keys {
		written[k] = st.seen.at[k]
	}
	st.seen.mu.Unlock()
	err = st.cfg.DB.Update(ctx, func(tx *fsm.Tx) error {
		for k, until := range expires {
			if err := lastSeen.Max(tx, fsm.Scope(k.tenant), fsm.K(k.id), written[k], until); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("write last seen: %w", err)
	}
	st.seen.mu.Lock()
	defer st.seen.mu.Unlock()
	for k, ms := range written {
		if st.seen.at[k] == ms {
			delete(st.seen.at, k)
		}
	}
	return nil
}

// count walks all sessions: a few microseconds each, once in a flush interval.
func (st *Store) count(ctx context.Context) error {
	n := 0
	err := st.cfg.DB.View(ctx, func(tx *fsm.Tx) (err error) {
		n, err = sessions.CountAll(tx)
		return err
	})
	if err == nil {
		st.active.Set(float64(n))
	}
	return err
}
