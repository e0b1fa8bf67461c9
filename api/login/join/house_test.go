package join

import (
	"context"
	"errors"
	"log/slog"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/quis-idp/quis/api"
	"github.com/quis-idp/quis/api/login"
	"github.com/quis-idp/quis/api/metrics"
	"github.com/quis-idp/quis/api/page/pagetest"
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
	"github.com/quis-idp/quis/keys/seal/sealtest"
)

const (
	publicURL = "http://localhost:8080"
	ten       = identity.DefaultTenant
	secret    = "correct horse battery"
	strangers = 4 // see authn.Config
)

// house is running front doors, one for each node, with these pages and those of sign-in, and
// one user, ada@example.com.
type house struct {
	t     *testing.T
	log   *fsmtest.Cluster
	rings []*seal.Ring
	urls  []string
	flows []*authn.Flows
	pools []*prometheus.Registry
	mail  chan *post.Message
}

func newHouse(t *testing.T, nodes int) *house {
	t.Helper()
	h := &house{t: t, mail: make(chan *post.Message, 100)}
	h.log = fsmtest.NewCluster(t, nodes, slices.Concat(seal.Tables, event.Tables, directory.Tables, credential.Tables, session.Tables, authn.Tables,
		settings.Tables, passkey.Tables, pending.Tables, notify.Tables)...)
	h.rings = sealtest.Rings(t, h.log.DB...)
	h.update(func(tx *fsm.Tx) error {
		if err := directory.EnsureDefault(tx); err != nil {
			return err
		}
		_, err := directory.CreateUser(tx, ten, directory.User{Username: "ada", Email: "ada@example.com"})
		return err
	})
	for i, db := range h.log.DB {
		h.open(db, h.rings[i])
	}
	return h
}

// open is one node.
func (h *house) open(db *fsm.DB, ring *seal.Ring) {
	h.t.Helper()
	counted := prometheus.NewRegistry()
	pool := credential.NewPool(credential.Config{Params: credential.Params{Memory: 64, Time: 1, Threads: 1}}, counted)
	sessions := session.NewStore(session.Config{DB: db, Ring: ring})
	flows := authn.New(authn.Config{DB: db, Ring: ring, Sessions: sessions, Strangers: strangers, SendMail: func(context.Context, authn.Letter) {},
		CheckPassword: func(ctx context.Context, tenant, user, password string) error {
			return credential.CheckPassword(ctx, db, pool, tenant, user, password)
		}})
	room := notify.New(notify.Config{
		DB: db, Ring: ring, Carrier: &post.Carrier{}, Logger: slog.New(slog.DiscardHandler),
		Tenant: func(_ *fsm.Tx, id string) (identity.Tenant, error) {
			return identity.Tenant{ID: id, Issuer: publicURL}, nil
		},
		Inbox: func(_ string, m *post.Message) error { h.mail <- m; return nil },
	})
	ctx, stop := context.WithCancel(h.t.Context())
	done := make(chan error)
	go func() { done <- room.Run(ctx) }()
	h.t.Cleanup(func() { stop(); <-done })
	signIn := login.New(login.Config{DB: db, Sessions: sessions, Flows: flows, Pool: pool})
	pages := New(Config{DB: db, Ring: ring, SignIn: signIn, Flows: flows, Pool: pool, Mail: room, Modern: func(context.Context) error { return nil }})
	door, err := api.New(api.Config{PublicURL: publicURL, DB: db, Rooms: []api.Room{signIn, pages}, Metrics: metrics.New("test", "none")})
	if err != nil {
		h.t.Fatal(err)
	}
	s := httptest.NewServer(door.Public)
	h.t.Cleanup(s.Close)
	h.urls, h.flows, h.pools = append(h.urls, s.URL), append(h.flows, flows), append(h.pools, counted)
}

// hashes is how many passwords all nodes have hashed.
func (h *house) hashes() (n uint64) {
	h.t.Helper()
	for _, counted := range h.pools {
		families, err := counted.Gather()
		if err != nil {
			h.t.Fatal(err)
		}
		for _, f := range families {
			if f.GetName() == "quis_password_hash_duration_seconds" {
				for _, m := range f.GetMetric() {
					n += m.GetHistogram().GetSampleCount()
				}
			}
		}
	}
	return n
}

func (h *house) update(fn func(tx *fsm.Tx) error) {
	h.t.Helper()
	if err := h.log.DB[0].Update(h.t.Context(), fn); err != nil {
		h.t.Fatal(err)
	}
}

// decide lets strangers register, as change says.
func (h *house) decide(change func(*settings.Authentication)) {
	h.t.Helper()
	s := settings.Default(ten)
	s.SelfRegistration = true
	change(&s)
	h.update(func(tx *fsm.Tx) error { return settings.Put(tx, 0, s) })
}

// letter waits for the next mail.
func (h *house) letter() *post.Message {
	h.t.Helper()
	select {
	case m := <-h.mail:
		return m
	case <-time.After(10 * time.Second):
		h.t.Fatal("no mail")
		return nil
	}
}

var codeForm = regexp.MustCompile(`\n    (\d{6})\n`)

func codeOf(t *testing.T, m *post.Message) string {
	t.Helper()
	found := codeForm.FindStringSubmatch(m.Text)
	if found == nil {
		t.Fatalf("no code: %s", m.Text)
	}
	return found[1]
}

// linkOf is the path of the link in a letter.
func linkOf(t *testing.T, m *post.Message) string {
	t.Helper()
	_, rest, ok := strings.Cut(m.Text, "\n"+publicURL)
	link, _, _ := strings.Cut(rest, "\n")
	if !ok {
		t.Fatalf("no link: %s", m.Text)
	}
	return link
}

// invite returns the path of an invitation's page.
func (h *house) invite(i pending.Invitation) string {
	h.t.Helper()
	var secret string
	h.update(func(tx *fsm.Tx) (err error) {
		_, secret, err = pending.Invite(tx, ten, i, time.Hour)
		return err
	})
	return pending.InvitationPath + secret
}

func (h *house) someone(node int) *pagetest.Browser { return pagetest.NewBrowser(h.t, h.urls[node]) }

// user returns who has an address, nil if nobody does.
func (h *house) user(email string) (u *directory.User, sessions []session.Session) {
	h.t.Helper()
	err := h.log.DB[0].View(h.t.Context(), func(tx *fsm.Tx) (err error) {
		if u, err = directory.UserByEmail(tx, ten, email); errors.Is(err, fsm.ErrNotFound) {
			return nil
		}
		if err == nil {
			sessions, err = session.NewStore(session.Config{DB: h.log.DB[0], Ring: h.rings[0]}).ListOf(tx, ten, u.ID)
		}
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return u, sessions
}

// isIn reports where a browser was led that was signed in by the answer.
func isIn(t *testing.T, a pagetest.Answer) string {
	t.Helper()
	to, ok := strings.CutPrefix(a.Want(t, 200).Header.Get("Refresh"), "0; url=")
	if !ok {
		t.Fatalf("not signed in: %s", a.Page)
	}
	to, _, _ = strings.Cut(to, "flow_done=")
	return strings.TrimRight(to, "?&")
}
