package settings

import (
	"errors"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/directory"
)

// WantsTwo reports whether a tenant wants two administrators to agree before somebody is let into
// an account, and whoever acts is one. The operator may decide alone, who can do more than that
// with what is on the machine.
func WantsTwo(tx *fsm.Tx, tenant string) (bool, error) {
	s, _, err := Get(tx, tenant)
	return err == nil && s.wantsTwo(tx), err
}

func (a *Authentication) wantsTwo(tx *fsm.Tx) bool {
	return a.Recovery.TwoPerson && identity.ActorFrom(tx.Context()).Kind != identity.ActorOperator
}

// Alone reports identity.ErrDenied where two are wanted and one decides what lets whoever decides
// it into everybody's account: whose certificates count, and who carries the mail.
func Alone(tx *fsm.Tx, tenant string) error {
	if two, err := WantsTwo(tx, tenant); err != nil || !two {
		return err
	}
	return alone("who decides this alone lets in anybody")
}

func alone(why string) error {
	return identity.Denied("Two administrators have to agree here before somebody is let into an account, and " + why + ". Ask the operator of the machine, or end recovery.two_person together.")
}

// Probation is how long somebody has to be an administrator before they count as one of two:
// else one person makes another account, and is both. It is nobody's to set.
const Probation = 24 * time.Hour

// Second returns nil if whoever acts counts as a second administrator, for what first did. They
// are not the same, and both are administrators, made so by the operator or longer ago than
// Probation. The operator of the machine is one person, as no others can be told apart. It
// reports identity.ErrDenied.
func Second(tx *fsm.Tx, tenant string, first identity.Actor) error {
	by := identity.ActorFrom(tx.Context())
	if by.Kind == first.Kind && by.ID == first.ID {
		return identity.Denied("You asked for this yourself. Another administrator has to approve it.")
	}
	if err := counts(tx, tenant, by); err != nil {
		return err
	}
	return counts(tx, tenant, first)
}

func counts(tx *fsm.Tx, tenant string, who identity.Actor) error {
	if who.Kind == identity.ActorOperator {
		return nil
	}
	none := identity.Denied("Only administrators agree here, and one of the two is none, or none any more.")
	if who.Kind != identity.ActorUser || who.Impersonator != "" {
		return none
	}
	u, _, err := directory.GetUser(tx, tenant, who.ID)
	if errors.Is(err, fsm.ErrNotFound) { // those of the default tenant administer all
		u, _, err = directory.GetUser(tx, identity.DefaultTenant, who.ID)
	}
	switch {
	case errors.Is(err, fsm.ErrNotFound):
		return none
	case err != nil:
		return err
	case !u.Admin || u.Disabled:
		return none
	case tx.Now().Before(u.Appointed.Add(Probation)):
		return identity.Denied("Who became an administrator less than a day ago does not count as one of two yet. Ask another one, or the operator.")
	}
	return nil
}
