package notify_test

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/fsm/fsmtest"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/notify"
	"github.com/quis-idp/quis/identity/notify/post"
	"github.com/quis-idp/quis/identity/notify/post/posttest"
	"github.com/quis-idp/quis/identity/settings"
	"github.com/quis-idp/quis/keys/seal"
	"github.com/quis-idp/quis/keys/seal/sealtest"
)

const ten = identity.DefaultTenant

// A house is a few nodes over one log, with a user and a mail server.
type house struct {
	*fsmtest.Cluster
	t     *testing.T
	user  *directory.User
	smtp  *posttest.Server
	ring  *seal.Ring
	rooms []*notify.Room
}

func newHouse(t *testing.T, nodes int, change ...func(*notify.Config)) *house {
	t.Helper()
	h := &house{t: t, smtp: posttest.New(t, posttest.Rules{})}
	h.Cluster = fsmtest.NewCluster(t, nodes, slices.Concat(seal.Tables, event.Tables, directory.Tables, settings.Tables, notify.Tables, credential.Tables)...)
	rings := sealtest.Rings(t, h.DB...)
	h.ring = rings[0]
	h.update(func(tx *fsm.Tx) (err error) {
		if err := directory.EnsureDefault(tx); err != nil {
			return err
		}
		h.user, err = directory.CreateUser(tx, ten, directory.User{Username: "ada", Name: "Ada Lovelace", Email: "ada@example.org"})
		return err
	})
	for i, db := range h.DB {
		ring := rings[i]
		cfg := notify.Config{
			DB: db, Ring: ring, Carrier: &post.Carrier{Dial: posttest.Dial, Roots: h.smtp.Roots}, Logger: slog.New(slog.DiscardHandler),
			Tenant: func(_ *fsm.Tx, id string) (identity.Tenant, error) {
				return identity.Tenant{ID: id, Issuer: "https://id.example.com"}, nil
			},
			Pause: func(int) time.Duration { return time.Millisecond }, Retry: func(int) time.Duration { return time.Millisecond },
		}
		for _, f := range change {
			f(&cfg)
		}
		h.rooms = append(h.rooms, notify.New(cfg))
	}
	h.update(func(tx *fsm.Tx) error { return event.SkipToEnd(tx, "mail") })
	return h
}

func (h *house) update(fn func(tx *fsm.Tx) error) {
	h.t.Helper()
	if err := h.DB[0].Update(h.t.Context(), fn); err != nil {
		h.t.Fatal(err)
	}
}

// connect sets the mail server of the house.
func (h *house) connect() {
	h.t.Helper()
	h.update(func(tx *fsm.Tx) error {
		_, err := notify.PutSettings(tx, h.ring, notify.Settings{Tenant: ten, Host: h.smtp.Host, Port: h.smtp.Port, TLS: post.TLSMandatory, From: "noreply@example.com"}, nil, 0)
		return err
	})
}

// happen writes an event of the user.
func (h *house) happen(e event.Event) {
	h.t.Helper()
	if e.Target.Kind == "" {
		e.Target = event.Target{Kind: "user", ID: h.user.ID}
	}
	e.Tenant = ten
	h.update(func(tx *fsm.Tx) error { return event.Append(tx, e) })
}

// lead runs the duties on node i until the test ends or stop is called.
func (h *house) lead(i int) (stop func()) {
	ctx, cancel := context.WithCancel(fsm.FencedBy(h.t.Context(), h.Term()))
	var all sync.WaitGroup
	for _, duty := range []func(context.Context) error{h.rooms[i].Read, h.rooms[i].Deliver} {
		all.Go(func() {
			for ctx.Err() == nil {
				if err := duty(ctx); err != nil && ctx.Err() == nil {
					h.t.Logf("duty: %v", err)
				}
			}
		})
	}
	stop = sync.OnceFunc(func() { cancel(); all.Wait() })
	h.t.Cleanup(stop)
	return stop
}

// run sends what node i was given directly.
func (h *house) run(i int) {
	ctx, cancel := context.WithCancel(h.t.Context())
	done := make(chan error)
	go func() { done <- h.rooms[i].Run(ctx) }()
	h.t.Cleanup(func() { cancel(); <-done })
}

// settled waits until the deliveries are in the given states, newest first.
func (h *house) settled(states ...string) []notify.Delivery {
	h.t.Helper()
	late := time.After(10 * time.Second)
	for {
		changed := h.DB[0].Changed()
		var page []notify.Delivery
		err := h.DB[0].View(h.t.Context(), func(tx *fsm.Tx) (err error) {
			page, _, err = notify.ListDeliveries(tx, ten, "", "", 0)
			return err
		})
		if err != nil {
			h.t.Fatal(err)
		}
		var have []string
		for _, d := range page {
			have = append(have, d.State)
		}
		if slices.Equal(have, states) {
			return page
		}
		select {
		case <-changed:
		case <-late:
			h.t.Fatalf("deliveries %+v, want %v", page, states)
		}
	}
}
