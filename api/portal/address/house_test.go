package address

import (
	"context"
	"errors"
	"log/slog"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quis-idp/quis/api"
	"github.com/quis-idp/quis/api/login"
	"github.com/quis-idp/quis/api/metrics"
	"github.com/quis-idp/quis/api/page/pagetest"
	"github.com/quis-idp/quis/api/portal"
	"github.com/quis-idp/quis/federation/oidc/family"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/fsm/fsmtest"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/authn"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/credential/passkey"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/notify"
	"github.com/quis-idp/quis/identity/notify/post"
	"github.com/quis-idp/quis/identity/pending"
	"github.com/quis-idp/quis/identity/session"
	"github.com/quis-idp/quis/identity/settings"
	"github.com/quis-idp/quis/keys/seal"
)

const (
	publicURL = "http://localhost:8080"
	ten       = identity.DefaultTenant
	secret    = "correct horse battery"
)

// house is a running front door with the portal and these pages behind it, and two users, ada
// and grace, with addresses that were proved.
type house struct {
	t     *testing.T
	log   *fsmtest.Cluster
	db    *fsm.DB
	users map[string]string // name to ID
	url   string
	mail  chan *post.Message
	mute  bool // no mail is sent
}

func newHouse(t *testing.T, mute bool) *house {
	t.Helper()
	h := &house{t: t, users: map[string]string{}, mail: make(chan *post.Message, 100), mute: mute}
	h.log = fsmtest.NewCluster(t, 1, slices.Concat(seal.Tables, event.Tables, directory.Tables, credential.Tables, session.Tables, authn.Tables, family.Tables,
		settings.Tables, passkey.Tables, pending.Tables, notify.Tables)...)
	h.db = h.log.DB[0]
	root := seal.GenerateRootKey()
	h.update(func(tx *fsm.Tx) error { return errors.Join(seal.Init(tx, root), directory.EnsureDefault(tx)) })
	ring, err := seal.OpenRing(t.Context(), h.db, root)
	if err != nil {
		t.Fatal(err)
	}
	pool := credential.NewPool(credential.Config{Params: credential.Params{Memory: 64, Time: 1, Threads: 1}}, nil)
	phc, err := pool.Hash(t.Context(), secret)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ada", "grace"} {
		h.update(func(tx *fsm.Tx) error {
			u, err := directory.CreateUser(tx, ten, directory.User{Username: name, Name: name, Email: name + "@example.com", EmailVerified: true})
			if err != nil {
				return err
			}
			h.users[name] = u.ID
			return credential.SetPassword(tx, ten, u.ID, phc)
		})
	}
	h.open(ring, pool)
	return h
}

func (h *house) open(ring *seal.Ring, pool *credential.Pool) {
	h.t.Helper()
	sessions := session.NewStore(session.Config{DB: h.db, Ring: ring})
	flows := authn.New(authn.Config{DB: h.db, Ring: ring, Sessions: sessions, CheckPassword: func(ctx context.Context, tenant, user, password string) error {
		return credential.CheckPassword(ctx, h.db, pool, tenant, user, password)
	}})
	cfg := notify.Config{
		DB: h.db, Ring: ring, Carrier: &post.Carrier{}, Logger: slog.New(slog.DiscardHandler),
		Tenant: func(_ *fsm.Tx, id string) (identity.Tenant, error) {
			return identity.Tenant{ID: id, Issuer: publicURL}, nil
		},
	}
	if !h.mute {
		cfg.Inbox = func(_ string, m *post.Message) error { h.mail <- m; return nil }
	}
	room := notify.New(cfg)
	ctx, stop := context.WithCancel(h.t.Context())
	done := make(chan error)
	go func() { done <- room.Run(ctx) }()
	h.t.Cleanup(func() { stop(); <-done })
	pages := portal.New(portal.Config{DB: h.db, Sessions: sessions, Flows: flows, Pool: pool, SessionCookie: login.SessionCookie}, New(Config{
		DB: h.db, Mail: room, Modern: func(context.Context) error { return nil },
		Alarm: func(t identity.Tenant, user, _ string) (string, error) {
			return t.Issuer + "/account/not-me?token=" + user, nil
		},
	}))
	signIn := login.New(login.Config{DB: h.db, Sessions: sessions, Flows: flows, Pool: pool})
	door, err := api.New(api.Config{PublicURL: publicURL, DB: h.db, Rooms: []api.Room{signIn, pages}, Metrics: metrics.New("test", "none")})
	if err != nil {
		h.t.Fatal(err)
	}
	s := httptest.NewServer(door.Public)
	h.t.Cleanup(s.Close)
	h.url = s.URL
}

func (h *house) update(fn func(tx *fsm.Tx) error) {
	h.t.Helper()
	if err := h.db.Update(h.t.Context(), fn); err != nil {
		h.t.Fatal(err)
	}
}

// pass lets time go by.
func (h *house) pass(d time.Duration) {
	h.log.Advance(d)
	h.update(func(tx *fsm.Tx) error { return event.Append(tx, event.Event{Type: event.KeyRetired}) })
}

func (h *house) user(name string) (u *directory.User) {
	h.t.Helper()
	err := h.db.View(h.t.Context(), func(tx *fsm.Tx) (err error) {
		u, _, err = directory.GetUser(tx, ten, h.users[name])
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return u
}

// enter returns a browser without JavaScript in which somebody is signed in.
func (h *house) enter(name string) *pagetest.Browser {
	h.t.Helper()
	b := pagetest.NewBrowser(h.t, h.url)
	b.SignIn(b.Get("/account"), "", name, secret)
	return b
}

// letters waits for so many mails and returns them by address.
func (h *house) letters(n int) map[string]*post.Message {
	h.t.Helper()
	all := map[string]*post.Message{}
	for range n {
		select {
		case m := <-h.mail:
			all[m.To.Mailbox] = m
		case <-time.After(10 * time.Second):
			h.t.Fatalf("%d mails, want %d", len(all), n)
		}
	}
	return all
}

// linkOf is the path of the link in a letter.
func linkOf(t *testing.T, m *post.Message) string {
	t.Helper()
	_, rest, ok := strings.Cut(m.Text, "\n"+publicURL+confirmPath)
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
