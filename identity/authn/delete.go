package authn

import "github.com/quis-idp/quis/fsm"

// DeleteAllOf forgets what is counted of a user who is being deleted: the last sign-in, and how
// often they have put off a second factor. Failures are counted by name, and forgotten soon.
func DeleteAllOf(tx *fsm.Tx, tenant, user string) error {
	if err := putOff.Delete(tx, fsm.Scope(tenant), fsm.K(user)); err != nil {
		return err
	}
	return lastSignin.Delete(tx, fsm.Scope(tenant), fsm.K(user))
}
