package authn

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/assurance"
	"github.com/quis-idp/quis/identity/credential/certificate"
	"github.com/quis-idp/quis/identity/credential/mailcode"
	"github.com/quis-idp/quis/identity/credential/passkey"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/regain"
	"github.com/quis-idp/quis/identity/settings"
)

// Challenge puts a challenge for a passkey into the flow, which is sealed anew, and returns what
// the browser needs (the JSON of PublicKeyCredential.parseRequestOptionsFromJSON): at the
// first step any passkey may answer, at the second one of the person's that would do. nil: none can be used
// here, because the tenant does not want it or browsers do not offer it at this address.
func (fs *Flows) Challenge(ctx context.Context, f *Flow) (options []byte, err error) {
	if !f.Bound() || f.Step() != StepPassword && f.Step() != StepSecond {
		return nil, nil
	}
	if open, err := fs.takesPasskey(ctx, f); err != nil || !open {
		return nil, err
	}
	err = fs.cfg.DB.View(ctx, func(tx *fsm.Tx) error {
		s, _, err := settings.Get(tx, f.Need.Tenant)
		if err != nil {
			return err
		}
		options, f.Challenge, err = passkey.Begin(tx, identity.TenantFrom(ctx), s.Passkey, f.UserID, passkey.Wanted{Second: f.keyMayFollow(), Bound: f.deviceBound})
		return err
	})
	if errors.Is(err, identity.ErrInvalid) || errors.Is(err, fsm.ErrNotFound) {
		return nil, nil
	}
	if err != nil || options == nil {
		return nil, err
	}
	return options, fs.seal(f)
}

// keyMayFollow reports whether the person has proved something that a security key may come after,
// which asks for no PIN: a password, or where nobody gets back into an account whatever began the sign-in.
func (f *Flow) keyMayFollow() bool {
	return assurance.Has(f.proved(), assurance.Password) || len(f.proved()) > 0 && !f.Need.Recover && !f.Need.Lost
}

// An Opening is with what a flow can be begun.
type Opening struct {
	Password, Passkey, Mail bool
	Letter                  mailcode.Means // what a mail has, and what of it counts
	Certificate             bool           // the tenant trusts an authority, and browsers are asked for certificates
	Trust                   int            // for how many days a browser may be trusted; 0: none is
	Stay                    int            // for how many days a person may stay signed in; 0: as long as everybody
	Recover                 bool           // somebody who has forgotten their password may begin another flow, with Need.Recover
	Register                bool           // who has no account may make themselves one, see Join
}

// Open says with what the first step can be taken.
func (fs *Flows) Open(ctx context.Context, f *Flow) (o Opening, err error) {
	err = fs.cfg.DB.View(ctx, func(tx *fsm.Tx) error {
		s, _, err := settings.Get(tx, f.Need.Tenant)
		if err == nil {
			mail := fs.cfg.SendMail != nil
			both := mailcode.Means{Code: true, Link: true}
			if f.Need.Recover {
				o = Opening{Mail: mail && s.LocalLogin && s.ForgotPassword, Letter: both}
				return nil
			}
			if f.Need.Lost {
				o = Opening{Mail: mail && regain.Alone(s), Letter: both}
				return nil
			}
			if f.Locked() {
				o = Opening{Mail: mail, Letter: both}
				return nil
			}
			all, err := certificate.List(tx, f.Need.Tenant)
			if err != nil {
				return err
			}
			o = Opening{Password: s.LocalLogin && s.PasswordLogin, Passkey: s.LocalLogin && s.PasskeyLogin,
				Mail: s.LocalLogin && (s.EmailOTP || s.MagicLink) && mail, Letter: mailcode.Means{Code: s.EmailOTP, Link: s.MagicLink}, Trust: int(s.TrustedDevices), Stay: int(s.Session.RememberMe),
				Recover: mail && s.LocalLogin && s.PasswordLogin && s.ForgotPassword, Register: mail && s.LocalLogin && s.SelfRegistration,
				Certificate: s.LocalLogin && fs.cfg.Certificates != nil && len(all) > 0}
		}
		return err
	})
	return o, err
}

// Passkey takes the first or the second step with what a browser's passkey answered to the
// challenge of the flow. Errors are those of Password. A copy of a passkey, which its counter
// gives away, is an entry more: nobody can use it from then on.
func (fs *Flows) Passkey(ctx context.Context, f *Flow, response []byte) (Result, error) {
	return fs.measured(assurance.Passkey, func() (Result, string, error) { return fs.passkey(ctx, f, response) })
}

func (fs *Flows) passkey(ctx context.Context, f *Flow, response []byte) (Result, string, error) {
	if !f.Bound() || len(f.Challenge) == 0 || f.Step() != StepPassword && f.Step() != StepSecond {
		return Result{}, "dead_flow", dead("it is not at this step")
	}
	if open, err := fs.takesPasskey(ctx, f); err != nil || !open {
		return Result{}, reasonOf(err), cmp.Or(err, errWay)
	}
	a, err := passkey.Finish(ctx, fs.cfg.DB, f.Need.Tenant, f.Challenge, response, f.UserID)
	if err != nil {
		return Result{}, fs.refusedKey(ctx, f, a, err, reasonPasskey), fmt.Errorf("passkey: %w", err)
	}
	// Nobody guesses passkeys: what fails is not counted, its owner is never kept waiting, and neither is read.
	var u *directory.User
	err = Settled(ctx, fs.cfg.DB, func(tx *fsm.Tx) (err error) {
		if err = alive(tx, f); err == nil {
			u, _, err = directory.GetUser(tx, f.Need.Tenant, a.UserID)
		}
		return err
	})
	if errors.Is(err, fsm.ErrNotFound) || err == nil && u.Disabled {
		return Result{}, reasonDisabled, identity.Unauthenticated("This does not let you in.")
	}
	if err != nil {
		return Result{}, reasonOf(err), fmt.Errorf("sign in: %w", err)
	}
	fresh, err := provedBy(a, assurance.Has(f.Factors, assurance.Password) || assurance.Has(f.Factors, assurance.TOTP))
	if err != nil {
		return Result{}, "internal", err
	}
	proved := *f
	proved.UserID = a.UserID
	if proved.Login == "" {
		proved.Login = u.Username
	}
	r, reason, err := fs.passed(ctx, &proved, fresh)
	if err != nil { // by a rule that came meanwhile, perhaps
		return r, fs.refusedKey(ctx, f, a, err, reason), err
	}
	*f = proved
	return r, reason, nil
}

// refusedKey is why a passkey let nobody in: reason, or that its model is barred, which is told as any
// denial is. Whoever reads err has proved that they hold it.
func (fs *Flows) refusedKey(ctx context.Context, f *Flow, a passkey.Assertion, err error, reason string) string {
	if !slices.ContainsFunc(identity.Errors(err), func(e *identity.Error) bool { return e.Field == passkey.BarredField }) {
		return reason
	}
	g := *f
	g.UserID = a.UserID
	_ = fs.cfg.DB.View(ctx, func(tx *fsm.Tx) error { // without a name it is told all the same
		u, _, err := directory.GetUser(tx, g.Need.Tenant, g.UserID)
		if err == nil {
			g.Login = u.Username
		}
		return err
	})
	fs.denied(ctx, &g, assurance.Passkey, err)
	return reasonDenied
}

func (fs *Flows) takesPasskey(ctx context.Context, f *Flow) (bool, error) {
	if f.Step() == StepPassword {
		open, err := fs.Open(ctx, f)
		return open.Passkey, err
	}
	ways, err := fs.Offer(ctx, f)
	return slices.Contains(ways, assurance.Passkey), err
}
