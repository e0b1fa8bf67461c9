package family

import (
	"fmt"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/directory"
)

// Live reports ErrDead, with the reason, unless the family still stands at the time
// of tx; see standing for what it returns.
func (s *Store) Live(tx *fsm.Tx, f *Family) (until time.Time, err error) {
	switch now := tx.Now().UnixMilli(); {
	case f.RevokedAt != 0:
		return until, fmt.Errorf("revoked: %w", ErrDead)
	case now > f.Expires:
		return until, fmt.Errorf("expired: %w", ErrDead)
	}
	return s.standing(tx, f)
}

// standing looks at what a family hangs on: its session, or with offline_access
// its user alone, and that what was given when it was given was not revoked
// wholesale. It returns when the session ends, zero with offline_access. A
// miss stays fsm.ErrNotFound, so that the store looks again before it is believed.
func (s *Store) standing(tx *fsm.Tx, f *Family) (until time.Time, err error) {
	if err := above(tx, f.Tenant, f.UserID, f.Given); err != nil {
		return until, err
	}
	if !f.Offline {
		on, err := s.sessions.Live(tx, f.Tenant, f.SessionID)
		if err != nil {
			return until, err
		}
		return on.Expires, nil
	}
	u, _, err := directory.GetUser(tx, f.Tenant, f.UserID)
	if err != nil {
		return until, err
	}
	if u.Disabled {
		return until, fmt.Errorf("user is disabled: %w", ErrDead)
	}
	return until, nil
}
