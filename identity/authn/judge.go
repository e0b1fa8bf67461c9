package authn

import (
	"context"
	"fmt"
	"slices"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/assurance"
	"github.com/quis-idp/quis/identity/session"
)

// A Standing is what a session is good for.
type Standing int

// The standings.
const (
	Enough Standing = iota // for what was asked
	More                   // not enough, and its person has what would raise it: begin a flow, which does so (see Raise)
	Unmet                  // not enough, and nothing that its person has would raise it
)

// Stands says whether a session is enough for a need, of which MFA and ACR count: the
// protocols ask before they begin a flow, and again after it.
func (fs *Flows) Stands(ctx context.Context, s *session.Session, need Need) (standing Standing, err error) {
	need.Tenant = s.Tenant
	err = fs.cfg.DB.View(ctx, func(tx *fsm.Tx) error {
		v, err := fs.judge(tx, need, s.UserID, proofs(s))
		switch {
		case v.level <= v.reached:
			standing = Enough
		case len(v.ways) > 0:
			standing = More
		default:
			standing = Unmet
		}
		return err
	})
	if err != nil {
		return Unmet, fmt.Errorf("judge session: %w", err)
	}
	return standing, nil
}

// proofs are the factors of a session; one of the first release tells of its password only in AMR.
func proofs(s *session.Session) []assurance.Factor {
	if len(s.Factors) == 0 && s.Level() > 0 {
		return []assurance.Factor{{Method: assurance.Password, At: s.AuthTime}}
	}
	return s.Factors
}

// A verdict is what is asked of a person, and how they can give it.
type verdict struct {
	level   assurance.Level // asked for
	reached assurance.Level
	ways    []assurance.Method // that would raise it, best first
}

// missing returns the methods with which the person of f may go on, best first; none when
// enough has been proved, or nothing that they have would help.
func (fs *Flows) missing(tx *fsm.Tx, f *Flow) ([]assurance.Method, error) {
	if f.Need.Recover {
		return fs.recovers(tx, f)
	}
	v, err := fs.judge(tx, f.Need, f.UserID, f.proved())
	if err != nil || v.level <= v.reached {
		return nil, err
	}
	return v.ways, nil
}

// judge compares what was proved with what is asked. Who has a second factor is asked for it.
func (fs *Flows) judge(tx *fsm.Tx, need Need, user string, proved []assurance.Factor) (verdict, error) {
	v := verdict{reached: assurance.Of(proved)}
	reachable := v.reached
	for _, m := range order {
		could, err := methods[m].has(tx, need.Tenant, user)
		if err != nil {
			return v, err
		}
		for _, f := range could {
			raised := assurance.Of(append(slices.Clone(proved), f))
			reachable = max(reachable, raised)
			if raised > v.reached && !slices.Contains(v.ways, m) {
				v.ways = append(v.ways, m)
			}
			v.level = max(v.level, min(raised, 2))
		}
	}
	for _, acr := range need.ACR {
		if l := assurance.LevelOf(acr); l <= reachable {
			v.level = max(v.level, l)
			break // the first that can be had is the one that is preferred
		}
	}
	return v, nil
}
