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

// A bar is what is left of that which a locked account asks for (see regain.Bar); nil: it is not locked. The session
// that was left when it was locked is raised by no less: it may be the intruder who has said that it was not them.
type bar struct {
	mail  bool // the mailbox, which whoever had got in may not have
	renew bool // another password
}

func (fs *Flows) barred(tx *fsm.Tx, f *Flow) (*bar, error) {
	u, _, err := directory.GetUser(tx, f.Need.Tenant, f.UserID)
	if err != nil {
		return nil, err
	}
	locked, err := regain.Locked(tx, u)
	if err != nil || locked == nil {
		return nil, err
	}
	proved := assurance.Has(f.Factors, assurance.Mail) || assurance.Has(f.Factors, assurance.Vouched) // an administrator's word stands for it
	return &bar{mail: locked.Mail != "" && fs.cfg.SendMail != nil && !proved, renew: locked.Password}, nil
}

// unlock is the part of a sign-in's transaction that takes the lock from its account; sets says that
// another password is set in the same transaction. A sign-in that was under way when the account was
// locked, on whichever node, comes to its end here.
func (fs *Flows) unlock(tx *fsm.Tx, f *Flow, sets bool) error {
	b, err := fs.barred(tx, f)
	switch {
	case err != nil || b == nil:
		return err
	case b.mail || b.renew && !sets:
		return dead("the account was locked meanwhile")
	}
	return regain.Unlock(tx, f.Need.Tenant, f.UserID)
}
