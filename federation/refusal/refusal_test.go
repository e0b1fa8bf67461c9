package refusal_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"

	"github.com/quis-idp/quis/federation/refusal"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/fsm/fsmtest"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/event"
)

func shown(t *testing.T, id string) context.Context {
	ctx := identity.WithTenant(t.Context(), identity.Tenant{ID: identity.DefaultTenant})
	return identity.WithRequest(ctx, identity.Request{ID: id, IP: "192.0.2.1"})
}

func find(t *testing.T, db *fsm.DB, id string) (page []event.Event) {
	t.Helper()
	err := db.View(t.Context(), func(tx *fsm.Tx) (err error) {
		page, _, err = event.List(tx, identity.DefaultTenant, event.Query{Request: id})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return page
}

func TestErrorIDIsFoundInTheEventLog(t *testing.T) {
	t.Parallel()
	c := fsmtest.NewCluster(t, 1, event.Tables...)
	l := refusal.New(c.DB[0], slog.New(slog.DiscardHandler))
	l.Note(shown(t, "req_one"), 400, "There is no such application.", "")
	l.Note(shown(t, "req_two"), 400, "There is no such application.", "")
	l.Note(shown(t, "req_three"), 403, "The user may not use it.", "Web")
	if n := c.Entries(); n != 0 {
		t.Errorf("noting cost %d log entries", n)
	}
	if err := l.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := c.Entries(); n != 1 {
		t.Errorf("writing cost %d log entries, want 1", n)
	}
	for id, reason := range map[string]string{"req_one": "There is no such application.", "req_two": "There is no such application.", "req_three": "The user may not use it."} {
		page := find(t, c.DB[0], id)
		if len(page) != 1 || page[0].Data["reason"] != reason {
			t.Errorf("%s: %+v", id, page)
		}
	}
	if page := find(t, c.DB[0], "req"); len(page) != 0 {
		t.Errorf("the beginning of an ID finds %+v", page)
	}
	if err := l.Flush(t.Context()); err != nil || c.Entries() != 1 {
		t.Errorf("writing nothing: %v, %d entries", err, c.Entries())
	}
}

// TestStrangersCannotFillTheLog: however many pages they have shown, for whatever reasons.
func TestStrangersCannotFillTheLog(t *testing.T) {
	t.Parallel()
	c := fsmtest.NewCluster(t, 1, event.Tables...)
	l := refusal.New(c.DB[0], slog.New(slog.DiscardHandler))
	for n := range 20_000 {
		l.Note(shown(t, identity.NewID("req")), 400, fmt.Sprintf("Reason %d.", n%1000), "")
	}
	if err := l.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := c.Entries(); n != 1 {
		t.Errorf("%d log entries", n)
	}
	err := c.DB[0].View(t.Context(), func(tx *fsm.Tx) error {
		page, _, err := event.List(tx, identity.DefaultTenant, event.Query{Limit: 500})
		if len(page) > 100 {
			t.Errorf("%d events", len(page))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestRunWritesAtTheEnd(t *testing.T) {
	t.Parallel()
	db := fsmtest.New(t, event.Tables...)
	l := refusal.New(db, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	l.Note(shown(t, "req_last"), 400, "x", "")
	cancel()
	if err := l.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if len(find(t, db, "req_last")) != 1 {
		t.Error("what was noted is lost")
	}
}
