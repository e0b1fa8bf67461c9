package authn

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/assurance"
	"github.com/quis-idp/quis/identity/authn/throttle"
	"github.com/quis-idp/quis/identity/credential/mailcode"
	"github.com/quis-idp/quis/identity/session"
)

func joins(f *Flow) error {
	if !f.Bound() || f.Step() != StepPassword || f.Need.Recover {
		return dead("it is not at this step")
	}
	return nil
}

// Hash has the first password of somebody hashed who is about to Join, if an account can come of it:
// may says so of a state that is as new as any acknowledged write. They take the room of a stranger,
// whose browser it may be: whoever has made one account has a browser that is known. It reports
// ErrDeadFlow, identity.ErrLimited, and what may and hash report.
func (fs *Flows) Hash(ctx context.Context, f *Flow, may func(tx *fsm.Tx) error, hash func() error) error {
	if err := joins(f); err != nil {
		return err
	}
	if fs.attempts.Full() { // before anything is read, as at sign-in
		return TooMany(time.Second)
	}
	err := Settled(ctx, fs.cfg.DB, func(tx *fsm.Tx) error {
		if err := alive(tx, f); err != nil {
			return err
		}
		return may(tx)
	})
	if err != nil {
		return fmt.Errorf("join: %w", err)
	}
	attempt, wait := fs.attempts.Admit(nil, time.Now())
	if wait > 0 {
		return TooMany(wait)
	}
	defer fs.attempts.Release(attempt)
	return hash()
}

// ProveAddress lets a code be checked that was mailed to an address, for an account to be made. Wrong ones
// count for the address, from that network and from everywhere, however many codes were sent to it, and
// whether or not it is somebody's already; whoever follows a link does not wait for those who guess. It
// reports identity.ErrLimited after too many, and what check reports, of which identity.ErrUnauthenticated
// is a wrong code. A wrong one writes nothing at once (see Run).
func (fs *Flows) ProveAddress(ctx context.Context, tenant, address, code string, check func() error) error {
	if mailcode.IsToken(code) { // nobody guesses that
		return check()
	}
	sources := fs.strange(ctx, tenant, "register "+nameOf(address))
	if err := Settled(ctx, fs.cfg.DB, func(tx *fsm.Tx) error { return throttle.LoadAll(tx, sources) }); err != nil {
		return fmt.Errorf("prove address: %w", err)
	}
	attempt, wait := fs.attempts.Admit(sources, time.Now())
	if wait > 0 {
		return TooMany(wait)
	}
	err := check()
	if !errors.Is(err, identity.ErrUnauthenticated) {
		fs.attempts.Release(attempt)
		return err
	}
	r := identity.RequestFrom(ctx)
	kind := throttle.Kind{Tenant: tenant, Reason: reasonNewcomer, IP: r.IP, Method: assurance.Mail}
	fs.noted(fs.attempts.Fail(attempt, kind, throttle.Failure{Request: r}))
	return err
}

// Spend marks as used until then what makes one account, in the transaction that makes it: of two that
// do, on whatever nodes, one runs again and finds it Spent.
func Spend(tx *fsm.Tx, tenant, id string, until time.Time) error {
	return spent.Insert(tx, &spentFlow{Tenant: tenant, ID: id, Expires: until.Add(spentGrace)})
}

// Spent reports whether that was spent; a flow is when it has made its session.
func Spent(tx *fsm.Tx, tenant, id string) (bool, error) {
	return spent.Has(tx, fsm.Scope(tenant), fsm.K(id))
}

// Join ends a flow for somebody who makes themselves an account meanwhile: makes does that, in
// the transaction that makes their session and spends the flow, and returns the user's ID with
// what they have proved in doing so: now, unless it says when. Whoever was signed in in the browser no longer is. It
// reports ErrDeadFlow, and what makes reports. What they proved may be less than the flow
// needs: the protocol asks for the rest.
func (fs *Flows) Join(ctx context.Context, f *Flow, makes func(tx *fsm.Tx) (userID string, proved []assurance.Factor, err error)) (Result, error) {
	if err := joins(f); err != nil {
		return Result{}, err
	}
	var g Flow
	var started *session.Started
	var enrol *Enrolment
	err := fs.cfg.DB.Update(identity.WithActor(ctx, identity.Actor{Kind: identity.ActorAnonymous}), func(tx *fsm.Tx) (err error) {
		g = *f
		if err := alive(tx, &g); err != nil {
			return err
		}
		if g.UserID, g.Factors, err = makes(tx); err != nil {
			return err
		}
		for i := range g.Factors {
			if g.Factors[i].At.IsZero() {
				g.Factors[i].At = tx.Now()
			}
		}
		if started, err = fs.begun(tx, &g); err != nil {
			return err
		}
		enrol, err = enrolment(tx, &g)
		return err
	})
	if err != nil {
		return Result{}, fmt.Errorf("join: %w", err)
	}
	r, err := fs.done(&g, started, Result{Enrol: enrol})
	if err == nil {
		*f = g
	}
	return r, err
}
