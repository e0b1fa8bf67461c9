package oidc

import (
	"errors"
	"fmt"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/directory"
)

// errDead: the family, or what it hangs on, is no more.
var errDead = errors.New("family is dead")

// live reports errDead, with the reason, unless the family still stands at the time of tx.
func (p *Provider) live(tx *fsm.Tx, f *Family) error {
	switch now := tx.Now().UnixMilli(); {
	case f.RevokedAt != 0:
		return fmt.Errorf("revoked: %w", errDead)
	case now > f.Expires:
		return fmt.Errorf("expired: %w", errDead)
	}
	return p.standing(tx, f)
}

// standing looks at what a family hangs on: its session, or with offline_access
// its user alone. A miss stays fsm.ErrNotFound, so that the store looks again
// before it is believed.
func (p *Provider) standing(tx *fsm.Tx, f *Family) error {
	if !f.Offline {
		_, err := p.sessions.Live(tx, f.Tenant, f.SessionID)
		return err
	}
	u, _, err := directory.GetUser(tx, f.Tenant, f.UserID)
	if err != nil {
		return err
	}
	if u.Disabled {
		return fmt.Errorf("user is disabled: %w", errDead)
	}
	return nil
}
