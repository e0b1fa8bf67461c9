package authn

import "github.com/quis-idp/quis/fsm"

// DeleteAllOf forgets how often a user who is being deleted has put off a second factor. Failures are
// counted by name, and forgotten soon.
func DeleteAllOf(tx *fsm.Tx, tenant, user string) error {
	return putOff.Delete(tx, fsm.Scope(tenant), fsm.K(user))
}
