package oidc

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/keys/seal"
)

// overlap is how long after the winner began its exchange another one of the same
// code counts as having come at the same moment rather than as a replay.
const overlap = 5 * time.Millisecond

var (
	errSpent  = errors.New("code was exchanged before")
	errReused = errors.New("refresh token was used before")
	errNoPass = errors.New("application may not do this")
	errWider  = errors.New("more scope than was granted")
)

// A held is a family as of a certain log entry, which names its refresh token.
type held struct {
	family *Family
	index  uint64
}

// begin makes the family of a code, which is what spends the code: one log entry.
// If the family exists, the code is a replay: errSpent, and the family is revoked
// (one entry, later replays none), unless the two exchanges ran at the same time.
func (p *Provider) begin(ctx context.Context, app *federation.Application, c *grantCode, arrived time.Time) (held, error) {
	var out held
	var spent bool
	first := true
	err := p.db.Update(ctx, func(tx *fsm.Tx) error {
		overlapped := !first
		out, spent, first = held{}, false, false
		if err := seal.Check(tx, c.epoch); errors.Is(err, seal.ErrBox) {
			return fmt.Errorf("%w: %w", err, errDead)
		} else if err != nil {
			return err
		}
		old, err := families.Get(tx, fsm.Scope(app.Tenant), c.Family.key())
		switch {
		case err == nil:
			spent = true
			if overlapped && !arrived.After(time.UnixMilli(old.Created).Add(overlap)) {
				return nil
			}
			return reused(tx, old, "code")
		case !errors.Is(err, fsm.ErrNotFound):
			return err
		case c.expired(tx.Now()):
			return fmt.Errorf("code is too old: %w", errDead)
		}
		f := newFamily(tx, app, c)
		if err := permitted(tx, app, federation.GrantCode, f.UserID); err != nil {
			return err
		}
		until, err := p.standing(tx, f)
		if err != nil {
			return err
		}
		if app.Allows(federation.GrantRefresh) {
			f.Salt = make([]byte, 16)
			rand.Read(f.Salt)
			f.End = tx.Now().Add(p.absolute).UnixMilli()
			p.turn(f, app, tx.Now(), until)
		}
		if err := families.Insert(tx, f); err != nil {
			return err
		}
		tx.OnCommit(func(index uint64) { out = held{f, index} })
		return tellFamily(tx, f, event.FamilyStarted, "")
	})
	if err == nil && spent {
		return held{}, errSpent
	}
	return out, err
}

// newFamily is a family without refresh tokens: needed as long as its access token is good.
func newFamily(tx *fsm.Tx, app *federation.Application, c *grantCode) *Family {
	now := tx.Now()
	return &Family{
		ID: c.Family, Tenant: app.Tenant, Application: app.ID, ClientID: app.ClientID,
		UserID: c.UserID, SessionID: c.SessionID, Scope: c.Scope, AuthTime: c.AuthTime, AMR: c.AMR, ACR: c.ACR,
		Offline: slices.Contains(c.Scope, federation.ScopeOffline),
		Given:   c.Index, Created: now.UnixMilli(), Expires: now.Add(tokenLife(app)).UnixMilli(),
	}
}

// tokenLife is how long a row must outlive the access token that was just minted,
// clocks that differ and the code's own life included.
func tokenLife(app *federation.Application) time.Duration {
	return time.Duration(app.TokenExpiry)*time.Second + 2*codeLifetime
}

// turn makes the next generation of f. until is when its session ends; zero: it has none.
func (p *Provider) turn(f *Family, app *federation.Application, now, until time.Time) {
	f.Gen++
	f.Key = p.ring.CurrentKey()
	f.Rotated = now.UnixMilli()
	f.IdleEnd = min(now.Add(p.idle).UnixMilli(), f.End)
	if !until.IsZero() {
		f.IdleEnd = min(f.IdleEnd, until.UnixMilli())
	}
	f.Expires = max(f.IdleEnd, now.Add(tokenLife(app)).UnixMilli())
}

// rotate trades a refresh token for its successor: one log entry; none if the
// token was traded within the grace time, when the answer is the same successor.
// A token older than that is errReused and revokes the family. graced tells that
// the answer rests on this replica's state alone.
func (p *Provider) rotate(ctx context.Context, app *federation.Application, t *refreshToken, want []string) (out held, graced bool, err error) {
	var again bool
	err = p.db.Update(ctx, func(tx *fsm.Tx) error {
		out, graced, again = held{}, false, false
		f, rev, err := families.GetRev(tx, fsm.Scope(app.Tenant), t.Family.key())
		if err != nil {
			return err
		}
		now := tx.Now()
		switch {
		case !t.of(f) || f.Application != app.ID || t.Gen > f.Gen || f.RevokedAt != 0:
			return errDead
		case t.Gen+1 < f.Gen, t.Gen < f.Gen && now.Sub(time.UnixMilli(f.Rotated)) > p.grace:
			again = true
			return reused(tx, f, "refresh token")
		case now.UnixMilli() > f.IdleEnd:
			return fmt.Errorf("refresh token expired: %w", errDead)
		case !subset(want, f.Scope):
			return errWider
		}
		if err := permitted(tx, app, federation.GrantRefresh, f.UserID); err != nil {
			return err
		}
		until, err := p.live(tx, f)
		if err != nil {
			return err
		}
		if t.Gen < f.Gen {
			out, graced = held{f, rev}, true
			return nil
		}
		p.turn(f, app, now, until)
		tx.OnCommit(func(index uint64) { out = held{f, index} })
		return families.Put(tx, f)
	})
	switch {
	case err == nil && again:
		return held{}, false, errReused
	case err == nil && !graced:
		out, err = p.asWritten(ctx, out)
	}
	return out, graced, err
}

// asWritten gives h the index that the family's row bears. It is that of the commit, but
// for a batch that was sent again after a lost answer: that commits once and is answered
// at its second place in the log, whereas a successor is named by the first, so that
// everybody who asks for it is told the same.
func (p *Provider) asWritten(ctx context.Context, h held) (held, error) {
	err := p.db.View(ctx, func(tx *fsm.Tx) error {
		f, rev, err := families.GetRev(tx, fsm.Scope(h.family.Tenant), h.family.ID.key())
		if errors.Is(err, fsm.ErrNotFound) {
			return nil
		}
		if err == nil && f.Gen == h.family.Gen && f.RevokedAt == 0 {
			h.index = rev
		}
		return err
	})
	return h, err
}

// permitted looks at the application again, inside the transaction that decides.
func permitted(tx *fsm.Tx, app *federation.Application, grant, userID string) error {
	now, _, err := federation.Get(tx, app.Tenant, app.ID)
	if err != nil {
		return err
	}
	if !now.Allows(grant) {
		return errNoPass
	}
	ok, err := federation.MayUse(tx, now, userID)
	if err != nil {
		return err
	}
	if !ok {
		return errNoPass
	}
	return nil
}
