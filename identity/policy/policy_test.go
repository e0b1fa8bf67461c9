package policy_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quis-idp/quis/identity/assurance"
	. "github.com/quis-idp/quis/identity/policy"
)

var (
	now      = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	pwd      = assurance.Factor{Method: assurance.Password}
	totp     = assurance.Factor{Method: assurance.TOTP}
	code     = assurance.Factor{Method: assurance.Recovery}
	mail     = assurance.Factor{Method: assurance.Mail}
	synced   = assurance.Factor{Method: assurance.Passkey, Verified: true}
	touch    = assurance.Factor{Method: assurance.Passkey, Bound: true}
	hardware = assurance.Factor{Method: assurance.Passkey, Verified: true, Bound: true, Attested: true}
	approval = assurance.Factor{Method: assurance.Approval}
	card     = assurance.Factor{Method: assurance.Certificate, Verified: true, Bound: true, Attested: true, Card: true, Unasked: true} // theirs by a rule
	made     = assurance.Factor{Method: assurance.Passkey, Verified: true, Unasked: true}                                              // by the browser, unasked
	soft     = assurance.Factor{Method: assurance.Certificate, Unasked: true}
	unsure   = assurance.Factor{Method: assurance.Passkey, Unasked: true}      // that has verified nobody yet
	badge    = assurance.Factor{Method: assurance.Certificate, Verified: true} // added to them
	both     = []assurance.Method{assurance.TOTP, assurance.Passkey}
)

func at(age time.Duration, factors ...assurance.Factor) []assurance.Factor {
	out := slices.Clone(factors)
	for i := range out {
		out[i].At = now.Add(-age)
	}
	return out
}

func methods(m ...assurance.Method) []assurance.Method { return m }

func TestRules(t *testing.T) {
	t.Parallel()
	minute := time.Minute
	fresh := func(f ...assurance.Factor) []assurance.Factor { return at(0, f...) }
	have := func(f ...assurance.Factor) []assurance.Factor { return f }
	for _, c := range []struct {
		name  string
		facts Facts
		want  Decision
	}{
		{"nothing is asked", Facts{Enrolled: have(pwd), Proved: fresh(pwd)}, Decision{Outcome: Allow, Level: 1}},
		{"nothing is proved", Facts{Enrolled: have(pwd, code)}, Decision{Outcome: StepUp, Level: 1, Methods: methods(assurance.Password, assurance.Recovery)}},
		{"nothing can be proved", Facts{}, Decision{Outcome: Deny, Level: 1, Why: "There is no way to sign in to this account. An administrator can help."}},
		{"disabled", Facts{Closed: true, Enrolled: have(pwd), Proved: fresh(pwd)}, Decision{Outcome: Deny, Level: 1, Why: "This account is disabled."}},
		{"tenant: any", Facts{Global: Any, Enrolled: have(pwd, totp, code), Proved: fresh(pwd)}, Decision{Outcome: StepUp, Level: 2, Methods: methods(assurance.TOTP, assurance.Recovery)}},
		{"tenant: any, met", Facts{Global: Any, Enrolled: have(pwd, totp), Proved: fresh(pwd, totp)}, Decision{Outcome: Allow, Level: 2}},
		{"an approval is a second factor", Facts{Global: Any, Allowed: append(both, assurance.Approval), Enrolled: have(pwd, totp, approval), Proved: fresh(pwd)}, Decision{Outcome: StepUp, Level: 2, Methods: methods(assurance.TOTP, assurance.Approval)}},
		{"an approval, met", Facts{Global: Any, Allowed: append(both, assurance.Approval), Enrolled: have(pwd, totp, approval), Proved: fresh(pwd, approval)}, Decision{Outcome: Allow, Level: 2}},
		{"an approval where it is not allowed", Facts{Global: Any, Enrolled: have(pwd, totp, approval), Proved: fresh(pwd, approval)}, Decision{Outcome: StepUp, Level: 2, Methods: methods(assurance.TOTP)}},
		{"an approval is no code", Facts{Global: OTP, Allowed: append(both, assurance.Approval), Enrolled: have(pwd, totp, approval), Proved: fresh(pwd, approval)}, Decision{Outcome: StepUp, Level: 2, Methods: methods(assurance.TOTP)}},
		{"an approval cannot be enrolled first", Facts{Global: Any, Allowed: append(both, assurance.Approval), Enrolled: have(pwd), Proved: fresh(pwd)}, Decision{Outcome: Enrol, Level: 2, Methods: methods(assurance.Passkey, assurance.TOTP), Optional: true, Left: -1}},
		{"mail is no second factor", Facts{Global: Any, Enrolled: have(pwd, totp, mail), Proved: fresh(pwd, mail)}, Decision{Outcome: StepUp, Level: 2, Methods: methods(assurance.TOTP)}},
		{"tenant: otp by passkey", Facts{Global: OTP, Enrolled: have(synced), Proved: fresh(synced)}, Decision{Outcome: Allow, Level: 2}},
		{"group: passkey", Facts{Groups: []Group{{"g", Inherit}, {"h", Passkey}}, Enrolled: have(pwd, totp, synced), Proved: fresh(pwd, totp)}, Decision{Outcome: StepUp, Level: 2, Methods: methods(assurance.Passkey)}},
		{"application: disabled takes nothing back", Facts{Global: Any, Application: Disabled, Enrolled: have(pwd, totp), Proved: fresh(pwd)}, Decision{Outcome: StepUp, Level: 2, Methods: methods(assurance.TOTP)}},
		{"application: otp", Facts{Application: OTP, Enrolled: have(pwd, totp), Proved: fresh(pwd)}, Decision{Outcome: StepUp, Level: 2, Methods: methods(assurance.TOTP)}},
		{"own second factor is asked for", Facts{Global: Disabled, Enrolled: have(pwd, totp), Proved: fresh(pwd)}, Decision{Outcome: StepUp, Level: 2, Methods: methods(assurance.TOTP)}},
		{"one that is not allowed is not", Facts{Global: Disabled, Allowed: methods(assurance.Passkey), Enrolled: have(pwd, totp), Proved: fresh(pwd)}, Decision{Outcome: Allow, Level: 1}},
		{"a certificate by a rule asks for nothing", Facts{Enrolled: have(pwd, card), Proved: fresh(pwd)}, Decision{Outcome: Allow, Level: 1}},
		{"a certificate that was added does", Facts{Enrolled: have(pwd, badge), Proved: fresh(pwd)}, Decision{Outcome: StepUp, Level: 2, Methods: methods(assurance.Certificate)}},
		{"a passkey that the browser made by itself asks for nothing", Facts{Enrolled: have(pwd, made), Proved: fresh(pwd)}, Decision{Outcome: Allow, Level: 1}},
		{"it is a way", Facts{Global: Any, Enrolled: have(pwd, made), Proved: fresh(pwd)}, Decision{Outcome: StepUp, Level: 2, Methods: methods(assurance.Passkey)}},
		{"a certificate by a rule is a way", Facts{Global: Passkey, Enrolled: have(pwd, totp, card), Proved: fresh(pwd)}, Decision{Outcome: StepUp, Level: 2, Methods: methods(assurance.Certificate)}},
		{"a certificate is as good as a passkey", Facts{Global: Passkey, Enrolled: have(badge), Proved: fresh(badge)}, Decision{Outcome: Allow, Level: 2}},
		{"a smart card reaches level 3", Facts{Level: 3, Application: DeviceBound, Enrolled: have(card), Proved: fresh(card)}, Decision{Outcome: Allow, Level: 3}},
		{"a certificate in software does not", Facts{Level: 3, Enrolled: have(badge, hardware), Proved: fresh(badge)}, Decision{Outcome: StepUp, Level: 3, Methods: methods(assurance.Passkey)}},
		{"device-bound", Facts{Application: DeviceBound, Enrolled: have(synced, hardware), Proved: fresh(synced)}, Decision{Outcome: StepUp, Level: 2, Methods: methods(assurance.Passkey), Bound: true}},
		{"device-bound, met", Facts{Application: DeviceBound, Enrolled: have(synced, hardware), Proved: fresh(hardware)}, Decision{Outcome: Allow, Level: 2}},
		{"device-bound, met beside one that is not", Facts{Application: DeviceBound, Enrolled: have(synced, hardware), Proved: fresh(synced, hardware)}, Decision{Outcome: Allow, Level: 2}},
		{"device-bound, met by a certificate", Facts{Application: DeviceBound, Enrolled: have(card), Proved: fresh(card)}, Decision{Outcome: Allow, Level: 2}},
		{"not by one in software", Facts{Application: DeviceBound, Enrolled: have(badge, card), Proved: fresh(badge)}, Decision{Outcome: StepUp, Level: 2, Methods: methods(assurance.Certificate)}},
		{"device-bound, met by a key after a password", Facts{Application: DeviceBound, Enrolled: have(pwd, touch), Proved: fresh(pwd, touch)}, Decision{Outcome: Allow, Level: 2}},
		{"not by a key after a passkey that may be copied", Facts{Application: DeviceBound, Enrolled: have(synced, touch), Proved: fresh(synced, touch)}, Decision{Outcome: Enrol, Level: 2, Methods: methods(assurance.Passkey), Bound: true}},
		{"not by a code", Facts{Application: DeviceBound, Enrolled: have(pwd, totp, hardware), Proved: fresh(pwd, totp)}, Decision{Outcome: StepUp, Level: 2, Methods: methods(assurance.Passkey), Bound: true}},
		{"not by a trusted device", Facts{Application: DeviceBound, Trusted: true, Enrolled: have(pwd, hardware), Proved: fresh(pwd)}, Decision{Outcome: StepUp, Level: 2, Methods: methods(assurance.Passkey), Bound: true}},
		{"device-bound, none there: an application does not wait", Facts{Application: DeviceBound, Enrolled: have(synced), Proved: fresh(synced), Grace: 9, Enforce: true}, Decision{Outcome: Enrol, Level: 2, Methods: methods(assurance.Passkey), Bound: true}},
		{"device-bound, none there: what they have comes first", Facts{Application: DeviceBound, Enrolled: have(pwd, synced), Proved: fresh(pwd)}, Decision{Outcome: StepUp, Level: 2, Methods: methods(assurance.Passkey)}},
		{"group: device-bound", Facts{Global: Any, Groups: []Group{{"g", Passkey}, {"h", DeviceBound}}, Enrolled: have(synced, hardware), Proved: fresh(synced)}, Decision{Outcome: StepUp, Level: 2, Methods: methods(assurance.Passkey), Bound: true}},
		{"group: device-bound, none there: a group waits", Facts{Groups: []Group{{"h", DeviceBound}}, Enrolled: have(synced), Proved: fresh(synced), Grace: 9, Enforce: true}, Decision{Outcome: Enrol, Level: 2, Methods: methods(assurance.Passkey), Bound: true, Optional: true, Left: 9}},
		{"tenant: device-bound", Facts{Global: DeviceBound, Application: Passkey, Enrolled: have(synced, hardware), Proved: fresh(synced)}, Decision{Outcome: StepUp, Level: 2, Methods: methods(assurance.Passkey), Bound: true}},
		{"device-bound, and no passkey may be set up", Facts{Application: DeviceBound, Allowed: methods(assurance.TOTP), Enrolled: have(pwd), Proved: fresh(pwd)}, Decision{Outcome: Deny, Level: 2, Why: "This needs a way to sign in that cannot be set up here. An administrator can help."}},
		{"acr", Facts{Level: 3, Enrolled: have(pwd, touch, hardware), Proved: fresh(pwd)}, Decision{Outcome: StepUp, Level: 3, Methods: methods(assurance.Passkey)}},
		{"max_age", Facts{MaxAge: &minute, Enrolled: have(pwd), Proved: at(time.Hour, pwd)}, Decision{Outcome: StepUp, Level: 1, MaxAge: minute, Methods: methods(assurance.Password)}},
		{"max_age, met by any proof", Facts{MaxAge: &minute, Enrolled: have(pwd, totp), Proved: append(at(time.Hour, pwd), fresh(totp)...)}, Decision{Outcome: Allow, Level: 2}},
		{"max_age is not met by a touch", Facts{MaxAge: &minute, Enrolled: have(pwd, touch), Proved: append(at(time.Hour, pwd), fresh(touch)...)}, Decision{Outcome: StepUp, Level: 2, MaxAge: minute, Methods: methods(assurance.Password)}},
		{"max_age is not met by a card without PIN", Facts{MaxAge: &minute, Enrolled: have(pwd, soft), Proved: append(at(time.Hour, pwd), fresh(soft)...)}, Decision{Outcome: StepUp, Level: 1, MaxAge: minute, Methods: methods(assurance.Password)}},
		{"max_age is met by a touch of who has nothing better", Facts{MaxAge: &minute, Enrolled: have(unsure, code, approval), Proved: fresh(unsure)}, Decision{Outcome: Allow, Level: 1}},
		{"max_age is met by a finger", Facts{MaxAge: &minute, Enrolled: have(pwd, synced), Proved: append(at(time.Hour, pwd), fresh(synced)...)}, Decision{Outcome: Allow, Level: 2}},
		{"max_age is not met by a trusted device", Facts{MaxAge: &minute, Trusted: true, Enrolled: have(pwd), Proved: at(time.Hour, pwd)}, Decision{Outcome: StepUp, Level: 1, MaxAge: minute, Methods: methods(assurance.Password)}},
		{"reauth", Facts{Global: Any, Reauth: minute, Enrolled: have(pwd, totp), Proved: at(time.Hour, pwd, totp)}, Decision{Outcome: StepUp, Level: 2, MaxAge: minute, Methods: methods(assurance.TOTP)}},
		{"reauth is about second factors", Facts{Reauth: minute, Enrolled: have(pwd), Proved: at(time.Hour, pwd)}, Decision{Outcome: Allow, Level: 1}},
		{"trusted device", Facts{Global: OTP, Trusted: true, Enrolled: have(pwd, totp), Proved: fresh(pwd)}, Decision{Outcome: Allow, Level: 2}},
		{"trusted device is no level", Facts{Global: OTP, Level: 2, Trusted: true, Enrolled: have(pwd, totp), Proved: fresh(pwd)}, Decision{Outcome: StepUp, Level: 2, Methods: methods(assurance.TOTP)}},
		{"trusted device spares the factor of an application", Facts{Application: OTP, Trusted: true, Enrolled: have(pwd, totp), Proved: fresh(pwd)}, Decision{Outcome: Allow, Level: 2}},
		{"trusted device is no passkey", Facts{Global: Passkey, Trusted: true, Enrolled: have(pwd, synced), Proved: fresh(pwd)}, Decision{Outcome: StepUp, Level: 2, Methods: methods(assurance.Passkey)}},
		{"enrolment, put off for ever", Facts{Global: Any, Enrolled: have(pwd), Proved: fresh(pwd)}, Decision{Outcome: Enrol, Level: 2, Methods: methods(assurance.Passkey, assurance.TOTP), Optional: true, Left: -1}},
		{"enrolment, put off twice more", Facts{Global: Any, Enforce: true, Grace: 3, Skipped: 1, Enrolled: have(pwd), Proved: fresh(pwd)}, Decision{Outcome: Enrol, Level: 2, Methods: methods(assurance.Passkey, assurance.TOTP), Optional: true, Left: 2}},
		{"enrolment, no more", Facts{Global: Any, Enforce: true, Grace: 3, Skipped: 3, Enrolled: have(pwd), Proved: fresh(pwd)}, Decision{Outcome: Enrol, Level: 2, Methods: methods(assurance.Passkey, assurance.TOTP)}},
		{"an application does not wait", Facts{Application: Any, Enrolled: have(pwd), Proved: fresh(pwd)}, Decision{Outcome: Enrol, Level: 2, Methods: methods(assurance.Passkey, assurance.TOTP)}},
		{"what they have comes before enrolment", Facts{Global: Passkey, Enforce: true, Grace: 9, Enrolled: have(pwd, totp), Proved: fresh(pwd)}, Decision{Outcome: StepUp, Level: 2, Methods: methods(assurance.TOTP)}},
		{"even what counts no more", Facts{Global: Passkey, Allowed: methods(assurance.Passkey), Enrolled: have(pwd, totp), Proved: fresh(pwd)}, Decision{Outcome: StepUp, Level: 2, Methods: methods(assurance.TOTP)}},
		{"even what makes up no second level", Facts{Global: Any, Enforce: true, Enrolled: have(mail, totp, code), Proved: fresh(mail)}, Decision{Outcome: StepUp, Level: 2, Methods: methods(assurance.TOTP, assurance.Recovery)}},
		{"then that is enrolled which does", Facts{Global: Any, Enforce: true, Enrolled: have(mail, totp), Proved: fresh(mail, totp)}, Decision{Outcome: Enrol, Level: 2, Methods: methods(assurance.Passkey)}},
		{"a key without PIN is not the app that was chosen", Facts{Enrolled: have(mail, totp, touch), Proved: fresh(touch)}, Decision{Outcome: StepUp, Level: 2, Methods: methods(assurance.TOTP, assurance.Mail)}},
		{"nor is the app without it, where mail is not a way", Facts{Enrolled: have(totp, touch), Proved: fresh(touch)}, Decision{Outcome: StepUp, Level: 2, Methods: methods(assurance.TOTP)}},
		{"a key without PIN of who has nothing else", Facts{Enrolled: have(mail, touch), Proved: fresh(touch)}, Decision{Outcome: Enrol, Level: 2, Methods: methods(assurance.Passkey), Optional: true, Left: -1}},
		{"a key without PIN, beside a mailbox", Facts{Global: Any, Enforce: true, Enrolled: have(mail, touch), Proved: fresh(mail)}, Decision{Outcome: StepUp, Level: 2, Methods: methods(assurance.Passkey)}},
		{"who chose it is asked although nobody else asks", Facts{Enrolled: have(mail, totp), Proved: fresh(mail)}, Decision{Outcome: StepUp, Level: 2, Methods: methods(assurance.TOTP)}},
		{"what nobody chose is not", Facts{Global: Any, Enforce: true, Enrolled: have(mail, made), Proved: fresh(mail)}, Decision{Outcome: StepUp, Level: 2, Methods: methods(assurance.Passkey)}},
		{"nothing can be enrolled", Facts{Application: Passkey, Allowed: methods(assurance.TOTP), Enrolled: have(pwd), Proved: fresh(pwd)}, Decision{Outcome: Deny, Level: 2, Why: "This needs a way to sign in that cannot be set up here. An administrator can help."}},
		{"a policy of a newer release is the strictest", Facts{Global: "retina", Enrolled: have(pwd, totp, hardware), Proved: fresh(pwd, totp)}, Decision{Outcome: StepUp, Level: 2, Methods: methods(assurance.Passkey), Bound: true}},
	} {
		c.facts.Now = now
		if c.facts.Allowed == nil {
			c.facts.Allowed = both
		}
		got := Decide(c.facts)
		got.Reasons = nil
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
}

func TestReasons(t *testing.T) {
	t.Parallel()
	minute := time.Minute
	got := Decide(Facts{
		Now: now, Global: Any, Groups: []Group{{"admins", Passkey}}, Application: DeviceBound, Level: 2, MaxAge: &minute, Allowed: both,
		Enrolled: []assurance.Factor{pwd, totp}, Proved: at(0, pwd, totp), Trusted: true,
	}).Reasons
	want := []Reason{
		{"tenant", "", "any", true, ""}, {"group", "admins", "passkey", false, ""}, {"application", "", "device_bound", false, ""}, {"own", "", "any", true, ""},
		{"acr", "", "level 2", true, ""}, {"max_age", "", "a proof of the last 1m0s", true, ""},
		{"trusted_device", "", "stands for a second factor, but not for a passkey, nor for a level", true, ""},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// some returns facts at random.
func some(r *rand.Rand) Facts {
	mfa := func() MFA { return []MFA{"", Inherit, Disabled, Any, OTP, Passkey, DeviceBound}[r.IntN(7)] }
	f := Facts{
		Now: now, Global: mfa(), Application: mfa(), Level: assurance.Level(max(0, r.IntN(8)-4)),
		Reauth: []time.Duration{0, 0, time.Minute, time.Hour}[r.IntN(4)], Enforce: r.IntN(2) == 0, Grace: r.IntN(3), Skipped: r.IntN(3), Trusted: r.IntN(3) == 0,
	}
	for range r.IntN(3) {
		f.Groups = append(f.Groups, Group{MFA: mfa()})
	}
	if r.IntN(3) == 0 {
		age := []time.Duration{0, time.Minute, time.Hour}[r.IntN(3)]
		f.MaxAge = &age
	}
	for _, m := range append(both, assurance.Approval) {
		if r.IntN(3) > 0 {
			f.Allowed = append(f.Allowed, m)
		}
	}
	for _, e := range []assurance.Factor{pwd, totp, code, mail, synced, touch, hardware, approval} {
		if r.IntN(2) == 0 {
			continue
		}
		f.Enrolled = append(f.Enrolled, e)
		if r.IntN(2) == 0 {
			f.Proved = append(f.Proved, at([]time.Duration{0, 5 * time.Minute, 2 * time.Hour}[r.IntN(3)], e)...)
		}
	}
	return f
}

// tighter are all that is one step stricter than f.
func tighter(f Facts) map[string]Facts {
	out := map[string]Facts{}
	with := func(name string, change func(*Facts)) {
		g := f
		g.Groups, g.Proved, g.Allowed = slices.Clone(f.Groups), slices.Clone(f.Proved), slices.Clone(f.Allowed)
		change(&g)
		out[name] = g
	}
	up := func(p MFA) MFA {
		return map[MFA]MFA{"": Any, Inherit: Any, Disabled: Any, Any: OTP, OTP: Passkey, Passkey: DeviceBound, DeviceBound: DeviceBound}[p]
	}
	with("tenant", func(g *Facts) { g.Global = up(g.Global) })
	with("application", func(g *Facts) { g.Application = up(g.Application) })
	with("one group more", func(g *Facts) { g.Groups = append(g.Groups, Group{MFA: DeviceBound}) })
	for i := range f.Groups {
		with("group", func(g *Facts) { g.Groups[i].MFA = up(g.Groups[i].MFA) })
	}
	with("acr", func(g *Facts) { g.Level = min(3, g.Level+1) })
	with("max_age", func(g *Facts) { age := 30 * time.Second; g.MaxAge = &age })
	with("reauth", func(g *Facts) { g.Reauth = 30 * time.Second })
	with("enforce", func(g *Facts) { g.Enforce = true })
	with("skipped", func(g *Facts) { g.Skipped++ })
	with("not trusted", func(g *Facts) { g.Trusted = false })
	with("closed", func(g *Facts) { g.Closed = true })
	for i := range f.Proved {
		with("older "+string(f.Proved[i].Method), func(g *Facts) { g.Proved[i].At = g.Proved[i].At.Add(-time.Hour) })
		with("less "+string(f.Proved[i].Method), func(g *Facts) { g.Proved = slices.Delete(g.Proved, i, i+1) })
	}
	return out
}

// TestStricterNeverAllowsMore: whatever is one step stricter lets in nobody who was not
// let in before.
func TestStricterNeverAllowsMore(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	passed := 0
	for range 15_000 {
		f := some(r)
		passes := Decide(f).Passes()
		if passes {
			passed++
			continue
		}
		for name, g := range tighter(f) {
			if Decide(g).Passes() {
				t.Fatalf("%s: %+v is refused, and %+v is let in", name, f, g)
			}
		}
	}
	if passed < 1_000 || passed > 14_000 {
		t.Errorf("%d of 15000 were let in: that tests little", passed)
	}
}

// TestFewerMethodsNeverAllowMore: that a method is no longer allowed opens no door for those
// who had nothing else and have not proved even that; unless nobody but themselves asked.
func TestFewerMethodsNeverAllowMore(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 4))
	for range 15_000 {
		f := some(r)
		if Decide(f).Passes() || len(f.Allowed) == 0 || slices.ContainsFunc(f.Proved, func(p assurance.Factor) bool {
			return slices.Contains(both, p.Method)
		}) {
			continue
		}
		asked := slices.Contains([]MFA{Any, OTP, Passkey, DeviceBound}, f.Global) || slices.Contains([]MFA{Any, OTP, Passkey, DeviceBound}, f.Application)
		g := f
		g.Allowed = f.Allowed[1:]
		if d := Decide(g); d.Passes() && asked {
			t.Fatalf("%+v is refused, and without %s it is let in: %+v", f, f.Allowed[0], d)
		}
	}
}

// TestStepUpLeadsOn: whoever proves all that a step-up names is never asked for a step-up
// again, and is asked only for what they have; whoever is to enrol has proved what they have.
func TestStepUpLeadsOn(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(5, 6))
	seen := map[Outcome]int{}
	for range 15_000 {
		f := some(r)
		d := Decide(f)
		seen[d.Outcome]++
		if d.Outcome != StepUp {
			continue
		}
		for _, m := range d.Methods {
			if !assurance.Has(f.Enrolled, m) {
				t.Fatalf("%+v is asked for %s", f, m)
			}
		}
		for range 2 { // what counts no more may come first
			for _, e := range f.Enrolled {
				if slices.Contains(d.Methods, e.Method) {
					f.Proved = append(f.Proved, at(0, e)...)
				}
			}
			if d = Decide(f); d.Outcome != StepUp {
				break
			}
		}
		if d.Outcome == StepUp {
			t.Fatalf("%+v goes in circles: %+v", f, d)
		}
	}
	for _, o := range []Outcome{Allow, StepUp, Enrol, Deny} {
		if seen[o] < 100 {
			t.Errorf("%s: %d of 15000", o, seen[o])
		}
	}
}
