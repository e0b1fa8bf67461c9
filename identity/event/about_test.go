package event_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/fsm/fsmtest"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/event"
)

func TestAbout(t *testing.T) {
	t.Parallel()
	c := fsmtest.NewCluster(t, 1, event.Tables...)
	db := c.DB[0]
	add := func(e event.Event) {
		t.Helper()
		if e.Tenant == "" {
			e.Tenant = "ten_1"
		}
		if err := db.Update(t.Context(), func(tx *fsm.Tx) error { return event.Append(tx, e) }); err != nil {
			t.Fatal(err)
		}
	}
	user := func(id string) event.Target { return event.Target{Kind: "user", ID: id} }
	add(event.Event{Type: event.PasswordSet, Target: user("usr_1")})
	add(event.Event{Type: event.UserUpdated, Target: user("usr_1"), Changes: []event.Change{{Field: "name", Before: "a", After: "b"}}})
	add(event.Event{Type: event.SessionStarted, Target: event.Target{Kind: "session", ID: "ses_1"}, Data: map[string]string{"user_id": "usr_1"}})
	add(event.Event{Type: event.ConsentGiven, Actor: identity.Actor{Kind: identity.ActorUser, ID: "usr_1"}, Target: event.Target{Kind: "application"}})
	for _, e := range []event.Event{
		{Type: event.PasswordSet, Target: user("usr_10")}, // no prefix of another's
		{Type: event.PasswordSet, Target: user("usr_1"), Tenant: "ten_2"},
		{Type: event.FamilyStarted, Data: map[string]string{"user_id": "usr_1"}},
		{Type: event.UserUpdated, Target: user("usr_2"), Actor: identity.Actor{Kind: identity.ActorUser, ID: "usr_1"}}, // what an administrator did
		{Type: event.KeyRetired},
	} {
		add(e)
	}
	var got []string
	after := ""
	for range 5 {
		var page []event.Event
		err := db.View(t.Context(), func(tx *fsm.Tx) (err error) {
			page, after, err = event.About(tx, "ten_1", "usr_1", after, 3)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page {
			got = append(got, string(e.Type))
			if e.Time.IsZero() || e.Tenant != "ten_1" || len(e.Changes) > 0 && (e.Changes[0].Before != "" || e.Changes[0].Field != "name") {
				t.Errorf("%+v", e)
			}
		}
		if after == "" {
			break
		}
	}
	if strings.Join(got, " ") != "consent.given session.started user.updated password.set" {
		t.Errorf("got %v", got)
	}
	err := db.View(t.Context(), func(tx *fsm.Tx) error {
		_, _, err := event.About(tx, "ten_1", "usr_1", "!", 3)
		return err
	})
	if !errors.Is(err, identity.ErrInvalid) {
		t.Errorf("a bad cursor: %v", err)
	}
	c.Advance(91 * 24 * time.Hour)
	add(event.Event{Type: event.KeyRetired})
	err = db.View(t.Context(), func(tx *fsm.Tx) error {
		page, _, err := event.About(tx, "ten_1", "usr_1", "", 3)
		if len(page) != 0 {
			t.Errorf("%d events are remembered for ever", len(page))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
