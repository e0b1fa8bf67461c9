package authn

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/assurance"
	"github.com/quis-idp/quis/identity/authn/throttle"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/directory"
)

const (
	maxLogin    = 256
	maxPassword = 1024
)

// Password takes the password step: it proves that a person knows the password of
// the user they name by username or address. For a wrong password, an unknown or a
// disabled user it reports the same identity.ErrUnauthenticated; after too many
// failures identity.ErrLimited; for a flow that cannot go on ErrDeadFlow;
// fsm.ErrUnavailable if it cannot be known now.
//
// A failure writes nothing at once (see Run); a success that finishes the flow is
// one log entry.
func (fs *Flows) Password(ctx context.Context, f *Flow, username, password string) (Result, error) {
	return fs.measured(assurance.Password, func() (Result, string, error) { return fs.password(ctx, f, username, password) })
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
	g, err := fs.guess(ctx, f, username, password)
	if err != nil {
		return Result{}, reasonLimited, err
	}
	if open, err := fs.Open(ctx, f); err != nil || !open.Password {
		return Result{}, reasonOf(err), cmp.Or(err, errWay)
	}
	f.Login = username
	known, err := fs.lookUp(ctx, f, assurance.Password, fs.byLogin(f))
	if err != nil {
		return Result{}, reasonOf(err), err
	}
	failure, err := fs.attempt(ctx, f, known, reasonWrong, g, func() error {
		if known.passwordSet.IsZero() && fs.cfg.FailPassword != nil {
			return fs.cfg.FailPassword(ctx, f.Need.Tenant, known.standIn, password)
		}
		return fs.cfg.CheckPassword(ctx, f.Need.Tenant, known.userID(), password)
	})
	if failure == reasonWrong || failure == reasonUnknown || failure == reasonDisabled {
		err = wrong()
	}
	if err != nil {
		return Result{}, failure, fmt.Errorf("check password: %w", err)
	}
	f.UserID = known.user.ID
	fs.proved(ctx, f, known, password)
	return fs.passed(ctx, f, assurance.Factor{Method: assurance.Password})
}

// proved notes which password was right, and whether it may stay (ASVS V2.1.7).
func (fs *Flows) proved(ctx context.Context, f *Flow, known *subject, password string) {
	f.PasswordSet = known.passwordSet.UnixNano()
	f.Leaked = fs.cfg.Leaked != nil && fs.cfg.Leaked(ctx, f.Need.Tenant, password)
}

func wrong() error {
	return identity.Unauthenticated("That name and password do not match. Check both and try again.")
}

// A subject is whom an attempt is about, as the store knew them when it began.
type subject struct {
	user        *directory.User   // nil: nobody of that name
	standIn     string            // whose password takes as long as that of nobody of that name
	method      assurance.Method  // by which somebody tries
	passwordSet time.Time         // when the password that is being checked was set
	sources     []throttle.Source // where failures count
}

func (s *subject) userID() string {
	if s.user == nil {
		return ""
	}
	return s.user.ID
}

// lookUp reads everything an attempt needs, from a state that is as new as any
// acknowledged write: a password or a status changed elsewhere a moment ago counts.
// It does the same work whether or not there is such a user.
func (fs *Flows) lookUp(ctx context.Context, f *Flow, by assurance.Method, find func(tx *fsm.Tx) (*directory.User, error)) (*subject, error) {
	known := &subject{}
	tenant := f.Need.Tenant
	err := Settled(ctx, fs.cfg.DB, func(tx *fsm.Tx) error {
		*known = subject{method: by}
		if err := alive(tx, f); err != nil {
			return err
		}
		u, err := find(tx)
		if err != nil && !errors.Is(err, fsm.ErrNotFound) {
			return err
		}
		if err == nil {
			known.user = u
		}
		if known.passwordSet, err = credential.PasswordSet(tx, tenant, known.userID()); err != nil {
			return err
		}
		if known.standIn, err = directory.UserAt(tx, tenant, fs.lotOf(tenant, f.Login)); err != nil {
			return err
		}
		known.sources = fs.sources(ctx, f, known.user)
		return throttle.LoadAll(tx, known.sources)
	})
	if err != nil {
		return nil, fmt.Errorf("sign in: %w", err)
	}
	return known, nil
}

// lotOf draws a user for a name, the same one for the same name and for what it is beside an @: a person
// is known by both, and takes as long by either.
func (fs *Flows) lotOf(tenant, login string) (at directory.Lot) {
	name, _, _ := strings.Cut(login, "@")
	mac := hmac.New(sha256.New, fs.cfg.NameKey[:])
	mac.Write([]byte(tenant + "\x00" + nameOf(name)))
	copy(at[:], mac.Sum(nil))
	return at
}

// Settled is a View that first catches up with the leader whatever it would find:
// a catch-up only on a miss would tell an unknown user by its time.
func Settled(ctx context.Context, db *fsm.DB, fn func(tx *fsm.Tx) error) error {
	caughtUp := false
	return db.Read(ctx, func(tx *fsm.Tx) error {
		if !caughtUp {
			caughtUp = true
			return fsm.ErrNotFound // Read catches up on a miss
		}
		return fn(tx)
	})
}
