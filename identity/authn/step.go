package authn

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/assurance"
	"github.com/quis-idp/quis/identity/credential/totp"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/session"
)

// Reasons of a failure, in metrics and events; a person sees one text for all of them.
const (
	reasonWrong    = "wrong_password"
	reasonCode     = "wrong_code"
	reasonNewcomer = "wrong_registration_code"
	reasonUsed     = "code_used_again" // of an app
	reasonPasskey  = "wrong_passkey"
	reasonUnknown  = "unknown_user"
	reasonDisabled = "disabled_user"
	reasonLimited  = "limited"
	reasonDenied   = "denied" // what was proved is right, and policy lets nobody in with it
)

// A Result is what a step came to.
type Result struct {
	Step Step   // what is next
	Flow string // unless done: the sealed flow to go on with

	// When done:
	Session   session.Session
	Cookie    string        // value of the session cookie
	CookieFor time.Duration // how long the browser may keep it; 0: until it is closed
	ReturnTo  string        // the need's, with a ticket; see Finished
	Enrol     *Enrolment    // not nil: the person should first set up a second factor
	Trust     string        // not empty: cookie of a device that is trusted from now on
	TrustFor  time.Duration // and for how long
	Device    string        // to be kept for long: spares this browser the delays that others' guessing causes
}

// measured counts a step and takes its time.
func (fs *Flows) measured(m assurance.Method, step func() (Result, string, error)) (Result, error) {
	begun := time.Now()
	r, reason, err := step()
	result := "success"
	switch {
	case err == nil:
	case errors.Is(err, identity.ErrUnauthenticated), errors.Is(err, identity.ErrInvalid), errors.Is(err, identity.ErrDenied), reason == reasonLimited:
		result = "failure"
	default:
		result = "error"
	}
	fs.metrics.logins.WithLabelValues(string(m), result, reason).Inc()
	fs.metrics.duration.WithLabelValues(string(m)).Observe(time.Since(begun).Seconds())
	return r, err
}

// attempt lets one answer be checked, unless there were too many wrong ones, and counts it if
// it is wrong: when check reports identity.ErrUnauthenticated, or there is no such user, or
// they are disabled. It returns the reason of what it reports. g, unless nil, is counted among
// guesses at many names.
func (fs *Flows) attempt(ctx context.Context, f *Flow, known *subject, reason string, g *guess, check func() error) (string, error) {
	if err := g.admit(known); err != nil {
		return reasonLimited, err
	}
	attempt, wait := fs.attempts.Admit(known.sources, time.Now())
	if wait > 0 {
		return reasonLimited, TooMany(wait)
	}
	err := check()
	failure := known.failure(err, reason)
	if failure == "" {
		fs.attempts.Release(attempt)
		if err != nil { // busy, no leader, gone: nothing was learned
			return reasonOf(err), err
		}
		g.passed()
		return "", nil
	}
	g.failed(attempt.Stranger)
	kind, one := known.failed(ctx, f, failure)
	fs.noted(fs.attempts.Fail(attempt, kind, one))
	if err == nil {
		err = identity.Unauthenticated("This does not let you in.")
	}
	return failure, err
}

// failure names why what was checked, with err, signs nobody in; empty if it does, or if
// err says something else.
func (s *subject) failure(err error, reason string) string {
	switch {
	case err != nil && !errors.Is(err, identity.ErrUnauthenticated):
		return ""
	case s.user == nil:
		return reasonUnknown
	case errors.Is(err, totp.ErrUsed):
		return reasonUsed
	case err != nil:
		return reason
	case s.user.Disabled:
		return reasonDisabled
	default:
		return ""
	}
}

// passed adds what was proved to the flow and goes onward.
func (fs *Flows) passed(ctx context.Context, f *Flow, fresh assurance.Factor) (Result, string, error) {
	fresh.At = fs.cfg.DB.Now()
	g := *f
	g.Factors, g.Challenge, g.Asked, g.Certificate = assurance.Merge(f.Factors, []assurance.Factor{fresh}), nil, nil, nil
	return fs.onward(ctx, f, g)
}

// onward decides what comes after what is proved in g, which f becomes: another step, or the end. If that fails f is as it was.
func (fs *Flows) onward(ctx context.Context, f *Flow, g Flow) (Result, string, error) {
	err := fs.cfg.DB.View(ctx, func(tx *fsm.Tx) error { return fs.advance(tx, &g) })
	if errors.Is(err, fsm.ErrNotFound) { // deleted meanwhile
		return Result{}, reasonDisabled, wrong()
	}
	if errors.Is(err, identity.ErrDenied) {
		fs.denied(ctx, &g, assurance.Password, err)
	}
	if err != nil {
		return Result{}, reasonOf(err), fmt.Errorf("next step: %w", err)
	}
	r := Result{Step: g.At}
	switch g.At {
	case StepDone:
		r, err = fs.finish(ctx, &g, nil)
	case StepMail:
		r, err = fs.Mail(ctx, &g, g.Login)
	default:
		err = fs.seal(&g)
		r.Flow = g.sealed
	}
	if err == nil {
		*f = g
	}
	return r, reasonOf(err), err
}

// advance moves f to the step that comes after what has been proved. A trusted device stands
// for the second factor, but not where something sensitive is to be changed: whoever has got hold of
// the browser has the device as well.
func (fs *Flows) advance(tx *fsm.Tx, f *Flow) error {
	u, _, err := directory.GetUser(tx, f.Need.Tenant, f.UserID)
	if err != nil {
		return err
	}
	if u.Disabled {
		return wrong()
	}
	ways, err := missing(tx, f)
	if err != nil {
		return err
	}
	if len(ways) > 0 && !f.Need.Sensitive && !f.Need.Lost && !assurance.Has(f.Factors, assurance.Device) {
		stands, err := fs.trusted(tx, f)
		if err != nil {
			return err
		}
		f.Factors = append(f.Factors, stands...)
		if ways, err = missing(tx, f); err != nil {
			return err
		}
	}
	f.At = StepDone
	if len(ways) > 0 {
		f.At = StepSecond
		return nil
	}
	if f.Need.Lost {
		f.At = StepLost
		return nil
	}
	b, err := fs.barred(tx, f)
	if err != nil {
		return err
	}
	if b != nil && b.mail {
		f.At = StepMail
		return nil
	}
	renew, err := renews(tx, f, b)
	if renew {
		f.At = StepRenew
	}
	return err
}

// reasonOf puts an error into the few words that a metric may have.
func reasonOf(err error) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, ErrDeadFlow):
		return "dead_flow"
	case errors.Is(err, identity.ErrUnauthenticated):
		return reasonDisabled
	case errors.Is(err, identity.ErrDenied):
		return reasonDenied
	case errors.Is(err, identity.ErrLimited):
		return "busy"
	case errors.Is(err, fsm.ErrUnavailable), errors.Is(err, fsm.ErrUnknown):
		return "unavailable"
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return "canceled"
	default:
		return "internal"
	}
}
