package logout

import (
	"context"
	"errors"
	"fmt"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/event"
)

// readerName is that of the replicated cursor.
const readerName = "backchannel logout"

// Read follows the events until ctx ends, which it does not report as an error, and writes
// the deliveries that each calls for: one log entry for a session in which applications
// took part that want to know, none for any other. Run it on the leader, under
// fsm.FencedBy. What happened before it ran for the first time is past.
func (r *Room) Read(ctx context.Context) error {
	err := r.db.Update(ctx, func(tx *fsm.Tx) error { return event.SkipToEnd(tx, readerName) })
	if err != nil {
		return fmt.Errorf("follow events as %s: %w", readerName, err)
	}
	return event.Follow(ctx, r.db, readerName, r.hear)
}

// A cause is who has been signed out.
type cause struct {
	tenant, user string
	session      string // empty: everywhere
	event        string
}

// causeOf returns nil for an event that signs nobody out. A session that expires has no
// event: see DESIGN.md.
func causeOf(e *event.Event) *cause {
	switch {
	case e.Type == event.SessionEnded:
		return &cause{tenant: e.Tenant, user: e.Data["user_id"], session: e.Target.ID, event: e.ID}
	case e.Type == event.UserDeleted, e.Type == event.FamilyRevoked && e.Target.Kind == "user":
		return &cause{tenant: e.Tenant, user: e.Target.ID, event: e.ID}
	}
	return nil
}

func (r *Room) hear(ctx context.Context, entry *fsm.JournalEntry[event.Event]) error {
	e := event.Read(entry)
	c := causeOf(&e)
	if c == nil || c.user == "" {
		return nil
	}
	var due []Delivery
	// Outside the Update, so that these reads are not verified and disturb nobody: what
	// applications hold of a session that has ended does not grow any more.
	err := r.db.View(ctx, func(tx *fsm.Tx) (err error) {
		due, err = calledFor(tx, c)
		return err
	})
	if err != nil || len(due) == 0 {
		return err
	}
	err = r.db.Update(ctx, func(tx *fsm.Tx) error {
		for i := range due {
			if err := write(tx, due[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("write logout deliveries: %w", err)
	}
	return nil
}

// write adds d unless it is there: then the event was heard before.
func write(tx *fsm.Tx, d Delivery) error {
	has, err := deliveries.Has(tx, fsm.Scope(d.Tenant), d.key())
	if err != nil || has {
		return err
	}
	d.Created = tx.Now().UnixMilli()
	d.schedule(tx.Now())
	err = deliveries.Insert(tx, &d)
	if errors.Is(err, fsm.ErrExists) {
		return nil
	}
	return err
}
