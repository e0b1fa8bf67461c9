package certificate_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"strings"
	"testing"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential/certificate"
	"github.com/quis-idp/quis/identity/credential/certificate/certificatetest"
	"github.com/quis-idp/quis/identity/directory"
)

func rules(t testing.TB, text string) (all []certificate.Rule) {
	t.Helper()
	for _, s := range strings.Fields(text) {
		r, err := certificate.ParseRule(s)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	return all
}

// TestRules: each rule leads to one user, or to nobody; bob's address is not verified.
func TestRules(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, nil)
	emails := func(e ...string) func(*x509.Certificate) { return certificatetest.Names(t, nil, e) }
	upns := func(u ...string) func(*x509.Certificate) { return certificatetest.Names(t, u, nil) }
	subject := func(n pkix.Name) func(*x509.Certificate) { return func(c *x509.Certificate) { c.Subject = n } }
	uid := subject(pkix.Name{ExtraNames: []pkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 1}, Value: "ann"}}})
	for _, c := range []struct {
		name, rules string
		says        func(*x509.Certificate)
		want        string // username, or reason
	}{
		{"address", "email=email", emails("ann@example.com"), "ann"},
		{"address in other letters", "email=email", emails("Ann@Example.COM"), "ann"},
		{"address that is not verified", "email=email", emails("bob@example.com"), "nobody"},
		{"address of nobody", "email=email", emails("eve@example.com"), "nobody"},
		{"addresses of one, and of nobody", "email=email", emails("eve@example.com", "ann@example.com"), "ann"},
		{"address in the domain", "email=email@example.com", emails("ann@example.com"), "ann"},
		{"address in another domain", "email=email@example.org", emails("ann@example.com"), "nobody"},
		{"address in a longer domain", "email=email@example.com", emails("ann@evil.example.com"), "nobody"},
		{"address as username", "email=username@example.com", emails("ann@example.com"), "ann"},
		{"address of another domain as username", "email=username@example.com", emails("ann@evil.com"), "nobody"},
		{"username that is an address, not verified", "email=username", emails("bob@example.com"), "nobody"},
		{"no names", "email=email upn=username common_name=username", subject(pkix.Name{}), "nobody"},
		{"upn as address", "upn=email", upns("ann@example.com"), "ann"},
		{"upn as address, not verified", "upn=email", upns("bob@example.com"), "nobody"},
		{"upn as username in a domain", "upn=username@corp.example", upns("ann@corp.example"), "ann"},
		{"upn as username in another domain", "upn=username@corp.example", upns("ann@other.example"), "nobody"},
		{"upn with two @", "upn=username@corp.example", upns("ann@x@corp.example"), "nobody"},
		{"upn without name", "upn=username@corp.example", upns("@corp.example"), "nobody"},
		{"upn whole as username", "upn=username", upns("ann"), "ann"},
		{"upn is not asked for", "email=email", upns("ann@example.com"), "nobody"},
		{"address is not asked for", "upn=email", emails("ann@example.com"), "nobody"},
		{"common name", "common_name=username", subject(pkix.Name{CommonName: "ann"}), "ann"},
		{"common name is not asked for", "serial_number=username", subject(pkix.Name{CommonName: "ann"}), "nobody"},
		{"number of the person", "serial_number=username", subject(pkix.Name{CommonName: "x", SerialNumber: "ann"}), "ann"},
		{"uid", "uid=username", uid, "ann"},
		{"two rules, one user", "email=email common_name=username", func(c *x509.Certificate) {
			emails("ann@example.com")(c)
			c.Subject = pkix.Name{CommonName: "ann"}
		}, "ann"},
		{"two rules, two users", "email=email upn=username@corp.example", certificatetest.Names(t, []string{"carl@corp.example"}, []string{"ann@example.com"}), "ambiguous"},
		{"one rule, two users", "upn=username@corp.example", upns("ann@corp.example", "carl@corp.example"), "ambiguous"},
		{"no rules", "", emails("ann@example.com"), "nobody"},
		{"not added", "added", emails("ann@example.com"), "nobody"},
	} {
		if c.name == "address" {
			h.update(t, func(tx *fsm.Tx) error {
				_, err := directory.CreateUser(tx, ten, directory.User{Username: "carl"})
				return err
			})
		}
		a := *h.trusted
		a.Rules = rules(t, c.rules)
		n := namesOf(t, h.ca.Person(t, "somebody", c.says).Leaf)
		got := ""
		err := h.view(t, func(tx *fsm.Tx) error {
			u, err := a.Match(tx, n)
			if err == nil {
				got = u.Username
			}
			return err
		})
		if err != nil {
			got = string(reason(err))
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q (%v)", c.name, got, c.want, err)
		}
		if err != nil && !errors.Is(err, identity.ErrUnauthenticated) {
			t.Errorf("%s: %v is no refusal", c.name, err)
		}
	}
}

// What was added to a user is theirs by what it is known by, under its own authority alone.
func TestAddedCertificates(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, nil)
	first := h.ca.Person(t, "Ann Doe").Leaf
	later := h.ca.Person(t, "Ann Doe").Leaf // another number and key
	reissued := h.ca.Person(t, "Ann Other", func(c *x509.Certificate) { c.SerialNumber = first.SerialNumber }).Leaf
	for _, c := range []struct {
		by   string
		want map[*x509.Certificate]bool
	}{
		{certificate.ByFingerprint, map[*x509.Certificate]bool{first: true}},
		{certificate.ByIssuerSerial, map[*x509.Certificate]bool{first: true, reissued: true}},
		{certificate.BySubject, map[*x509.Certificate]bool{first: true, later: true}},
	} {
		var added *certificate.Certificate
		h.update(t, func(tx *fsm.Tx) (err error) {
			added, err = certificate.Bind(tx, h.trusted, namesOf(t, first), h.ann.ID, c.by, "badge")
			return err
		})
		err := h.DB[0].Update(t.Context(), func(tx *fsm.Tx) error {
			_, err := certificate.Bind(tx, h.trusted, namesOf(t, first), h.bob.ID, c.by, "")
			return err
		})
		if !errors.Is(err, fsm.ErrExists) {
			t.Errorf("%s: it was added to another as well: %v", c.by, err)
		}
		for _, cert := range []*x509.Certificate{first, later, reissued} {
			err := h.view(t, func(tx *fsm.Tx) error { _, err := h.trusted.Match(tx, namesOf(t, cert)); return err })
			if (err == nil) != c.want[cert] {
				t.Errorf("%s: %s no %v: %v", c.by, cert.Subject, cert.SerialNumber, err)
			}
			other := *h.trusted
			other.ID = "aut_other"
			if err := h.view(t, func(tx *fsm.Tx) error { _, err := other.Match(tx, namesOf(t, cert)); return err }); reason(err) != certificate.Nobody {
				t.Errorf("%s: another authority certified the same name: %v", c.by, err)
			}
		}
		h.update(t, func(tx *fsm.Tx) error { return certificate.Delete(tx, ten, h.ann.ID, added.ID) })
		if err := h.view(t, func(tx *fsm.Tx) error { _, err := h.trusted.Match(tx, namesOf(t, first)); return err }); reason(err) != certificate.Nobody {
			t.Errorf("%s: it was taken away: %v", c.by, err)
		}
	}
}

func TestBadRules(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, nil)
	for _, text := range []string{
		"email", "email=phone", "common_name=email", "added=username", "uid=username@example.com", "upn=username@", "upn=username@x y", "upn=username@example",
		"nothing=username", "email=username@Example.com", "", "=", "email=email email=email",
	} {
		err := h.DB[0].Update(t.Context(), func(tx *fsm.Tx) error {
			_, err := certificate.Update(tx, ten, h.trusted.ID, 0, func(a *certificate.Authority) (err error) {
				a.Rules = nil
				for _, s := range strings.Split(text, " email=") {
					r, err := certificate.ParseRule(strings.TrimSpace(s))
					if err != nil {
						return identity.Invalid("rules/0", err.Error())
					}
					a.Rules = append(a.Rules, r)
				}
				return nil
			})
			return err
		})
		if !errors.Is(err, identity.ErrInvalid) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// Names that certificates should not have are refused, not cleaned.
func TestStrangeNames(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, nil)
	san := func(der []byte) func(*x509.Certificate) {
		return func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: der}}
		}
	}
	for name, says := range map[string]func(*x509.Certificate){
		"many addresses":       certificatetest.Names(t, nil, strings.Split(strings.Repeat("a@example.com ", 6)[:83], " ")),
		"many upns":            certificatetest.Names(t, strings.Split("a b c d e f", " "), nil),
		"upn with a NUL":       certificatetest.Names(t, []string{"ann\x00@corp.example"}, nil),
		"upn with white space": certificatetest.Names(t, []string{" ann@corp.example"}, nil),
		"empty upn":            certificatetest.Names(t, []string{""}, nil),
		"long upn":             certificatetest.Names(t, []string{strings.Repeat("a", 300)}, nil),
		"upn that turns text":  certificatetest.Names(t, []string{"ann\u202e@corp.example"}, nil),
		"broken otherName":     san([]byte{0x30, 0x04, 0xa0, 0x02, 0x06, 0x00}),
	} {
		if _, err := certificate.NamesOf(h.ca.Person(t, "x", says).Leaf); reason(err) != certificate.Strange {
			t.Errorf("%s: %v", name, err)
		}
	}
}
