package federation

import (
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/directory"
)

// maxDashboard bounds how many applications a person is shown.
const maxDashboard = 500

// Dashboard returns the applications that a user may open from their own page, of those that
// fit: enabled, shown there, with a place to go, and not kept from this user.
func Dashboard(tx *fsm.Tx, tenant, userID string, fits func(*Application) bool) ([]Application, error) {
	var all []Application
	var groups []directory.Group
	asked := false
	for a, err := range applications.List(tx, fsm.Scope(tenant)) {
		if err != nil {
			return nil, err
		}
		if !a.ShowInDashboard || a.LaunchURL == "" || a.Disabled || !fits(a) {
			continue
		}
		if a.AccessRestricted {
			if !asked { // once, and not for each application
				if groups, err = directory.GroupsOf(tx, tenant, userID); err != nil {
					return nil, err
				}
				asked = true
			}
			if ok, err := granted(tx, a, userID, groups); err != nil {
				return nil, err
			} else if !ok {
				continue
			}
		}
		if all = append(all, *a); len(all) == maxDashboard {
			break
		}
	}
	return all, nil
}
