package family

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/fsm"
)

// turn makes the next generation of f. until is when its session ends; zero: it has none.
func (s *Store) turn(f *Family, app *federation.Application, now, until time.Time) {
	f.Gen++
	f.Key = s.ring.CurrentKey()
	f.Rotated = now.UnixMilli()
	s.prolong(f, app, now, until)
}

// prolong moves the time that f is good for without being used.
func (s *Store) prolong(f *Family, app *federation.Application, now, until time.Time) {
	f.IdleEnd = min(now.Add(orElse(app.Refresh.Idle, s.idle)).UnixMilli(), f.End)
	if !until.IsZero() {
		f.IdleEnd = min(f.IdleEnd, until.UnixMilli())
	}
	f.Expires = max(f.IdleEnd, now.Add(tokenLife(app, f)).UnixMilli())
}

// kept reports whether the refresh token of f is used again and again: if the
// application wants that, and whoever presents it proves each time to hold the key
// that it is bound to, or to be the application (RFC 9700, section 4.14.2). FAPI 2.0,
// section 5.3.2.1, has no other.
func kept(app *federation.Application, f *Family) bool {
	return (app.Refresh.Keep || app.Profile == federation.ProfileFAPI2) && (f.Confirm.Bound() || !app.IsPublic)
}

// advance makes the next generation, or for a kept family only the next times.
func (s *Store) advance(f *Family, app *federation.Application, now, until time.Time) {
	if kept(app, f) {
		s.prolong(f, app, now, until)
		return
	}
	s.turn(f, app, now, until)
}

// due reports whether a kept family's times must be written again: a tenth of its idle
// time has gone since they were, or its row would not outlive a token that is minted now.
func (s *Store) due(f *Family, app *federation.Application, now, until time.Time) bool {
	next := *f
	s.prolong(&next, app, now, until)
	step := orElse(app.Refresh.Idle, s.idle).Milliseconds() / 10
	return next.IdleEnd-f.IdleEnd >= step || f.Expires < now.Add(tokenLife(app, f)).UnixMilli() && next.Expires > f.Expires
}

// A Wish is what a refresh asks for, and by whom.
type Wish struct {
	Scope     []string // none: all that was granted
	Resources []string // likewise
	Confirm   Confirmation
	Check     func(*fsm.Tx, *Family) error // what else must hold; it may run more than once
	Also      []func(*fsm.Tx) error        // written in the same transaction, if one is written
}

// within reports why the wish is not granted.
func (w *Wish) within(f *Family) error {
	switch {
	case !subset(w.Scope, f.Scope), !subset(w.Resources, f.Resources):
		return ErrWider
	case f.Confirm.JKT != "" && f.Confirm.JKT != w.Confirm.JKT, f.Confirm.X5T != "" && f.Confirm.X5T != w.Confirm.X5T:
		return ErrKey
	}
	return nil
}

func subset(some, all []string) bool {
	return !slices.ContainsFunc(some, func(s string) bool { return !slices.Contains(all, s) })
}

// Rotate trades a refresh token for its successor: one log entry; none if the
// token was traded within the grace time, when the answer is the same successor, and
// mostly none if the application keeps its token: then the answer is that token.
// A token older than that is ErrReused and revokes the family. graced tells that
// the answer rests on this replica's state alone.
func (s *Store) Rotate(ctx context.Context, app *federation.Application, t *Token, want Wish) (out Held, graced bool, err error) {
	var again bool
	err = s.db.Update(ctx, func(tx *fsm.Tx) error {
		out, graced, again = Held{}, false, false
		f, rev, err := families.GetRev(tx, fsm.Scope(app.Tenant), t.Family.key())
		if err != nil {
			return err
		}
		now := tx.Now()
		switch {
		case !t.Of(f) || f.Application != app.ID || t.Gen > f.Gen || f.RevokedAt != 0:
			return ErrDead
		case t.Gen+1 < f.Gen, t.Gen < f.Gen && now.Sub(time.UnixMilli(f.Rotated)) > s.grace:
			again = true
			return Reused(tx, f, "refresh token")
		case now.UnixMilli() > f.IdleEnd:
			return fmt.Errorf("refresh token expired: %w", ErrDead)
		}
		if err := want.within(f); err != nil {
			return err
		}
		if err := permitted(tx, app, federation.GrantRefresh, f.UserID); err != nil {
			return err
		}
		if want.Check != nil {
			if err := want.Check(tx, f); err != nil {
				return err
			}
		}
		until, err := s.Live(tx, f)
		if err != nil {
			return err
		}
		if t.Gen < f.Gen {
			out, graced = Held{f, rev}, true
			return nil
		}
		if kept(app, f) && len(want.Also) == 0 && !s.due(f, app, now, until) {
			out, graced = Held{f, t.Index}, true
			return nil
		}
		s.advance(f, app, now, until)
		if err := remember(tx, f, app); err != nil {
			return err
		}
		for _, also := range want.Also {
			if err := also(tx); err != nil {
				return err
			}
		}
		tx.OnCommit(func(index uint64) { out = Held{f, index} })
		return families.Put(tx, f)
	})
	switch {
	case err == nil && again:
		return Held{}, false, ErrReused
	case err == nil && !graced:
		out, err = s.asWritten(ctx, out)
	}
	return out, graced, err
}

// asWritten gives h the index that the family's row bears. It is that of the commit, but
// for a batch that was sent again after a lost answer: that commits once and is answered
// at its second place in the log, whereas a successor is named by the first, so that
// everybody who asks for it is told the same.
func (s *Store) asWritten(ctx context.Context, h Held) (Held, error) {
	err := s.db.View(ctx, func(tx *fsm.Tx) error {
		f, rev, err := families.GetRev(tx, fsm.Scope(h.Family.Tenant), h.Family.ID.key())
		if errors.Is(err, fsm.ErrNotFound) {
			return nil
		}
		if err == nil && f.Gen == h.Family.Gen && f.RevokedAt == 0 {
			h.Index = rev
		}
		return err
	})
	return h, err
}
