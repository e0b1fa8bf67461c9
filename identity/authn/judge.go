package authn

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/assurance"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/policy"
	"github.com/quis-idp/quis/identity/session"
	"github.com/quis-idp/quis/identity/settings"
)

// A Standing is what a session is good for.
type Standing int

// The standings.
const (
	Enough     Standing = iota // for what was asked
	More                       // not enough, and its person has what would raise it: begin a flow, which does so (see Raise)
	Enrol                      // not enough until its person has set up a second factor
	EnrolBound                 // not enough until its person has set up a passkey that never leaves its device
	Unmet                      // not enough, and nothing that its person could do would help
)

// Stands says whether a session is enough for a need, of which MFA and ACR count: the
// protocols ask before they begin a flow, and again after it.
func (fs *Flows) Stands(ctx context.Context, s *session.Session, need Need) (standing Standing, err error) {
	err = fs.cfg.DB.View(ctx, func(tx *fsm.Tx) error {
		standing, err = Stands(tx, s, need)
		return err
	})
	if err != nil {
		return Unmet, fmt.Errorf("judge session: %w", err)
	}
	return standing, nil
}

// Stands is Flows.Stands within the transaction that gives something to the session.
func Stands(tx *fsm.Tx, s *session.Session, need Need) (Standing, error) {
	if s.Impersonation != nil {
		return impersonated(need), nil
	}
	facts, err := Facts(tx, s.Tenant, s.UserID)
	if err != nil {
		return Unmet, err
	}
	facts.Skipped = max(0, facts.Skipped-1)
	d := decide(facts, need, s.Proofs())
	switch {
	case d.Passes() && !(need.Sensitive && d.Left > 0): // what outlasts the session is not for who puts off what is enforced
		return Enough, nil
	case d.Outcome == policy.StepUp:
		return More, nil
	case d.Outcome == policy.Enrol && d.Bound:
		return EnrolBound, nil
	case d.Outcome == policy.Enrol:
		return Enrol, nil
	}
	return Unmet, nil
}

// impersonated is what a session is good for in which somebody else acts: nothing was proved of its
// user, so what the tenant asks of them says nothing about it. An application that asks for
// more by itself is closed, and so is all that is sensitive.
func impersonated(need Need) Standing {
	switch {
	case need.Sensitive:
		return Unmet
	case need.MFA == "", need.MFA == string(policy.Inherit), need.MFA == string(policy.Disabled):
		return Enough
	}
	return Unmet
}

// Sensitive says whether a session is enough to make its account easier to enter or harder to
// keep, and what a flow has to need that makes it so: all that is asked of a sign-in must have
// been proved within the tenant's interval, by a second factor of whoever has one, and a
// trusted device stands for none. Enrol and EnrolBound mean that what the person has was proved in time.
func (fs *Flows) Sensitive(ctx context.Context, s *session.Session) (standing Standing, need Need, err error) {
	err = fs.cfg.DB.View(ctx, func(tx *fsm.Tx) error {
		standing, need, err = Sensitive(tx, s)
		return err
	})
	if err != nil {
		return Unmet, Need{}, fmt.Errorf("judge session: %w", err)
	}
	return standing, need, nil
}

// Sensitive is Flows.Sensitive within the transaction that makes the change.
func Sensitive(tx *fsm.Tx, s *session.Session) (Standing, Need, error) {
	a, _, err := settings.Get(tx, s.Tenant)
	if err != nil {
		return Unmet, Need{}, err
	}
	within := a.Session.SensitiveTime()
	need := Need{Tenant: s.Tenant, MaxAge: &within, Sensitive: true}
	standing, err := Stands(tx, s, need)
	return standing, need, err
}

// missing returns the methods with which the person of f may go on, best first; none when
// enough has been proved, or nothing that they have would help.
func missing(tx *fsm.Tx, f *Flow) ([]assurance.Method, error) {
	if f.Need.Lost {
		return loses(tx, f)
	}
	if f.Need.Recover {
		return recovers(tx, f)
	}
	d, err := judge(tx, f)
	if err != nil {
		return nil, err
	}
	f.settled, f.deviceBound = d.Outcome == policy.Allow, d.Outcome == policy.StepUp && d.Bound
	if d.Outcome == policy.Deny { // before a session is made; who has one is told by Stands
		return nil, &identity.Error{Kind: identity.ErrDenied, Detail: d.Why}
	}
	var ways []assurance.Method
	if d.Outcome == policy.StepUp {
		for _, m := range d.Methods {
			if _, ok := methods[m]; ok {
				ways = append(ways, m)
			}
		}
	}
	return ways, nil
}

// judge asks policy whether what was proved in f, or before it, is enough. Of the contexts that
// a request names the first counts that the person can reach: who cannot reach any is not kept
// out by a wish, and what is essential the protocol has to hold them to.
func judge(tx *fsm.Tx, f *Flow) (policy.Decision, error) {
	facts, err := Facts(tx, f.Need.Tenant, f.UserID)
	if err != nil {
		return policy.Decision{}, err
	}
	need := f.Need
	if need.Sensitive && need.MaxAge != nil { // what was proved in this flow is in time, however long it takes
		age := max(*need.MaxAge, facts.Now.Sub(f.Begun))
		need.MaxAge = &age
	}
	return decide(facts, need, f.proved()), nil
}

func decide(facts policy.Facts, need Need, proved []assurance.Factor) policy.Decision {
	if need.Sensitive && need.MaxAge != nil {
		facts.MaxAge = need.MaxAge
		if facts.Reauth == 0 || *need.MaxAge < facts.Reauth {
			facts.Reauth = *need.MaxAge
		}
		proved = slices.DeleteFunc(slices.Clone(proved), func(p assurance.Factor) bool { return p.Method == assurance.Device })
	}
	facts.Proved, facts.Application = proved, policy.MFA(need.MFA)
	reachable := reachable(facts, proved)
	for _, acr := range need.ACR {
		if l := assurance.LevelOf(acr); l > 0 && l <= reachable {
			facts.Level = l
			break
		}
	}
	return policy.Decide(facts)
}

// Suppose says what policy would decide of a sign-in with these proofs and that need, as the sign-in itself would:
// a trusted device counts where something would be missing without it. Of the need MFA, ACR and MaxAge
// count; a level that cannot be reached has a reason that says so. It changes nothing.
func Suppose(facts policy.Facts, need Need, proved []assurance.Factor, trusted bool) policy.Decision {
	facts.MaxAge = need.MaxAge
	d := decide(facts, need, proved)
	if d.Outcome == policy.StepUp && trusted {
		facts.Trusted = true
		proved = append(slices.Clone(proved), assurance.Factor{Method: assurance.Device, At: facts.Now})
		d = decide(facts, need, proved)
	}
	if most := reachable(facts, proved); len(need.ACR) > 0 && assurance.LevelOf(need.ACR[0]) > most {
		l := assurance.LevelOf(need.ACR[0])
		d.Reasons = append(d.Reasons, policy.Reason{Rule: "acr", Asks: fmt.Sprintf("level %d", l), Why: fmt.Sprintf("%s, and all that this person has comes to level %d; a sign-in leaves it out", l.Takes(), most)})
	}
	return d
}

// reachable is the level that all that a person has, and has proved, comes to.
func reachable(facts policy.Facts, proved []assurance.Factor) assurance.Level {
	return max(assurance.Of(proved), assurance.Of(slices.Concat(facts.Enrolled, proved)))
}

// Facts returns what policy has to know of a user: what is asked of them by their tenant and
// groups, and what they could prove. What was proved, and what the request and its application ask,
// is the caller's to add.
func Facts(tx *fsm.Tx, tenant, user string) (policy.Facts, error) {
	var f policy.Facts
	u, _, err := directory.GetUser(tx, tenant, user)
	if err != nil {
		return f, err
	}
	s, _, err := settings.Get(tx, tenant)
	if err != nil {
		return f, err
	}
	groups, err := settings.Groups(tx, tenant, user)
	if err != nil {
		return f, err
	}
	f = policy.Of(s, groups)
	f.Now, f.Closed = tx.Now(), u.Disabled
	skipped, err := putOff.Get(tx, fsm.Scope(tenant), fsm.K(user))
	if err != nil {
		return f, err
	}
	f.Skipped = int(skipped)
	set, err := credential.PasswordSet(tx, tenant, user)
	if err != nil {
		return f, err
	}
	if !set.IsZero() && s.PasswordLogin {
		f.Enrolled = append(f.Enrolled, assurance.Factor{Method: assurance.Password})
	}
	for _, m := range order {
		could, err := methods[m].has(tx, tenant, user)
		if err != nil {
			return f, err
		}
		f.Enrolled = append(f.Enrolled, could...)
	}
	return f, nil
}

// putOff counts how often a user has put off setting up a second factor.
var putOff = fsm.NewCounter(88, "enrolment_put_off")

// DeleteAllOf forgets that of a user who is being deleted. Failures are counted by name, and forgotten soon.
func DeleteAllOf(tx *fsm.Tx, tenant, user string) error {
	return putOff.Delete(tx, fsm.Scope(tenant), fsm.K(user))
}

// enrolment is what a person who signs in is told about second factors that they should have:
// nil if nothing. It counts that they were told, which they may ignore a few times; Stands takes
// that into account, or the last time would count against the session that it is for.
func enrolment(tx *fsm.Tx, f *Flow) (*Enrolment, error) {
	d, err := judge(tx, f)
	if err != nil || d.Outcome != policy.Enrol {
		return nil, err
	}
	if d.Left >= 0 {
		if err := putOff.Add(tx, fsm.Scope(f.Need.Tenant), fsm.K(f.UserID), 1, time.Time{}); err != nil {
			return nil, err
		}
	}
	asks := func(r policy.Reason) bool { return !r.Met && (r.Rule == "tenant" || r.Rule == "group") }
	return &Enrolment{d.Methods, d.Optional, d.Left, d.Bound, slices.ContainsFunc(d.Reasons, asks)}, nil
}

// An Enrolment is second factors of which the person should set up one.
type Enrolment struct {
	Methods  []assurance.Method
	Optional bool // they may go on without it
	Left     int  // if Optional: so often, this time included; -1: for ever
	Bound    bool // a passkey has to be one that never leaves its device

	Organization bool // the tenant or a group of theirs asks for it, and not the application alone
}
