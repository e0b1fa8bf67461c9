package authn

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/assurance"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/session"
)

const maxCode = 64 // bytes of a code as a person types it

// Offer returns the methods with which the second step may be taken, best first.
func (fs *Flows) Offer(ctx context.Context, f *Flow) (ways []assurance.Method, err error) {
	if f.Step() != StepSecond {
		return nil, dead("it is not at this step")
	}
	err = fs.cfg.DB.View(ctx, func(tx *fsm.Tx) error {
		if ways, err = missing(tx, f); err != nil || !slices.Contains(ways, assurance.Approval) {
			return err
		}
		others, _, err := fs.others(tx, f)
		if len(others) == 0 {
			ways = slices.DeleteFunc(ways, func(m assurance.Method) bool { return m == assurance.Approval })
		}
		return err
	})
	if fs.cfg.Certificates == nil && slices.Contains(ways, assurance.Certificate) {
		ways = slices.DeleteFunc(ways, func(m assurance.Method) bool { return m == assurance.Certificate })
		if err == nil && len(ways) == 0 {
			return nil, identity.Denied("This needs your certificate, and none can be shown here. Ask your administrator.")
		}
	}
	if err == nil && len(ways) == 0 {
		err = dead("what it asked for was taken away")
	}
	return ways, err
}

// Code takes the second step with what a person types: the code of an authenticator, a
// recovery code. Errors are those of Password.
func (fs *Flows) Code(ctx context.Context, f *Flow, m assurance.Method, code string) (Result, error) {
	return fs.measured(m, func() (Result, string, error) { return fs.code(ctx, f, m, code) })
}

func (fs *Flows) code(ctx context.Context, f *Flow, m assurance.Method, code string) (Result, string, error) {
	ways, err := fs.Offer(ctx, f)
	if err != nil {
		return Result{}, reasonOf(err), err
	}
	how := methods[m]
	if how.check == nil && m != assurance.Password || !slices.Contains(ways, m) {
		return Result{}, "malformed", errWay
	}
	longest, want := maxPassword, "Enter your password."
	if m != assurance.Password {
		code, longest, want = strings.TrimSpace(code), maxCode, "Enter the code."
	}
	if code == "" || len(code) > longest {
		return Result{}, "malformed", identity.Invalid("code", want)
	}
	known, err := fs.lookUp(ctx, f, m, fs.claimant(f))
	if err != nil {
		return Result{}, reasonOf(err), err
	}
	var fresh assurance.Factor
	failure, err := fs.attempt(ctx, f, known, reasonCode, nil, func() error {
		if m == assurance.Password {
			return fs.cfg.CheckPassword(ctx, f.Need.Tenant, known.userID(), code)
		}
		return fs.cfg.DB.View(ctx, func(tx *fsm.Tx) (err error) {
			fresh, err = how.check(fs, tx, f.Need.Tenant, known.userID(), code)
			return err
		})
	})
	if err != nil {
		return Result{}, failure, fmt.Errorf("check code: %w", err)
	}
	if fresh.Method = m; m == assurance.Password {
		fs.proved(ctx, f, known, code)
	}
	return fs.passed(ctx, f, fresh)
}

// claimant finds the user whom f has already proved to be.
func (fs *Flows) claimant(f *Flow) func(tx *fsm.Tx) (*directory.User, error) {
	return func(tx *fsm.Tx) (*directory.User, error) {
		u, _, err := directory.GetUser(tx, f.Need.Tenant, f.UserID)
		return u, err
	}
}

// Raise begins a flow at the second step for the person of a session that is not sure enough
// for what the flow needs, so that they need not prove again what they have. It reports whether
// it did: not when nothing that they have would raise it.
func (fs *Flows) Raise(ctx context.Context, f *Flow, s *session.Session) (bool, error) {
	if !f.Bound() || f.Step() != StepPassword || f.Need.Login || s.Tenant != f.Need.Tenant || s.Impersonation != nil { // who acts there cannot prove for another
		return false, nil
	}
	raised := *f
	raised.UserID, raised.Session, raised.Have, raised.Stay = s.UserID, s.ID, slices.Clone(s.Factors), s.Remembered
	for i := range raised.Have { // the session says it, and a flow travels in addresses
		raised.Have[i].Ref = ""
	}
	err := fs.cfg.DB.View(ctx, func(tx *fsm.Tx) error { return fs.advance(tx, &raised) })
	if err != nil || raised.At != StepSecond {
		return false, err
	}
	if err := fs.seal(&raised); err != nil {
		return false, err
	}
	*f = raised
	return true, nil
}
