package registration_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/registration"
)

// guess tries a code for a box at a node, from one of many networks.
func (h *house) guess(node, network int, box, code string) error {
	ctx := identity.WithRequest(h.t.Context(), identity.Request{ID: "req", IP: fmt.Sprintf("2001:db8:0:%x::1", network)})
	_, err := h.desks[node].Prove(ctx, ten, box, code)
	return err
}

func wrong(b *registration.Begun) string {
	if b.Code == "000000" {
		return "000001"
	}
	return "000000"
}

// TestCodesOfAnAddressAreNotGuessed: however many codes are sent to it, through whatever networks and
// nodes they are guessed at, and whether or not it is somebody's already. The link is nobody's guess.
func TestCodesOfAnAddressAreNotGuessed(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3)
	for i, email := range []string{"bob@example.com", "ann@example.com"} {
		before, looked := h.Entries(), 0
		for network := range 20 {
			b := h.begin(email)
			for node := range h.desks {
				for range 5 {
					switch err := h.guess(node, 100*i+network, b.Box, wrong(b)); {
					case errors.Is(err, identity.ErrUnauthenticated):
						looked++
					case !errors.Is(err, identity.ErrLimited):
						t.Fatal(err)
					}
				}
			}
		}
		// Five at each node at once, and then one after a second, two, four …
		if looked < 15 || looked > 24 {
			t.Errorf("%s: %d of 300 guesses were looked at", email, looked)
		}
		if n := h.Entries() - before; n != 0 {
			t.Errorf("%d entries before they are written together", n)
		}
		b := h.begin(email)
		for node := range h.desks {
			if err := h.guess(node, 1000, b.Box, b.Code); limited(err) == 0 {
				t.Errorf("%s at node %d: the next code: %v", email, node, err)
			}
		}
	}
	b := h.begin("BOB@example.com")
	if err := h.guess(0, 1001, b.Box, b.Code); limited(err) == 0 {
		t.Errorf("another spelling: %v", err)
	}
	if err := h.guess(0, 1001, b.Box, b.Token); err != nil {
		t.Errorf("the link: %v", err)
	}
	other := h.begin("eve@example.com")
	if err := h.guess(0, 0, other.Box, other.Code); err != nil {
		t.Errorf("another address: %v", err)
	}
}

// TestNodesKnowOfGuesses: a node learns what the others have counted, and all of it is few events.
func TestNodesKnowOfGuesses(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2)
	b := h.begin("bob@example.com")
	for range 5 {
		if err := h.guess(0, 1, b.Box, wrong(b)); !errors.Is(err, identity.ErrUnauthenticated) {
			t.Fatal(err)
		}
	}
	if err := h.flows[0].Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := h.guess(1, 2, b.Box, b.Code); limited(err) == 0 {
		t.Errorf("the other node does not know: %v", err)
	}
	h.do(func(tx *fsm.Tx) error {
		events, _, err := event.List(tx, ten, event.Query{Type: string(event.SigninFailed)})
		if len(events) != 1 || events[0].Data["count"] != "5" || events[0].Data["reason"] != "wrong_registration_code" || events[0].Target != (event.Target{}) {
			t.Errorf("%+v", events)
		}
		return err
	})
}

// limited is for how many seconds err tells to wait.
func limited(err error) float64 {
	if e := (*identity.Error)(nil); errors.As(err, &e) && errors.Is(err, identity.ErrLimited) {
		return e.RetryAfter.Seconds()
	}
	return 0
}
