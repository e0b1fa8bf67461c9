package keys

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/quis-idp/quis/fsm"
)

// due returns when a key may leave its phase, zero if that is not known yet.
func (k *Keys) due(row *signingKey) time.Time {
	switch {
	case row.State == Active:
		return row.Since.Add(k.policy.Lifetime) // its successor is published
	case row.Settled.IsZero():
		return time.Time{}
	case row.State == Published:
		return row.Settled.Add(k.policy.JWKSMaxAge)
	case row.State == Retiring:
		return row.Settled.Add(k.policy.TokenLifetime + leeway)
	}
	return time.Time{}
}

// A step is one thing that Rotate found to do.
type step struct {
	row signingKey
	rev uint64
	do  func(ctx context.Context, s step) error
}

// Rotate moves keys through their phases as far as they may go now: the body of a duty,
// safe on several nodes at once. minApplied returns the log index that every member has
// applied; its error holds back only what depends on it, and is returned.
func (k *Keys) Rotate(ctx context.Context, minApplied func(context.Context) (uint64, error)) error {
	steps, unsettled, err := k.plan(ctx)
	if err != nil {
		return fmt.Errorf("rotate signing keys: %w", err)
	}
	var errs []error
	if len(unsettled) > 0 {
		index, err := minApplied(ctx)
		if err != nil {
			errs = append(errs, fmt.Errorf("wait for members: %w", err))
		}
		for _, s := range unsettled {
			if err == nil && index >= s.rev {
				steps = append(steps, s)
			}
		}
	}
	for _, s := range steps {
		if err := s.do(ctx, s); err != nil {
			errs = append(errs, fmt.Errorf("%s key %s of %s: %w", s.row.State, s.row.KID, s.row.Tenant, err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("rotate signing keys: %w", err)
	}
	return nil
}

// plan returns what is due by the clock, and the keys of which it is not known that
// every member has applied their phase.
func (k *Keys) plan(ctx context.Context) (steps, unsettled []step, err error) {
	err = k.db.View(ctx, func(tx *fsm.Tx) error {
		for row, err := range signingKeys.ListAll(tx) {
			if err != nil {
				return err
			}
			if !row.State.live() {
				continue
			}
			_, rev, err := signingKeys.GetRev(tx, fsm.Scope(row.Tenant), fsm.K(row.KID))
			if err != nil {
				return err
			}
			due := k.due(row)
			switch s := (step{row: *row, rev: rev}); {
			case due.IsZero():
				s.do = k.settle
				unsettled = append(unsettled, s)
			case tx.Now().Before(due):
			case row.State == Active:
				s.do = k.succeed
				steps = append(steps, s)
			case row.State == Published:
				s.do = k.activate
				steps = append(steps, s)
			case row.State == Retiring:
				s.do = k.remove
				steps = append(steps, s)
			}
		}
		return nil
	})
	return steps, unsettled, err
}

// again runs change on the step's row if nobody has touched it since it was planned.
func (k *Keys) again(ctx context.Context, s step, change func(tx *fsm.Tx, row *signingKey) error) error {
	return k.db.Update(ctx, func(tx *fsm.Tx) error {
		row, rev, err := signingKeys.GetRev(tx, fsm.Scope(s.row.Tenant), fsm.K(s.row.KID))
		if errors.Is(err, fsm.ErrNotFound) || err == nil && rev != s.rev {
			return nil
		}
		if err != nil {
			return err
		}
		return change(tx, row)
	})
}

// settle notes that every member has applied the key's phase. The cache time of a JWKS
// counts from here, because until now some member may have served one without the key;
// so does the life of tokens, because until now some member may have signed with it.
func (k *Keys) settle(ctx context.Context, s step) error {
	return k.again(ctx, s, func(tx *fsm.Tx, row *signingKey) error {
		row.Settled = tx.Now()
		return signingKeys.Put(tx, row)
	})
}

// succeed publishes the successor of an active key.
func (k *Keys) succeed(ctx context.Context, s step) error {
	var next *signingKey
	err := k.db.View(ctx, func(tx *fsm.Tx) (err error) {
		next, err = inPhase(tx, s.row.Tenant, s.row.Alg, Published)
		return err
	})
	if err != nil || next != nil {
		return err
	}
	fresh, err := k.generate(s.row.Tenant, s.row.Alg)
	if err != nil {
		return err
	}
	err = k.again(ctx, s, func(tx *fsm.Tx, row *signingKey) error {
		if next, err := inPhase(tx, row.Tenant, row.Alg, Published); err != nil || next != nil {
			return err
		}
		return k.insert(tx, *fresh, Published, KeyPublished)
	})
	if err != nil {
		return err
	}
	k.log.InfoContext(ctx, "signing key published", "tenant", s.row.Tenant, "alg", string(s.row.Alg), "kid", fresh.KID)
	return nil
}

// activate makes a published key the active one, in one transaction with the end of its predecessor.
func (k *Keys) activate(ctx context.Context, s step) error {
	return k.again(ctx, s, func(tx *fsm.Tx, row *signingKey) error {
		old, err := inPhase(tx, row.Tenant, row.Alg, Active)
		if err != nil {
			return err
		}
		if old != nil {
			if err := k.move(tx, old, Retiring, KeyRetired); err != nil {
				return err
			}
		}
		return k.move(tx, row, Active, KeyActivated)
	})
}

func (k *Keys) remove(ctx context.Context, s step) error {
	return k.again(ctx, s, func(tx *fsm.Tx, row *signingKey) error {
		return k.move(tx, row, Gone, KeyGone)
	})
}

// RotateNow publishes the successor of the tenant's active key now; the duty moves it on
// as usual. If there is a successor already, nothing happens.
func (k *Keys) RotateNow(ctx context.Context, tenant string, alg Alg) error {
	var s step
	err := k.db.Read(ctx, func(tx *fsm.Tx) error {
		row, err := byPhase.Get(tx, fsm.Scope(tenant), phaseKey(alg, Active))
		if err != nil {
			return err
		}
		_, s.rev, err = signingKeys.GetRev(tx, fsm.Scope(tenant), fsm.K(row.KID))
		s.row = *row
		return err
	})
	if err == nil {
		err = k.succeed(ctx, s)
	}
	if err != nil {
		return fmt.Errorf("rotate %.20s key of %s: %w", string(alg), tenant, err)
	}
	return nil
}

// RotateEmergency makes a new key for alg active at once and destroys all others of that
// algorithm, the published successor too: every token that they signed is refused from
// now on. Others meet a kid that their cached JWKS does not hold, and fetch it again.
func (k *Keys) RotateEmergency(ctx context.Context, tenant string, alg Alg) error {
	fresh, err := k.generate(tenant, alg)
	if err != nil {
		return fmt.Errorf("emergency rotation: %w", err)
	}
	err = k.db.Update(ctx, func(tx *fsm.Tx) error {
		rows, err := rowsOf(tx, tenant)
		if err != nil {
			return err
		}
		found := false
		for _, row := range rows {
			if row.Alg != alg {
				continue
			}
			found = true
			if row.State == Gone {
				continue
			}
			if err := k.move(tx, row, Gone, KeyRevoked); err != nil {
				return err
			}
		}
		if !found {
			return fmt.Errorf("%s has no %.20s key: %w", tenant, string(alg), fsm.ErrNotFound)
		}
		return k.insert(tx, *fresh, Active, KeyActivated)
	})
	if err != nil {
		return fmt.Errorf("emergency rotation: %w", err)
	}
	k.log.WarnContext(ctx, "signing key replaced at once", "tenant", tenant, "alg", string(alg), "kid", fresh.KID)
	_, err = k.exactKeysOf(ctx, tenant) // this node must not use the old one a moment longer
	return err
}
