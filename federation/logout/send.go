package logout

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/event"
)

const (
	gather    = 25 * time.Millisecond // outcomes of that long are written in one log entry
	writeMost = 64
	lastWrite = 2 * time.Second
)

// An outcome is what came of one attempt.
type outcome struct {
	item   item
	ok     bool          // the application has taken it
	final  bool          // and if not: there is no sense in trying again
	void   bool          // there was no attempt after all
	status string        // for a person to read
	wait   time.Duration // at least, before the next attempt: the application has asked for it
}

// Send sends what is due until ctx ends, which it does not report as an error. Run it on
// the leader, under fsm.FencedBy. If the leader ends between sending a token and noting
// that it has, its successor sends it again, under the same jti.
func (r *Room) Send(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	q := newQueue()
	from, err := r.load(ctx, q)
	if err != nil {
		return fmt.Errorf("send logout tokens: %w", err)
	}
	changes, failed := make(chan *Delivery), make(chan error, 1)
	go r.watch(ctx, from, changes, failed)
	s := &sender{room: r, queue: q, landed: make(chan outcome, places)}
	for {
		err := s.turn(ctx, changes, failed)
		if ctx.Err() != nil || errors.Is(err, fsm.ErrCompacted) { // begin anew: the duty does
			return s.leave(ctx)
		}
		if err != nil {
			return errors.Join(fmt.Errorf("send logout tokens: %w", err), s.leave(ctx))
		}
	}
}

// load fills the queue with all that is pending, and returns where to watch from.
func (r *Room) load(ctx context.Context, q *queue) (index uint64, err error) {
	err = r.db.View(ctx, func(tx *fsm.Tx) error {
		index = tx.Index()
		for d, err := range deliveries.ListAll(tx) {
			if err != nil {
				return err
			}
			q.add(d)
		}
		return nil
	})
	return index, err
}

// watch tells of every delivery that is written from now on.
func (r *Room) watch(ctx context.Context, from uint64, changes chan<- *Delivery, failed chan<- error) {
	for c, err := range deliveries.Watch(ctx, r.db, from) {
		if err != nil {
			failed <- err
			return
		}
		if c.Value == nil {
			continue
		}
		select {
		case changes <- c.Value:
		case <-ctx.Done():
			return
		}
	}
}

// A sender is one run of Send. Everything but the attempts themselves is one goroutine's.
type sender struct {
	room   *Room
	queue  *queue
	landed chan outcome
	done   []outcome // not written yet
}

// turn starts what may be sent and waits for the next thing to happen.
func (s *sender) turn(ctx context.Context, changes <-chan *Delivery, failed <-chan error) error {
	wait := time.Duration(0)
	for {
		i, left, ok := s.queue.take(s.room.db.Now())
		if !ok {
			wait = left
			break
		}
		go func() { s.landed <- s.room.attempt(ctx, i) }()
	}
	if len(s.done) > 0 {
		wait = min(wait, gather)
	}
	s.room.metrics.waiting.Set(float64(len(s.queue.known)))
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case d := <-changes:
		s.queue.hasten(d)
		return nil
	case err := <-failed:
		return err
	case o := <-s.landed:
		if s.done = append(s.done, o); len(s.done) < writeMost {
			return nil
		}
	case <-timer.C:
	case <-ctx.Done():
		return nil
	}
	return s.write(ctx)
}

// leave waits for the attempts under way, which ctx has ended, and notes what is known.
func (s *sender) leave(ctx context.Context) error {
	for len(s.done) < s.queue.flying {
		s.done = append(s.done, <-s.landed)
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWrite)
	defer cancel()
	return s.write(last)
}

// write notes what came of the attempts: one log entry for all of them.
func (s *sender) write(ctx context.Context) error {
	if len(s.done) == 0 {
		return nil
	}
	var rows []*Delivery
	err := s.room.db.Update(ctx, func(tx *fsm.Tx) error {
		rows = make([]*Delivery, len(s.done))
		for n, o := range s.done {
			d, err := deliveries.Get(tx, o.item.scope, o.item.key)
			if errors.Is(err, fsm.ErrNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			rows[n] = d
			if o.void {
				continue
			}
			if err := s.room.note(tx, d, o); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("note what was sent: %w", err)
	}
	for n, o := range s.done {
		s.queue.landed(o.item, o.ok || o.void, rows[n])
		if o.void {
			continue
		}
		s.room.metrics.attempts.WithLabelValues(resultOf(rows[n])).Inc()
	}
	s.done = s.done[:0]
	return nil
}

// note changes a row by what came of an attempt.
func (r *Room) note(tx *fsm.Tx, d *Delivery, o outcome) error {
	now := tx.Now()
	d.Attempts++
	d.Attempted, d.Status, d.Next = now.UnixMilli(), o.status, 0
	again := now.Add(max(r.cfg.Pause(d.Attempts), o.wait)).UnixMilli()
	switch {
	case o.ok:
		d.State = Done
	case o.final || again > d.Deadline:
		d.State = Failed
		if err := tell(tx, d, event.LogoutUndelivered); err != nil {
			return err
		}
	default:
		d.Next = again
	}
	return deliveries.Put(tx, d)
}
