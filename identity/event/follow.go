package event

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/quis-idp/quis/fsm"
)

const (
	followBatch = 100              // events read at once
	followRead  = 5 * time.Second  // at most before the cursor is written while a slow reader works
	noteAfter   = 1000             // events handed out between two writes of the cursor
	noteEvery   = time.Second      // and at most between them while there is news
	followRest  = time.Second / 20 // at least between two looks at a log that is busy: a look costs as much as ten events
)

// A cursor is how far one reader has come. The row is replicated, so a new leader
// goes on where the old one stopped.
type cursor struct {
	Name     string              `cbor:"1,keyasint,omitempty"`
	Position fsm.JournalPosition `cbor:"2,keyasint,omitempty"`
}

var cursors = fsm.NewTable(31, "event_cursors", fsm.Spec[cursor]{
	Key: func(c *cursor) fsm.Key { return fsm.K(c.Name) },
})

// Follow hands every event of every tenant, in order, to fn and waits for more
// until ctx ends, which it does not report as an error. A name that has never been
// followed begins with the first event; see SkipToEnd.
//
// The reader's place is written once a second while there is news, or after a thousand
// events, by compare-and-set: a reader that follows a busy log must not double its entries.
// fn sees events again if the process ends in between, so it must treat an
// event's ID as an idempotency key. If fn fails, the place before that event is
// kept and its error returned; the duty that runs Follow calls it again. If
// another Follow of this name has moved the cursor, it reports fsm.ErrConflict.
// Run it on the leader, under fsm.FencedBy.
func Follow(ctx context.Context, db *fsm.DB, name string, fn func(context.Context, *fsm.JournalEntry[Event]) error) error {
	at, err := placeOf(ctx, db, name)
	f := follower{ctx: ctx, db: db, name: name, at: at, noted: at}
	for err == nil {
		changed, looked := db.Changed(), time.Now()
		var more bool
		if more, err = f.hand(fn); err == nil && f.due() {
			err = f.note()
		}
		if err != nil || more {
			continue
		}
		select {
		case <-changed:
			err = rest(ctx, followRest-time.Since(looked))
		case <-f.timer():
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	// What was handed out is noted even when ctx has ended or fn has failed.
	if noting := f.note(); noting != nil {
		err = errors.Join(err, noting)
	} else if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil
	}
	return fmt.Errorf("follow events as %s: %w", name, err)
}

// rest waits so long, if it is more than nothing, or returns the error of ctx.
func rest(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// A follower is one run of Follow.
type follower struct {
	ctx       context.Context
	db        *fsm.DB
	name      string
	at, noted fsm.JournalPosition
	since     time.Time // when the first event was handed out that is not noted
	count     int       // of those
}

// due says whether the cursor is to be written.
func (f *follower) due() bool {
	return f.count >= noteAfter || f.count > 0 && time.Since(f.since) >= noteEvery
}

// timer ends the wait for news when the cursor is to be written; nil: there is nothing to write.
func (f *follower) timer() <-chan time.Time {
	if f.count == 0 {
		return nil
	}
	return time.After(time.Until(f.since.Add(noteEvery)))
}

func (f *follower) note() error {
	if f.count == 0 {
		return nil
	}
	if err := moveCursor(f.ctx, f.db, f.name, f.noted, f.at); err != nil {
		return err
	}
	f.noted, f.count = f.at, 0
	return nil
}

// placeOf reads the cursor after catching up, so that a new leader does not begin
// from a place that its predecessor had left behind.
func placeOf(ctx context.Context, db *fsm.DB, name string) (at fsm.JournalPosition, err error) {
	err = db.Read(ctx, func(tx *fsm.Tx) error {
		c, err := cursors.Get(tx, fsm.Global, fsm.K(name))
		if err == nil {
			at = c.Position
		}
		return err
	})
	if errors.Is(err, fsm.ErrNotFound) {
		return at, nil
	}
	return at, err
}

// hand gives fn the next events and reports whether there may be more at once.
func (f *follower) hand(fn func(context.Context, *fsm.JournalEntry[Event]) error) (more bool, err error) {
	var batch []*fsm.JournalEntry[Event]
	err = f.db.View(f.ctx, func(tx *fsm.Tx) error {
		batch = batch[:0]
		for e, err := range journal.List(tx, f.at) {
			if err != nil {
				return err
			}
			if batch = append(batch, e); len(batch) == followBatch {
				break
			}
		}
		return nil
	})
	began := time.Now()
	for _, e := range batch { // outside the View: fn may be slow, and a snapshot must not live long
		if err == nil {
			err = f.ctx.Err()
		}
		if err == nil {
			err = fn(f.ctx, e)
		}
		if err != nil {
			return false, err
		}
		if f.count == 0 {
			f.since = began
		}
		f.at = e.Position
		f.count++
		if time.Since(began) > followRead {
			break
		}
	}
	return len(batch) > 0, err
}

func moveCursor(ctx context.Context, db *fsm.DB, name string, from, to fsm.JournalPosition) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), followRead)
	defer cancel()
	return db.Update(ctx, func(tx *fsm.Tx) error {
		c, err := cursors.Get(tx, fsm.Global, fsm.K(name))
		switch {
		case errors.Is(err, fsm.ErrNotFound):
			c = &cursor{Name: name}
		case err != nil:
			return err
		}
		if c.Position != from {
			return fmt.Errorf("another reader has moved the cursor: %w", fsm.ErrConflict)
		}
		c.Position = to
		return cursors.Put(tx, c)
	})
}

// SkipToEnd sets the place of a reader behind the last event, if it has none yet:
// what begins to listen now seldom wants the past.
func SkipToEnd(tx *fsm.Tx, name string) error {
	has, err := cursors.Has(tx, fsm.Global, fsm.K(name))
	if err != nil || has {
		return err
	}
	head, err := journal.Head(tx)
	if err != nil {
		return err
	}
	return cursors.Put(tx, &cursor{Name: name, Position: head.Position})
}

// Forget removes the place of a reader that will not come back.
func Forget(tx *fsm.Tx, name string) error { return cursors.Delete(tx, fsm.Global, fsm.K(name)) }
