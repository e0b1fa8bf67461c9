package push_test

import (
	"bytes"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/notify/push"
	"github.com/quis-idp/quis/identity/notify/push/pushtest"
)

const year = 365 * 24 * time.Hour

// After a year all nodes have one other key. Browsers that know the old one are told with it until
// they have subscribed anew, which their pages see; after another year it is forgotten.
func TestTheKeyIsFollowed(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3)
	b, err := pushtest.NewBrowser()
	if err != nil {
		t.Fatal(err)
	}
	first := h.key(t, 0)
	for _, session := range []string{"ses_back", "ses_away", "ses_silent"} {
		s := h.made(t, b, session, session)
		if session == "ses_silent" { // of a release that did not ask for the key
			s.Key = nil
		}
		h.update(t, 0, func(tx *fsm.Tx) error {
			s := s
			s.Expires = tx.Now().Add(3 * year)
			return push.Subscribe(tx, s)
		})
	}
	h.Advance(year)
	h.service.Advance(year)
	h.update(t, 0, func(tx *fsm.Tx) error { return push.Prolong(tx, ten, alice, "ses_back", tx.Now().Add(2*year)) })
	h.SetLeader(false) // all nodes know how late it is
	if !bytes.Equal(h.key(t, 1), first) {
		t.Error("without a leader there is another key")
	}
	h.SetLeader(true)
	h.older.Store(true)
	if !bytes.Equal(h.key(t, 1), first) {
		t.Error("there is another key before all members know that there can be two")
	}
	h.older.Store(false)
	if mark, told := h.mark(t, "ses_back"); mark != "" || !told {
		t.Errorf("a key that is due: mark %q, to be told: %v", mark, told)
	}
	second := h.raced(t)
	if bytes.Equal(first, second) {
		t.Fatal("the key is the same after a year")
	}

	told := func(session string) []byte {
		t.Helper()
		h.rooms[2].Tell(ten, alice, []string{session})
		m := h.arrived(t)
		if _, err := b.Read(m.Body); err != nil || m.Path != "/"+session {
			t.Errorf("%s: %s, %v", session, m.Path, err)
		}
		return m.Key
	}
	for _, session := range []string{"ses_back", "ses_away", "ses_silent"} {
		if mark, wanted := h.mark(t, session); !bytes.Equal(told(session), first) || mark != "" || !wanted {
			t.Errorf("%s: told with the new key, or has mark %q", session, mark)
		}
	}
	s := h.made(t, b, "ses_back", "ses_back")
	if err := h.follow(t, 1, s); err != nil {
		t.Fatal(err)
	}
	if mark, _ := h.mark(t, "ses_back"); mark != markOf(s) || !bytes.Equal(told("ses_back"), second) {
		t.Errorf("mark %q after subscribing anew", mark)
	}

	h.Advance(year)
	h.service.Advance(year)
	h.update(t, 0, func(tx *fsm.Tx) error { return push.Prolong(tx, ten, alice, "ses_back", tx.Now().Add(year)) })
	h.raced(t)
	if !bytes.Equal(told("ses_back"), second) {
		t.Error("a key is forgotten within its year")
	}
	h.rooms[0].Tell(ten, alice, []string{"ses_away", "ses_silent"})
	until(t, func() bool { return h.results(t, "gone") == 2 && slices.Equal(h.sessions(t, 1), []string{"ses_back"}) })
}

// raced is the one key that all nodes have that are asked at once.
func (h *house) raced(t *testing.T) []byte {
	t.Helper()
	got := make([][]byte, 12)
	var all sync.WaitGroup
	for i := range got {
		all.Go(func() {
			key, err := h.rooms[i%3].Key(t.Context())
			if err != nil {
				t.Error(err)
			}
			got[i] = key
		})
	}
	all.Wait()
	for _, key := range got {
		if len(key) != 65 || !bytes.Equal(key, got[0]) {
			t.Errorf("%x and %x", key, got[0])
		}
	}
	return got[0]
}
