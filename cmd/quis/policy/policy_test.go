package policy

import (
	"testing"

	"github.com/quis-idp/quis/api/client"
)

func TestOutcome(t *testing.T) {
	t.Parallel()
	for want, d := range map[string]client.PolicyDecision{
		"step_up: password is asked for":                          {Outcome: "step_up", Methods: []string{"password"}},
		"step_up: one of password, passkey is asked for":          {Outcome: "step_up", Methods: []string{"password", "passkey"}},
		"enrol: one of totp, passkey is to be set up, or put off": {Outcome: "enrol", Methods: []string{"totp", "passkey"}, Optional: true, Left: -1},
		"enrol: totp is to be set up, or put off 2 times":         {Outcome: "enrol", Methods: []string{"totp"}, Optional: true, Left: 2},
		"deny: There is no way to sign in to this account.":       {Outcome: "deny", Why: "There is no way to sign in to this account."},
		"allow": {Outcome: "allow"},
	} {
		if got := outcome(&d); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
