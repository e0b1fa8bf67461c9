package approval

import (
	"context"
	"encoding/base32"
	"errors"
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
	"github.com/quis-idp/quis/identity/credential/approval"
	"github.com/quis-idp/quis/identity/credential/passkey"
	"github.com/quis-idp/quis/identity/credential/totp"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/pending"
	"github.com/quis-idp/quis/identity/session"
	"github.com/quis-idp/quis/identity/settings"
	"github.com/quis-idp/quis/keys/seal"
)

const (
	publicURL = "http://localhost:8080"
	ten       = identity.DefaultTenant
	password  = "correct horse battery"
	firefox   = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
)

// house is a running front door with sign-in, the portal and this section behind it. Ada has
// a password and an authenticator app, grace a password.
type house struct {
	t       *testing.T
	cluster *fsmtest.Cluster
	db      *fsm.DB
	ring    *seal.Ring
	users   map[string]string // name to ID
	secret  []byte            // of ada's app
	url     string
	older   bool // a member is of an older release
}

func newHouse(t *testing.T) *house {
	t.Helper()
	c := fsmtest.NewCluster(t, 1, slices.Concat(seal.Tables, event.Tables, directory.Tables, credential.Tables, session.Tables, authn.Tables, family.Tables, settings.Tables, passkey.Tables, pending.Tables)...)
	h := &house{t: t, cluster: c, db: c.DB[0], users: map[string]string{}}
	root := seal.GenerateRootKey()
	h.update(func(tx *fsm.Tx) error { return errors.Join(seal.Init(tx, root), directory.EnsureDefault(tx)) })
	var err error
	if h.ring, err = seal.OpenRing(t.Context(), h.db, root); err != nil {
		t.Fatal(err)
	}
	pool := credential.NewPool(credential.Config{Params: credential.Params{Memory: 64, Time: 1, Threads: 1}}, nil)
	h.populate(pool)
	sessions := session.NewStore(session.Config{DB: h.db, Ring: h.ring})
	flows := authn.New(authn.Config{DB: h.db, Ring: h.ring, Sessions: sessions, CheckPassword: func(ctx context.Context, tenant, user, password string) error {
		return credential.CheckPassword(ctx, h.db, pool, tenant, user, password)
	}})
	section := New(Config{DB: h.db, Ring: h.ring, Cookie: login.ApproverCookie, Use: func(context.Context) error {
		if h.older {
			return fsm.ErrUnavailable
		}
		return nil
	}})
	pages := portal.New(portal.Config{DB: h.db, Sessions: sessions, Flows: flows, Pool: pool, SessionCookie: login.SessionCookie}, section)
	signIn := login.New(login.Config{DB: h.db, Sessions: sessions, Flows: flows, Pool: pool})
	door, err := api.New(api.Config{PublicURL: publicURL, DB: h.db, Rooms: []api.Room{signIn, pages}, Metrics: metrics.New("test", "none")})
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(door.Public)
	t.Cleanup(s.Close)
	h.url = s.URL
	return h
}

func (h *house) populate(pool *credential.Pool) {
	h.t.Helper()
	phc, err := pool.Hash(h.t.Context(), password)
	if err != nil {
		h.t.Fatal(err)
	}
	h.update(func(tx *fsm.Tx) error {
		for _, name := range []string{"ada", "grace"} {
			u, err := directory.CreateUser(tx, ten, directory.User{Username: name, Email: name + "@example.com"})
			if err != nil {
				return err
			}
			h.users[name] = u.ID
			if err := credential.SetPassword(tx, ten, u.ID, phc); err != nil {
				return err
			}
		}
		e, err := totp.Begin(tx, h.ring, ten, h.users["ada"], totp.Label{Issuer: "quis", Account: "ada"}, totp.Parameters{})
		if err != nil {
			return err
		}
		if h.secret, err = base32.StdEncoding.DecodeString(strings.ReplaceAll(e.Secret.Reveal(), " ", "")); err != nil {
			return err
		}
		_, err = totp.Confirm(tx, h.ring, ten, h.users["ada"], e.Token, totp.Parameters{}.Code(h.secret, tx.Now()), "telephone")
		return err
	})
	h.pass(30 * time.Second)
}

func (h *house) update(fn func(tx *fsm.Tx) error) {
	h.t.Helper()
	if err := h.db.Update(h.t.Context(), fn); err != nil {
		h.t.Fatal(err)
	}
}

// pass lets time go by.
func (h *house) pass(d time.Duration) {
	h.cluster.Advance(d)
	h.update(func(tx *fsm.Tx) error { return event.Append(tx, event.Event{Type: event.KeyRetired}) })
}

// approvers are ada's.
func (h *house) approvers() (all []approval.Approver) {
	h.t.Helper()
	h.update(func(tx *fsm.Tx) (err error) {
		all, err = approval.List(tx, ten, h.users["ada"])
		return err
	})
	return all
}

// someone has a browser, without JavaScript.
type someone struct {
	*house
	*pagetest.Browser
}

func (h *house) someone() *someone {
	s := &someone{h, pagetest.NewBrowser(h.t, h.url)}
	s.Agent = firefox
	return s
}

// half begins to sign ada in and returns the page that asks for the second factor.
func (s *someone) half() pagetest.Answer {
	s.t.Helper()
	to := s.Get("/account").Header.Get("Location")
	flow := s.Get(to).Hidden("flow")
	if len(flow) == 0 {
		s.t.Fatal("no form to sign in with")
	}
	return s.Post("/login", url.Values{"flow": flow[:1], "username": {"ada"}, "password": {password}})
}

// enter signs ada in with her app.
func (h *house) enter() *someone {
	h.t.Helper()
	s := h.someone()
	s.code(s.half())
	return s
}

// code answers the question for the second factor with ada's app.
func (s *someone) code(second pagetest.Answer) {
	s.t.Helper()
	var now time.Time
	s.update(func(tx *fsm.Tx) error { now = tx.Now(); return nil })
	form := url.Values{"flow": second.Hidden("flow")[:1], "way": {"totp"}, "code": {totp.Parameters{}.Code(s.secret, now)}}
	if done := s.Post("/login/second", form); done.Header.Get("Refresh") == "" {
		s.t.Fatalf("not signed in: %d %s", done.StatusCode, done.Page)
	}
	s.pass(30 * time.Second)
}

// done posts a form that is taken, and returns the page that it leads to.
func (s *someone) done(path string, form url.Values) pagetest.Answer {
	s.t.Helper()
	return s.Get(s.Post(path, form).Want(s.t, 303).Header.Get("Location"))
}

// approver is a browser in which ada may approve.
func (h *house) approver() *someone {
	h.t.Helper()
	s := h.enter()
	s.done("/account/security/approvers/new", url.Values{"name": {"Laptop"}}).Want(h.t, 200, "you can approve sign-ins in this browser")
	return s
}

// asking is a browser in which ada signs in and waits, with the page that shows the number.
func (h *house) asking() (s *someone, waiting pagetest.Answer, number string) {
	h.t.Helper()
	s = h.someone()
	second := s.half()
	way := strings.ReplaceAll(second.One(h.t, `href="([^"]*way=approval)"`), "&amp;", "&")
	offer := s.Get(way).Want(h.t, 200, "Ask the other browser")
	waiting = s.done("/login/ask", url.Values{"flow": offer.Hidden("flow")[:1]}).Want(h.t, 200, "Type this number there")
	return s, waiting, waiting.One(h.t, `<code>(\d\d)</code>`)
}
