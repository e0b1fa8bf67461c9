package spare

import (
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/assurance"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/credential/certificate"
	"github.com/quis-idp/quis/identity/credential/passkey"
	"github.com/quis-idp/quis/identity/credential/recovery"
	"github.com/quis-idp/quis/identity/credential/totp"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/policy"
	"github.com/quis-idp/quis/identity/settings"
)

// Left is what a person has to sign in with.
type Left struct {
	Password bool
	Mail     bool // codes or links sent to an address that is known to be theirs
	Apps     int  // authenticator apps
	Passkeys int  // passkeys and security keys
	Alone    int  // of these, what signs in without anything before it
	Verified int  // of these again, what has verified its user, and so is two factors
	Unasked  int  // of those that have not, what a browser made by itself
	Bound    int  // of those that have, what never leaves its device
	Keys     int  // of those that have not, what never leaves its device
	Codes    bool // recovery codes; nobody has them but in WithoutCodes, because they end
}

// LeftTo returns what a user has now. Passkeys that sign nobody in (see passkey.Barred) do not count.
func LeftTo(tx *fsm.Tx, u *directory.User) (l Left, err error) {
	a, _, err := settings.Get(tx, u.Tenant)
	if err != nil {
		return l, err
	}
	set, err := credential.PasswordSet(tx, u.Tenant, u.ID)
	if err != nil {
		return l, err
	}
	apps, err := totp.List(tx, u.Tenant, u.ID)
	if err != nil {
		return l, err
	}
	l.Password, l.Apps = !set.IsZero(), len(apps)
	l.Mail = u.Email != "" && u.EmailVerified
	for k, err := range passkey.List(tx, u.Tenant, u.ID) {
		if err != nil {
			return l, err
		}
		bar, err := passkey.Barred(tx, a.Passkey, k)
		if err != nil {
			return l, err
		}
		if bar == "" {
			l.count(k, 1)
		}
	}
	return l, nil
}

// Lose takes a passkey away that counts.
func (l *Left) Lose(k *passkey.Passkey) { l.count(k, -1) }

// count adds n passkeys like k.
func (l *Left) count(k *passkey.Passkey, n int) {
	l.Passkeys += n
	if !k.Second {
		l.Alone += n
	}
	switch {
	case k.UVInitialized:
		l.Verified += n
	case k.Unasked:
		l.Unasked += n
	}
	switch {
	case k.Synced:
	case k.UVInitialized:
		l.Bound += n
	default:
		l.Keys += n
	}
}

// Known reports whether l has a password that signs in where a tenant has decided a: what a
// security key is asked for after.
func (l Left) Known(a *settings.Authentication) bool { return l.Password && a.PasswordLogin }

// mailed reports whether mail signs in.
func (l Left) mailed(a *settings.Authentication) bool { return l.Mail && (a.EmailOTP || a.MagicLink) }

// begins reports whether l begins a sign-in in a tenant that has decided a. Certificates do as well, and are
// left out on purpose: an operator may stop asking browsers for them. Of administrators they count: see Enters.
func (l Left) begins(a *settings.Authentication) bool {
	return a.LocalLogin && (l.Known(a) || l.Alone > 0 && a.PasskeyLogin || l.mailed(a))
}

// OnlyPasskeys reports whether passkeys are all that l has to prove where a tenant has decided a; what
// ends, or may not be asked for, does not count.
func (l Left) OnlyPasskeys(a *settings.Authentication) bool {
	return a.LocalLogin && a.PasskeyLogin && l.Alone > 0 && !l.Known(a) && !l.mailed(a) && l.Apps == 0
}

// factors are what could be proved with l.
func (l Left) factors(a *settings.Authentication) (all []assurance.Factor) {
	for _, f := range []struct {
		has bool
		assurance.Factor
	}{
		{!a.LocalLogin, assurance.Factor{Method: assurance.Federated}},
		{l.Known(a), assurance.Factor{Method: assurance.Password}},
		{l.mailed(a), assurance.Factor{Method: assurance.Mail}},
		{l.Codes, assurance.Factor{Method: assurance.Recovery}},
		{l.Apps > 0, assurance.Factor{Method: assurance.TOTP}},
		{l.Verified > 0, assurance.Factor{Method: assurance.Passkey, Verified: true}},
		{l.Bound > 0, assurance.Factor{Method: assurance.Passkey, Verified: true, Bound: true}},
		{l.Keys > 0, assurance.Factor{Method: assurance.Passkey, Bound: true, Unasked: true}}, // whether it was asked for, the next two say
		{l.Unasked > 0, assurance.Factor{Method: assurance.Passkey, Unasked: true}},
		{l.Passkeys > l.Verified+l.Unasked, assurance.Factor{Method: assurance.Passkey}},
	} {
		if f.has {
			all = append(all, f.Factor)
		}
	}
	return all
}

// meets reports whether whoever proves all of l is let in by what f asks.
func (l Left) meets(f policy.Facts, a *settings.Authentication) bool {
	f.Enrolled = l.factors(a)
	f.Proved = f.Enrolled
	return policy.Decide(f).Passes()
}

// Why something cannot be spared.
type Why string

// The reasons.
const (
	OnlyWay    Why = "only_way"    // nothing else begins a sign-in
	OnlyFactor Why = "only_factor" // the tenant or a group asks for a factor, and there is no other
	Halved     Why = "halved"      // what the person has set up makes two factors, and would make one
)

// Spare says why going from l to then must not be, "" if it may, where the tenant has decided a
// and these are the person's groups.
func (l Left) Spare(then Left, a *settings.Authentication, groups []settings.GroupMFA) Why {
	asked := policy.Of(a, groups)
	asked.Grace = 0 // grace is for who has not had a factor yet
	own := policy.Facts{Allowed: asked.Allowed, Enforce: true}
	switch {
	case l.begins(a) && !then.begins(a):
		return OnlyWay
	case l.meets(own, a) && !then.meets(own, a):
		return Halved
	case l.meets(asked, a) && !then.meets(asked, a):
		return OnlyFactor
	}
	return ""
}

// A Way is something that a person can add.
type Way string

// The ways, the best first.
const (
	Passkey  Way = "passkey"
	Password Way = "password"
	App      Way = "app"  // an authenticator app
	Mail     Way = "mail" // an address that is proved to be theirs
)

// with is l with a way more, where the tenant has decided a. A passkey that is to be asked for after
// something else need not verify its user. Nobody knows yet where it will be kept.
func (l Left) with(w Way, a *settings.Authentication) Left {
	switch w {
	case Passkey:
		l.Passkeys++
		l.Alone++
		if a.PasskeyLogin || a.Passkey.UserVerification == "required" {
			l.Verified++
			l.Bound++
		} else {
			l.Keys++
		}
	case Password:
		l.Password = true
	case App:
		l.Apps++
	case Mail:
		l.Mail = true
	}
	return l
}

// First returns the best of ways that, added before, lets somebody go from l to then; "" if none does.
// What they give up is no way for it.
func (l Left) First(then Left, a *settings.Authentication, groups []settings.GroupMFA, ways ...Way) Way {
	for _, w := range ways {
		if gives := w == Password && l.Password; !gives && l.Spare(then.with(w, a), a, groups) == "" {
			return w
		}
	}
	return ""
}

// A Verdict says why something cannot be spared, and what would change that.
type Verdict struct {
	Why   Why // "": it can be spared
	First Way // what to add before; "": nothing that can be added
}

// Begins reports whether u can begin a sign-in with something other than a certificate, or need
// not, because nobody signs in here themselves.
func Begins(tx *fsm.Tx, u *directory.User) (bool, error) {
	has, err := LeftTo(tx, u)
	if err != nil {
		return false, err
	}
	a, _, err := settings.Get(tx, u.Tenant)
	if err != nil {
		return false, err
	}
	return !a.LocalLogin || has.begins(a), nil
}

// Certified reports whether u has a certificate that is good today.
func Certified(tx *fsm.Tx, u *directory.User) (bool, error) {
	good, err := certificate.GoodOf(tx, u.Tenant, u.ID)
	return len(good) > 0, err
}

// Without says why a user cannot spare what take takes away, and which of the ways, of which the best
// comes first, they should add before.
func Without(tx *fsm.Tx, tenant, userID string, take func(*Left), ways ...Way) (Verdict, error) {
	return compare(tx, tenant, userID, func(_, then *Left) { take(then) }, ways)
}

// WithoutCodes is Without for recovery codes. They keep nobody from removing anything else, but
// where a second factor is asked for they may be the one there is.
func WithoutCodes(tx *fsm.Tx, tenant, userID string, ways ...Way) (Verdict, error) {
	set, err := recovery.Get(tx, tenant, userID)
	if err != nil {
		return Verdict{}, err
	}
	return compare(tx, tenant, userID, func(has, _ *Left) { has.Codes = set != nil && set.Left() > 0 }, ways)
}

// compare says why a user cannot go from what they have to what change makes of it.
func compare(tx *fsm.Tx, tenant, userID string, change func(has, then *Left), ways []Way) (v Verdict, err error) {
	u, _, err := directory.GetUser(tx, tenant, userID)
	if err != nil {
		return v, err
	}
	has, err := LeftTo(tx, u)
	if err != nil {
		return v, err
	}
	a, _, err := settings.Get(tx, tenant)
	if err != nil {
		return v, err
	}
	groups, err := settings.Groups(tx, tenant, userID)
	if err != nil {
		return v, err
	}
	then := has
	change(&has, &then)
	if v.Why = has.Spare(then, a, groups); v.Why != "" {
		v.First = has.First(then, a, groups, ways...)
	}
	return v, nil
}
