package session_test

import (
	"testing"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/notify/push"
	"github.com/quis-idp/quis/identity/session"
)

// What tells a browser lasts as long as its session: it goes when that is ended, lives on when
// the person proves again who they are, and expires with it.
func TestPushSubscriptionsGoWithTheSession(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2, session.Config{})
	first, _ := h.start(t, 0, h.user.ID)
	second, _ := h.start(t, 1, h.user.ID)
	for _, s := range []session.Session{first, second} {
		h.update(t, 0, func(tx *fsm.Tx) error {
			return push.Subscribe(tx, push.Subscription{Tenant: ten, UserID: s.UserID, Session: s.ID, Endpoint: "https://push.example.com/x", Expires: s.Expires})
		})
	}
	subscribed := func() (all []push.Subscription) {
		t.Helper()
		if _, err := h.DB[0].Purge(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.update(t, 1, func(tx *fsm.Tx) (err error) {
			all, err = push.Of(tx, ten, h.user.ID)
			return err
		})
		return all
	}
	h.update(t, 1, func(tx *fsm.Tx) error { return session.End(tx, ten, first.ID) })
	if all := subscribed(); len(all) != 1 || all[0].Session != second.ID {
		t.Fatalf("after the end of the first: %+v", all)
	}
	h.Pass(t, 11*time.Hour)
	var renewed *session.Started
	h.update(t, 0, func(tx *fsm.Tx) (err error) {
		renewed, err = h.stores[0].Renew(tx, second.ID, session.Session{Tenant: ten, UserID: second.UserID, AMR: []string{"pwd"}})
		return err
	})
	h.Pass(t, 2*time.Hour) // longer than it would have lasted
	if all := subscribed(); len(all) != 1 || !all[0].Expires.Equal(renewed.Session.Expires) {
		t.Fatalf("after being renewed until %s: %+v", renewed.Session.Expires, all)
	}
	h.Pass(t, 11*time.Hour)
	if all := subscribed(); len(all) != 0 {
		t.Errorf("after its time: %+v", all)
	}
}
