package notify_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/notify"
	"github.com/quis-idp/quis/identity/notify/letter"
	"github.com/quis-idp/quis/identity/notify/post/posttest"
)

func TestDirectMessagesCostNoEntry(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	h.connect()
	h.run(0)
	before := h.Entries()
	h.smtp.Set(func(r *posttest.Rules) { r.Answer = refusing("RCPT", "451 4.7.1 greylisted", 1) })
	h.rooms[0].Send(t.Context(), ten, notify.Message{Letter: letter.SignInCode, To: "ada@example.org", Data: letter.Data{Code: "123456", Minutes: 10}})
	m := h.smtp.Wait(t, 1)[0]
	if !strings.Contains(m.Text, "123456") || strings.Contains(m.Subject(), "123456") || !strings.Contains(m.Text, "10 minutes") {
		t.Errorf("%s\n%s", m.Subject(), m.Text)
	}
	if n := h.Entries() - before; n != 0 {
		t.Errorf("%d log entries", n)
	}
}

// TestDirectMessagesAreBounded: by address, by network, and by what waits; nobody is held up. Strangers do
// not use up what a browser has that the person has signed in from, or who has proved the rest.
func TestDirectMessagesAreBounded(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	h.connect()
	h.run(0)
	hand := func(ip string, m notify.Message) {
		ctx := identity.WithRequest(t.Context(), identity.Request{IP: ip})
		m.Letter, m.Data.Code = letter.SignInCode, "1"
		h.rooms[0].Send(ctx, ten, m)
	}
	send := func(to, ip, browser string) { hand(ip, notify.Message{To: to, Browser: browser}) }
	for n := range 50 {
		send("ADA@example.org", fmt.Sprintf("192.0.2.%d", n), "") // one address, many networks
		send(fmt.Sprintf("p%d@example.org", n), "198.51.100.1", "")
		send("", "203.0.113.1", "")
		send("no address", "203.0.113.1", "")
	}
	for n := range 13 {
		send("ada@example.org", fmt.Sprintf("192.0.3.%d", n), "hers")
		hand(fmt.Sprintf("192.0.5.%d", n), notify.Message{To: "ada@example.org", Proved: true}) // as many as all strangers
		hand("192.0.6.1", notify.Message{To: "bob@example.org", Proved: true})
		send("bob@example.org", "192.0.4.1", "") // one network: the rest of his is left to others
	}
	send("bob@example.org", "192.0.4.2", "")
	send("last@example.org", "203.0.113.1", "")
	h.smtp.Wait(t, 12+20+4+12+4+4+1+1)
	free := make(chan struct{})
	h.smtp.Set(func(r *posttest.Rules) { r.Stall = func(string) <-chan struct{} { return free } })
	began := time.Now()
	for n := range 20_000 {
		send(fmt.Sprintf("q%d@example.org", n), "203.0.113.1", "")
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("handing over took %s", took)
	}
	close(free)
	if n := len(h.smtp.Mails()); n > 58+20 {
		t.Errorf("%d mails", n)
	}
}
