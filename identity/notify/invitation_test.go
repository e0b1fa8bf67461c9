package notify_test

import (
	"strings"
	"testing"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/notify"
	"github.com/quis-idp/quis/identity/notify/letter"
)

// TestInvitationIsMailed: to somebody who is no user, with the link as it is when it is sent,
// unless the invitation is gone by then.
func TestInvitationIsMailed(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, func(c *notify.Config) {
		c.Invitation = func(_ *fsm.Tx, ten identity.Tenant, id string) (notify.Invited, error) {
			if id == "inv_gone" {
				return notify.Invited{}, fsm.ErrNotFound
			}
			return notify.Invited{Name: "Grace", Locale: "de", Link: ten.Issuer + "/invite/SECRET", Until: time.Date(2026, 12, 5, 21, 30, 0, 0, time.UTC)}, nil
		}
	})
	h.connect()
	h.lead(0)
	invite := func(id string, what event.Type, data map[string]string) {
		h.happen(event.Event{Type: what, Target: event.Target{Kind: "invitation", ID: id, Name: "grace@example.org"}, Data: data})
	}
	mail := map[string]string{"mail": "yes"}
	invite("inv_shown", event.InvitationCreated, nil)
	invite("inv_1", event.InvitationCreated, mail)
	m := h.smtp.Wait(t, 1)[0]
	if m.To != "grace@example.org" || !strings.Contains(m.Text, "https://id.example.com/invite/SECRET") || !strings.Contains(m.Text, "bis 2026-12-05 21:30 UTC.") || !strings.Contains(m.Text, "Guten Tag Grace,") || strings.Contains(m.Text, "Ihres Kontos") {
		t.Errorf("to %s: %s", m.To, m.Text)
	}
	d := h.settled(notify.Done)[0]
	if d.Invitation != "inv_1" || d.UserID != "" || d.Letter != letter.Invitation {
		t.Errorf("%+v", d)
	}
	invite("inv_1", event.InvitationSent, mail)
	h.smtp.Wait(t, 2)
	invite("inv_gone", event.InvitationSent, mail)
	if d := h.settled(notify.Failed, notify.Done, notify.Done)[0]; d.Attempts != 1 || !strings.Contains(d.Status, "no longer there") {
		t.Errorf("%+v", d)
	}
}

// TestNothingIsLeftOfWhoIsDeleted: neither of a user nor of a tenant.
func TestNothingIsLeftOfWhoIsDeleted(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	h.connect()
	h.lead(0)
	signIn := func(agent string) {
		h.happen(event.Event{Type: event.SessionStarted, Target: event.Target{Kind: "session", ID: "ses_1"}, Data: map[string]string{"user_id": h.user.ID}, Request: identity.Request{IP: "192.0.2.1", UserAgent: agent}})
	}
	signIn("curl/8")
	signIn("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
	h.settled(notify.Done)
	h.update(func(tx *fsm.Tx) error { return notify.DeleteAllOf(tx, ten, h.user.ID) })
	signIn("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0") // the first one again: nothing new
	h.happen(event.Event{Type: event.FactorAdded})
	h.settled(notify.Done, notify.Done)
	h.update(func(tx *fsm.Tx) error { return notify.DeleteTenant(tx, ten) })
	h.settled()
	h.update(func(tx *fsm.Tx) error {
		state, err := h.rooms[0].State(tx, ten)
		if state != notify.StateNone {
			t.Errorf("state %s", state)
		}
		return err
	})
}
