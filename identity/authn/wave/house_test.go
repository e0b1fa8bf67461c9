package wave_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/fsm/fsmtest"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/authn/wave"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/keys/seal"
	"github.com/quis-idp/quis/keys/seal/sealtest"
)

const ten = identity.DefaultTenant

// A house is a cluster with a watch at every node.
type house struct {
	*fsmtest.Cluster
	watch []*wave.Watch
}

func newHouse(t *testing.T, n int) *house {
	t.Helper()
	h := &house{Cluster: fsmtest.NewCluster(t, n, slices.Concat(wave.Tables, directory.Tables, event.Tables, seal.Tables)...)}
	rings := sealtest.Rings(t, h.DB...)
	h.update(t, directory.EnsureDefault)
	for i, db := range h.DB {
		h.watch = append(h.watch, wave.New(db, rings[i], nil))
	}
	// The state's time stands still while it is ahead of the clock: no test straddles two windows.
	now := h.DB[0].Now()
	h.Pass(t, now.Truncate(5*time.Minute).Add(10*time.Minute+time.Second).Sub(now))
	return h
}

func (h *house) update(t *testing.T, fn func(tx *fsm.Tx) error) {
	t.Helper()
	if err := h.DB[0].Update(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

func from(t *testing.T, ip string) context.Context {
	return identity.WithRequest(t.Context(), identity.Request{ID: "req", IP: ip})
}

// guess has a node see a guess that was wrong, in a flow of its own.
func (h *house) guess(t *testing.T, node int, ip, name, password string) {
	t.Helper()
	w := h.watch[node]
	w.Failed(w.Guess(from(t, ip), ten, name, name, password))
}

// wait is how long a node would have the next guess wait.
func (h *house) wait(t *testing.T, node int, ip, name, password string) time.Duration {
	t.Helper()
	w := h.watch[node]
	return w.Admit(w.Guess(from(t, ip), ten, name, name, password))
}

// settle has every node write what it counted, and read what all have.
func (h *house) settle(t *testing.T) {
	t.Helper()
	for i, w := range h.watch {
		b := w.Take()
		if b.Empty() {
			continue
		}
		if err := h.DB[i].Update(t.Context(), b.Write); err != nil {
			t.Fatal(err)
		}
		w.Written(b)
	}
	for _, w := range h.watch {
		if err := w.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func (h *house) events(t *testing.T, what event.Type) (page []event.Event) {
	t.Helper()
	err := h.DB[0].View(t.Context(), func(tx *fsm.Tx) (err error) {
		page, _, err = event.List(tx, ten, event.Query{Type: string(what), Limit: 100})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return page
}

// apart is an address in a neighbourhood of its own.
func apart(i int) string { return fmt.Sprintf("10.%d.%d.1", i/256, i%256) }
