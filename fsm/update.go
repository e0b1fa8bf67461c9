package fsm

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

const (
	maxAttempts = 12               // of one Update's closure
	deadline    = 15 * time.Second // of one batch, in the state's time
)

// View runs fn against a snapshot of this replica. The snapshot may be behind the
// leader; see Read.
func (db *DB) View(ctx context.Context, fn func(tx *Tx) error) error {
	tx, err := db.begin(ctx, false, false)
	if err != nil {
		return err
	}
	defer tx.end()
	return fn(tx)
}

// Read is View for lookups whose miss must be true: if fn reports ErrNotFound, the
// replica catches up with the leader once and fn runs again.
func (db *DB) Read(ctx context.Context, fn func(tx *Tx) error) error {
	err := db.View(ctx, fn)
	if !errors.Is(err, ErrNotFound) {
		return err
	}
	log, lerr := db.theLog()
	if lerr != nil {
		return lerr
	}
	if cerr := log.CatchUp(ctx); cerr != nil {
		return fmt.Errorf("catch up: %w", cerr)
	}
	return db.View(ctx, fn)
}

// Update runs fn and commits what it wrote, or nothing. fn may run several times
// and must have no effect but through tx; results leave by captured variables.
// When Update returns nil, this replica has applied the writes.
//
// If fn returns an error, nothing is written and Update returns that error; a miss
// (ErrNotFound) is looked at again after catching up with the leader. So is what fn
// read if it wrote nothing: "nothing is there to be revoked" must be true, too.
// Update reports ErrConflict when others kept interfering, ErrUnavailable or
// ErrUnknown from the log, ErrRefused for a batch over the limits and ErrFenced
// under [FencedBy] when the term has passed.
func (db *DB) Update(ctx context.Context, fn func(tx *Tx) error) error {
	log, err := db.theLog()
	if err != nil {
		return err
	}
	// A retry goes by the state's time, which the leader has just stamped: a node
	// whose clock is off would disagree with Apply about deadlines every time.
	caughtUp, byLog := false, false
	for attempt := range maxAttempts {
		out, callbacks, err := db.attempt(ctx, log, byLog, fn)
		if errors.Is(err, errMissed) && !caughtUp {
			caughtUp = true
			if err := log.CatchUp(ctx); err != nil {
				return fmt.Errorf("catch up: %w", err)
			}
			continue
		}
		if err != nil {
			return unmissed(err)
		}
		if out.Verdict == nothing {
			if !caughtUp {
				caughtUp = true
				if err := log.CatchUp(ctx); err != nil {
					return fmt.Errorf("catch up: %w", err)
				}
				if db.Position().Index > out.Index {
					continue
				}
			}
			out.Verdict = Applied
		}
		switch out.Verdict {
		case Applied:
			for _, f := range callbacks {
				f(out.Index)
			}
			return nil
		case Fenced:
			return ErrFenced
		case Refused:
			return ErrRefused
		}
		byLog = true
		if err := db.beforeRetry(ctx, attempt, out.Index); err != nil {
			return err
		}
	}
	return fmt.Errorf("transaction tried %d times: %w", maxAttempts, ErrConflict)
}

// nothing is the verdict on a transaction that has read and found nothing to write.
// No log entry decides whether what it read was stale.
const nothing Verdict = 0

// errMissed wraps an ErrNotFound that came out of a closure, which may be due to a stale snapshot.
var errMissed = errors.New("missed")

type missError struct{ err error }

func (m missError) Error() string        { return m.err.Error() }
func (m missError) Unwrap() error        { return m.err }
func (m missError) Is(target error) bool { return target == errMissed }

func unmissed(err error) error {
	if m, ok := err.(missError); ok {
		return m.err
	}
	return err
}

// attempt runs fn once and proposes what it left.
func (db *DB) attempt(ctx context.Context, log Log, byLog bool, fn func(tx *Tx) error) (Outcome, []func(uint64), error) {
	tx, err := db.begin(ctx, true, byLog)
	if err != nil {
		return Outcome{}, nil, err
	}
	defer tx.end() // also when fn panics
	err = fn(tx)
	tx.end()
	if errors.Is(err, ErrNotFound) {
		return Outcome{}, nil, missError{err}
	}
	if err != nil {
		return Outcome{}, nil, err
	}
	if tx.empty() && len(tx.reads)+len(tx.ranges) == 0 {
		return Outcome{Index: tx.index, Verdict: Applied}, tx.callbacks, nil
	}
	if tx.empty() {
		return Outcome{Index: tx.index, Verdict: nothing}, tx.callbacks, nil
	}
	b, err := tx.batch()
	if err != nil {
		return Outcome{}, nil, err
	}
	out, err := log.Propose(ctx, b)
	return out, tx.callbacks, err
}

// beforeRetry waits until this replica has seen what it conflicted with, then a
// little longer each time so that contenders spread out.
func (db *DB) beforeRetry(ctx context.Context, attempt int, index uint64) error {
	if err := db.WaitApplied(ctx, index); err != nil {
		return err
	}
	if attempt == 0 {
		return nil
	}
	pause := time.Duration(rand.Int64N(int64(time.Millisecond) << min(attempt, 6)))
	select {
	case <-time.After(pause):
		return nil
	case <-ctx.Done():
		return fmt.Errorf("transaction in conflict: %w", ctx.Err())
	}
}

type fenceKey struct{}

// FencedBy returns a context whose Updates are applied only while the log is in
// the given leadership term: a deposed leader's late write is refused.
func FencedBy(ctx context.Context, term uint64) context.Context {
	return context.WithValue(ctx, fenceKey{}, term)
}

func fence(ctx context.Context) uint64 {
	term, _ := ctx.Value(fenceKey{}).(uint64)
	return term
}
