package notify

import (
	"context"
	"errors"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/event/courier"
	"github.com/quis-idp/quis/identity/notify/post"
)

// Deliver sends what is due until ctx ends, which it does not report as an error. Run it on
// the leader, under fsm.FencedBy. If the leader ends between handing a message over and
// noting that it has, its successor sends it again, under the same Message-ID.
func (r *Room) Deliver(ctx context.Context) error {
	w := &waiting{due: map[courier.Item]int64{}, flying: map[courier.Item]bool{}, perTenant: map[fsm.Scope]int{}}
	round := courier.Round[Delivery]{
		What: "notices", DB: r.db, Rows: deliveries, Places: allWidth,
		Learn: w.learn, Take: w.take, Try: r.attempt, Note: r.note, Noted: w.noted,
		Turn: func() { r.metrics.waiting.WithLabelValues("notice").Set(float64(len(w.due) + len(w.flying))) },
	}
	return round.Run(ctx)
}

// A waiting is what one run of Deliver knows of the rows.
type waiting struct {
	due       map[courier.Item]int64 // what waits, and when it is due: Unix milliseconds
	flying    map[courier.Item]bool
	perTenant map[fsm.Scope]int // of those
}

func (w *waiting) learn(d *Delivery) {
	i := courier.Item{Scope: fsm.Scope(d.Tenant), Key: fsm.K(d.ID)}
	if d.State == Pending && !w.flying[i] {
		w.due[i] = d.Next
	}
}

// take returns an item that is due and may be sent, or how long until there may be one. One
// slow server takes at most a few of the places.
func (w *waiting) take(now time.Time) (i courier.Item, wait time.Duration, ok bool) {
	wait = time.Hour
	if len(w.flying) >= allWidth {
		return i, wait, false
	}
	for i, next := range w.due { // in no order: nobody is always the last
		if w.perTenant[i.Scope] >= laneWidth {
			continue
		}
		if left := time.UnixMilli(next).Sub(now); left > 0 {
			wait = min(wait, left)
			continue
		}
		delete(w.due, i)
		w.flying[i] = true
		w.perTenant[i.Scope]++
		return i, 0, true
	}
	return i, wait, false
}

// noted ends the flight of an item, which waits again if its row says so.
func (w *waiting) noted(o courier.Outcome, d *Delivery) {
	delete(w.flying, o.Item)
	if w.perTenant[o.Item.Scope]--; w.perTenant[o.Item.Scope] == 0 {
		delete(w.perTenant, o.Item.Scope)
	}
	if d != nil {
		w.learn(d)
	}
}

// note changes a row by what came of an attempt.
func (r *Room) note(tx *fsm.Tx, d *Delivery, o courier.Outcome) error {
	now := tx.Now()
	d.Attempts++
	d.Attempted, d.Status, d.Next = now.UnixMilli(), o.Status, 0
	again := now.Add(r.cfg.Pause(d.Attempts)).UnixMilli()
	switch {
	case o.OK:
		d.State = Done
	case o.Final || again > d.Deadline:
		d.State = Failed
		if err := tell(tx, d, event.MailUndelivered); err != nil {
			return err
		}
	default:
		d.Next = again
	}
	return deliveries.Put(tx, d)
}

var errNotDue = errors.New("not due any more")

// attempt sends one delivery. Whatever goes wrong with one of them, the others go on.
func (r *Room) attempt(ctx context.Context, i courier.Item) (o courier.Outcome) {
	o.Item = i
	defer func() {
		if p := recover(); p != nil {
			r.cfg.Logger.ErrorContext(ctx, "notice not sent", "delivery", i.Key, "panic", p)
			o.OK, o.Void, o.Status = false, false, "An error of the server itself; see its log."
		}
	}()
	var job dispatch
	err := r.db.View(ctx, func(tx *fsm.Tx) error {
		d, err := deliveries.Get(tx, i.Scope, i.Key)
		if err != nil {
			return err
		}
		if d.State != Pending || d.Next > r.db.Now().UnixMilli() {
			return errNotDue
		}
		job, err = r.dispatchOf(tx, d)
		return err
	})
	switch {
	case errors.Is(err, errNotDue):
		o.Void = true
		return o
	case errors.Is(err, fsm.ErrNotFound):
		o.Final, o.Status = true, "The person, or the invitation, is no longer there."
		return o
	case err != nil:
		o.Status = "The state could not be read."
		return o
	}
	err = r.send(ctx, job)
	r.metrics.count("notice", err)
	var fault *post.Fault
	switch {
	case err == nil:
		o.OK, o.Status = true, "The server has taken it."
	case ctx.Err() != nil:
		o.Void = true // cut short by our own leaving
	case errors.Is(err, ErrNoSettings):
		o.Status = "There are no mail settings any more."
	case errors.As(err, &fault):
		o.Final, o.Status = fault.Final, identity.Printable(fault.Status, maxStatus)
	default:
		r.cfg.Logger.ErrorContext(ctx, "notice not sent", "delivery", i.Key, "error", err)
		o.Status = "An error of the server itself; see its log."
	}
	return o
}
