package event

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/quis-idp/quis/fsm"
)

const (
	followBatch = 100             // events handed out between two writes of the cursor
	followRead  = 5 * time.Second // at most between them while a slow reader works
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
// The reader's place is written after up to a hundred events, by compare-and-set:
// fn sees an event again if the process ends in between, so it must treat the
// event's ID as an idempotency key. If fn fails, the place before that event is
// kept and its error returned; the duty that runs Follow calls it again. If
// another Follow of this name has moved the cursor, it reports fsm.ErrConflict.
// Run it on the leader, under fsm.FencedBy.
func Follow(ctx context.Context, db *fsm.DB, name string, fn func(context.Context, *fsm.JournalEntry[Event]) error) error {
	at, err := placeOf(ctx, db, name)
	for err == nil {
		changed := db.Changed()
		var to fsm.JournalPosition
		to, err = hand(ctx, db, at, fn)
		if to != at {
			// What was handed out is noted even when ctx has ended or fn has failed.
			if serr := moveCursor(ctx, db, name, at, to); serr != nil {
				return errors.Join(err, fmt.Errorf("follow events as %s: %w", name, serr))
			}
			at = to
			continue
		}
		if err == nil {
			select {
			case <-changed:
			case <-ctx.Done():
				return nil
			}
		}
	}
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil
	}
	return fmt.Errorf("follow events as %s: %w", name, err)
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

// hand gives fn the next events behind at and returns the position of the last it took.
func hand(ctx context.Context, db *fsm.DB, at fsm.JournalPosition, fn func(context.Context, *fsm.JournalEntry[Event]) error) (fsm.JournalPosition, error) {
	var batch []*fsm.JournalEntry[Event]
	err := db.View(ctx, func(tx *fsm.Tx) error {
		batch = batch[:0]
		for e, err := range journal.List(tx, at) {
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
			err = ctx.Err()
		}
		if err == nil {
			err = fn(ctx, e)
		}
		if err != nil || time.Since(began) > followRead {
			if err == nil {
				at = e.Position
			}
			return at, err
		}
		at = e.Position
	}
	return at, err
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
