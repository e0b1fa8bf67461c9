package logout

import (
	"context"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/event/courier"
)

// Send sends what is due until ctx ends, which it does not report as an error. Run it on
// the leader, under fsm.FencedBy. If the leader ends between sending a token and noting
// that it has, its successor sends it again, under the same jti.
func (r *Room) Send(ctx context.Context) error {
	q := newQueue()
	round := courier.Round[Delivery]{
		What: "logout tokens", DB: r.db, Rows: deliveries, Places: places,
		Learn: q.hasten, Take: q.take, Try: r.attempt, Note: r.note,
		Turn: func() { r.metrics.waiting.Set(float64(len(q.known))) },
		Noted: func(o courier.Outcome, d *Delivery) {
			q.landed(o.Item, o.OK || o.Void, d)
			if !o.Void {
				r.metrics.attempts.WithLabelValues(resultOf(d)).Inc()
			}
		},
	}
	return round.Run(ctx)
}

// note changes a row by what came of an attempt.
func (r *Room) note(tx *fsm.Tx, d *Delivery, o courier.Outcome) error {
	now := tx.Now()
	d.Attempts++
	d.Attempted, d.Status, d.Next = now.UnixMilli(), o.Status, 0
	again := now.Add(max(r.cfg.Pause(d.Attempts), o.Wait)).UnixMilli()
	switch {
	case o.OK:
		d.State = Done
	case o.Final || again > d.Deadline:
		d.State = Failed
		if err := tell(tx, d, event.LogoutUndelivered); err != nil {
			return err
		}
	default:
		d.Next = again
	}
	return deliveries.Put(tx, d)
}
