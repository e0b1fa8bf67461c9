package family

import (
	"errors"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/session"
)

// remember keeps the row of a family as long as its session may last, if the application
// wants to be told of the end: from the row it is known that it must be.
func remember(tx *fsm.Tx, f *Family, app *federation.Application) error {
	if f.SessionID == "" || app.Logout.BackchannelURI == "" && app.Logout.FrontchannelURI == "" {
		return nil
	}
	on, err := session.Get(tx, f.Tenant, f.SessionID)
	if errors.Is(err, fsm.ErrNotFound) {
		return nil // offline_access goes on without it
	}
	if err == nil {
		f.Expires = max(f.Expires, on.Expires.UnixMilli())
	}
	return err
}
