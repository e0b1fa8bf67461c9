package factor

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
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
	"github.com/quis-idp/quis/identity/session"
	"github.com/quis-idp/quis/identity/settings"
	"github.com/quis-idp/quis/keys/seal"
)

const (
	publicURL = "http://localhost:8080"
	ten       = identity.DefaultTenant
)

// house is a running front door with the portal and these sections behind it.
type house struct {
	t        *testing.T
	cluster  *fsmtest.Cluster
	db       *fsm.DB
	ring     *seal.Ring
	sessions *session.Store
	users    map[string]string // name to ID, in the default tenant
	url      string
	older    bool // a member is of an older release
}

func newHouse(t *testing.T) *house {
	t.Helper()
	c := fsmtest.NewCluster(t, 1, slices.Concat(seal.Tables, event.Tables, directory.Tables, credential.Tables, session.Tables, authn.Tables, family.Tables, settings.Tables, passkey.Tables)...)
	h := &house{t: t, cluster: c, db: c.DB[0], users: map[string]string{}}
	root := seal.GenerateRootKey()
	h.update(func(tx *fsm.Tx) error { return errors.Join(seal.Init(tx, root), directory.EnsureDefault(tx)) })
	var err error
	if h.ring, err = seal.OpenRing(t.Context(), h.db, root); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ada", "grace"} {
		h.update(func(tx *fsm.Tx) error {
			u, err := directory.CreateUser(tx, ten, directory.User{Username: name, Email: name + "@example.com"})
			h.users[name] = u.ID
			return err
		})
	}
	h.sessions = session.NewStore(session.Config{DB: h.db, Ring: h.ring})
	flows := authn.New(authn.Config{DB: h.db, Ring: h.ring, Sessions: h.sessions, CheckPassword: func(context.Context, string, string, string) error {
		return identity.Unauthenticated("Nobody signs in here.")
	}})
	pages := portal.New(portal.Config{DB: h.db, Sessions: h.sessions, Flows: flows, SessionCookie: login.SessionCookie}, Sections(Config{
		DB: h.db, Ring: h.ring, Use: func(context.Context) error {
			if h.older {
				return fsm.ErrUnavailable
			}
			return nil
		},
	})...)
	door, err := api.New(api.Config{PublicURL: publicURL, DB: h.db, Rooms: []api.Room{pages}, Metrics: metrics.New("test", "none")})
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(door.Public)
	t.Cleanup(s.Close)
	h.url = s.URL
	return h
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

// someone is signed in, in a browser without JavaScript.
type someone struct {
	*house
	id string
	*pagetest.Browser
}

func (h *house) enter(name string) *someone {
	h.t.Helper()
	var started *session.Started
	h.update(func(tx *fsm.Tx) (err error) {
		started, err = h.sessions.Start(tx, session.Session{Tenant: ten, UserID: h.users[name]})
		return err
	})
	cookie, err := h.sessions.Cookie(started)
	if err != nil {
		h.t.Fatal(err)
	}
	b := pagetest.NewBrowser(h.t, h.url)
	at, err := url.Parse(h.url)
	if err != nil {
		h.t.Fatal(err)
	}
	b.Cookie.SetCookies(at, []*http.Cookie{{Name: login.SessionCookie(identity.Tenant{ID: ten, Issuer: publicURL}), Value: cookie}})
	return &someone{h, h.users[name], b}
}
