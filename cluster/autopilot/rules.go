package autopilot

import (
	"fmt"
	"time"

	"github.com/quis-idp/quis/fsm"
)

// A Refusal is a sentence that says to a person why a change of membership was not made. It is
// an fsm.ErrRefused.
type Refusal string

// Error returns the sentence.
func (r Refusal) Error() string { return string(r) }

// Unwrap makes a refusal an fsm.ErrRefused.
func (r Refusal) Unwrap() error { return fsm.ErrRefused }

// A Member is what the leader knows of one node of the cluster.
type Member struct {
	ID      string
	Voter   bool
	Leader  bool
	Demoted bool // an operator took its vote away
	// Busy is a member that is being installed from a snapshot.
	Busy    bool
	Healthy bool
	Since   time.Time // since when it has been healthy, or has not
	// Silent is since when it has given no sign of life; zero: it gives some.
	Silent time.Time
}

// joining says whether m is a node that is to vote once it keeps up.
func (m *Member) joining() bool { return !m.Voter && !m.Demoted }

func (m *Member) dead(now time.Time, after time.Duration) bool {
	return !m.Healthy && !m.Busy && !m.Leader && !m.Silent.IsZero() && now.Sub(m.Silent) >= after
}

// An Action is what a decision is about.
type Action uint8

// The actions.
const (
	Nothing Action = iota
	Promote        // give it a vote
	Demote         // take its vote, as the operator has asked
	Remove         // take it out of the cluster
)

func (a Action) String() string { return [...]string{"nothing", "promote", "demote", "remove"}[a] }

// A Decision is one change of membership, or none.
type Decision struct {
	Action Action
	ID     string
	Reason string // in words, also why nothing is removed although somebody is dead
}

// Decide returns the next change that the rules call for. It is for the leader alone; after a
// change it is asked again, with members as they are then.
func Decide(s Settings, members []Member, now time.Time) Decision {
	for _, m := range members {
		if !m.Voter || !m.Demoted {
			continue
		}
		if _, err := without(members, m.ID); err == nil { // the minimum was the operator's to weigh
			return Decision{Demote, m.ID, "an operator took its vote away"}
		}
	}
	for _, m := range members {
		if m.joining() && m.Healthy && !m.Busy && now.Sub(m.Since) >= s.StabilizeAfter {
			return Decision{Promote, m.ID, fmt.Sprintf("healthy for %s", now.Sub(m.Since).Round(time.Millisecond))}
		}
	}
	if !s.CleanupDead {
		return Decision{}
	}
	return s.cleanup(members, now)
}

// cleanup removes one dead member, those without a vote first: nothing depends on them.
func (s *Settings) cleanup(members []Member, now time.Time) Decision {
	var late *Member // a voter that answers, but does not keep up
	for i := range members {
		m := &members[i]
		switch {
		case m.dead(now, s.DeadAfter) && !m.Voter:
			return Decision{Remove, m.ID, silence(m, now)}
		case m.joining():
			return Decision{Reason: fmt.Sprintf("nobody is removed while %s is joining", m.ID)}
		case m.Busy, m.Voter && !m.Healthy && m.Silent.IsZero():
			late = m
		}
	}
	if late != nil {
		return Decision{Reason: fmt.Sprintf("nobody is removed while %s is catching up", late.ID)}
	}
	why := ""
	for i := range members {
		m := &members[i]
		if !m.dead(now, s.DeadAfter) {
			continue
		}
		err := s.MayLose(members, m.ID)
		if err == nil {
			return Decision{Remove, m.ID, silence(m, now)}
		}
		why = err.Error()
	}
	return Decision{Reason: why}
}

func silence(m *Member, now time.Time) string {
	return "no sign of life for " + now.Sub(m.Silent).Round(time.Second).String()
}

// MayLose returns nil if voter id may lose its vote without a person asking for it: most of the
// other voters are healthy, and no fewer of them than the operator's minimum. Otherwise it returns
// a Refusal.
func (s *Settings) MayLose(members []Member, id string) error {
	healthy, err := without(members, id)
	if err == nil && healthy < s.MinQuorum {
		err = Refusal(fmt.Sprintf("without %s there would be %d healthy voters, and at least %d are wanted: add a node first, or lower the minimum", id, healthy, s.MinQuorum))
	}
	return err
}

// MayTake returns nil if an operator may take the vote of voter id without force: most of the other
// voters are healthy and, where id is healthy itself, no fewer of them than the minimum. Without
// a voter that is not healthy a cluster is only safer. Otherwise it returns a Refusal.
func (s *Settings) MayTake(members []Member, id string) error {
	healthy, err := without(members, id)
	if err != nil || healthy >= s.MinQuorum {
		return err
	}
	for _, m := range members {
		if m.ID == id && !m.Healthy {
			return nil
		}
	}
	return Refusal(fmt.Sprintf("%s is healthy; without it there would be %d healthy voters, and at least %d are wanted: add a node first, lower the minimum, or use --force", id, healthy, s.MinQuorum))
}

// without returns how many voters would be healthy without voter id, or a Refusal if those are
// no majority of the voters that remain.
func without(members []Member, id string) (healthy int, err error) {
	voters := 0
	for _, m := range members {
		if !m.Voter || m.ID == id {
			continue
		}
		voters++
		if m.Healthy {
			healthy++
		}
	}
	switch need := voters/2 + 1; {
	case voters == 0:
		return 0, Refusal(fmt.Sprintf("%s is the only voter: without it there is no cluster", id))
	case healthy < need:
		return healthy, Refusal(fmt.Sprintf("without %s, %d of %d voters would be healthy and %d are needed to write anything: bring the others back first", id, healthy, voters, need))
	}
	return healthy, nil
}

// Tolerates returns how many of the voters may still fail before nothing can be written;
// it is negative where too many have.
func Tolerates(healthy, voters int) int { return healthy - voters/2 - 1 }

// Summary says in words how the voters are and what they survive.
func Summary(healthy, voters int, led bool) string {
	if voters == 0 {
		return "not a member of a cluster yet"
	}
	noun := "voters"
	if voters == 1 {
		noun = "voter"
	}
	what := fmt.Sprintf("%d of %d %s healthy", healthy, voters, noun)
	further := ""
	if healthy < voters || voters == 1 {
		further = "further "
	}
	n := Tolerates(healthy, voters)
	switch {
	case n < 0:
		return fmt.Sprintf("%s: %d are needed, nothing can be written", what, voters/2+1)
	case !led:
		return what + ": no leader, nothing can be written"
	case voters == 1:
		return what + ": no failure tolerated"
	case n == 0:
		return what + ": no further failure tolerated"
	case n == 1:
		return fmt.Sprintf("%s: 1 %sfailure tolerated", what, further)
	}
	return fmt.Sprintf("%s: %d %sfailures tolerated", what, n, further)
}
