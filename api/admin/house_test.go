package admin_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quis-idp/quis/api/admin"
	"github.com/quis-idp/quis/api/client"
	"github.com/quis-idp/quis/api/problem"
	"github.com/quis-idp/quis/cluster"
	"github.com/quis-idp/quis/cluster/autopilot"
	"github.com/quis-idp/quis/cluster/backup"
	"github.com/quis-idp/quis/cluster/checkup"
	"github.com/quis-idp/quis/cluster/feature"
	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/consent"
	"github.com/quis-idp/quis/federation/fetch"
	"github.com/quis-idp/quis/federation/logout"
	"github.com/quis-idp/quis/federation/oidc/family"
	"github.com/quis-idp/quis/federation/register"
	"github.com/quis-idp/quis/federation/resource"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/fsm/fsmtest"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/authn"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/credential/passkey"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/impersonation"
	"github.com/quis-idp/quis/identity/notify"
	"github.com/quis-idp/quis/identity/notify/post"
	"github.com/quis-idp/quis/identity/notify/post/posttest"
	"github.com/quis-idp/quis/identity/pending"
	"github.com/quis-idp/quis/identity/session"
	"github.com/quis-idp/quis/identity/settings"
	"github.com/quis-idp/quis/keys"
	"github.com/quis-idp/quis/keys/seal"
)

// A house is one node's API over a real store, with an admin and a plain user in the
// default tenant and an admin in tenant acme.
type house struct {
	t        *testing.T
	log      *fsmtest.Cluster
	db       *fsm.DB
	api      *admin.API
	sessions *session.Store
	ring     *seal.Ring
	carrier  *post.Carrier
	stale    atomic.Bool
	mixed    atomic.Bool  // a member is of an older release
	older    atomic.Value // string: the one feature that a member does not know
	server   *httptest.Server

	root, plain, acme    string // tokens
	rootUser, plainUser  string // IDs
	acmeTenant, acmeUser string
}

// oneNode is a cluster of the node itself.
type oneNode struct{}

func (oneNode) Status(context.Context) cluster.Status {
	return cluster.Status{
		NodeID: "n1", ClusterID: "c1", State: "leader", LeaderID: "n1", Term: 1,
		Members: []cluster.Member{{ID: "n1", Voter: true, Leader: true, Alive: true}},
	}
}
func (oneNode) Ready() error { return nil }
func (oneNode) Transfer(context.Context, string) error {
	return identity.Denied("There is no other voter.")
}
func (oneNode) Remove(_ context.Context, id string, force bool) error {
	switch {
	case id != "n2":
		return fmt.Errorf("remove node %s: %w", id, fsm.ErrNotFound)
	case !force:
		return fmt.Errorf("removing node %s leaves one voter: %w", id, fsm.ErrRefused)
	}
	return nil
}
func (oneNode) Demote(ctx context.Context, id string, _ bool) error {
	return oneNode{}.Remove(ctx, id, true)
}
func (oneNode) Promote(ctx context.Context, id string) error { return oneNode{}.Remove(ctx, id, true) }
func (oneNode) CatchUp(context.Context) error                { return nil }
func (oneNode) Checkup(context.Context) []checkup.Finding {
	return []checkup.Finding{{Check: "clock", Found: "well"}, {Node: "n1", Check: "disk space", Level: checkup.Warn, Found: "little", Advice: "Make room."}}
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{t: t}
	h.log = fsmtest.NewCluster(t, 1, slices.Concat(autopilot.Tables, backup.Tables, feature.Tables, seal.Tables, keys.Tables, event.Tables, directory.Tables, settings.Tables, pending.Tables, authn.Tables,
		credential.Tables, passkey.Tables, session.Tables, impersonation.Tables, federation.Tables, register.Tables, resource.Tables, consent.Tables, logout.Tables, family.Tables, notify.Tables)...)
	h.db = h.log.DB[0]
	root := seal.GenerateRootKey()
	h.update(func(tx *fsm.Tx) error { return seal.Init(tx, root) })
	h.update(directory.EnsureDefault)
	ring, err := seal.OpenRing(t.Context(), h.db, root)
	h.must(err)
	h.ring = ring
	signing := keys.New(h.db, ring, nil)
	h.must(signing.Ensure(t.Context(), identity.DefaultTenant))
	h.sessions = session.NewStore(session.Config{DB: h.db, Ring: ring})
	h.carrier = &post.Carrier{Dial: posttest.Dial}
	h.api, err = admin.New(admin.Config{
		Mail: notify.New(notify.Config{DB: h.db, Ring: ring, Carrier: h.carrier, Logger: slog.New(slog.DiscardHandler), Tenant: func(_ *fsm.Tx, id string) (identity.Tenant, error) {
			return identity.Tenant{ID: id, Issuer: "http://id.test"}, nil
		}}),
		DB: h.db, Ring: ring, Keys: signing, Passwords: newPool(t), Sessions: h.sessions, Offers: impersonation.New(h.db, ring, h.sessions),
		Cluster: oneNode{}, Backups: &backup.Keeper{DB: h.db, Root: root, Cluster: "c1", Version: "test"}, PublicURL: "http://id.test", Version: "test", Fetch: fetch.New(fetch.Config{}),
		Fresh: func(context.Context) error {
			if h.stale.Load() {
				return fsm.ErrUnavailable
			}
			return nil
		},
		Feature: func(_ context.Context, name string) error {
			if h.mixed.Load() || h.older.Load() == name {
				return identity.Precondition("A member is of an older release.")
			}
			return nil
		},
	})
	h.must(err)
	mux := http.NewServeMux()
	h.api.Routes(mux)
	h.server = httptest.NewServer(mux)
	t.Cleanup(h.server.Close)

	var acme *directory.Tenant
	h.update(func(tx *fsm.Tx) (err error) {
		acme, err = directory.CreateTenant(tx, directory.Tenant{Slug: "acme", Name: "Acme"})
		return err
	})
	h.acmeTenant = acme.ID
	h.must(signing.Ensure(t.Context(), acme.ID))
	h.rootUser, h.root = h.person(identity.DefaultTenant, "root", true)
	h.plainUser, h.plain = h.person(identity.DefaultTenant, "plain", false)
	h.acmeUser, h.acme = h.person(acme.ID, "boss", true)
	return h
}

func newPool(testing.TB) *credential.Pool {
	return credential.NewPool(credential.Config{Params: credential.Params{Memory: 8, Time: 1, Threads: 1}}, nil)
}

// person makes a user with a token.
func (h *house) person(tenant, name string, admin bool) (id, token string) {
	h.t.Helper()
	h.update(func(tx *fsm.Tx) error {
		u, err := directory.CreateUser(tx, tenant, directory.User{Username: name, Admin: admin})
		if err != nil {
			return err
		}
		id = u.ID
		_, token, err = credential.CreateToken(tx, tenant, u.ID, "test", "", time.Time{})
		return err
	})
	return id, token
}

func (h *house) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) update(fn func(*fsm.Tx) error) {
	h.t.Helper()
	h.must(h.db.Update(h.t.Context(), fn))
}

func (h *house) client(token string, opts ...client.Option) *client.Client {
	h.t.Helper()
	c, err := client.New(h.server.URL, token, opts...)
	h.must(err)
	return c
}

// call sends a request and returns status, headers and body.
func (h *house) call(token, method, path, body string, headers ...string) (*http.Response, string) {
	h.t.Helper()
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(h.t.Context(), method, h.server.URL+path, r)
	h.must(err)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := h.server.Client().Do(req)
	h.must(err)
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	h.must(err)
	return res, string(data)
}

// want calls and checks the status; it returns the problem if there is one.
func (h *house) want(status int, token, method, path, body string, headers ...string) problem.Problem {
	h.t.Helper()
	res, data := h.call(token, method, path, body, headers...)
	if res.StatusCode != status {
		h.t.Errorf("%s %s %.60s: got %d %.300s, want %d", method, path, body, res.StatusCode, data, status)
	}
	var p problem.Problem
	if res.StatusCode >= 400 {
		if ct := res.Header.Get("Content-Type"); ct != "application/problem+json" {
			h.t.Errorf("%s %s: content type %q", method, path, ct)
		}
		if err := json.Unmarshal([]byte(data), &p); err != nil || p.Status != res.StatusCode {
			h.t.Errorf("%s %s: %v in %.200s", method, path, err, data)
		}
	}
	return p
}

func ptr[T any](v T) *T { return &v }

func pointers(p problem.Problem) []string {
	var all []string
	for _, f := range p.Errors {
		all = append(all, f.Pointer)
	}
	slices.Sort(all)
	return all
}
