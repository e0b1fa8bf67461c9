package authn

import (
	"context"
	"fmt"
	"slices"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/assurance"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/credential/strength"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/policy"
	"github.com/quis-idp/quis/identity/regain"
	"github.com/quis-idp/quis/identity/session"
	"github.com/quis-idp/quis/identity/settings"
)

// Renew takes the last step of who has to choose another password, or recovers an account: it
// sets the password, ends all other sessions of the user, and signs in. It reports
// identity.ErrInvalid, field password, for one that the policy refuses; other errors are
// those of Password.
func (fs *Flows) Renew(ctx context.Context, f *Flow, password string) (Result, error) {
	return fs.measured("renewal", func() (Result, string, error) { return fs.renew(ctx, f, password) })
}

func (fs *Flows) renew(ctx context.Context, f *Flow, password string) (Result, string, error) {
	if !f.Bound() || f.Step() != StepRenew {
		return Result{}, "dead_flow", dead("it is not at this step")
	}
	if password == "" || len(password) > maxPassword {
		return Result{}, "malformed", identity.Invalid("password", "Enter your password.")
	}
	known, err := fs.lookUp(ctx, f, assurance.Password, fs.claimant(f))
	if err != nil {
		return Result{}, reasonOf(err), err
	}
	if known.user == nil || known.user.Disabled {
		return Result{}, reasonDisabled, wrong()
	}
	phc, err := fs.cfg.NewPassword(ctx, WhoseIs(f.Need.Tenant, known.user), password)
	if err != nil {
		return Result{}, reasonOf(err), fmt.Errorf("new password: %w", err)
	}
	r, err := fs.finish(ctx, f, func(tx *fsm.Tx) error { return fs.setPassword(tx, f, phc) })
	return r, reasonOf(err), err
}

// WhoseIs is u as the policy of passwords needs to know them.
func WhoseIs(tenant string, u *directory.User) credential.Person {
	return credential.Person{Tenant: tenant, UserID: u.ID, About: strength.About{
		Username: u.Username, Email: u.Email, Name: u.Name, Others: []string{u.GivenName, u.FamilyName},
	}}
}

// setPassword is what a new password changes: whoever had the old one is out.
func (fs *Flows) setPassword(tx *fsm.Tx, f *Flow, phc string) error {
	if err := credential.SetPassword(tx, f.Need.Tenant, f.UserID, phc); err != nil {
		return err
	}
	if f.Recovery != "" {
		return fs.spendRecovery(tx, f)
	}
	if fs.cfg.Forget != nil {
		if err := fs.cfg.Forget(tx, f.Need.Tenant, f.UserID); err != nil {
			return err
		}
	}
	if f.Need.Recover {
		err := event.Append(tx, event.Event{
			Tenant: f.Need.Tenant, Type: event.RecoveryFinished, Target: event.Target{Kind: "user", ID: f.UserID},
			Actor: identity.Actor{Kind: identity.ActorUser, ID: f.UserID}, Data: map[string]string{"amr": fmt.Sprint(assurance.AMR(f.Factors))},
		})
		if err != nil {
			return err
		}
	}
	_, err := session.EndAllOf(tx, f.Need.Tenant, f.UserID)
	return err
}

// renews reports whether the person of f, whose account is barred by b, must choose a password before
// the flow ends.
func renews(tx *fsm.Tx, f *Flow, b *bar) (bool, error) {
	if f.Need.Recover || f.Leaked || b != nil && b.renew {
		return true, nil
	}
	if assurance.Has(f.Factors, assurance.Vouched) {
		s, _, err := settings.Get(tx, f.Need.Tenant)
		return err == nil && s.PasswordLogin, err
	}
	if !assurance.Has(f.Factors, assurance.Password) {
		return false, nil
	}
	why, err := credential.Expired(tx, f.Need.Tenant, f.UserID)
	return why != "", err
}

// recovers returns with which methods the person of f may go on to recover their account, none
// if it is proved to be theirs. One of the tenant's combinations has to be complete, and whoever
// has a second factor has to prove one: getting back in is no easier than signing in. It
// reports ErrDeadFlow if nothing that they have would do.
func recovers(tx *fsm.Tx, f *Flow) ([]assurance.Method, error) {
	s, _, err := settings.Get(tx, f.Need.Tenant)
	if err != nil {
		return nil, err
	}
	has, must := []assurance.Method{assurance.Mail}, false
	for _, m := range order {
		if m == assurance.Approval { // who recovers is signed in nowhere, or somebody else is
			continue
		}
		could, err := methods[m].has(tx, f.Need.Tenant, f.UserID)
		if err != nil {
			return nil, err
		}
		if len(could) > 0 {
			has = append(has, m)
			must = must || slices.ContainsFunc(could, assurance.Factor.Asks)
		}
	}
	if !must && slices.Contains(has, assurance.Recovery) {
		if must, err = stepsUp(tx, f); err != nil {
			return nil, err
		}
	}
	ways, complete := regain.Combinations(s.Recovery.Methods, has, f.Factors)
	switch {
	case complete && (second(f.Factors) || !must):
		return nil, nil
	case complete:
		return slices.DeleteFunc(slices.Clone(order), func(m assurance.Method) bool { return !slices.Contains(has, m) }), nil
	case len(ways) == 0:
		return nil, notEnough()
	}
	return ways, nil
}

// stepsUp reports whether the person of f is asked for more after their password when they sign in: codes that
// are left over from a factor that was removed may do there, or not be asked for.
func stepsUp(tx *fsm.Tx, f *Flow) (bool, error) {
	facts, err := Facts(tx, f.Need.Tenant, f.UserID)
	if err != nil {
		return false, err
	}
	d := decide(facts, Need{Tenant: f.Need.Tenant}, []assurance.Factor{{Method: assurance.Password, At: facts.Now}})
	return d.Outcome == policy.StepUp, nil
}
