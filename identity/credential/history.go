package credential

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential/strength"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/settings"
)

// A history is what passwords a user has had before the one of now.
type history struct {
	Tenant string   `cbor:"1,keyasint,omitempty"`
	UserID string   `cbor:"2,keyasint,omitempty"`
	Hashes []string `cbor:"3,keyasint,omitempty"` // the latest first; Policy.History less the one of now, if there is one
}

var histories = fsm.NewTable(67, "password_history", fsm.Spec[history]{
	Scope: func(h *history) fsm.Scope { return fsm.Scope(h.Tenant) },
	Key:   func(h *history) fsm.Key { return fsm.K(h.UserID) },
})

// PolicyOf returns what a tenant asks of new passwords.
func PolicyOf(tx *fsm.Tx, tenant string) (strength.Policy, error) {
	s, _, err := settings.Whole(tx, tenant)
	if err != nil {
		return strength.Policy{}, err
	}
	p := s.Password
	return strength.Policy{
		MinLength: int(p.MinLength), MinScore: int(p.Strength), MaxAge: time.Duration(p.MaxAge) * 24 * time.Hour, History: int(p.History),
		RequireUppercase: p.Uppercase, RequireNumber: p.Number, RequireSpecial: p.Special, AllowBreached: !p.Breached,
		Blocklist: p.Blocklist,
	}, nil
}

// PolicyNow is PolicyOf as this node knows it.
func PolicyNow(ctx context.Context, db *fsm.DB, tenant string) (p strength.Policy, err error) {
	err = db.View(ctx, func(tx *fsm.Tx) (err error) {
		p, err = PolicyOf(tx, tenant)
		return err
	})
	return p, err
}

// remember keeps a user's password of now, in the place of which fresh others are about to come
// (one or none), for as many changes as the policy says. What the policy no longer asks for is
// forgotten.
func remember(tx *fsm.Tx, tenant, userID string, fresh int) error {
	policy, err := PolicyOf(tx, tenant)
	if err != nil {
		return err
	}
	former, err := formerHashes(tx, tenant, userID, policy.History)
	if err != nil {
		return err
	}
	if keep := policy.History - fresh; keep > 0 && len(former) > 0 {
		former = former[:min(len(former), keep)]
		return histories.Put(tx, &history{Tenant: tenant, UserID: userID, Hashes: former})
	}
	if has, err := histories.Has(tx, fsm.Scope(tenant), fsm.K(userID)); err != nil || !has {
		return err
	}
	return histories.Delete(tx, fsm.Scope(tenant), fsm.K(userID))
}

// formerHashes returns the user's last n hashes, that of now first.
func formerHashes(tx *fsm.Tx, tenant, userID string, n int) ([]string, error) {
	if n <= 0 || userID == "" {
		return nil, nil
	}
	var hashes []string
	p, err := passwords.Get(tx, fsm.Scope(tenant), fsm.K(userID))
	switch {
	case err == nil:
		hashes = append(hashes, p.PHC)
	case !errors.Is(err, fsm.ErrNotFound):
		return nil, err
	}
	h, err := histories.Get(tx, fsm.Scope(tenant), fsm.K(userID))
	switch {
	case err == nil:
		hashes = append(hashes, h.Hashes...)
	case !errors.Is(err, fsm.ErrNotFound):
		return nil, err
	}
	return hashes[:min(len(hashes), n, strength.MaxHistory)], nil
}

// Why a password must be changed before anything else is done with it.
const (
	TooOld    = "max_age"       // the policy's MaxAge has passed
	Requested = "administrator" // see RequireChange
)

// Expired says why a user's password must be changed at the next sign-in; "" if it need not.
func Expired(tx *fsm.Tx, tenant, userID string) (why string, err error) {
	p, err := passwords.Get(tx, fsm.Scope(tenant), fsm.K(userID))
	if errors.Is(err, fsm.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	if p.Change {
		return Requested, nil
	}
	policy, err := PolicyOf(tx, tenant)
	if err == nil && policy.MaxAge > 0 && !tx.Now().Before(p.Set.Add(policy.MaxAge)) {
		why = TooOld
	}
	return why, err
}

// RequireChange has a user choose another password at the next sign-in. It reports
// fsm.ErrNotFound for a user without a password. The caller has made sure that every
// member of the cluster heeds it.
func RequireChange(tx *fsm.Tx, tenant, userID string) error {
	p, err := passwords.Get(tx, fsm.Scope(tenant), fsm.K(userID))
	if errors.Is(err, fsm.ErrNotFound) {
		return fmt.Errorf("require change: %w", identity.NotFound("This user has no password."))
	}
	if err != nil || p.Change {
		return err
	}
	p.Change = true
	if err := passwords.Put(tx, p); err != nil {
		return err
	}
	return event.Append(tx, event.Event{
		Tenant: tenant, Type: event.PasswordChangeRequired, Target: event.Target{Kind: "user", ID: userID},
	})
}
