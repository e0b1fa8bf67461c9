package authn

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/assurance"
	"github.com/quis-idp/quis/identity/event"
)

const (
	flushEvery = 2 * time.Second
	flushAt    = 100 // failures that make a flush due before its time, but not before
	flushApart = 500 * time.Millisecond
	flushParts = 5               // transactions in one flush: what is left waits for the next
	flushMost  = 100             // kinds of failure, and twice as many sources, in one transaction
	maxKinds   = 10_000          // kinds of failure kept while the log takes no writes
	lastFlush  = 2 * time.Second // all there is, if it can be had
	readShare  = 20              // what others counted is read again after so many times as long as it took
)

// A failedKey is what makes failures alike: they become one event with a count.
type failedKey struct{ tenant, userID, reason, ip string }

// many is the kind of those that are too many to be told apart.
func (k failedKey) many() failedKey { return failedKey{tenant: k.tenant, reason: k.reason, ip: "many"} }

// failed is what an event will tell. The name that was typed is not part of it when
// nobody has that name: people type their passwords into that field.
type failed struct {
	user    event.Target
	request identity.Request // of the first
	count   int64
	ids     []string // of requests whose pages showed them, at most maxIDs
}

// maxIDs is how many of them one event names: more would not fit.
const maxIDs = 16

func (s *subject) failed(ctx context.Context, f *Flow, reason string) (failedKey, failed) {
	r := identity.RequestFrom(ctx)
	one := failed{request: r}
	if s.user != nil {
		one.user = event.Target{Kind: "user", ID: s.user.ID, Name: s.user.Username}
	}
	return failedKey{f.Need.Tenant, s.userID(), reason, r.IP}, one
}

// fail ends an attempt that failed and remembers it for the next flush. It reports
// whether its event was lost because too many wait already.
func (a *attempts) fail(was attempt, k failedKey, one failed) (lost bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.end(was, 1)
	a.waiting++
	if a.waiting >= flushAt {
		select {
		case a.wake <- struct{}{}:
		default:
		}
	}
	return !a.keep(k, one, 1)
}

// denied remembers for the next flush that somebody proved who they are and was not let in by
// policy. It is no guess, so nothing is counted against them.
func (fs *Flows) denied(ctx context.Context, f *Flow, why error) {
	r := identity.RequestFrom(ctx)
	fs.cfg.Logger.InfoContext(ctx, "sign-in denied by policy", "request_id", r.ID, "tenant", f.Need.Tenant, "user", f.UserID, "error", why)
	one := failed{user: event.Target{Kind: "user", ID: f.UserID, Name: f.Login}, request: r}
	if r.ID != "" {
		one.ids = []string{r.ID}
	}
	fs.attempts.mu.Lock()
	defer fs.attempts.mu.Unlock()
	if !fs.attempts.keep(failedKey{f.Need.Tenant, f.UserID, reasonDenied, r.IP}, one, 1) {
		fs.metrics.lost.Inc()
	}
}

// keep adds n failures of a kind, if there is room. a.mu is held.
func (a *attempts) keep(k failedKey, one failed, n int64) bool {
	all, ok := a.failed[k]
	if !ok && len(a.failed) >= flushMost { // under attack: not one event for each address
		k, one = k.many(), failed{}
		all, ok = a.failed[k]
	}
	if !ok {
		if len(a.failed) >= maxKinds {
			return false
		}
		all = &failed{user: one.user, request: one.request}
		a.failed[k] = all
	}
	all.count += n
	all.ids = append(all.ids, one.ids[:min(len(one.ids), maxIDs-len(all.ids))]...)
	return true
}

// A portion is what one transaction of a flush writes.
type portion struct {
	tallies map[tallyKey]tally
	failed  map[failedKey]failed
}

func (a *attempts) take() portion {
	a.mu.Lock()
	defer a.mu.Unlock()
	p := portion{tallies: map[tallyKey]tally{}, failed: map[failedKey]failed{}}
	for k, t := range a.tallies {
		if len(p.tallies) == 2*flushMost {
			break
		}
		if t.failed > 0 {
			p.tallies[k] = *t
		}
	}
	for k, f := range a.failed {
		if len(p.failed) == flushMost {
			break
		}
		p.failed[k] = *f
		delete(a.failed, k)
	}
	a.waiting = 0
	return p
}

// written forgets what the store now holds.
func (a *attempts) written(p portion) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for k, was := range p.tallies {
		t := a.tallies[k]
		if t.failed -= was.failed; t.failed == 0 && t.underWay == 0 {
			delete(a.tallies, k)
		}
	}
}

// restore takes back the events of a portion that could not be written; the tallies
// had stayed. It returns how many there was no more room for.
func (a *attempts) restore(p portion) (lost int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for k, f := range p.failed {
		if !a.keep(k, f, f.count) {
			lost += f.count
		}
	}
	return lost
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
		case <-fs.attempts.wake:
			fs.report(ctx, fs.flush(ctx, flushParts))
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastFlush)
			defer cancel()
			fs.report(last, fs.flush(last, maxTallies))
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
	fs.attempts.flush.Lock()
	defer fs.attempts.flush.Unlock()
	for range parts {
		p, counted := fs.attempts.take(), fs.waves.Take()
		if len(p.tallies) == 0 && len(p.failed) == 0 && counted.Empty() {
			return nil
		}
		err := fs.cfg.DB.Update(ctx, func(tx *fsm.Tx) error { return errors.Join(p.write(tx), counted.Write(tx)) })
		if err != nil {
			fs.metrics.lost.Add(float64(fs.attempts.restore(p)))
			return fmt.Errorf("write failed sign-ins: %w", err)
		}
		fs.attempts.written(p)
		fs.waves.Written(counted)
	}
	return nil
}

func (p portion) write(tx *fsm.Tx) error {
	forget := tx.Now().Add(forgetFailures)
	for k, t := range p.tallies {
		key := fsm.K(k.name, k.from)
		if err := failures.Add(tx, fsm.Scope(k.tenant), key, t.failed, forget); err != nil {
			return err
		}
		if err := failedAt.Max(tx, fsm.Scope(k.tenant), key, t.last.UnixMilli(), forget); err != nil {
			return err
		}
	}
	for k, f := range p.failed {
		method := assurance.Password
		if strings.HasPrefix(k.reason, certificateReason) {
			method = assurance.Certificate
		}
		e := event.Event{
			Tenant: k.tenant, Type: event.SigninFailed, Target: f.user, Request: f.request,
			Actor: identity.Actor{Kind: identity.ActorAnonymous},
			Data:  map[string]string{"method": string(method), "reason": k.reason, "count": strconv.FormatInt(f.count, 10)},
		}
		if len(f.ids) > 0 {
			e.Data[event.ErrorIDs] = strings.Join(f.ids, " ")
		}
		if k == k.many() {
			e.Data["from"] = "many addresses"
		}
		if err := event.Append(tx, e); err != nil {
			return err
		}
	}
	return nil
}
