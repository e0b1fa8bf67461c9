package authentication

import (
	"context"

	"github.com/quis-idp/quis/cluster/checkup"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/settings"
)

const (
	lookedUpNowhere = "password.check_breached is on, and nothing is looked up: this node has neither a set of breached passwords nor a service to ask"
	lookUp          = "Make a set (quis breach build LIST FILE) and name it in breach_file on every node, or name a service in breach_url; or switch password.check_breached off."
)

// Finding says whether a node looks new passwords up in leaks, if the default tenant wants that, for the doctor.
func Finding(ctx context.Context, db *fsm.DB, checks credential.Checks) checkup.Finding {
	f := checkup.Finding{Check: "breached passwords"}
	err := db.View(ctx, func(tx *fsm.Tx) error {
		s, _, err := settings.Get(tx, identity.DefaultTenant)
		switch {
		case err != nil:
			return err
		case !s.Password.Breached:
			f.Found = "are not asked for: password.check_breached is off"
		case checks.Breached != nil:
			f.Found = "new passwords are looked up"
		default:
			f.Level, f.Found, f.Advice = checkup.Warn, lookedUpNowhere, lookUp
		}
		return nil
	})
	if err != nil {
		f.Level, f.Found = checkup.Warn, "not examined: "+err.Error()
	}
	return f
}
