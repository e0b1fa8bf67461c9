package policy

import (
	"slices"
	"time"

	"github.com/quis-idp/quis/identity/assurance"
)

// An MFA says which second factor is asked for.
type MFA string

// The policies, laxest first; each is met by whatever meets a stricter one.
const (
	Inherit  MFA = "inherit"  // no say; the same as ""
	Disabled MFA = "disabled" // none is asked for
	Any      MFA = "any"      // level 2 by whatever means, of which a trusted device spares who has one
	OTP      MFA = "otp"      // a one-time code, or what is stronger
	Passkey  MFA = "passkey"  // what cannot be phished: a passkey or a certificate

	DeviceBound MFA = "device_bound" // such a one whose key never leaves its device; others count for nothing
)

var order = []MFA{Disabled, Any, OTP, Passkey, DeviceBound}

// rank is the place of p among the policies. What is unknown was written by a newer release:
// it is taken for the strictest, since it cannot be held and must not be waved through.
func (p MFA) rank() int {
	if p == "" || p == Inherit {
		return 0
	}
	if i := slices.Index(order, p); i >= 0 {
		return i
	}
	return len(order) - 1
}

// Valid reports whether p is a policy, and one that need not inherit unless inherit is true.
func (p MFA) Valid(inherit bool) bool {
	return slices.Contains(order, p) || inherit && (p == "" || p == Inherit)
}

// Facts are what a decision is made of.
type Facts struct {
	Now time.Time

	// What is asked.
	Global      MFA
	Groups      []Group
	Application MFA
	Level       assurance.Level    // asked for by the request (acr); 0: none
	MaxAge      *time.Duration     // since the last proof, at most; nil: any
	Reauth      time.Duration      // after which second factors count no more; 0: never
	Allowed     []assurance.Method // of TOTP, Passkey and Approval, those that count as second factors
	Enforce     bool               // whoever lacks a factor that the tenant or a group asks for may put it off Grace times only
	Grace       int
	Skipped     int // how often this person has put it off

	// Who is asked, and what they have proved.
	Closed   bool               // the user is disabled
	Enrolled []assurance.Factor // what they could prove, each at its best; times do not count, and certificates that were added to them have a Ref
	Proved   []assurance.Factor
	Trusted  bool // the browser is a trusted device of theirs
}

// A Group is what one of the person's groups asks.
type Group struct {
	Name string
	MFA  MFA
}
