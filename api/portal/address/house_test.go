package address

import (
	"context"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quis-idp/quis/api/login"
	"github.com/quis-idp/quis/api/page/pagetest"
	"github.com/quis-idp/quis/api/portal/portaltest"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/notify"
	"github.com/quis-idp/quis/identity/notify/post"
	"github.com/quis-idp/quis/identity/pending"
)

const ten = identity.DefaultTenant

// house is a house with these pages, and two users, ada and grace, with addresses that were
// proved.
type house struct {
	*portaltest.House
	mail chan *post.Message
	mute bool // no mail is sent
}

func newHouse(t *testing.T, mute bool) *house {
	t.Helper()
	h := &house{House: portaltest.New(t, slices.Concat(pending.Tables, notify.Tables)...), mail: make(chan *post.Message, 100), mute: mute}
	for _, name := range []string{"ada", "grace"} {
		h.Person(directory.User{Username: name, Name: name, Email: name + "@example.com", EmailVerified: true}, true)
	}
	h.open()
	return h
}

func (h *house) open() {
	h.T.Helper()
	cfg := notify.Config{
		DB: h.DB, Ring: h.Ring, Carrier: &post.Carrier{}, Logger: slog.New(slog.DiscardHandler),
		Tenant: func(_ *fsm.Tx, id string) (identity.Tenant, error) {
			return identity.Tenant{ID: id, Issuer: portaltest.PublicURL}, nil
		},
	}
	if !h.mute {
		cfg.Inbox = func(_ string, m *post.Message) error { h.mail <- m; return nil }
	}
	room := notify.New(cfg)
	ctx, stop := context.WithCancel(h.T.Context())
	done := make(chan error)
	go func() { done <- room.Run(ctx) }()
	h.T.Cleanup(func() { stop(); <-done })
	h.Open(h.Login(login.Config{}), h.Portal(New(Config{
		DB: h.DB, Mail: room, Modern: func(context.Context) error { return nil },
		Alarm: func(t identity.Tenant, user, _ string) (string, error) {
			return t.Issuer + "/account/not-me?token=" + user, nil
		},
	})))
}

func (h *house) user(name string) (u *directory.User) {
	h.T.Helper()
	err := h.DB.View(h.T.Context(), func(tx *fsm.Tx) (err error) {
		u, _, err = directory.GetUser(tx, ten, h.Users[name])
		return err
	})
	if err != nil {
		h.T.Fatal(err)
	}
	return u
}

// enter returns a browser without JavaScript in which somebody is signed in.
func (h *house) enter(name string) *pagetest.Browser {
	h.T.Helper()
	b := pagetest.NewBrowser(h.T, h.URL)
	b.SignIn(b.Get("/account"), "", name, portaltest.Password)
	return b
}

// letters waits for so many mails and returns them by address.
func (h *house) letters(n int) map[string]*post.Message {
	h.T.Helper()
	all := map[string]*post.Message{}
	for range n {
		select {
		case m := <-h.mail:
			all[m.To.Mailbox] = m
		case <-time.After(10 * time.Second):
			h.T.Fatalf("%d mails, want %d", len(all), n)
		}
	}
	return all
}

// linkOf is the path of the link in a letter.
func linkOf(t *testing.T, m *post.Message) string {
	t.Helper()
	_, rest, ok := strings.Cut(m.Text, "\n"+portaltest.PublicURL+confirmPath)
	link, _, _ := strings.Cut(rest, "\n")
	if !ok {
		t.Fatalf("no link: %s", m.Text)
	}
	return confirmPath + link
}

// follow opens a link and presses its button.
func follow(t *testing.T, b *pagetest.Browser, link string) pagetest.Answer {
	t.Helper()
	a := b.Get(link).Want(t, 200, "Yes, confirm")
	return b.Post(confirmPath, url.Values{"token": a.Hidden("token")})
}
