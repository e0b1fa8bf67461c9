package spare

import (
	"slices"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/assurance"
	"github.com/quis-idp/quis/identity/credential/certificate"
	"github.com/quis-idp/quis/identity/credential/passkey"
	"github.com/quis-idp/quis/identity/credential/recovery"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/policy"
	"github.com/quis-idp/quis/identity/settings"
)

// maxAdministrators is how many administrators Governed looks at.
const maxAdministrators = 50

func init() { directory.EnterBy(Enters) }

// Governed reports whether one of the first administrators of a tenant gets in by what its rules, as they are
// in tx, accept: before and after a change it says whether that keeps all of them out.
func Governed(tx *fsm.Tx, tenant string) (bool, error) {
	n := 0
	for u, err := range directory.Administrators(tx, tenant) {
		if err != nil {
			return false, err
		}
		if in, err := Enters(tx, u); err != nil || in {
			return in, err
		}
		if n++; n == maxAdministrators {
			break
		}
	}
	return false, nil
}

// Govern makes a change of a tenant's rules, and reports whether that leaves an administrator a way in. Where none had one
// before it takes nothing away. Whoever calls it gives up the transaction if it does not.
func Govern(tx *fsm.Tx, tenant string, change func() error) (bool, error) {
	before, err := Governed(tx, tenant)
	if err == nil {
		err = change()
	}
	if err != nil || !before {
		return true, err
	}
	return Governed(tx, tenant)
}

// Enters reports whether a user comes as far as to a session, with which they can set up what is missing: with all that
// they have now, certificates among it, by all that policy asks for.
// A passkey that signs nobody in is asked for as one that was lost is: after a password they need
// something else then, for which their recovery codes do. So is a certificate that does not.
func Enters(tx *fsm.Tx, u *directory.User) (bool, error) {
	a, _, err := settings.Get(tx, u.Tenant)
	if err != nil {
		return false, err
	}
	l, err := LeftTo(tx, u)
	if err != nil {
		return false, err
	}
	certificates, err := certificate.GoodOf(tx, u.Tenant, u.ID)
	if err != nil || !l.begins(a) && (len(certificates) == 0 || !a.LocalLogin) {
		return false, err
	}
	codes, err := recovery.Get(tx, u.Tenant, u.ID)
	if err != nil {
		return false, err
	}
	l.Codes = codes != nil && codes.Left() > 0
	groups, err := settings.Groups(tx, u.Tenant, u.ID)
	if err != nil {
		return false, err
	}
	f := policy.Of(a, groups)
	f.Proved = l.factors(a)
	for _, c := range certificates {
		f.Proved = append(f.Proved, c.Proves())
	}
	more, err := asked(tx, u)
	if err != nil {
		return false, err
	}
	f.Enrolled = append(slices.Clone(f.Proved), more...)
	switch policy.Decide(f).Outcome {
	case policy.Allow, policy.Enrol:
		return true, nil
	}
	return false, nil
}

// asked are the passkeys and certificates that a user is asked for, whether they let them in or not.
func asked(tx *fsm.Tx, u *directory.User) (all []assurance.Factor, err error) {
	for k, err := range passkey.List(tx, u.Tenant, u.ID) {
		if err != nil {
			return nil, err
		}
		if k.Suspect.IsZero() {
			all = append(all, assurance.Factor{Method: assurance.Passkey, Verified: k.UVInitialized, Bound: !k.Synced, Unasked: k.Unasked})
		}
	}
	held, err := certificate.HeldBy(tx, u.Tenant, u.ID)
	for _, h := range held {
		all = append(all, h.Proves())
	}
	return all, err
}
