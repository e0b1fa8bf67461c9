package policy

import (
	"fmt"
	"slices"
	"time"

	"github.com/quis-idp/quis/identity/assurance"
)

// An Outcome is what follows.
type Outcome string

// The outcomes.
const (
	Allow  Outcome = "allow"
	StepUp Outcome = "step_up" // one of Methods is to be proved
	Enrol  Outcome = "enrol"   // one of Methods is to be enrolled; if Optional, it may be put off
	Deny   Outcome = "deny"    // Why says it
)

// A Decision is what follows from facts, and from which of them.
type Decision struct {
	Outcome  Outcome
	Methods  []assurance.Method // the best first
	Level    assurance.Level    // that is asked for altogether
	MaxAge   time.Duration      // with StepUp: how old a proof may be; 0: any age
	Optional bool               // with Enrol: this time they may go on without
	Left     int                // with Enrol and Optional: how often still, this time included; -1: for ever
	Bound    bool               // a passkey among Methods has to be one that never leaves its device
	Why      string             // with Deny: a sentence for a person
	Reasons  []Reason
}

// Passes reports whether the person may go on now.
func (d Decision) Passes() bool {
	return d.Outcome == Allow || d.Outcome == Enrol && d.Optional
}

// A Reason is what one rule adds.
type Reason struct {
	Rule string // user, tenant, group, application, own, acr, max_age, trusted_device
	Name string // of the group
	Asks string
	Met  bool
	Why  string // of what cannot be met: the reason, for an administrator
}

// A demand is what must be met at once.
type demand struct {
	mfa    MFA
	level  assurance.Level
	chosen bool // one that the person has chosen, or what stands for it, even if it makes up no second level
	lifted bool // second factors count although they are not allowed
}

// Decide decides.
func Decide(f Facts) Decision {
	all := f.demand()
	d := f.outcome(all)
	d.Level, d.Reasons = max(all.level, 1), f.reasons()
	if all.mfa.rank() > 0 {
		d.Level = max(d.Level, 2)
	}
	if d.Outcome == StepUp {
		d.MaxAge = f.freshness(all)
	}
	return d
}

// demand is the strictest of what everybody asks.
func (f *Facts) demand() demand {
	return demand{mfa: strictest(f.lenient(), f.Application), level: f.Level}
}

// lenient is what the tenant, the groups and the person ask: whoever cannot meet it yet may
// be given time.
func (f *Facts) lenient() MFA {
	p := strictest(f.Global, f.own())
	for _, g := range f.Groups {
		p = strictest(p, g.MFA)
	}
	return p
}

// own is what the person has asked for by enrolling a second factor.
func (f *Facts) own() MFA {
	for _, e := range f.Enrolled {
		if counts(f.Allowed, e.Method) && e.Asks() {
			return Any
		}
	}
	return Disabled
}

func strictest(a, b MFA) MFA { return order[max(a.rank(), b.rank())] }

func (f *Facts) outcome(all demand) Decision {
	if f.Closed {
		return Decision{Outcome: Deny, Why: "This account is disabled."}
	}
	proved := f.proved()
	if f.met(all, proved) {
		return Decision{Outcome: Allow}
	}
	ways := f.ways(all, proved)
	if len(ways) > 0 && f.met(all, f.now(f.Enrolled)) {
		return all.asking(StepUp, ways)
	}
	d := f.beyond(all, proved)
	if !d.Passes() && len(ways) > 0 { // this browser, or what was taken from them since, makes up for what they lack
		return all.asking(StepUp, ways)
	}
	return d
}

// asking is the decision that one of methods is needed to meet d.
func (d demand) asking(o Outcome, methods []assurance.Method) Decision {
	return Decision{Outcome: o, Methods: methods, Bound: d.bound() && slices.Contains(methods, assurance.Passkey)}
}

// bound reports whether keys count for nothing that may leave their device.
func (d demand) bound() bool { return order[d.mfa.rank()] == DeviceBound }

// beyond is the outcome for who has nothing that is enough.
func (f *Facts) beyond(all demand, proved []assurance.Factor) Decision {
	// First they prove what they have, by the rules as they are and, lest a method that was
	// taken away opens the door, by those without Allowed.
	for _, lifted := range []bool{false, true} {
		less := f.attainable(all, lifted)
		if f.met(less, proved) {
			continue
		}
		if ways := f.ways(less, proved); len(ways) > 0 {
			return less.asking(StepUp, ways)
		}
		return Decision{Outcome: Deny, Why: "There is no way to sign in to this account. An administrator can help."}
	}
	ways := f.enrollable(all, proved)
	strict := demand{mfa: f.Application, level: f.Level}
	optional, left := f.grace()
	optional = optional && f.met(strict, proved)
	switch {
	case len(ways) == 0 && optional && !f.Enforce:
		return Decision{Outcome: Allow} // it cannot be enrolled and need not be
	case len(ways) == 0:
		return Decision{Outcome: Deny, Why: "This needs a way to sign in that cannot be set up here. An administrator can help."}
	case !optional:
		left = 0
	}
	d := all.asking(Enrol, ways)
	d.Optional, d.Left = optional, left
	return d
}

// grace says whether enrolment may be put off, and how often still.
func (f *Facts) grace() (bool, int) {
	if !f.Enforce {
		return true, -1
	}
	left := max(0, f.Grace-f.Skipped)
	return left > 0, left
}

// proved is what counts: a trusted device is one more factor, now.
func (f *Facts) proved() []assurance.Factor {
	if !f.Trusted {
		return f.Proved
	}
	return append(slices.Clone(f.Proved), assurance.Factor{Method: assurance.Device, At: f.Now})
}

// met reports whether factors meet a demand.
func (f *Facts) met(d demand, factors []assurance.Factor) bool {
	if assurance.Of(factors) < max(d.level, 1) {
		return false
	}
	if f.MaxAge != nil && !slices.ContainsFunc(factors, func(p assurance.Factor) bool {
		return f.says(p) && f.Now.Sub(p.At) <= *f.MaxAge
	}) {
		return false
	}
	return f.second(d, factors)
}

// says reports whether a proof says that the person is there: a trusted device is there without
// them, and so may a key or a card be that asks for no PIN, in a computer that they left. Who has
// nothing better proves it by that.
func (f *Facts) says(p assurance.Factor) bool {
	switch p.Method {
	case assurance.Device:
		return false
	case assurance.Passkey, assurance.Certificate:
		return p.Verified || !slices.ContainsFunc(f.Enrolled, better)
	}
	return true
}

// better reports whether a factor is theirs whom it is asked of, and does not end as codes do.
func better(p assurance.Factor) bool {
	switch p.Method {
	case assurance.Passkey, assurance.Certificate:
		return p.Verified
	}
	return p.Method == assurance.Password || p.Method == assurance.TOTP
}

// second reports whether factors meet the demand for a second one.
func (f *Facts) second(d demand, factors []assurance.Factor) bool {
	if d.mfa.rank() == 0 && !d.chosen {
		return true
	}
	factors = slices.DeleteFunc(slices.Clone(factors), func(p assurance.Factor) bool {
		return f.Reauth > 0 && p.Method != assurance.Password && f.Now.Sub(p.At) > f.Reauth
	})
	if d.chosen && (!slices.ContainsFunc(factors, stands) || f.halfway(factors)) {
		return false
	}
	factors = slices.DeleteFunc(factors, func(p assurance.Factor) bool {
		return !d.lifted && !counts(f.Allowed, p.Method) || d.bound() && !p.Bound && assurance.Resistant([]assurance.Factor{p})
	})
	if d.mfa.rank() > 0 && assurance.Of(factors) < 2 && !assurance.Spared(factors) {
		return false
	}
	switch order[d.mfa.rank()] {
	case OTP:
		return assurance.Resistant(factors) || slices.ContainsFunc(factors, func(p assurance.Factor) bool {
			return p.Method == assurance.TOTP || p.Method == assurance.Recovery || p.Method == assurance.Device
		})
	case Passkey, DeviceBound:
		return assurance.Resistant(factors)
	}
	return true
}

// stands reports whether a factor is one that people choose to be asked for, or what stands for
// it where it is not at hand.
func stands(p assurance.Factor) bool {
	switch p.Method {
	case assurance.TOTP, assurance.Passkey, assurance.Certificate, assurance.Approval, assurance.Recovery, assurance.Device:
		return true
	}
	return false
}

// halfway reports whether factors are but the lesser half of what the person has chosen: a key or a
// card that asked for no PIN, while they have something else to be asked for.
func (f *Facts) halfway(factors []assurance.Factor) bool {
	only := factors[0].Method
	if only != assurance.Passkey && only != assurance.Certificate {
		return false
	}
	another := func(p assurance.Factor) bool { return p.Method != only }
	return !slices.ContainsFunc(factors, func(p assurance.Factor) bool { return p.Verified || another(p) }) &&
		slices.ContainsFunc(f.Enrolled, func(e assurance.Factor) bool { return e.Asks() && another(e) })
}

// counts reports whether a method counts as a second factor: Allowed has a say on three of them.
func counts(allowed []assurance.Method, m assurance.Method) bool {
	switch m {
	case assurance.TOTP, assurance.Passkey, assurance.Approval:
		return slices.Contains(allowed, m)
	}
	return true
}

// freshness is how old a proof may be that is asked for now.
func (f *Facts) freshness(d demand) time.Duration {
	var age time.Duration
	if f.MaxAge != nil {
		age = max(*f.MaxAge, time.Second)
	}
	if d.mfa.rank() > 0 && f.Reauth > 0 && (age == 0 || f.Reauth < age) {
		age = f.Reauth
	}
	return age
}

// attainable is as much of a demand as the person could meet with all that they have.
func (f *Facts) attainable(all demand, lifted bool) demand {
	best := f.now(f.Enrolled)
	d := demand{lifted: lifted, level: min(all.level, assurance.Of(best))}
	for _, p := range order[:all.mfa.rank()+1] {
		if f.second(demand{mfa: p, lifted: lifted}, best) {
			d.mfa = p
		}
	}
	d.chosen = all.mfa.rank() > 0 && slices.ContainsFunc(f.Enrolled, assurance.Factor.Asks)
	return d
}

// now are factors as if they were proved at this moment.
func (f *Facts) now(factors []assurance.Factor) []assurance.Factor {
	out := slices.Clone(factors)
	for i := range out {
		out[i].At = f.Now
	}
	return out
}

// preference is the order in which methods are offered: what cannot be phished first.
var preference = []assurance.Method{
	assurance.Passkey, assurance.Certificate, assurance.TOTP, assurance.Approval, assurance.Password, assurance.Recovery, assurance.Mail,
}

// ways returns the methods that would meet the demand: those that do so alone or, if none
// does, those that do so together with others, and are not proved yet.
func (f *Facts) ways(d demand, proved []assurance.Factor) []assurance.Method {
	have := f.now(f.Enrolled)
	var alone, together []assurance.Method
	for i, a := range have {
		if f.met(d, append(slices.Clone(proved), a)) {
			alone = append(alone, a.Method)
		}
		for _, b := range have[i+1:] {
			if f.met(d, append(slices.Clone(proved), a, b)) {
				together = append(together, a.Method, b.Method)
			}
		}
	}
	if len(alone) > 0 {
		return sorted(alone)
	}
	if len(together) == 0 && f.met(d, append(slices.Clone(proved), have...)) {
		for _, a := range have {
			together = append(together, a.Method)
		}
	}
	return sorted(together)
}

// enrollable returns the second factors that, once enrolled, would meet the demand.
func (f *Facts) enrollable(d demand, proved []assurance.Factor) []assurance.Method {
	var out []assurance.Method
	for _, m := range f.Allowed {
		if m == assurance.Approval { // comes only after another
			continue
		}
		fresh := assurance.Factor{Method: m, At: f.Now}
		if m == assurance.Passkey {
			fresh.Verified, fresh.Bound, fresh.Attested = true, true, true
		}
		if f.met(d, append(f.now(f.Enrolled), append(slices.Clone(proved), fresh)...)) {
			out = append(out, m)
		}
	}
	return sorted(out)
}

func sorted(methods []assurance.Method) []assurance.Method {
	slices.SortFunc(methods, func(a, b assurance.Method) int { return place(a) - place(b) })
	return slices.Compact(methods)
}

func place(m assurance.Method) int {
	if i := slices.Index(preference, m); i >= 0 {
		return i
	}
	return len(preference)
}

// reasons says what each rule adds, and whether what was proved meets it.
func (f *Facts) reasons() []Reason {
	proved := f.proved()
	var out []Reason
	add := func(rule, name, asks string, met bool) {
		out = append(out, Reason{Rule: rule, Name: name, Asks: asks, Met: met})
	}
	ask := func(rule, name string, p MFA) {
		if p != "" && p != Inherit {
			add(rule, name, string(p), f.second(demand{mfa: p}, proved))
		}
	}
	if f.Closed {
		add("user", "", "the account is disabled", false)
	}
	ask("tenant", "", f.Global)
	for _, g := range f.Groups {
		ask("group", g.Name, g.MFA)
	}
	ask("application", "", f.Application)
	if f.own() != Disabled {
		ask("own", "", f.own())
	}
	if f.Level > 0 {
		add("acr", "", fmt.Sprintf("level %d", f.Level), assurance.Of(proved) >= f.Level)
	}
	if f.MaxAge != nil {
		add("max_age", "", fmt.Sprintf("a proof of the last %s", *f.MaxAge), f.met(demand{}, proved))
	}
	if f.Trusted {
		add("trusted_device", "", "stands for a second factor, but not for a passkey, nor for a level", true)
	}
	return out
}
