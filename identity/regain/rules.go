package regain

import (
	"slices"
	"strings"

	"github.com/quis-idp/quis/identity/assurance"
	"github.com/quis-idp/quis/identity/settings"
)

// parts are the words of settings.Recovery.Methods.
var parts = map[string]assurance.Method{
	"email": assurance.Mail, "totp": assurance.TOTP, "recovery_code": assurance.Recovery, "passkey": assurance.Passkey,
}

// Combinations says with which methods somebody may go on who has some, and has proved
// some of these, and whether one of the tenant's combinations is complete.
func Combinations(all []string, has []assurance.Method, proved []assurance.Factor) (ways []assurance.Method, complete bool) {
	for _, combination := range all {
		missing, possible := lacks(combination, has, proved)
		complete = complete || possible && len(missing) == 0
		if possible {
			ways = append(ways, missing...)
		}
	}
	slices.Sort(ways)
	return slices.Compact(ways), complete
}

// lacks returns what of a combination has not been proved, and whether all of it can be.
func lacks(combination string, has []assurance.Method, proved []assurance.Factor) (missing []assurance.Method, possible bool) {
	for part := range strings.SplitSeq(combination, "+") {
		m, ok := parts[part]
		if !ok || !slices.Contains(has, m) {
			return nil, false
		}
		if !assurance.Has(proved, m) {
			missing = append(missing, m)
		}
	}
	return missing, true
}

// Alone reports whether a tenant lets people who have lost all second factors get back in
// without an administrator: one of its combinations must do without any. The password is
// asked for besides, of whoever has one.
func Alone(s *settings.Authentication) bool {
	ways, complete := Combinations(s.Recovery.Methods, []assurance.Method{assurance.Mail}, nil)
	return s.LocalLogin && (complete || len(ways) > 0)
}
