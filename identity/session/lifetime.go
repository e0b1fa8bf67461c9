package session

import (
	"errors"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/settings"
)

// A lifetime is how long sessions of a tenant last, as it has decided by now. What is lowered
// counts for the sessions that there are; what is raised does not prolong them.
type lifetime struct{ idle, absolute, remembered time.Duration }

func lifetimeOf(tx *fsm.Tx, tenant string) (lifetime, error) {
	a, _, err := settings.Get(tx, tenant)
	if err != nil {
		return lifetime{}, err
	}
	return lifetime{a.Session.IdleTime(), a.Session.AbsoluteTime(), a.Session.RememberTime()}, nil
}

// remembers reports whether s outlives idleness: its person asked for that, and the tenant
// still offers it.
func (l lifetime) remembers(s *Session) bool { return s.Remembered && l.remembered > 0 }

// end is when s ends whatever its person does; never later than was decided when it began.
func (l lifetime) end(s *Session) time.Time {
	life := l.absolute
	if l.remembers(s) {
		life = max(life, l.remembered)
	}
	end := s.AuthTime.Add(life)
	if !s.Expires.IsZero() && s.Expires.Before(end) {
		return s.Expires
	}
	return end
}

// stands fills in what the row does not say of s (LastSeen, and Expires by what is decided
// now) and reports whether s has neither come to its end nor been idle for too long, and whether who acts
// in it still may.
func (st *Store) stands(tx *fsm.Tx, s *Session, l lifetime) (bool, error) {
	in, err := st.inTime(tx, s, l)
	if err != nil || !in || s.Impersonation == nil {
		return in, err
	}
	err = MayImpersonate(tx, s.Tenant, s.UserID, *s.Impersonation)
	if errors.Is(err, identity.ErrDenied) {
		return false, nil
	}
	return err == nil, err
}

func (st *Store) inTime(tx *fsm.Tx, s *Session, l lifetime) (_ bool, err error) {
	if s.LastSeen, err = st.lastSeen(tx, s); err != nil {
		return false, err
	}
	s.Expires = l.end(s)
	// One flush interval is granted: another node may have seen the session and not have
	// written it yet.
	idle := !l.remembers(s) && tx.Now().Sub(s.LastSeen) > l.idle+st.cfg.Flush
	return !idle && tx.Now().Before(s.Expires), nil
}
