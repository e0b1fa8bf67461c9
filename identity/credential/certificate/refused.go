package certificate

import (
	"fmt"

	"github.com/quis-idp/quis/identity"
)

// A Reason says in a word why a certificate lets nobody in.
type Reason string

// The reasons.
const (
	Untrusted Reason = "untrusted" // no authority of the tenant has certified it
	Expired   Reason = "expired"   // it, or something above it, is not valid now
	Purpose   Reason = "purpose"   // it is not for signing in
	Strange   Reason = "strange"   // it says what no certificate of a person says, or too much
	Revoked   Reason = "revoked"
	Unknown   Reason = "unchecked" // it cannot be learned whether it has been revoked
	Nobody    Reason = "nobody"    // no rule leads to a user
	Ambiguous Reason = "ambiguous" // rules lead to several
	Other     Reason = "other"     // it is somebody else's than the person who is signing in
)

// Refused is the error for a certificate that lets nobody in: an identity.ErrUnauthenticated.
type Refused struct {
	Reason Reason
	Cause  error // for the log; may be nil
}

func refuse(why Reason, cause error) error { return &Refused{why, cause} }

// Error names the reason and its cause.
func (r *Refused) Error() string {
	if r.Cause == nil {
		return "certificate refused: " + string(r.Reason)
	}
	return fmt.Sprintf("certificate refused: %s: %v", r.Reason, r.Cause)
}

// Is reports whether target is what every refusal is.
func (r *Refused) Is(target error) bool { return target == identity.ErrUnauthenticated }
