package authn

import (
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/assurance"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/regain"
)

// Locked reports whether f waits for a mail because the account of its person is locked: what they
// proved would have let them in.
func (f *Flow) Locked() bool { return f.Step() == StepMail && f.UserID != "" && !f.Need.Lost }

// barred reports whether f signs in to an account that is locked (see regain.Locked). The session that
// was left when it was locked is raised as ever.
func barred(tx *fsm.Tx, f *Flow) (bool, error) {
	if f.Session != "" {
		return false, nil
	}
	return regain.Locked(tx, f.Need.Tenant, f.UserID)
}

// locked reports whether f signs in to an account that is locked, and the one thing is not proved
// that whoever had got in may not have: the mailbox. An administrator's word stands for it, and
// who has no mailbox here, or cannot be sent mail, gets in as ever.
func (fs *Flows) locked(tx *fsm.Tx, f *Flow) (bool, error) {
	if fs.cfg.SendMail == nil || assurance.Has(f.Factors, assurance.Mail) || assurance.Has(f.Factors, assurance.Vouched) {
		return false, nil
	}
	if is, err := barred(tx, f); err != nil || !is {
		return false, err
	}
	u, _, err := directory.GetUser(tx, f.Need.Tenant, f.UserID)
	return err == nil && u.Email != "" && u.EmailVerified, err
}

// unlock is the part of a sign-in's transaction that takes the lock from its account. A sign-in that was
// under way when the account was locked, on whichever node, comes to its end here.
func (fs *Flows) unlock(tx *fsm.Tx, f *Flow) error {
	is, err := fs.locked(tx, f)
	switch {
	case err != nil || f.Session != "":
		return err
	case is:
		return dead("the account was locked meanwhile")
	}
	return regain.Unlock(tx, f.Need.Tenant, f.UserID)
}
