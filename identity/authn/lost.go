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
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/regain"
	"github.com/quis-idp/quis/identity/settings"
)

// MayLose says whether the person of f, who is asked for a second factor, may get back in
// without any: by a code by mail, the password if they have one, and a time of waiting. If
// not, only an administrator can help.
func (fs *Flows) MayLose(ctx context.Context, f *Flow) (may bool, err error) {
	if f.Step() != StepSecond || f.Need.Lost || f.Session != "" || fs.cfg.SendMail == nil || second(f.Factors) {
		return false, nil
	}
	err = fs.cfg.DB.View(ctx, func(tx *fsm.Tx) error {
		ways, err := missing(tx, f)
		if err != nil {
			return err
		}
		u, err := fs.claimant(f)(tx)
		if err != nil {
			return err
		}
		s, _, err := settings.Get(tx, f.Need.Tenant)
		may = err == nil && u.EmailVerified && regain.Alone(s) && slices.ContainsFunc(ways, func(m assurance.Method) bool { return slices.Contains(order, m) })
		return err
	})
	return may, err
}

// second reports whether one of the second factors is among those that were proved.
func second(proved []assurance.Factor) bool {
	return slices.ContainsFunc(order, func(m assurance.Method) bool { return assurance.Has(proved, m) })
}

// Lose goes on without the second factors of a person who says that they have lost them.
// It sends a code by mail, unless one was given in this flow already. Errors are those of Mail.
func (fs *Flows) Lose(ctx context.Context, f *Flow) (Result, error) {
	if !f.Bound() {
		return Result{}, dead("it is not at this step")
	}
	if may, err := fs.MayLose(ctx, f); err != nil || !may {
		return Result{}, cmp.Or(err, errWay)
	}
	g := *f
	g.Need.Lost, g.Need.Recover, g.Challenge = true, false, nil
	if !assurance.Has(g.Factors, assurance.Mail) {
		g.At = StepMail
		r, err := fs.Mail(ctx, &g, g.Login)
		if err == nil {
			*f = g
		}
		return r, err
	}
	r, _, err := fs.onward(ctx, f, g)
	return r, err
}

// loses returns with which methods the person of f has to go on who has lost all second
// factors: what is left of signing in, and a combination of the tenant that does without.
func loses(tx *fsm.Tx, f *Flow) ([]assurance.Method, error) {
	s, _, err := settings.Get(tx, f.Need.Tenant)
	if err != nil {
		return nil, err
	}
	if _, complete := regain.Combinations(s.Recovery.Methods, []assurance.Method{assurance.Mail}, f.Factors); !complete {
		return nil, notEnough()
	}
	set, err := credential.PasswordSet(tx, f.Need.Tenant, f.UserID)
	if err != nil || set.IsZero() || !s.PasswordLogin || assurance.Has(f.Factors, assurance.Password) {
		return nil, err
	}
	return []assurance.Method{assurance.Password}, nil
}

func notEnough() error {
	return &identity.Error{Kind: ErrDeadFlow, Detail: "What you have is not enough to get back in. Ask your administrator."}
}

// Recovering returns the recovery of the person of f, who has lost their second factors and
// proved the rest; nil if it has not begun.
func (fs *Flows) Recovering(ctx context.Context, f *Flow) (r *regain.Recovery, err error) {
	if !f.Bound() || f.Step() != StepLost {
		return nil, dead("it is not at this step")
	}
	err = Settled(ctx, fs.cfg.DB, func(tx *fsm.Tx) error {
		r, err = recovering(tx, f)
		return err
	})
	return r, err
}

func recovering(tx *fsm.Tx, f *Flow) (*regain.Recovery, error) {
	if err := alive(tx, f); err != nil {
		return nil, err
	}
	if err := stillSo(tx, f); err != nil {
		return nil, err
	}
	if ways, err := loses(tx, f); err != nil || len(ways) > 0 {
		return nil, cmp.Or(err, dead("it is not at this step"))
	}
	return regain.Waiting(tx, f.Need.Tenant, f.UserID)
}

// Regain takes the last step of somebody who has lost their second factors. With no id it
// begins a recovery, which is one log entry, unless one waits; with that of the one that
// waits it finishes it, if that may be now, and signs in. Errors are those of Password, and
// identity.ErrDenied.
func (fs *Flows) Regain(ctx context.Context, f *Flow, id string) (Result, error) {
	return fs.measured("regain", func() (Result, string, error) {
		r, err := fs.regain(ctx, f, id)
		return r, reasonOf(err), err
	})
}

func (fs *Flows) regain(ctx context.Context, f *Flow, id string) (Result, error) {
	r, err := fs.Recovering(ctx, f)
	switch {
	case err == nil && id == "" && r == nil:
		r, err = fs.begin(ctx, f)
	case err == nil && id != "" && (r == nil || r.ID != id):
		err = dead("the recovery was finished already, or stopped")
	}
	if err != nil {
		return Result{}, fmt.Errorf("recover account: %w", err)
	}
	if r.Kind != regain.ByPerson || r.State(fs.cfg.DB.Now()) != regain.Open {
		return Result{Step: StepLost, Flow: f.sealed}, nil
	}
	g := *f
	g.Recovery = r.ID
	done, err := fs.regained(ctx, &g)
	if err == nil {
		*f = g
	}
	return done, err
}

func (fs *Flows) begin(ctx context.Context, f *Flow) (r *regain.Recovery, err error) {
	if fs.cfg.Modern != nil {
		if err := fs.cfg.Modern(ctx); err != nil {
			return nil, err
		}
	}
	err = fs.cfg.DB.Update(ctx, func(tx *fsm.Tx) error {
		if r, err = recovering(tx, f); err == nil && r == nil {
			r, err = regain.Begin(tx, f.Need.Tenant, f.UserID)
		}
		return err
	})
	return r, err
}

// regained takes the step after everything was proved by which the person of f gets back in:
// another password, if one is due, else the end.
func (fs *Flows) regained(ctx context.Context, f *Flow) (r Result, err error) {
	renew := false
	err = fs.cfg.DB.View(ctx, func(tx *fsm.Tx) error {
		b, err := fs.barred(tx, f)
		if err == nil {
			renew, err = renews(tx, f, b)
		}
		return err
	})
	if err != nil {
		return r, err
	}
	if f.At = StepDone; !renew {
		return fs.finish(ctx, f, func(tx *fsm.Tx) error { return fs.spendRecovery(tx, f) })
	}
	f.At = StepRenew
	if err := fs.seal(f); err != nil {
		return r, err
	}
	return Result{Step: StepRenew, Flow: f.sealed}, nil
}

// spendRecovery is the part of a sign-in's transaction that ends the recovery by which the
// person comes in.
func (fs *Flows) spendRecovery(tx *fsm.Tx, f *Flow) error {
	if fs.cfg.Forget != nil {
		if err := fs.cfg.Forget(tx, f.Need.Tenant, f.UserID); err != nil {
			return err
		}
	}
	err := regain.Finish(tx, f.Need.Tenant, f.UserID, f.Recovery)
	if errors.Is(err, fsm.ErrNotFound) {
		return dead("the recovery was finished already, or stopped")
	}
	return err
}

// Follow takes the first step by the link of an administrator, which proves that they vouch
// for the person: another password, or where there are none the end, is next. It spends
// nothing before that end. It reports fsm.ErrNotFound for a link that is used up, and
// identity.ErrDenied for one that has not been approved.
func (fs *Flows) Follow(ctx context.Context, f *Flow, secret string) (Result, error) {
	return fs.measured(assurance.Vouched, func() (Result, string, error) {
		r, err := fs.follow(ctx, f, secret)
		return r, reasonOf(err), err
	})
}

func (fs *Flows) follow(ctx context.Context, f *Flow, secret string) (Result, error) {
	if !f.Bound() || f.Step() != StepPassword {
		return Result{}, dead("it is not at this step")
	}
	var r *regain.Recovery
	var u *directory.User
	err := Settled(ctx, fs.cfg.DB, func(tx *fsm.Tx) (err error) {
		if err = alive(tx, f); err != nil {
			return err
		}
		if r, err = regain.Follow(tx, f.Need.Tenant, secret); err == nil {
			u, _, err = directory.GetUser(tx, f.Need.Tenant, r.UserID)
		}
		return err
	})
	if err != nil {
		return Result{}, fmt.Errorf("follow recovery link: %w", err)
	}
	if u.Disabled {
		return Result{}, wrong()
	}
	g := *f
	g.UserID, g.Login, g.Recovery, g.First = u.ID, u.Username, r.ID, r.First
	g.Factors = []assurance.Factor{{Method: assurance.Vouched, At: fs.cfg.DB.Now()}}
	done, err := fs.regained(ctx, &g)
	if err == nil {
		*f = g
	}
	return done, err
}
