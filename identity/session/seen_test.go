package session_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/session"
)

func TestLastSeenIsOneEntryForAll(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2, session.Config{})
	var cookies []string
	for range 20 {
		_, c := h.start(t, 0, h.user.ID)
		cookies = append(cookies, c)
	}
	ended, _ := h.start(t, 0, h.user.ID)
	h.stores[0].Touch(ten, ended.ID)
	h.update(t, 0, func(tx *fsm.Tx) error { return session.End(tx, ten, ended.ID) })
	before := h.Entries()
	seen := time.Now().Truncate(time.Millisecond)
	for range 5 {
		for _, c := range cookies {
			h.find(t, 0, c, nil)
		}
	}
	if got := h.Entries() - before; got != 0 {
		t.Errorf("finding cost %d entries", got)
	}
	if err := h.stores[0].FlushSeen(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := h.Entries() - before; got != 1 {
		t.Errorf("flush took %d entries, want 1", got)
	}
	if err := h.stores[0].FlushSeen(t.Context()); err != nil || h.Entries() != before+1 {
		t.Errorf("flush of nothing wrote something: %v", err)
	}
	err := h.DB[1].View(t.Context(), func(tx *fsm.Tx) error {
		all, err := h.stores[1].ListOf(tx, ten, h.user.ID)
		for _, s := range all {
			if s.LastSeen.Before(seen) {
				t.Errorf("%s last seen %v at the other node, want %v", s.ID, s.LastSeen, seen)
			}
		}
		if len(all) != 20 {
			t.Errorf("%d sessions, want 20", len(all))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestSeenSurvivesAnOutage(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, session.Config{})
	s, _ := h.start(t, 0, h.user.ID)
	h.stores[0].Touch(ten, s.ID)
	h.SetLeader(false)
	if err := h.stores[0].FlushSeen(t.Context()); !errors.Is(err, fsm.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	h.SetLeader(true)
	before := h.Entries()
	if err := h.stores[0].FlushSeen(t.Context()); err != nil || h.Entries() != before+1 {
		t.Errorf("what was seen in the outage is lost: %v", err)
	}
}

func TestRunFlushesAtItsEnd(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, session.Config{})
	s, _ := h.start(t, 0, h.user.ID)
	h.stores[0].Touch(ten, s.ID)
	before := h.Entries()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := h.stores[0].Run(ctx); err != nil {
		t.Fatal(err)
	}
	if h.Entries() != before+1 {
		t.Error("nothing was written at the end")
	}
}

func TestRunFlushesAndCounts(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	h := newHouse(t, 1, session.Config{Flush: time.Millisecond, Registerer: reg})
	s, _ := h.start(t, 0, h.user.ID)
	h.start(t, 0, h.user.ID)
	h.stores[0].Touch(ten, s.ID)
	before := h.Entries()
	changed := h.DB[0].Changed()
	ended := make(chan error)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { ended <- h.stores[0].Run(ctx) }()
	<-changed // it has counted before it writes for the first time
	cancel()
	if err := <-ended; err != nil || h.Entries() == before {
		t.Errorf("ended with %v after %d entries", err, h.Entries()-before)
	}
	all, err := reg.Gather()
	if err != nil || len(all) != 1 || all[0].GetName() != "quis_sessions_active" || all[0].Metric[0].Gauge.GetValue() != 2 {
		t.Errorf("got %v, %v", all, err)
	}
}
