package poll

import (
	"time"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/authn"
	"github.com/quis-idp/quis/identity/regain"
	"github.com/quis-idp/quis/identity/session"
)

// Admit says whether s may give an application what it waits for: its user may use it, nobody
// acts in their place, and it has proved all that the application, its tenant and the user's groups
// ask of a sign-in to it, as if it came by way of a browser. It reports identity.ErrDenied, as
// *NotEnough where it is about what was proved. It belongs into the transaction that decides.
func Admit(tx *fsm.Tx, tenant, application string, s *session.Session) error {
	if err := regain.MayGrant(tx, tenant, s); err != nil {
		return err
	}
	app, _, err := federation.Get(tx, tenant, application)
	if err != nil {
		return err
	}
	ok, err := federation.MayUse(tx, app, s.UserID)
	if err != nil {
		return err
	}
	if !ok || s.Tenant != tenant {
		return identity.Denied("You may not use this application.")
	}
	need := authn.Need{Application: app.DisplayName(), MFA: app.MFAPolicy, ACR: app.Tokens.DefaultACRs}
	if age := time.Duration(app.Tokens.DefaultMaxAge) * time.Second; age > 0 {
		age = max(age, answerTime)
		need.MaxAge, need.Login = &age, tx.Now().Sub(s.AuthTime) > age
	}
	standing, err := authn.Stands(tx, s, need)
	if err == nil && standing == authn.Enough && need.Login {
		standing = authn.More
	}
	if err != nil || standing == authn.Enough {
		return err
	}
	return &NotEnough{standing, need, app.ID}
}

// answerTime is what somebody who has just signed in for it has to type the code and to answer: what they proved is
// not too old by then, however short an application wants it.
const answerTime = 2 * time.Minute

// NotEnough is what Admit reports of a session that has proved too little.
type NotEnough struct {
	Standing authn.Standing // never Enough
	Need     authn.Need     // of the flow that helps with authn.More; without ReturnTo

	Application string // its ID
}

var errNotEnough = identity.Denied("This needs a way to sign in that cannot be set up here. An administrator can help.")

func (e *NotEnough) Error() string {
	return "the session has not proved enough: " + errNotEnough.Error()
}

// Unwrap is what is said to whoever cannot be led on.
func (e *NotEnough) Unwrap() error { return errNotEnough }
