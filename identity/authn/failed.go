package authn

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/assurance"
	"github.com/quis-idp/quis/identity/authn/throttle"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
)

const (
	flushEvery = 2 * time.Second
	flushApart = 500 * time.Millisecond
	flushParts = 5               // transactions in one flush: what is left waits for the next
	lastParts  = 1000            // in the last one: all there is, if it can be had
	lastFlush  = 2 * time.Second // within this time
	readShare  = 20              // what others counted is read again after so many times as long as it took
)

func (s *subject) failed(ctx context.Context, f *Flow, reason string) (throttle.Kind, throttle.Failure) {
	r := identity.RequestFrom(ctx)
	one := throttle.Failure{Request: r}
	if s.user != nil {
		one.User = event.Target{Kind: "user", ID: s.user.ID, Name: s.user.Username}
	}
	return throttle.Kind{Tenant: f.Need.Tenant, UserID: s.userID(), Reason: reason, IP: r.IP, Method: s.method}, one
}

// usedAgain remembers for the next flush that an app's code in f was spent by another flow meanwhile. It was right, so nothing
// is counted against anybody.
func (fs *Flows) usedAgain(ctx context.Context, f *Flow) {
	s := &subject{user: &directory.User{ID: f.UserID, Username: f.Login}, method: assurance.TOTP}
	fs.noted(fs.attempts.Deny(s.failed(ctx, f, reasonUsed)))
}

// noted counts what is not on record, because too much waits to be written.
func (fs *Flows) noted(lost bool) {
	if lost {
		fs.metrics.lost.Inc()
	}
}

// denied remembers for the next flush that somebody proved who they are and was not let in by
// policy, by the method that was proved last. It is no guess, so nothing is counted against them.
func (fs *Flows) denied(ctx context.Context, f *Flow, by assurance.Method, why error) {
	r := identity.RequestFrom(ctx)
	fs.cfg.Logger.InfoContext(ctx, "sign-in denied by policy", "request_id", r.ID, "tenant", f.Need.Tenant, "user", f.UserID, "error", why)
	one := throttle.Failure{User: event.Target{Kind: "user", ID: f.UserID, Name: f.Login}, Request: r}
	if r.ID != "" {
		one.IDs = []string{r.ID}
	}
	fs.noted(fs.attempts.Deny(throttle.Kind{Tenant: f.Need.Tenant, UserID: f.UserID, Reason: reasonDenied, IP: r.IP, Method: by}, one))
}

// Run writes failed attempts, many in one log entry, every two seconds or when a hundred wait,
// ten entries a second at most, and once more when ctx ends, which it does not report as an
// error. With them go the counts of guessing at many names, which it also reads.
func (fs *Flows) Run(ctx context.Context) error {
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	apart := time.NewTimer(0)
	defer apart.Stop()
	read := time.Time{}
	for {
		select {
		case <-apart.C:
		case <-ctx.Done():
		}
		select {
		case <-tick.C:
			fs.report(ctx, fs.flush(ctx, flushParts))
			if begun := time.Now(); begun.After(read) {
				fs.report(ctx, fs.waves.Refresh(ctx))
				read = time.Now().Add(readShare * time.Since(begun))
			}
		case <-fs.attempts.Wake():
			fs.report(ctx, fs.flush(ctx, flushParts))
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastFlush)
			defer cancel()
			fs.report(last, fs.flush(last, lastParts))
			return nil
		}
		apart.Reset(flushApart)
	}
}

func (fs *Flows) report(ctx context.Context, err error) {
	if err != nil {
		fs.cfg.Logger.WarnContext(ctx, "failed sign-ins not written yet", "error", err)
	}
}

// Flush writes the failed attempts that wait, and takes in what other nodes have counted of
// guessing at many names. What could not be written stays for the next flush; an answer that
// got lost may write a failure twice.
func (fs *Flows) Flush(ctx context.Context) error {
	return errors.Join(fs.flush(ctx, flushParts), fs.waves.Refresh(ctx))
}

func (fs *Flows) flush(ctx context.Context, parts int) error {
	fs.flushing.Lock()
	defer fs.flushing.Unlock()
	for range parts {
		p, counted := fs.attempts.Take(), fs.waves.Take()
		if p.Empty() && counted.Empty() {
			return nil
		}
		err := fs.cfg.DB.Update(ctx, func(tx *fsm.Tx) error { return errors.Join(p.Write(tx), counted.Write(tx)) })
		if err != nil {
			fs.metrics.lost.Add(float64(fs.attempts.Restore(p)))
			return fmt.Errorf("write failed sign-ins: %w", err)
		}
		fs.attempts.Written(p)
		fs.waves.Written(counted)
	}
	return nil
}
