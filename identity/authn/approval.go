package authn

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/assurance"
	"github.com/quis-idp/quis/identity/credential/approval"
	"github.com/quis-idp/quis/identity/session"
)

// An Asking is an approval that a flow waits for.
type Asking struct {
	ID     string    `cbor:"1,keyasint,omitempty"`
	Number string    `cbor:"2,keyasint,omitempty"` // to be shown, and typed into the other browser
	Until  time.Time `cbor:"3,keyasint,omitempty"`
}

// Ask begins the second step by an approval in another browser in which the person is signed
// in: the flow, sealed anew, has the number to show (Flow.Asked). Unlike other steps it costs
// an entry, since the other browser may be at another node; whoever asks has proved the first
// factor. It reports identity.ErrLimited as approval.Ask does.
func (fs *Flows) Ask(ctx context.Context, f *Flow) (Result, error) {
	ways, err := fs.Offer(ctx, f)
	if err != nil {
		return Result{}, err
	}
	if !slices.Contains(ways, assurance.Approval) {
		return Result{}, errWay
	}
	if _, err := fs.lookUp(ctx, f, assurance.Approval, fs.claimant(f)); err != nil { // catches up with the leader
		return Result{}, err
	}
	asked := &Asking{}
	var awake []string
	err = fs.cfg.DB.Update(ctx, func(tx *fsm.Tx) error {
		if err := alive(tx, f); err != nil {
			return err
		}
		if err := stillSo(tx, f); err != nil {
			return err
		}
		others, own, err := fs.others(tx, f)
		if err != nil {
			return err
		}
		if len(others) == 0 {
			return errWay
		}
		if awake, err = fs.awake(tx, f, others); err != nil {
			return err
		}
		asked.Until = tx.Now().Add(approval.Lifetime)
		asked.ID, asked.Number, err = approval.Ask(tx, fs.cfg.Ring, approval.Question{
			Tenant: f.Need.Tenant, UserID: f.UserID, Flow: f.ID, Application: f.Need.Application, Own: own,
		})
		return err
	})
	if errors.Is(err, fsm.ErrNotFound) { // deleted meanwhile
		return Result{}, wrong()
	}
	if err != nil {
		return Result{}, fmt.Errorf("ask for approval: %w", err)
	}
	g := *f
	g.Asked = asked
	if err := fs.seal(&g); err != nil {
		return Result{}, err
	}
	if fs.cfg.Tell != nil {
		fs.cfg.Tell(f.Need.Tenant, f.UserID, awake)
	}
	*f = g
	return Result{Step: StepSecond, Flow: f.sealed}, nil
}

// awake are the sessions of approvers that stand in every respect: only they are told of a
// request, which an idle one would have to sign in again to answer.
func (fs *Flows) awake(tx *fsm.Tx, f *Flow, all []approval.Approver) (sessions []string, err error) {
	for _, a := range all {
		_, err := fs.cfg.Sessions.Live(tx, f.Need.Tenant, a.Session)
		if err == nil {
			sessions = append(sessions, a.Session)
		} else if !errors.Is(err, fsm.ErrNotFound) {
			return nil, err
		}
	}
	return sessions, nil
}

// Approval returns what became of what f has asked for, perhaps through another node a moment ago:
// only a node that has caught up says that it is gone, since it has to be asked again then.
func (fs *Flows) Approval(ctx context.Context, f *Flow) (state approval.State, err error) {
	if f.Step() != StepSecond || f.Asked == nil {
		return approval.Gone, nil
	}
	err = fs.cfg.DB.Read(ctx, func(tx *fsm.Tx) (err error) {
		if state, err = approval.Look(tx, f.Need.Tenant, f.UserID, f.ID, f.Asked.ID); err == nil && state == approval.Gone {
			err = fsm.ErrNotFound
		}
		return err
	})
	if errors.Is(err, fsm.ErrNotFound) {
		err = nil
	}
	return state, err
}

// Approved takes the second step, if what Ask has asked for is approved by now. If not it
// reports identity.ErrInvalid, field approval. Other errors are those of Password.
func (fs *Flows) Approved(ctx context.Context, f *Flow) (Result, error) {
	return fs.measured(assurance.Approval, func() (Result, string, error) {
		if f.Step() != StepSecond {
			return Result{}, "dead_flow", dead("it is not at this step")
		}
		// Settled: it may be another node that has told the page to go on.
		settled := Settled(ctx, fs.cfg.DB, func(*fsm.Tx) error { return nil })
		state, err := fs.Approval(ctx, f)
		if err = errors.Join(settled, err); err != nil {
			return Result{}, reasonOf(err), err
		}
		if state != approval.Approved {
			return Result{}, "not_approved", identity.Invalid("approval", "This sign-in is not approved.")
		}
		return fs.passed(ctx, f, assurance.Factor{Method: assurance.Approval, Ref: f.Asked.ID, Box: []byte(f.ID)})
	})
}

// approvers are the browsers in which a user may approve, now: they are signed in there, by
// means of their own.
func approvers(tx *fsm.Tx, tenant, user string) ([]approval.Approver, error) {
	all, err := approval.List(tx, tenant, user)
	if err != nil {
		return nil, err
	}
	var ready []approval.Approver
	for _, a := range all {
		s, err := session.Get(tx, tenant, a.Session)
		if errors.Is(err, fsm.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if s.UserID == user && approval.Strong(s.Factors) {
			ready = append(ready, a)
		}
	}
	return ready, nil
}

// others are the approvers that are another browser than that of f, and the ID of that one if
// it is an approver itself.
func (fs *Flows) others(tx *fsm.Tx, f *Flow) (all []approval.Approver, own string, err error) {
	if all, err = approvers(tx, f.Need.Tenant, f.UserID); err != nil {
		return nil, "", err
	}
	if own, err = approval.Known(tx, fs.cfg.Ring, f.Need.Tenant, f.UserID, f.Browser.Approver); err != nil {
		return nil, "", err
	}
	for _, a := range all {
		if a.Session == f.Browser.SessionID {
			own = a.ID
		}
	}
	return slices.DeleteFunc(all, func(a approval.Approver) bool { return a.ID == own }), own, nil
}
