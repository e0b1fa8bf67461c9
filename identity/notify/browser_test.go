package notify_test

import (
	"strings"
	"testing"
	"time"

	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/notify"
)

func TestOnlyNewBrowsersAreTold(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	h.connect()
	h.lead(0)
	signIn := func(ip, agent string) {
		h.happen(event.Event{
			Type: event.SessionStarted, Target: event.Target{Kind: "session", ID: identity.NewID("ses")}, Data: map[string]string{"user_id": h.user.ID},
			Request: identity.Request{IP: ip, UserAgent: agent},
		})
	}
	signIn("192.0.2.1", "Firefox/1 Linux") // the first of all
	signIn("192.0.2.1", "Firefox/2 Linux") // another version
	signIn("192.0.2.9", "Chrome/1 Windows")
	signIn("192.0.2.9", "Chrome/1 Windows")
	h.happen(event.Event{Type: event.PasswordSet}) // everything before it was heard
	h.settled(notify.Done, notify.Done)
	var got []string
	for _, m := range h.smtp.Mails() {
		got = append(got, m.Subject())
	}
	if len(got) != 2 || got[0] == got[1] {
		t.Errorf("sent %v", got)
	}
}

// The first sign-in that is remembered may be anybody's, if the account has been there for longer.
func TestFirstSignInIntoAnAccountThatWasThereIsTold(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	h.connect()
	h.Advance(48 * time.Hour)
	h.lead(0)
	h.happen(event.Event{
		Type: event.SessionStarted, Target: event.Target{Kind: "session", ID: identity.NewID("ses")}, Data: map[string]string{"user_id": h.user.ID},
		Request: identity.Request{IP: "192.0.2.1", UserAgent: "Firefox/1 Linux"},
	})
	h.settled(notify.Done)
	if got := h.smtp.Mails(); len(got) != 1 || !strings.Contains(got[0].Subject(), "sign-in") {
		t.Errorf("sent %d", len(got))
	}
}
