package family

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

// A Start says how a family begins.
type Start struct {
	Grant
	By      string                // grant type that the application must be allowed to use
	What    string                // is exchanged, for the record: code, device code …
	Epoch   seal.Epoch            // that the grant was opened in, if it was sealed
	Arrived time.Time             // when the request came
	Confirm Confirmation          // key that its refresh tokens shall be bound to
	Once    bool                  // no refresh tokens, whatever the application may use
	Check   func(*fsm.Tx) error   // what else must hold; ErrDead if it does not. Runs before anything is written, not for replays
	Also    []func(*fsm.Tx) error // written in the same transaction
}

// A Held is a family as of a certain log entry, which names its refresh token.
type Held struct {
	Family *Family
	Index  uint64
}

// Begin makes the family of a grant, which is what spends its code: one log entry.
// If the family exists, it is a replay: ErrSpent, and the family is revoked (one
// entry, later replays none), unless the two exchanges ran at the same time. ErrDead:
// what it hangs on is no more; ErrNotAllowed: the application, or its user, may not.
func (s *Store) Begin(ctx context.Context, app *federation.Application, start Start) (Held, error) {
	var out Held
	var spent bool
	first := true
	err := s.db.Update(ctx, func(tx *fsm.Tx) error {
		overlapped := !first
		out, spent, first = Held{}, false, false
		if err := start.epoch(tx); err != nil {
			return err
		}
		old, err := Get(tx, app.Tenant, start.Family)
		switch {
		case err == nil:
			spent = true
			if overlapped && !start.Arrived.After(time.UnixMilli(old.Created).Add(overlap)) {
				return nil
			}
			return Reused(tx, old, start.What)
		case !errors.Is(err, fsm.ErrNotFound):
			return err
		}
		f, err := s.found(tx, app, &start)
		if err != nil {
			return err
		}
		tx.OnCommit(func(index uint64) { out = Held{f, index} })
		return tell(tx, f, event.FamilyStarted, "")
	})
	if err == nil && spent {
		return Held{}, ErrSpent
	}
	return out, err
}

func (a *Start) epoch(tx *fsm.Tx) error {
	if a.Epoch == "" {
		return nil
	}
	err := seal.Check(tx, a.Epoch)
	if errors.Is(err, seal.ErrBox) {
		return fmt.Errorf("%w: %w", err, ErrDead)
	}
	return err
}

// found writes a family that is not there yet.
func (s *Store) found(tx *fsm.Tx, app *federation.Application, start *Start) (*Family, error) {
	if start.Check != nil {
		if err := start.Check(tx); err != nil {
			return nil, err
		}
	}
	f := newFamily(tx, app, start)
	if err := permitted(tx, app, start.By, f.UserID); err != nil {
		return nil, err
	}
	until, err := s.standing(tx, f)
	if err != nil {
		return nil, err
	}
	if app.Allows(federation.GrantRefresh) && !start.Once {
		f.Salt = make([]byte, 16)
		rand.Read(f.Salt)
		f.End = tx.Now().Add(orElse(app.Refresh.Absolute, s.absolute)).UnixMilli()
		s.turn(f, app, tx.Now(), until)
	}
	if err := remember(tx, f, app); err != nil {
		return nil, err
	}
	for _, also := range start.Also {
		if err := also(tx); err != nil {
			return nil, err
		}
	}
	return f, families.Insert(tx, f)
}

// newFamily is a family without refresh tokens: needed as long as its access token is good.
func newFamily(tx *fsm.Tx, app *federation.Application, a *Start) *Family {
	now := tx.Now()
	f := &Family{
		ID: a.Family, Tenant: app.Tenant, Application: app.ID, ClientID: app.ClientID,
		UserID: a.UserID, SessionID: a.SessionID, Scope: a.Scope, AuthTime: a.AuthTime, AMR: a.AMR, ACR: a.ACR,
		Offline: a.Impersonator == "" && (a.Detached || slices.Contains(a.Scope, federation.ScopeOffline)),
		Given:   a.Index, Created: now.UnixMilli(),
		Resources: a.Resources, Details: a.Details, Claims: a.Claims, Confirm: a.Confirm, Impersonator: a.Impersonator,
	}
	f.Expires = now.Add(tokenLife(app, f)).UnixMilli()
	return f
}

// longestToken is the longest life that a resource server may give its tokens.
const longestToken = 24 * time.Hour

// tokenLife is how long a row must outlive the access token that was just minted,
// clocks that differ and the code's own life included.
func tokenLife(app *federation.Application, f *Family) time.Duration {
	life := time.Duration(app.TokenExpiry) * time.Second
	if len(f.Resources) > 0 {
		life = max(life, longestToken)
	}
	return life + 2*codeLifetime
}

// orElse is a setting of the application in seconds, or what holds where there is none.
func orElse(seconds int64, usual time.Duration) time.Duration {
	if seconds == 0 {
		return usual
	}
	return time.Duration(seconds) * time.Second
}

// permitted looks at the application again, inside the transaction that decides.
func permitted(tx *fsm.Tx, app *federation.Application, grant, userID string) error {
	now, _, err := federation.Get(tx, app.Tenant, app.ID)
	if err != nil {
		return err
	}
	if !now.Allows(grant) {
		return ErrNotAllowed
	}
	ok, err := federation.MayUse(tx, now, userID)
	if err != nil {
		return err
	}
	if !ok {
		return ErrNotAllowed
	}
	return nil
}
