package push_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"testing"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/notify/push"
)

// mark is what the page of a session of alice's says, at the last node.
func (h *house) mark(t *testing.T, session string) (mark string, told bool) {
	t.Helper()
	err := h.DB[len(h.DB)-1].Read(t.Context(), func(tx *fsm.Tx) (err error) {
		mark, told, err = push.Mark(tx, ten, alice, session)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return mark, told
}

// follow is what the browser of a session of alice's says by itself.
func (h *house) follow(t *testing.T, node int, s push.Subscription) error {
	return h.DB[node].Update(t.Context(), func(tx *fsm.Tx) error {
		s := s
		s.Expires = tx.Now().Add(1000 * 24 * time.Hour)
		return push.Follow(tx, s)
	})
}

func markOf(s push.Subscription) string {
	sum := sha256.Sum256([]byte(s.Endpoint))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// What a browser has now stands in the place of what it had, in the language of before, also
// when its push service has said meanwhile that the old one is gone.
func TestFollow(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2)
	b := h.subscribe(t, "ses_1", "de")
	old, next := h.made(t, b, "ses_1", "ses_1"), h.made(t, b, "ses_1", "next")
	if mark, told := h.mark(t, "ses_1"); mark != markOf(old) || !told {
		t.Errorf("mark %q, to be told: %v", mark, told)
	}
	before := h.Entries()
	if err := h.follow(t, 1, old); err != nil || h.Entries() != before {
		t.Errorf("saying the same costs %d entries: %v", h.Entries()-before, err)
	}
	h.service.Answer("/ses_1", 410)
	h.rooms[0].Tell(ten, alice, []string{"ses_1"})
	until(t, func() bool { return len(h.sessions(t, 1)) == 0 })
	h.arrived(t)
	before = h.Entries()
	if err := h.follow(t, 1, old); !errors.Is(err, push.ErrGone) || h.Entries() != before || len(h.sessions(t, 0)) > 0 {
		t.Errorf("what is gone is kept again: %v, %d entries", err, h.Entries()-before)
	}
	if err := h.follow(t, 1, next); err != nil {
		t.Fatal(err)
	}
	if mark, _ := h.mark(t, "ses_1"); mark != markOf(next) {
		t.Errorf("mark %q", mark)
	}
	h.rooms[1].Tell(ten, alice, []string{"ses_1"})
	m := h.arrived(t)
	if plain, err := b.Read(m.Body); err != nil || m.Path != "/next" || !bytes.Contains(plain, []byte("Jemand")) {
		t.Errorf("%s: %s, %v", m.Path, plain, err)
	}
	if err := h.follow(t, 0, h.made(t, b, "ses_2", "x")); !errors.Is(err, fsm.ErrNotFound) {
		t.Errorf("a session that asked for nothing: %v", err)
	}
	h.update(t, 0, func(tx *fsm.Tx) error { return push.Forget(tx, ten, alice, "ses_1") })
	if err := h.follow(t, 1, next); !errors.Is(err, fsm.ErrNotFound) {
		t.Errorf("after it was switched off: %v", err)
	}
}
