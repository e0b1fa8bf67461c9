package credential

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential/strength"
)

// Checks are what is asked about a new password outside of the store.
type Checks struct {
	// Breached returns how often a password is known from leaks; nil: nobody knows. An
	// error is no reason to refuse: what cannot be asked has been logged where it was asked.
	Breached func(ctx context.Context, password string) (int, error)
	// BreachedHere is Breached without asking anybody else, for what is not a password yet
	// but the beginning of one.
	BreachedHere func(ctx context.Context, password string) (int, error)
}

// A Person is whose new password it is.
type Person struct {
	Tenant string
	UserID string // "" for somebody who is not there yet: then there is no history
	About  strength.About
}

// Prepare returns the hash of a new password for [SetPassword]. It reports
// identity.ErrInvalid, field password, with a sentence for the person, for one that the
// tenant's policy refuses, that is known from leaks, or that the person has had before;
// identity.ErrLimited when too many are waiting. It hashes once, and once more for each
// former password that the policy remembers.
func Prepare(ctx context.Context, db *fsm.DB, pool *Pool, checks Checks, who Person, password string) (phc string, err error) {
	var policy strength.Policy
	var former []string
	err = db.View(ctx, func(tx *fsm.Tx) (err error) {
		if policy, err = PolicyOf(tx, who.Tenant); err != nil {
			return err
		}
		former, err = formerHashes(tx, who.Tenant, who.UserID, policy.History)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("prepare password: %w", err)
	}
	v, err := examine(ctx, policy, checks.Breached, who, password)
	if err != nil {
		return "", err
	}
	if err := v.Err(); err != nil {
		return "", err
	}
	for _, old := range former {
		same, _, err := pool.Verify(ctx, old, password)
		if err != nil {
			return "", fmt.Errorf("prepare password: former ones: %w", err)
		}
		if same {
			return "", refused(strength.Reused)
		}
	}
	return pool.Hash(ctx, password)
}

func refused(code string) error {
	return strength.Verdict{Faults: []strength.Fault{strength.NewFault(code, 0)}}.Err()
}

// Another returns nil if a new password is another than the present one, which whoever types it has
// just proved, whatever the policy remembers; else identity.ErrInvalid, field password.
func Another(present, password string) error {
	if subtle.ConstantTimeCompare([]byte(present), []byte(password)) == 1 {
		return refused(strength.Present)
	}
	return nil
}

// AnotherThan is [Another] where the present password was proved at an earlier step, and is not at
// hand any more: it costs one hash. It says nothing of another password than the one that was set then, in Unix
// nanoseconds, or a form that stood open would tell what the password is now. Its other errors are those of
// [CheckPassword].
func AnotherThan(ctx context.Context, db *fsm.DB, pool *Pool, tenant, userID string, proved int64, password string) error {
	var set time.Time
	err := db.Read(ctx, func(tx *fsm.Tx) (err error) {
		set, err = PasswordSet(tx, tenant, userID)
		return err
	})
	if err != nil || set.UnixNano() != proved {
		return err
	}
	err = CheckPassword(ctx, db, pool, tenant, userID, password)
	switch {
	case err == nil:
		return refused(strength.Present)
	case errors.Is(err, identity.ErrUnauthenticated):
		return nil
	}
	return err
}

// Examine judges what somebody types as a new password, for a form that tells meanwhile. It
// hashes nothing and asks nobody outside this node; Prepare has the last word.
func Examine(ctx context.Context, db *fsm.DB, checks Checks, who Person, password string) (v strength.Verdict, err error) {
	policy, err := PolicyNow(ctx, db, who.Tenant)
	if err != nil {
		return strength.Verdict{}, fmt.Errorf("examine password: %w", err)
	}
	return examine(ctx, policy, checks.BreachedHere, who, password)
}

// Leaked reports whether a password that is right is known from leaks, where the tenant minds, as far as this
// node knows by itself: whoever signs in does not wait for a service, nor does that learn when they do.
func Leaked(ctx context.Context, db *fsm.DB, checks Checks, tenant, password string) bool {
	if checks.BreachedHere == nil {
		return false
	}
	policy, err := PolicyNow(ctx, db, tenant)
	if err != nil || policy.AllowBreached {
		return false
	}
	n, err := checks.BreachedHere(ctx, password)
	return err == nil && n > 0
}

func examine(ctx context.Context, p strength.Policy, breached func(context.Context, string) (int, error), who Person, password string) (strength.Verdict, error) {
	v := strength.Judge(p, password, who.About)
	if len(v.Faults) > 0 || p.AllowBreached || breached == nil {
		return v, nil
	}
	if n, err := breached(ctx, password); err == nil && n > 0 {
		v.Faults, v.Score = append(v.Faults, strength.NewFault(strength.Breached, n)), 0
	}
	return v, ctx.Err()
}
