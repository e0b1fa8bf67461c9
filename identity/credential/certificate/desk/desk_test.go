package desk_test

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
	"github.com/quis-idp/quis/identity/credential/certificate/desk"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/keys/seal"
	"github.com/quis-idp/quis/keys/seal/sealtest"
)

const ten = identity.DefaultTenant

// A certificate that is wanted goes to the session that asked for it, and to no other.
func TestWantedCertificate(t *testing.T) {
	t.Parallel()
	c := fsmtest.NewCluster(t, 2, slices.Concat(certificate.Tables, event.Tables, seal.Tables)...)
	ca := certificatetest.New(t, "People", nil)
	err := c.DB[0].Update(t.Context(), func(tx *fsm.Tx) error {
		_, err := certificate.Add(tx, certificate.Authority{Tenant: ten, Name: "People", Certificate: ca.Cert.Raw, Revocation: certificate.RevocationOff})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var desks [2]*desk.Desk
	for i, ring := range sealtest.Rings(t, c.DB...) {
		desks[i] = &desk.Desk{DB: c.DB[i], Ring: ring}
	}
	d := desks[0]
	ticket, err := d.Ask(ten, "ses_1")
	if err != nil {
		t.Fatal(err)
	}
	presented := []*x509.Certificate{ca.Person(t, "whoever").Leaf}
	for name, bad := range map[string]string{"another": ticket + "x", "none": "", "too long": string(make([]byte, 7000))} {
		if _, err := d.Take(t.Context(), ten, bad, presented); !errors.Is(err, desk.ErrOutdated) {
			t.Errorf("%s ticket: %v", name, err)
		}
	}
	if _, err := d.Take(t.Context(), "ten_other", ticket, presented); !errors.Is(err, desk.ErrOutdated) {
		t.Errorf("in another tenant: %v", err)
	}
	stranger := certificatetest.New(t, "Strangers", nil).Person(t, "whoever").Leaf
	if _, err := d.Take(t.Context(), ten, ticket, []*x509.Certificate{stranger}); !errors.Is(err, identity.ErrUnauthenticated) {
		t.Errorf("a stranger's certificate: %v", err)
	}
	found, err := desks[1].Take(t.Context(), ten, ticket, presented)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Found(ten, "ses_1", ticket); !errors.Is(err, desk.ErrOutdated) {
		t.Errorf("the ticket is taken for what was found: %v", err)
	}
	if _, err := d.Found(ten, "ses_2", found); !errors.Is(err, desk.ErrOutdated) {
		t.Errorf("another session: %v", err)
	}
	if s, err := d.Found(ten, "ses_1", found); err != nil || s.Names.Title != "CN=whoever" {
		t.Errorf("%+v, %v", s, err)
	}
	c.Advance(6 * time.Minute)
	if err := c.DB[0].Update(t.Context(), func(tx *fsm.Tx) error { return event.Append(tx, event.Event{Type: event.KeyRetired}) }); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Found(ten, "ses_1", found); !errors.Is(err, desk.ErrOutdated) {
		t.Errorf("six minutes later: %v", err)
	}
	if _, err := d.Take(t.Context(), ten, ticket, presented); !errors.Is(err, desk.ErrOutdated) {
		t.Errorf("the ticket, six minutes later: %v", err)
	}
}
