package oidc

import (
	"errors"
	"fmt"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/directory"
)

// errDead: the family, or what it hangs on, is no more.
var errDead = errors.New("family is dead")

// live reports errDead, with the reason, unless the family still stands at the time
// of tx; see standing for what it returns.
func (p *Provider) live(tx *fsm.Tx, f *Family) (until time.Time, err error) {
	switch now := tx.Now().UnixMilli(); {
	case f.RevokedAt != 0:
		return until, fmt.Errorf("revoked: %w", errDead)
	case now > f.Expires:
		return until, fmt.Errorf("expired: %w", errDead)
	}
	return p.standing(tx, f)
}

// standing looks at what a family hangs on: its session, or with offline_access
// its user alone, and that what was given when it was given was not revoked
// wholesale. It returns when the session ends, zero with offline_access. A
// miss stays fsm.ErrNotFound, so that the store looks again before it is believed.
func (p *Provider) standing(tx *fsm.Tx, f *Family) (until time.Time, err error) {
	if err := above(tx, f.Tenant, f.UserID, f.Given); err != nil {
		return until, err
	}
	if !f.Offline {
		s, err := p.sessions.Live(tx, f.Tenant, f.SessionID)
		if err != nil {
			return until, err
		}
		return s.Expires, nil
	}
	u, _, err := directory.GetUser(tx, f.Tenant, f.UserID)
	if err != nil {
		return until, err
	}
	if u.Disabled {
		return until, fmt.Errorf("user is disabled: %w", errDead)
	}
	return until, nil
}
