package device_test

import (
	"testing"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/device"
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
)

const tenant = identity.DefaultTenant

// house is a few replicas with a user who is signed in and an application.
type house struct {
	*fsmtest.Cluster
	app     *federation.Application
	session *session.Session
}

func newHouse(t testing.TB, nodes int) *house {
	t.Helper()
	var tables []fsm.Definition
	for _, more := range [][]fsm.Definition{event.Tables, directory.Tables, federation.Tables, poll.Tables, credential.Tables, settings.Tables, passkey.Tables, authn.Tables, device.Tables} {
		tables = append(tables, more...)
	}
	h := &house{Cluster: fsmtest.NewCluster(t, nodes, tables...)}
	h.app = &federation.Application{
		Tenant: tenant, ClientID: "tv", Name: "Television", IsPublic: true, RedirectURIs: []string{"https://tv.example/cb"},
	}
	h.update(t, 0, func(tx *fsm.Tx) error {
		if err := directory.EnsureDefault(tx); err != nil {
			return err
		}
		u, err := directory.CreateUser(tx, tenant, directory.User{Username: "ada"})
		if err != nil {
			return err
		}
		h.session = &session.Session{ID: "ses_1", Tenant: tenant, UserID: u.ID, AuthTime: tx.Now(), AMR: []string{"pwd"}, Factors: []assurance.Factor{{Method: assurance.Password, At: tx.Now()}}}
		_, err = federation.Create(tx, nil, h.app, "")
		return err
	})
	return h
}

func (h *house) update(t testing.TB, node int, fn func(tx *fsm.Tx) error) {
	t.Helper()
	if err := h.DB[node].Update(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

func (h *house) start(t testing.TB) *device.Authorization {
	t.Helper()
	a := &device.Authorization{
		Grant:  family.Grant{Scope: []string{"openid"}},
		Tenant: tenant, Application: h.app.ID, ClientID: h.app.ClientID,
	}
	h.update(t, 0, func(tx *fsm.Tx) error { return device.Start(tx, a) })
	return a
}

func (h *house) get(t testing.TB, node int, id family.ID) (a *device.Authorization, err error) {
	t.Helper()
	err = h.DB[node].Read(t.Context(), func(tx *fsm.Tx) error {
		a, err = device.Get(tx, tenant, id)
		return err
	})
	return a, err
}
