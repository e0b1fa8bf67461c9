package event_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/fsm/fsmtest"
	"github.com/quis-idp/quis/identity/event"
)

var errStop = errors.New("stop")

func TestFollowGoesOnWhereItStopped(t *testing.T) {
	t.Parallel()
	c := fsmtest.NewCluster(t, 2, event.Tables...)
	add(t, c.DB[0], named("a", event.UserCreated, "0"), named("b", event.UserCreated, "1"))
	add(t, c.DB[0], named("a", event.UserCreated, "2"))
	var got []string
	follow := func(db *fsm.DB, stopAt int) error {
		return event.Follow(t.Context(), db, "reader", func(_ context.Context, e *fsm.JournalEntry[event.Event]) error {
			if len(got) == stopAt {
				return errStop
			}
			got = append(got, event.Read(e).Tenant+e.Value.Target.Name)
			return nil
		})
	}
	if err := follow(c.DB[0], 2); !errors.Is(err, errStop) {
		t.Fatalf("got %v", err)
	}
	add(t, c.DB[1], named("b", event.UserCreated, "3"))
	if err := follow(c.DB[1], 3); !errors.Is(err, errStop) { // another leader
		t.Fatalf("got %v", err)
	}
	if diff := cmp.Diff([]string{"a0", "b1", "a2"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestFollowWaitsAndEnds(t *testing.T) {
	t.Parallel()
	db := fsmtest.New(t, event.Tables...)
	err := db.Update(t.Context(), func(tx *fsm.Tx) error {
		return errors.Join(event.Append(tx, named("a", event.UserCreated, "before")))
	})
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(t.Context(), func(tx *fsm.Tx) error { return event.SkipToEnd(tx, "late") })
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	seen, ended := make(chan string, 10), make(chan error)
	go func() {
		ended <- event.Follow(ctx, db, "late", func(_ context.Context, e *fsm.JournalEntry[event.Event]) error {
			seen <- e.Value.Target.Name
			return nil
		})
	}()
	add(t, db, named("a", event.UserCreated, "after"))
	if got := <-seen; got != "after" {
		t.Errorf("got %q, want after", got)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("ended with %v", err)
	}
}

func TestTwoFollowersOfOneName(t *testing.T) {
	t.Parallel()
	db := fsmtest.New(t, event.Tables...)
	add(t, db, named("a", event.UserCreated, "0"))
	err := event.Follow(t.Context(), db, "r", func(context.Context, *fsm.JournalEntry[event.Event]) error {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		return event.Follow(ctx, db, "r", func(context.Context, *fsm.JournalEntry[event.Event]) error {
			defer cancel()
			return nil
		})
	})
	if !errors.Is(err, fsm.ErrConflict) {
		t.Errorf("got %v, want ErrConflict", err)
	}
}

func TestFollowIsFenced(t *testing.T) {
	t.Parallel()
	c := fsmtest.NewCluster(t, 1, event.Tables...)
	add(t, c.DB[0], named("a", event.UserCreated, "0"))
	ctx := fsm.FencedBy(t.Context(), c.Term())
	c.NewTerm()
	err := event.Follow(ctx, c.DB[0], "r", func(context.Context, *fsm.JournalEntry[event.Event]) error { return nil })
	if !errors.Is(err, fsm.ErrFenced) {
		t.Errorf("a deposed leader's cursor: got %v, want ErrFenced", err)
	}
}
