package throttle

import (
	"strconv"
	"strings"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/assurance"
	"github.com/quis-idp/quis/identity/event"
)

const (
	wakeAt   = 100    // failures that wait when Wake tells
	portions = 100    // kinds of failure, and twice as many sources, in one Portion
	maxKinds = 10_000 // kinds of failure kept while the log takes no writes
	maxIDs   = 16     // of requests that one event names: more would not fit
)

// A Kind is what makes failures alike: they become one event with a count.
type Kind struct {
	Tenant, UserID, Reason, IP string
	Method                     assurance.Method
}

// many is the kind of those that are too many to be told apart.
func (k Kind) many() Kind {
	return Kind{Tenant: k.Tenant, Reason: k.Reason, IP: "many", Method: k.Method}
}

// A Failure is what an event will tell. The name that was typed is not part of it when
// nobody has that name: people type their passwords into that field.
type Failure struct {
	User    event.Target
	Request identity.Request // of the first
	IDs     []string         // of requests whose pages showed them, at most maxIDs

	count int64
}

// Fail ends an attempt that failed and remembers it for the next flush. It reports
// whether its event was lost because too many wait already.
func (a *Attempts) Fail(was Attempt, k Kind, one Failure) (lost bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.end(was, 1)
	a.waiting++
	if a.waiting >= wakeAt {
		select {
		case a.wake <- struct{}{}:
		default:
		}
	}
	return !a.keep(k, one, 1)
}

// Wake tells when so many failures wait that they should be written before their time.
func (a *Attempts) Wake() <-chan struct{} { return a.wake }

// Deny remembers that somebody proved who they are and was not let in. It is no guess, so nothing
// is counted against them. It reports whether that was lost.
func (a *Attempts) Deny(k Kind, one Failure) (lost bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return !a.keep(k, one, 1)
}

// keep adds n failures of a kind, if there is room. a.mu is held.
func (a *Attempts) keep(k Kind, one Failure, n int64) bool {
	all, ok := a.failed[k]
	if !ok && len(a.failed) >= portions { // under attack: not one event for each address
		k, one = k.many(), Failure{}
		all, ok = a.failed[k]
	}
	if !ok {
		if len(a.failed) >= maxKinds {
			return false
		}
		all = &Failure{User: one.User, Request: one.Request}
		a.failed[k] = all
	}
	all.count += n
	all.IDs = append(all.IDs, one.IDs[:min(len(one.IDs), maxIDs-len(all.IDs))]...)
	return true
}

// A Portion is what one transaction of a flush writes.
type Portion struct {
	tallies map[tallyKey]tally
	failed  map[Kind]Failure
}

// Take returns what waits to be written, or a part of it.
func (a *Attempts) Take() Portion {
	a.mu.Lock()
	defer a.mu.Unlock()
	p := Portion{tallies: map[tallyKey]tally{}, failed: map[Kind]Failure{}}
	for k, t := range a.tallies {
		if len(p.tallies) == 2*portions {
			break
		}
		if t.failed > 0 {
			p.tallies[k] = *t
		}
	}
	for k, f := range a.failed {
		if len(p.failed) == portions {
			break
		}
		p.failed[k] = *f
		delete(a.failed, k)
	}
	a.waiting = 0
	return p
}

// Written forgets what the store now holds.
func (a *Attempts) Written(p Portion) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for k, was := range p.tallies {
		t := a.tallies[k]
		if t.failed -= was.failed; t.failed == 0 && t.underWay == 0 {
			delete(a.tallies, k)
		}
	}
}

// Restore takes back the events of a portion that could not be written; the tallies
// had stayed. It returns how many there was no more room for.
func (a *Attempts) Restore(p Portion) (lost int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for k, f := range p.failed {
		if !a.keep(k, f, f.count) {
			lost += f.count
		}
	}
	return lost
}

// Empty reports whether there is nothing to write.
func (p Portion) Empty() bool { return len(p.tallies) == 0 && len(p.failed) == 0 }

// Write writes it, within a transaction.
func (p Portion) Write(tx *fsm.Tx) error {
	for k, t := range p.tallies {
		key, forget := fsm.K(k.name, k.from), tx.Now().Add(k.forget())
		if err := failures.Add(tx, fsm.Scope(k.tenant), key, t.failed, forget); err != nil {
			return err
		}
		if err := failedAt.Max(tx, fsm.Scope(k.tenant), key, t.last.UnixMilli(), forget); err != nil {
			return err
		}
	}
	for k, f := range p.failed {
		e := event.Event{
			Tenant: k.Tenant, Type: event.SigninFailed, Target: f.User, Request: f.Request,
			Actor: identity.Actor{Kind: identity.ActorAnonymous},
			Data:  map[string]string{"method": string(k.Method), "reason": k.Reason, "count": strconv.FormatInt(f.count, 10)},
		}
		if len(f.IDs) > 0 {
			e.Data[event.ErrorIDs] = strings.Join(f.IDs, " ")
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
