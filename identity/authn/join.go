package authn

import (
	"context"
	"fmt"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/assurance"
	"github.com/quis-idp/quis/identity/session"
)

// Join ends a flow for somebody who makes themselves an account meanwhile: makes does that, in
// the transaction that makes their session and spends the flow, and returns the user's ID with
// what they have proved in doing so. Whoever was signed in in the browser no longer is. It
// reports ErrDeadFlow, and what makes reports. What they proved may be less than the flow
// needs: the protocol asks for the rest.
func (fs *Flows) Join(ctx context.Context, f *Flow, makes func(tx *fsm.Tx) (userID string, proved []assurance.Factor, err error)) (Result, error) {
	if !f.Bound() || f.Step() != StepPassword || f.Need.Recover {
		return Result{}, dead("it is not at this step")
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
			g.Factors[i].At = tx.Now()
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
