package ciba_test

import (
	"testing"
	"time"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/ciba"
	"github.com/quis-idp/quis/federation/oidc/family"
	"github.com/quis-idp/quis/federation/poll"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/fsm/fsmtest"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/assurance"
	"github.com/quis-idp/quis/identity/authn"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/credential/passkey"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/session"
	"github.com/quis-idp/quis/identity/settings"
	"github.com/quis-idp/quis/keys/seal"
	"github.com/quis-idp/quis/keys/seal/sealtest"
)

const (
	tenant   = identity.DefaultTenant
	endpoint = "https://app.example/ping"
	token    = "a-token-of-the-client-that-nobody-guesses"
)

// house is a few replicas with two users who are signed in and an application.
type house struct {
	*fsmtest.Cluster
	ring       *seal.Ring
	app        *federation.Application
	ada, grace *session.Session
}

func newHouse(t testing.TB, nodes int) *house {
	t.Helper()
	var tables []fsm.Definition
	for _, more := range [][]fsm.Definition{seal.Tables, event.Tables, directory.Tables, federation.Tables, poll.Tables, credential.Tables, settings.Tables, passkey.Tables, authn.Tables, ciba.Tables} {
		tables = append(tables, more...)
	}
	h := &house{Cluster: fsmtest.NewCluster(t, nodes, tables...)}
	h.app = &federation.Application{
		Tenant: tenant, ClientID: "shop", Name: "Shop", RedirectURIs: []string{"https://app.example/cb"}, IsPublic: true,
		CIBA: federation.CIBASettings{Mode: "ping", EndpointURI: endpoint},
	}
	h.update(t, 0, func(tx *fsm.Tx) error {
		if err := directory.EnsureDefault(tx); err != nil {
			return err
		}
		for name, s := range map[string]**session.Session{"ada": &h.ada, "grace": &h.grace} {
			u, err := directory.CreateUser(tx, tenant, directory.User{Username: name})
			if err != nil {
				return err
			}
			*s = &session.Session{ID: "ses_" + name, Tenant: tenant, UserID: u.ID, AuthTime: tx.Now(), AMR: []string{"pwd"}, Factors: []assurance.Factor{{Method: assurance.Password, At: tx.Now()}}}
		}
		_, err := federation.Create(tx, nil, h.app, "")
		return err
	})
	h.ring = sealtest.Ring(t, h.DB[0])
	return h
}

func (h *house) update(t testing.TB, node int, fn func(tx *fsm.Tx) error) {
	t.Helper()
	if err := h.DB[node].Update(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

// pass lets time go by, on the replicas too.
func (h *house) pass(t testing.TB, d time.Duration) {
	t.Helper()
	h.Advance(d)
	h.update(t, 0, func(tx *fsm.Tx) error {
		return ciba.Limit.Note(tx, poll.Starter{Tenant: tenant, Application: "clock"})
	})
}

// request is one of the application to ada.
func (h *house) request(t testing.TB) *ciba.Request {
	t.Helper()
	r := &ciba.Request{
		Grant:  family.Grant{Family: ciba.NewID(), UserID: h.ada.UserID, Scope: []string{"openid"}},
		Tenant: tenant, Application: h.app.ID, ClientID: h.app.ClientID, Key: h.ring.CurrentKey(), Message: "Pay 12.50 to Shop, W4SCT",
	}
	var err error
	if r.Token, err = ciba.SealToken(h.ring, tenant, r.Family, token); err != nil {
		t.Fatal(err)
	}
	return r
}

func (h *house) start(t testing.TB) *ciba.Request {
	t.Helper()
	r := h.request(t)
	h.update(t, 0, func(tx *fsm.Tx) error { return ciba.Start(tx, r, time.Minute) })
	return r
}
