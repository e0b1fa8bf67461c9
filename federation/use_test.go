package federation_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/fsm"
)

func TestLastUseIsWrittenOnceForAll(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	a, _, err := h.create(federation.Application{RedirectURIs: []string{"https://a.example.com/cb"}}, "")
	if err != nil {
		t.Fatal(err)
	}
	gone, _, err := h.create(federation.Application{Name: "Gone", RedirectURIs: []string{"https://b.example.com/cb"}}, "")
	if err != nil {
		t.Fatal(err)
	}
	last := func(id string) (at time.Time) {
		if err := h.db.View(t.Context(), func(tx *fsm.Tx) (err error) {
			at, err = federation.LastUsed(tx, tenant, id)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return at
	}
	u := federation.NewUses(h.db, slog.New(slog.DiscardHandler))
	before := h.db.Position().Index
	began := time.Now().Add(-time.Millisecond)
	for range 100 {
		u.Touch(tenant, a.ID)
		u.Touch(tenant, gone.ID)
	}
	if h.db.Position().Index != before || !last(a.ID).IsZero() {
		t.Error("noting was written")
	}
	for range 2 {
		if err := u.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := h.db.Position().Index - before; n != 1 {
		t.Errorf("%d log entries, want 1", n)
	}
	if at := last(a.ID); at.Before(began) || at.After(time.Now()) {
		t.Errorf("last used %v", at)
	}
	u.Touch(tenant, gone.ID)
	h.update(func(tx *fsm.Tx) error { return federation.Delete(tx, tenant, gone.ID, 0) })
	if err := u.Flush(t.Context()); err != nil || !last(gone.ID).IsZero() {
		t.Errorf("%v; one that is gone was last used %v", err, last(gone.ID))
	}
}

// Whoever tries an application sees soon that it was used, and the minute after it costs nothing more.
func TestFirstUseIsWrittenSoon(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	a, _, err := h.create(federation.Application{RedirectURIs: []string{"https://a.example.com/cb"}}, "")
	if err != nil {
		t.Fatal(err)
	}
	u := federation.NewUses(h.db, slog.New(slog.DiscardHandler))
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- u.Run(ctx) }()
	last := func() (at time.Time) {
		if err := h.db.View(t.Context(), func(tx *fsm.Tx) (err error) {
			at, err = federation.LastUsed(tx, tenant, a.ID)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return at
	}
	before := h.db.Position().Index
	u.Touch(tenant, a.ID)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for late := time.After(30 * time.Second); last().IsZero(); {
		select {
		case <-tick.C:
		case <-late:
			t.Fatal("the first use is not written")
		}
	}
	first := last()
	for range 100 {
		u.Touch(tenant, a.ID)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if n := h.db.Position().Index - before; n != 2 || last().Before(first) {
		t.Errorf("%d log entries, want the first use and what was left at the end; last used %v", n, last())
	}
}
