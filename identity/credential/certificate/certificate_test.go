package certificate_test

import (
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential/certificate"
	"github.com/quis-idp/quis/identity/credential/certificate/certificatetest"
	"github.com/quis-idp/quis/identity/event"
)

// TestAccept: what was good when it was shown is looked at again when the sign-in ends.
func TestAccept(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(h *house, tx *fsm.Tx, cert *x509.Certificate) error
		want   certificate.Reason
	}{
		"nothing changed": {func(*house, *fsm.Tx, *x509.Certificate) error { return nil }, ""},
		"authority removed": {func(h *house, tx *fsm.Tx, _ *x509.Certificate) error {
			return certificate.Remove(tx, ten, h.trusted.ID, 0)
		}, certificate.Untrusted},
		"rule removed": {func(h *house, tx *fsm.Tx, _ *x509.Certificate) error {
			_, err := certificate.Update(tx, ten, h.trusted.ID, 0, func(a *certificate.Authority) error { a.Rules = nil; return nil })
			return err
		}, certificate.Nobody},
		"now somebody else's": {func(h *house, tx *fsm.Tx, cert *x509.Certificate) error {
			all, err := certificate.Of(tx, ten, h.ann.ID)
			if err != nil {
				return err
			}
			if err := certificate.Delete(tx, ten, h.ann.ID, all[0].ID); err != nil {
				return err
			}
			_, err = certificate.Bind(tx, h.trusted, namesOf(t, cert), h.bob.ID, certificate.ByFingerprint, "")
			return err
		}, certificate.Other},
		"revoked": {func(h *house, tx *fsm.Tx, cert *x509.Certificate) error {
			_, err := certificate.Upload(tx, ten, h.trusted.ID, h.ca.List(t, 1, []*x509.Certificate{cert}))
			return err
		}, certificate.Revoked},
	} {
		h := newHouse(t, 2, nil)
		cert := h.ca.Person(t, "ann").Leaf
		h.update(t, func(tx *fsm.Tx) error {
			_, err := certificate.Bind(tx, h.trusted, namesOf(t, cert), h.ann.ID, certificate.ByFingerprint, "badge")
			return err
		})
		h.update(t, func(tx *fsm.Tx) error { return c.change(h, tx, cert) })
		s := h.shown(t, cert)
		err := h.DB[1].Update(t.Context(), func(tx *fsm.Tx) error { return certificate.Accept(tx, ten, h.ann.ID, s) })
		if reason(err) != c.want || (err == nil) != (c.want == "") {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestAcceptRemembersUse(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, func(a *certificate.Authority) { a.Rules = rules(t, "email=email added") })
	mail := certificatetest.Names(t, nil, []string{"ann@example.com"})
	use := func(cert *x509.Certificate) {
		t.Helper()
		h.update(t, func(tx *fsm.Tx) error { return certificate.Accept(tx, ten, h.ann.ID, h.shown(t, cert)) })
	}
	mine := func() (all []certificate.Certificate) {
		t.Helper()
		if err := h.view(t, func(tx *fsm.Tx) (err error) { all, err = certificate.Of(tx, ten, h.ann.ID); return err }); err != nil {
			t.Fatal(err)
		}
		return all
	}
	first := h.ca.Person(t, "first", mail).Leaf
	use(first)
	use(first)
	if all := mine(); len(all) != 1 || all[0].By != "" || all[0].LastUsed.IsZero() || all[0].Title != "CN=first" {
		t.Fatalf("%+v", all)
	}
	for i := range 25 {
		use(h.ca.Person(t, fmt.Sprint("card ", i), mail).Leaf)
	}
	if all := mine(); len(all) != 20 || all[19].Title != "CN=card 24" {
		t.Errorf("%d are remembered, the last %+v", len(all), all[len(all)-1])
	}
	added := h.ca.Person(t, "added", mail).Leaf
	h.update(t, func(tx *fsm.Tx) error {
		_, err := certificate.Bind(tx, h.trusted, namesOf(t, added), h.ann.ID, certificate.ByFingerprint, "badge")
		return err
	})
	use(added)
	if all := mine(); len(all) != 21 || all[20].By != certificate.ByFingerprint || all[20].LastUsed.IsZero() || all[20].Name != "badge" {
		t.Errorf("%+v", all[20])
	}
	h.update(t, func(tx *fsm.Tx) error { return certificate.DeleteAllOf(tx, ten, h.ann.ID) })
	if all := mine(); len(all) != 0 {
		t.Errorf("%d are left", len(all))
	}
	h.update(t, func(tx *fsm.Tx) error { return certificate.DeleteTenant(tx, ten) })
}

// One certificate is added to one user, on whatever nodes it is added at once.
func TestTwoNodesAddOneCertificate(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3, nil)
	for round := range 100 {
		n := namesOf(t, h.ca.Person(t, "x").Leaf)
		users, errs := [2]string{h.ann.ID, h.bob.ID}, [2]error{}
		var wg sync.WaitGroup
		for i := range users {
			wg.Go(func() {
				errs[i] = h.DB[i+1].Update(t.Context(), func(tx *fsm.Tx) error {
					_, err := certificate.Bind(tx, h.trusted, n, users[i], certificate.ByFingerprint, "")
					return err
				})
			})
		}
		wg.Wait()
		if (errs[0] == nil) == (errs[1] == nil) || !errors.Is(errors.Join(errs[:]...), fsm.ErrExists) {
			t.Fatalf("round %d: %v and %v", round, errs[0], errs[1])
		}
		h.update(t, func(tx *fsm.Tx) error {
			return errors.Join(certificate.DeleteAllOf(tx, ten, h.ann.ID), certificate.DeleteAllOf(tx, ten, h.bob.ID))
		})
	}
}

func TestAuthorities(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, nil)
	leaf := h.ca.Person(t, "x").Leaf
	past := certificatetest.New(t, "past", nil, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	good := func() certificate.Authority {
		return certificate.Authority{Tenant: ten, Name: "Another", Certificate: certificatetest.New(t, "another", nil).Cert.Raw}
	}
	for field, change := range map[string]func(a *certificate.Authority){
		"name": func(a *certificate.Authority) { a.Name = "" }, "key": func(a *certificate.Authority) { a.Key = "pocket" },
		"revocation": func(a *certificate.Authority) { a.Revocation = "perhaps" }, "crl_url": func(a *certificate.Authority) { a.CRL = "ldap://ca.example.com/" },
		"certificate":  func(a *certificate.Authority) { a.Certificate = leaf.Raw },
		"certificate ": func(a *certificate.Authority) { a.Certificate = past.Cert.Raw },
		"rules":        func(a *certificate.Authority) { a.Rules = make([]certificate.Rule, 11) },
	} {
		a := good()
		change(&a)
		err := h.DB[0].Update(t.Context(), func(tx *fsm.Tx) error { _, err := certificate.Add(tx, a); return err })
		if faults := identity.Errors(err); !errors.Is(err, identity.ErrInvalid) || len(faults) != 1 || faults[0].Field != strings.TrimSpace(field) {
			t.Errorf("%s: %v", field, err)
		}
	}
	again := good()
	again.Certificate = h.ca.Cert.Raw
	if err := h.DB[0].Update(t.Context(), func(tx *fsm.Tx) error { _, err := certificate.Add(tx, again); return err }); !errors.Is(err, fsm.ErrExists) {
		t.Errorf("twice: %v", err)
	}
	for range 19 {
		h.update(t, func(tx *fsm.Tx) error { _, err := certificate.Add(tx, good()); return err })
	}
	if err := h.DB[0].Update(t.Context(), func(tx *fsm.Tx) error { _, err := certificate.Add(tx, good()); return err }); !errors.Is(err, identity.ErrInvalid) {
		t.Errorf("the twenty-first: %v", err)
	}
	h.update(t, func(tx *fsm.Tx) error { return certificate.Remove(tx, ten, h.trusted.ID, 0) })
	var told []event.Event
	if err := h.view(t, func(tx *fsm.Tx) (err error) {
		told, _, err = event.List(tx, ten, event.Query{Type: string(event.AuthorityRemoved)})
		return err
	}); err != nil || len(told) != 1 || told[0].Target.ID != h.trusted.ID {
		t.Errorf("%+v, %v", told, err)
	}
}

func TestParsePEM(t *testing.T) {
	t.Parallel()
	ca := certificatetest.New(t, "x", nil)
	for name, text := range map[string]string{
		"nothing": "", "text": "hello", "two": ca.PEM() + ca.PEM(), "another block": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "large": string(make([]byte, 40000)),
	} {
		if _, err := certificate.ParsePEM([]byte(text)); !errors.Is(err, identity.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, text := range []string{ca.PEM(), "Subject: x\n" + ca.PEM(), string(ca.Cert.Raw)} {
		if c, err := certificate.ParsePEM([]byte(text)); err != nil || !c.Equal(ca.Cert) {
			t.Errorf("%.20q: %v", text, err)
		}
	}
}
