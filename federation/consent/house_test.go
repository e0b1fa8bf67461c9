package consent_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/consent"
	"github.com/quis-idp/quis/federation/oidc/family"
	"github.com/quis-idp/quis/federation/resource"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/fsm/fsmtest"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/session"
	"github.com/quis-idp/quis/identity/settings"
	"github.com/quis-idp/quis/keys/seal"
	"github.com/quis-idp/quis/keys/seal/sealtest"
)

const (
	tenant = identity.DefaultTenant
	orders = "https://orders.example.com"
	back   = "/oauth2/authorize?client_id=app&state=1"
)

// house is three nodes, a person with a session, and an application that is not ours.
type house struct {
	t       *testing.T
	cluster *fsmtest.Cluster
	desks   []*consent.Desk
	app     *federation.Application
	user    string
	session string
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, cluster: fsmtest.NewCluster(t, 3, slices.Concat(
		seal.Tables, event.Tables, directory.Tables, settings.Tables, session.Tables, federation.Tables, resource.Tables, family.Tables, consent.Tables)...)}
	rings := sealtest.Rings(t, h.cluster.DB...)
	h.update(directory.EnsureDefault)
	for i, db := range h.cluster.DB {
		h.desks = append(h.desks, consent.NewDesk(db, rings[i]))
	}
	h.app = &federation.Application{
		Tenant: tenant, Name: "Foreign", RedirectURIs: []string{"https://app.example.com/cb"}, Consent: federation.ConsentExplicit,
		AllowedScopes: []string{"openid", "profile", "email", "orders"},
	}
	sessions := session.NewStore(session.Config{DB: h.cluster.DB[0], Ring: rings[0]})
	h.update(func(tx *fsm.Tx) error {
		u, err := directory.CreateUser(tx, tenant, directory.User{Username: "ada"})
		if err != nil {
			return err
		}
		h.user = u.ID
		started, err := sessions.Start(tx, session.Session{Tenant: tenant, UserID: u.ID})
		if err != nil {
			return err
		}
		h.session = started.Session.ID
		_, err = federation.Create(tx, rings[0], h.app, "")
		return err
	})
	return h
}

func (h *house) ctx() context.Context {
	return identity.WithTenant(h.t.Context(), identity.Tenant{ID: tenant, Issuer: "https://id.example.com"})
}

func (h *house) update(fn func(tx *fsm.Tx) error) {
	h.t.Helper()
	if err := h.cluster.DB[0].Update(h.t.Context(), fn); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) decide(a consent.Asked) (d consent.Decision) {
	h.t.Helper()
	err := h.cluster.DB[0].View(h.t.Context(), func(tx *fsm.Tx) (err error) {
		d, err = consent.Decide(tx, h.app, h.user, a)
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return d
}

// ask puts a question on node 0.
func (h *house) ask(scopes ...string) string {
	h.t.Helper()
	d := h.decide(consent.Asked{Scopes: scopes, Again: true})
	q, err := h.desks[0].Ask(h.ctx(), d, consent.Question{
		UserID: h.user, SessionID: h.session, Application: h.app.ID, ReturnTo: back, Family: family.NewID(), Scopes: scopes,
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return q.Sealed()
}

func (h *house) allow(node int, text string, chosen ...string) (string, error) {
	h.t.Helper()
	q, err := h.desks[node].Open(h.ctx(), text, h.user, h.session)
	if err != nil {
		h.t.Fatal(err)
	}
	return h.desks[node].Allow(h.ctx(), q, chosen)
}

func (h *house) mustAllow(scopes ...string) {
	h.t.Helper()
	if _, err := h.allow(0, h.ask(scopes...), scopes...); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) stored() (c *consent.Consent) {
	h.t.Helper()
	err := h.cluster.DB[0].View(h.t.Context(), func(tx *fsm.Tx) (err error) {
		c, err = consent.Get(tx, tenant, h.user, h.app.ID)
		return err
	})
	if err != nil && !errors.Is(err, fsm.ErrNotFound) {
		h.t.Fatal(err)
	}
	return c
}

// later lets time pass, of which nodes learn by the next entry.
func (h *house) later(d time.Duration) {
	h.t.Helper()
	h.cluster.Advance(d)
	h.update(func(tx *fsm.Tx) error { return event.Append(tx, event.Event{Tenant: tenant, Type: event.UserUpdated}) })
}

func (h *house) entries(f func()) int {
	before := h.cluster.Entries()
	f()
	return h.cluster.Entries() - before
}

func (h *house) finished(node int, to string) (string, *consent.Ticket) {
	_, query, _ := strings.Cut(to, "?")
	return h.desks[node].Finished(h.ctx(), query)
}

func (h *house) index() (i uint64) {
	h.update(func(tx *fsm.Tx) error { i = tx.Index(); return nil })
	return i
}
