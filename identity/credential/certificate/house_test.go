package certificate_test

import (
	"crypto/x509"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/fsm/fsmtest"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential/certificate"
	"github.com/quis-idp/quis/identity/credential/certificate/certificatetest"
	"github.com/quis-idp/quis/identity/credential/device"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/session"
)

const ten = identity.DefaultTenant

// A house is a cluster with a tenant that trusts one authority, and two people.
type house struct {
	*fsmtest.Cluster
	ca       *certificatetest.Authority
	trusted  *certificate.Authority
	ann, bob *directory.User
}

func newHouse(t testing.TB, nodes int, change func(*certificate.Authority)) *house {
	t.Helper()
	h := &house{Cluster: fsmtest.NewCluster(t, nodes, slices.Concat(certificate.Tables, device.Tables, session.Tables, directory.Tables, event.Tables)...)}
	h.ca = certificatetest.New(t, "People", nil)
	h.update(t, directory.EnsureDefault)
	h.update(t, func(tx *fsm.Tx) (err error) {
		if h.ann, err = directory.CreateUser(tx, ten, directory.User{Username: "ann", Email: "ann@example.com", EmailVerified: true}); err != nil {
			return err
		}
		if h.bob, err = directory.CreateUser(tx, ten, directory.User{Username: "bob@example.com", Email: "bob@example.com"}); err != nil {
			return err
		}
		a := certificate.Authority{Tenant: ten, Name: "People", Certificate: h.ca.Cert.Raw, Rules: []certificate.Rule{{From: certificate.FromAdded}}}
		if change != nil {
			change(&a)
		}
		h.trusted, err = certificate.Add(tx, a)
		return err
	})
	return h
}

func (h *house) update(t testing.TB, fn func(tx *fsm.Tx) error) {
	t.Helper()
	if err := h.DB[0].Update(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

func (h *house) view(t testing.TB, fn func(tx *fsm.Tx) error) error {
	t.Helper()
	return h.DB[0].View(t.Context(), fn)
}

func namesOf(t testing.TB, cert *x509.Certificate) *certificate.Names {
	t.Helper()
	n, err := certificate.NamesOf(cert)
	if err != nil {
		t.Fatal(err)
	}
	n.Issued = true
	return n
}

// shown is what a flow would hold of a certificate of the house's authority.
func (h *house) shown(t testing.TB, cert *x509.Certificate) *certificate.Shown {
	t.Helper()
	return &certificate.Shown{Authority: h.trusted.ID, Names: *namesOf(t, cert), At: time.Now()}
}

// reason is why a certificate was refused; "" if err says something else.
func reason(err error) certificate.Reason {
	if r, ok := errors.AsType[*certificate.Refused](err); ok {
		return r.Reason
	}
	return ""
}
