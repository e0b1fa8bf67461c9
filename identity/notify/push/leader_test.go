package push_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/language"
	"github.com/quis-idp/quis/identity/notify/push"
	"github.com/quis-idp/quis/identity/notify/push/pushtest"
)

// dies has the cluster lose its leader; elected gives it another.
func (h *house) dies() { h.SetLeader(false) }

func (h *house) elected() {
	h.NewTerm()
	h.SetLeader(true)
}

// A leader that dies while a browser subscribes leaves nothing or a subscription, and the browser
// that says it again, at whatever node, has one.
func TestTheLeaderDiesWhileABrowserSubscribes(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3)
	b, err := pushtest.NewBrowser()
	if err != nil {
		t.Fatal(err)
	}
	first, next := h.made(t, b, "ses_1", "first"), h.made(t, b, "ses_1", "next")
	subscribe := func(node int) error {
		return h.DB[node].Update(t.Context(), func(tx *fsm.Tx) error {
			s := first
			s.Expires = tx.Now().Add(time.Hour)
			return push.Subscribe(tx, s)
		})
	}
	for i, say := range []func(node int) error{subscribe, func(node int) error { return h.follow(t, node, next) }} {
		want, before := []string{"", markOf(first), markOf(next)}[i:], h.Entries()
		h.dies()
		if err := say(2); !errors.Is(err, fsm.ErrUnavailable) {
			t.Errorf("without a leader: %v", err)
		}
		h.elected()
		if mark, _ := h.mark(t, "ses_1"); mark != want[0] {
			t.Errorf("refused, and the mark is %q", mark)
		}
		h.LoseAnswers(1)
		if err := say(1); !errors.Is(err, fsm.ErrUnknown) {
			t.Errorf("the answer is lost: %v", err)
		}
		h.NewTerm()
		if err := say(0); err != nil {
			t.Error(err)
		}
		if mark, _ := h.mark(t, "ses_1"); mark != want[1] || !slices.Equal(h.sessions(t, 1), []string{"ses_1"}) {
			t.Errorf("mark %q of %v", mark, h.sessions(t, 1))
		}
		if n := h.Entries() - before; n > 2 {
			t.Errorf("%d entries", n)
		}
	}
}

// While a sign-in waits, nobody needs a leader to be told of it; and what is found to be gone
// meanwhile is given up by the next message.
func TestTheLeaderDiesWhileAnApprovalWaits(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3)
	h.subscribe(t, "ses_1", language.Source)
	h.dies()
	for node := range h.rooms {
		h.rooms[node].Tell(ten, alice, []string{"ses_1"})
		if m := h.arrived(t); m.Path != "/ses_1" {
			t.Errorf("node %d: %s", node, m.Path)
		}
	}
	h.service.Answer("/ses_1", 410)
	h.rooms[0].Tell(ten, alice, []string{"ses_1"})
	h.arrived(t)
	until(t, func() bool { return strings.Contains(h.log.said(), "push subscription not given up") })
	h.elected()
	if got := h.sessions(t, 2); !slices.Equal(got, []string{"ses_1"}) {
		t.Errorf("given up without a leader: %v", got)
	}
	h.rooms[1].Tell(ten, alice, []string{"ses_1"})
	until(t, func() bool { return len(h.sessions(t, 2)) == 0 })
	if mark, told := h.mark(t, "ses_1"); mark != "" || !told {
		t.Errorf("mark %q, to be told: %v", mark, told)
	}
}

// A leader that dies while a key is made leaves browsers the old one, whether or not there is another
// now; who subscribes with the old one meanwhile is told with it, and asked to subscribe anew.
func TestTheLeaderDiesWhileAKeyIsMade(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3)
	first := h.key(t, 0)
	h.Advance(year)
	h.service.Advance(year)
	h.update(t, 0, func(tx *fsm.Tx) error { return push.Subscribe(tx, anyone(tx)) }) // all nodes know how late it is
	h.LoseAnswers(1)
	if key := h.key(t, 1); !bytes.Equal(key, first) {
		t.Errorf("the answer is lost: %x", key)
	}
	h.elected()
	second := h.raced(t)
	if bytes.Equal(second, first) {
		t.Error("there is no other key")
	}
	b, err := pushtest.NewBrowser()
	if err != nil {
		t.Fatal(err)
	}
	s := h.made(t, b, "ses_1", "ses_1")
	s.Key = first
	h.update(t, 1, func(tx *fsm.Tx) error {
		s := s
		s.Expires = tx.Now().Add(time.Hour)
		return push.Subscribe(tx, s)
	})
	h.rooms[2].Tell(ten, alice, []string{"ses_1"})
	if m := h.arrived(t); !bytes.Equal(m.Key, first) {
		t.Errorf("told with %x", m.Key)
	}
	if mark, told := h.mark(t, "ses_1"); mark != "" || !told {
		t.Errorf("mark %q, to be told: %v", mark, told)
	}
}

// anyone is a subscription that nobody is told with.
func anyone(tx *fsm.Tx) push.Subscription {
	return push.Subscription{Tenant: ten, UserID: "usr_bob", Session: "ses_bob", Endpoint: "https://push.example.com/x", Expires: tx.Now().Add(time.Hour)}
}
