// Package courier is the loop of a leader's duty that hands over what rows say: it takes what is
// due, makes many attempts at once, and notes what came of them, many in one log entry.
//
// What is due and in which order, how an attempt is made, and what its outcome changes in
// the row are the room's whose rows they are (see [Round]): mail notices, logout tokens.
//
// Invariants: what a room knows of its rows is never the truth, so an attempt reads its row again;
// everything but the attempts is one goroutine's; an attempt is noted or void, also when
// the duty ends. If the leader ends between handing something over and noting that it has, its
// successor does so again: give what is handed over an ID by which the other side knows it.
package courier

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/quis-idp/quis/fsm"
)

const (
	gather    = 25 * time.Millisecond // outcomes of that long are written in one log entry
	writeMost = 64
	lastWrite = 2 * time.Second
)

// An Item is a row that something is to be handed over for.
type Item struct {
	Scope fsm.Scope
	Key   fsm.Key
}

// An Outcome is what came of one attempt.
type Outcome struct {
	Item   Item
	OK     bool          // the other side has taken it
	Final  bool          // and if not: there is no sense in trying again
	Void   bool          // there was no attempt after all
	Status string        // for a person to read
	Wait   time.Duration // at least, before the next attempt: the other side has asked for it
}

// A Round is what one run works on. Try is called by many goroutines, all else by one.
type Round[D any] struct {
	What   string // that is handed over, for errors: "notices"
	DB     *fsm.DB
	Rows   *fsm.Table[D]
	Places int // attempts at a time, at most: Take sees to it

	Learn func(d *D) // of a row: at the start, and when it is written
	// Take returns an item that is due and may be tried now, or how long until there may be one.
	Take func(now time.Time) (i Item, wait time.Duration, ok bool)
	Turn func() // before each wait; for metrics
	Try  func(ctx context.Context, i Item) Outcome
	Note func(tx *fsm.Tx, d *D, o Outcome) error // changes the row by an attempt that was one
	// Noted ends the flight of an item; d is its row as it now is, nil if it is gone.
	Noted func(o Outcome, d *D)
}

// Run hands over what is due until ctx ends, which it does not report as an error. Run it on
// the leader, under fsm.FencedBy.
func (r *Round[D]) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	from, err := r.load(ctx)
	if err != nil {
		return fmt.Errorf("send %s: %w", r.What, err)
	}
	changes, failed := make(chan *D), make(chan error, 1)
	go r.watch(ctx, from, changes, failed)
	run := &run[D]{Round: r, landed: make(chan Outcome, r.Places)}
	for {
		err := run.turn(ctx, changes, failed)
		if ctx.Err() != nil || errors.Is(err, fsm.ErrCompacted) { // begin anew: the duty does
			return run.leave(ctx)
		}
		if err != nil {
			return errors.Join(fmt.Errorf("send %s: %w", r.What, err), run.leave(ctx))
		}
	}
}

// load tells of every row, and returns where to watch from.
func (r *Round[D]) load(ctx context.Context) (index uint64, err error) {
	err = r.DB.View(ctx, func(tx *fsm.Tx) error {
		index = tx.Index()
		for d, err := range r.Rows.ListAll(tx) {
			if err != nil {
				return err
			}
			r.Learn(d)
		}
		return nil
	})
	return index, err
}

// watch tells of every row that is written from now on.
func (r *Round[D]) watch(ctx context.Context, from uint64, changes chan<- *D, failed chan<- error) {
	for c, err := range r.Rows.Watch(ctx, r.DB, from) {
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

// A run is the state of one call of Run.
type run[D any] struct {
	*Round[D]
	flying int // attempts that are not noted
	landed chan Outcome
	done   []Outcome // not written yet
}

// turn starts what may be tried and waits for the next thing to happen.
func (r *run[D]) turn(ctx context.Context, changes <-chan *D, failed <-chan error) error {
	wait := time.Duration(0)
	for {
		i, left, ok := r.Take(r.DB.Now())
		if !ok {
			wait = left
			break
		}
		r.flying++
		go func() { r.landed <- r.Try(ctx, i) }()
	}
	if len(r.done) > 0 {
		wait = min(wait, gather)
	}
	r.Turn()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case d := <-changes:
		r.Learn(d)
		return nil
	case err := <-failed:
		return err
	case o := <-r.landed:
		if r.done = append(r.done, o); len(r.done) < writeMost {
			return nil
		}
	case <-timer.C:
	case <-ctx.Done():
		return nil
	}
	return r.write(ctx)
}

// leave waits for the attempts under way, which ctx has ended, and notes what is known.
func (r *run[D]) leave(ctx context.Context) error {
	for len(r.done) < r.flying {
		r.done = append(r.done, <-r.landed)
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWrite)
	defer cancel()
	return r.write(last)
}

// write notes what came of the attempts: one log entry for all of them.
func (r *run[D]) write(ctx context.Context) error {
	if len(r.done) == 0 {
		return nil
	}
	var rows []*D
	err := r.DB.Update(ctx, func(tx *fsm.Tx) error {
		rows = make([]*D, len(r.done))
		for n, o := range r.done {
			d, err := r.Rows.Get(tx, o.Item.Scope, o.Item.Key)
			if errors.Is(err, fsm.ErrNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			rows[n] = d
			if o.Void {
				continue
			}
			if err := r.Note(tx, d, o); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("note what was sent: %w", err)
	}
	r.flying -= len(r.done)
	for n, o := range r.done {
		r.Noted(o, rows[n])
	}
	r.done = r.done[:0]
	return nil
}

// How long an attempt that failed is waited after.
const (
	FirstPause   = 5 * time.Second
	LongestPause = 30 * time.Minute
)

// Pause is how long to wait after the nth attempt failed: twice as long each time, and up
// to a quarter more or less, so that what failed together does not come back together.
func Pause(n int) time.Duration {
	p := LongestPause
	if n < 10 {
		p = min(FirstPause<<max(n-1, 0), LongestPause)
	}
	return p*3/4 + rand.N(p/2)
}
