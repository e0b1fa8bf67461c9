package authn

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/session"
)

const (
	maxLogin    = 256
	maxPassword = 1024

	// keepSessions is how many sessions one user can have; the oldest give way.
	keepSessions = 100
)

// Reasons of a failure, in metrics and events; a person sees one text for all of them.
const (
	reasonWrong    = "wrong_password"
	reasonUnknown  = "unknown_user"
	reasonDisabled = "disabled_user"
	reasonLimited  = "limited"
)

// A Result is what a step came to.
type Result struct {
	Step Step   // what is next
	Flow string // unless done: the sealed flow to go on with

	// When done:
	Session  session.Session
	Cookie   string // value of the session cookie
	ReturnTo string // the need's, with a ticket; see Finished
	Device   string // to be kept for long: spares this browser the delays that others' guessing causes
}

// Password takes the password step: it proves that a person knows the password of
// the user they name by username or address. For a wrong password, an unknown or a
// disabled user it reports the same identity.ErrUnauthenticated; after too many
// failures identity.ErrLimited; for a flow that cannot go on ErrDeadFlow;
// fsm.ErrUnavailable if it cannot be known now.
//
// A failure writes nothing at once (see Run); a success that finishes the flow is
// one log entry.
func (fs *Flows) Password(ctx context.Context, f *Flow, username, password string) (Result, error) {
	begun := time.Now()
	r, reason, err := fs.password(ctx, f, username, password)
	result := "success"
	switch {
	case err == nil:
	case errors.Is(err, identity.ErrUnauthenticated), errors.Is(err, identity.ErrInvalid), reason == reasonLimited:
		result = "failure"
	default:
		result = "error"
	}
	fs.metrics.logins.WithLabelValues("password", result, reason).Inc()
	fs.metrics.duration.WithLabelValues("password").Observe(time.Since(begun).Seconds())
	return r, err
}

func (fs *Flows) password(ctx context.Context, f *Flow, username, password string) (Result, string, error) {
	if !f.Bound() || f.Step() != StepPassword {
		return Result{}, "dead_flow", dead("it is not at this step")
	}
	if username == "" || len(username) > maxLogin {
		return Result{}, "malformed", identity.Invalid("username", "Enter your username or email address.")
	}
	if password == "" || len(password) > maxPassword {
		return Result{}, "malformed", identity.Invalid("password", "Enter your password.")
	}
	known, err := fs.lookUp(ctx, f, username)
	if err != nil {
		return Result{}, reasonOf(err), err
	}
	attempt, wait := fs.attempts.admit(known.sources, time.Now())
	if wait > 0 {
		return Result{}, reasonLimited, identity.Limited("Too many attempts. Wait a moment and try again.", wait)
	}
	err = fs.cfg.CheckPassword(ctx, f.Need.Tenant, known.userID(), password)
	failure := known.failure(err)
	if err != nil && failure == "" { // busy, no leader, gone: nothing was learned
		fs.attempts.release(attempt)
		return Result{}, reasonOf(err), fmt.Errorf("check password: %w", err)
	}
	if failure != "" {
		kind, one := known.failed(ctx, f, failure)
		if fs.attempts.fail(attempt, kind, one) {
			fs.metrics.lost.Inc()
		}
		return Result{}, failure, wrong()
	}
	fs.attempts.release(attempt)
	f.UserID, f.Passed = known.user.ID, append(f.Passed, AMRPassword)
	r, err := fs.advance(ctx, f, known)
	if err != nil {
		return Result{}, reasonOf(err), err
	}
	return r, "", nil
}

func wrong() error {
	return identity.Unauthenticated("That name and password do not match. Check both and try again.")
}

// advance decides what comes after a step: the next one, or the end.
func (fs *Flows) advance(ctx context.Context, f *Flow, known *subject) (Result, error) {
	if next := f.Step(); next != StepDone {
		if err := fs.seal(f); err != nil {
			return Result{}, err
		}
		return Result{Step: next, Flow: f.sealed}, nil
	}
	return fs.finish(ctx, f, known)
}

// A subject is whom an attempt is about, as the store knew them when it began.
type subject struct {
	user        *directory.User // nil: nobody of that name
	passwordSet time.Time       // when the password that is being checked was set
	sources     []source        // where failures count
	excess      []string        // sessions that must give way to a new one
}

func (s *subject) userID() string {
	if s.user == nil {
		return ""
	}
	return s.user.ID
}

// failure names why the password, checked with err, signs nobody in; empty if it
// does, or if err says something else.
func (s *subject) failure(err error) string {
	switch {
	case err != nil && !errors.Is(err, identity.ErrUnauthenticated):
		return ""
	case s.user == nil:
		return reasonUnknown
	case err != nil:
		return reasonWrong
	case s.user.Disabled:
		return reasonDisabled
	default:
		return ""
	}
}

// lookUp reads everything an attempt needs, from a state that is as new as any
// acknowledged write: a password or a status changed elsewhere a moment ago counts.
// It does the same work whether or not there is such a user.
func (fs *Flows) lookUp(ctx context.Context, f *Flow, username string) (*subject, error) {
	known := &subject{}
	tenant := f.Need.Tenant
	err := settled(ctx, fs.cfg.DB, func(tx *fsm.Tx) error {
		*known = subject{}
		if err := alive(tx, f); err != nil {
			return err
		}
		u, err := directory.UserByLogin(tx, tenant, username)
		if err != nil && !errors.Is(err, fsm.ErrNotFound) {
			return err
		}
		if err == nil {
			known.user = u
		}
		if known.passwordSet, err = credential.PasswordSet(tx, tenant, known.userID()); err != nil {
			return err
		}
		known.sources = fs.sources(ctx, f, known.user, username)
		for i := range known.sources {
			if err := known.sources[i].load(tx); err != nil {
				return err
			}
		}
		known.excess, err = session.Excess(tx, tenant, known.userID(), keepSessions-1)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("sign in: %w", err)
	}
	return known, nil
}

// settled is a View that first catches up with the leader whatever it would find:
// a catch-up only on a miss would tell an unknown user by its time.
func settled(ctx context.Context, db *fsm.DB, fn func(tx *fsm.Tx) error) error {
	caughtUp := false
	return db.Read(ctx, func(tx *fsm.Tx) error {
		if !caughtUp {
			caughtUp = true
			return fsm.ErrNotFound // Read catches up on a miss
		}
		return fn(tx)
	})
}

// reasonOf puts an error into the few words that a metric may have.
func reasonOf(err error) string {
	switch {
	case errors.Is(err, ErrDeadFlow):
		return "dead_flow"
	case errors.Is(err, identity.ErrUnauthenticated):
		return reasonDisabled
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
