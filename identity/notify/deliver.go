package notify

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/notify/post"
)

const (
	gather    = 25 * time.Millisecond // outcomes of that long are written in one log entry
	writeMost = 64
	lastWrite = 2 * time.Second
)

// An item is a delivery that waits; the row says all else.
type item struct{ tenant, id string }

// An outcome is what came of one attempt.
type outcome struct {
	item   item
	ok     bool   // the server has taken it
	final  bool   // and if not: there is no sense in trying again
	void   bool   // there was no attempt after all
	status string // for a person to read
}

// Deliver sends what is due until ctx ends, which it does not report as an error. Run it on
// the leader, under fsm.FencedBy. If the leader ends between handing a message over and
// noting that it has, its successor sends it again, under the same Message-ID.
func (r *Room) Deliver(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s := &sender{room: r, due: map[item]int64{}, flying: map[item]bool{}, perTenant: map[string]int{}, landed: make(chan outcome, allWidth)}
	from, err := s.load(ctx)
	if err != nil {
		return fmt.Errorf("send notices: %w", err)
	}
	changes, failed := make(chan *Delivery), make(chan error, 1)
	go r.watch(ctx, from, changes, failed)
	for {
		err := s.turn(ctx, changes, failed)
		if ctx.Err() != nil || errors.Is(err, fsm.ErrCompacted) { // begin anew: the duty does
			return s.leave(ctx)
		}
		if err != nil {
			return errors.Join(fmt.Errorf("send notices: %w", err), s.leave(ctx))
		}
	}
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

// A sender is one run of Deliver. Everything but the attempts themselves is one goroutine's.
// What it knows of the rows is never the truth: a row is read again before it is sent.
type sender struct {
	room      *Room
	due       map[item]int64 // what waits, and when it is due: Unix milliseconds
	flying    map[item]bool
	perTenant map[string]int // of those
	landed    chan outcome
	done      []outcome // not written yet
}

// load takes up all that is pending, and returns where to watch from.
func (s *sender) load(ctx context.Context) (index uint64, err error) {
	err = s.room.db.View(ctx, func(tx *fsm.Tx) error {
		index = tx.Index()
		for d, err := range deliveries.ListAll(tx) {
			if err != nil {
				return err
			}
			s.learn(d)
		}
		return nil
	})
	return index, err
}

func (s *sender) learn(d *Delivery) {
	i := item{d.Tenant, d.ID}
	if d.State == Pending && !s.flying[i] {
		s.due[i] = d.Next
	}
}

// take returns an item that is due and may be sent, or how long until there may be one. One
// slow server takes at most a few of the places.
func (s *sender) take(now time.Time) (i item, wait time.Duration, ok bool) {
	wait = time.Hour
	if len(s.flying) >= allWidth {
		return i, wait, false
	}
	for i, next := range s.due { // in no order: nobody is always the last
		if s.perTenant[i.tenant] >= laneWidth {
			continue
		}
		if left := time.UnixMilli(next).Sub(now); left > 0 {
			wait = min(wait, left)
			continue
		}
		delete(s.due, i)
		s.flying[i] = true
		s.perTenant[i.tenant]++
		return i, 0, true
	}
	return i, wait, false
}

// turn starts what may be sent and waits for the next thing to happen.
func (s *sender) turn(ctx context.Context, changes <-chan *Delivery, failed <-chan error) error {
	wait := time.Duration(0)
	for {
		i, left, ok := s.take(s.room.db.Now())
		if !ok {
			wait = left
			break
		}
		go func() { s.landed <- s.room.attempt(ctx, i) }()
	}
	if len(s.done) > 0 {
		wait = min(wait, gather)
	}
	s.room.metrics.waiting.WithLabelValues("notice").Set(float64(len(s.due) + len(s.flying)))
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case d := <-changes:
		s.learn(d)
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
	for len(s.done) < len(s.flying) {
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
			d, err := deliveries.Get(tx, fsm.Scope(o.item.tenant), fsm.K(o.item.id))
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
		delete(s.flying, o.item)
		if s.perTenant[o.item.tenant]--; s.perTenant[o.item.tenant] == 0 {
			delete(s.perTenant, o.item.tenant)
		}
		if rows[n] != nil {
			s.learn(rows[n])
		}
	}
	s.done = s.done[:0]
	return nil
}

// note changes a row by what came of an attempt.
func (r *Room) note(tx *fsm.Tx, d *Delivery, o outcome) error {
	now := tx.Now()
	d.Attempts++
	d.Attempted, d.Status, d.Next = now.UnixMilli(), o.status, 0
	again := now.Add(r.cfg.Pause(d.Attempts)).UnixMilli()
	switch {
	case o.ok:
		d.State = Done
	case o.final || again > d.Deadline:
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
func (r *Room) attempt(ctx context.Context, i item) (o outcome) {
	o.item = i
	defer func() {
		if p := recover(); p != nil {
			r.cfg.Logger.ErrorContext(ctx, "notice not sent", "delivery", i.id, "panic", p)
			o.ok, o.void, o.status = false, false, "An error of the server itself; see its log."
		}
	}()
	var job dispatch
	err := r.db.View(ctx, func(tx *fsm.Tx) error {
		d, err := deliveries.Get(tx, fsm.Scope(i.tenant), fsm.K(i.id))
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
		o.void = true
		return o
	case errors.Is(err, fsm.ErrNotFound):
		o.final, o.status = true, "The person is no longer there."
		return o
	case err != nil:
		o.status = "The state could not be read."
		return o
	}
	err = r.send(ctx, job)
	r.metrics.count("notice", err)
	var fault *post.Fault
	switch {
	case err == nil:
		o.ok, o.status = true, "The server has taken it."
	case ctx.Err() != nil:
		o.void = true // cut short by our own leaving
	case errors.Is(err, ErrNoSettings):
		o.status = "There are no mail settings any more."
	case errors.As(err, &fault):
		o.final, o.status = fault.Final, identity.Printable(fault.Status, maxStatus)
	default:
		r.cfg.Logger.ErrorContext(ctx, "notice not sent", "delivery", i.id, "error", err)
		o.status = "An error of the server itself; see its log."
	}
	return o
}
