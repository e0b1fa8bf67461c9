package certificate_test

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential/certificate"
	"github.com/quis-idp/quis/identity/credential/certificate/certificatetest"
)

const (
	crlAt  = "http://ca.example.com/people.crl"
	ocspAt = "http://ocsp.example.com/"
)

var errOut = errors.New("no answer in time")

// issuingPoint is the extension of a list that limits it.
func issuingPoint(der string) func(*x509.RevocationList) {
	return func(l *x509.RevocationList) {
		l.ExtraExtensions = append(l.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 28}, Critical: true, Value: []byte(der)})
	}
}

// point is the issuing distribution point of a list for certificates that name this address.
func point(at string) string {
	wrap := func(tag byte, inner string) string { return string([]byte{tag, byte(len(inner))}) + inner }
	return wrap(0x30, wrap(0xa0, wrap(0xa0, wrap(0x86, at))))
}

// TestRevocation: what is known of a certificate, and what follows.
func TestRevocation(t *testing.T) {
	t.Parallel()
	ca, stranger := certificatetest.New(t, "People", nil), certificatetest.New(t, "People", nil)
	cert := ca.Person(t, "ann", func(c *x509.Certificate) {
		c.OCSPServer, c.CRLDistributionPoints = []string{ocspAt}, []string{crlAt}
	}).Leaf
	bare := ca.Person(t, "ann").Leaf
	mine, none := []*x509.Certificate{cert, bare}, []*x509.Certificate(nil)
	responder := ca.Person(t, "responder", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning} })
	former := ca.Person(t, "responder", func(c *x509.Certificate) {
		c.ExtKeyUsage, c.NotAfter = []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning}, time.Now().Add(-time.Minute)
	})
	colleague := ca.Person(t, "colleague")
	strange := stranger.Person(t, "responder", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning} })
	old := func(l *x509.RevocationList) {
		l.ThisUpdate, l.NextUpdate = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
	}
	oldAnswer := func(r *ocsp.Response) {
		r.ThisUpdate, r.NextUpdate = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
	}
	undated := func(r *ocsp.Response) { r.ThisUpdate, r.NextUpdate = time.Now().Add(-2*time.Hour), time.Time{} }
	delta := func(l *x509.RevocationList) {
		l.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 27}, Critical: true, Value: []byte{2, 1, 1}}}
	}
	const revoked, unknown, good = string(certificate.Revoked), string(certificate.Unknown), ""
	for _, c := range []struct {
		name string
		cert *x509.Certificate
		mode string
		url  string
		ask  bool
		crl  *x509.RevocationList // nil: out of reach
		ocsp []byte               // nil: out of reach
		want string               // reason; "soft": taken unchecked
	}{
		{"nothing to ask", bare, certificate.RevocationRequired, "", true, nil, nil, unknown},
		{"nothing to ask, soft", bare, certificate.RevocationSoft, "", true, nil, nil, "soft"},
		{"nothing is asked", bare, certificate.RevocationOff, "", true, nil, nil, good},
		{"must not ask", cert, certificate.RevocationRequired, "", false, ca.List(t, 1, none), ca.Answer(t, cert, ocsp.Good, nil), unknown},
		{"authority's list", bare, certificate.RevocationRequired, crlAt, false, ca.List(t, 1, none), nil, good},
		{"authority's list, revoked", bare, certificate.RevocationSoft, crlAt, false, ca.List(t, 1, mine), nil, revoked},
		{"authority's list, out of reach", bare, certificate.RevocationRequired, crlAt, false, nil, nil, unknown},
		{"list in the certificate", cert, certificate.RevocationRequired, "", true, ca.List(t, 1, none), nil, good},
		{"list in the certificate, revoked", cert, certificate.RevocationSoft, "", true, ca.List(t, 1, mine), nil, revoked},
		{"list of a stranger of the same name", cert, certificate.RevocationRequired, "", true, stranger.List(t, 1, none), nil, unknown},
		{"list of a stranger revokes nothing", cert, certificate.RevocationSoft, "", true, stranger.List(t, 1, mine), nil, "soft"},
		{"list out of date", cert, certificate.RevocationRequired, "", true, ca.List(t, 1, none, old), nil, unknown},
		{"delta list", cert, certificate.RevocationRequired, "", true, ca.List(t, 1, none, delta), nil, unknown},
		{"list for this address", cert, certificate.RevocationRequired, "", true, ca.List(t, 1, none, issuingPoint(point(crlAt))), nil, good},
		{"list for another address", cert, certificate.RevocationRequired, "", true, ca.List(t, 1, none, issuingPoint(point("http://ca.example.com/other.crl"))), nil, unknown},
		{"list of people", cert, certificate.RevocationRequired, "", true, ca.List(t, 1, none, issuingPoint("\x30\x03\x81\x01\xff")), nil, good},
		{"list of authorities", cert, certificate.RevocationRequired, "", true, ca.List(t, 1, none, issuingPoint("\x30\x03\x82\x01\xff")), nil, unknown},
		{"list of some reasons", cert, certificate.RevocationRequired, "", true, ca.List(t, 1, none, issuingPoint("\x30\x04\x83\x02\x06\x40")), nil, unknown},
		{"indirect list", cert, certificate.RevocationRequired, "", true, ca.List(t, 1, none, issuingPoint("\x30\x03\x84\x01\xff")), nil, unknown},
		{"answer", cert, certificate.RevocationRequired, "", true, nil, ca.Answer(t, cert, ocsp.Good, nil), good},
		{"answer, revoked", cert, certificate.RevocationSoft, "", true, ca.List(t, 1, none), ca.Answer(t, cert, ocsp.Revoked, nil), revoked},
		{"answer, not known there", cert, certificate.RevocationRequired, "", true, nil, ca.Answer(t, cert, ocsp.Unknown, nil), unknown},
		{"answer of a responder", cert, certificate.RevocationRequired, "", true, nil, ca.Answer(t, cert, ocsp.Good, &responder), good},
		{"answer of a responder who has expired", cert, certificate.RevocationRequired, "", true, nil, ca.Answer(t, cert, ocsp.Good, &former), unknown},
		{"answer of somebody whom the authority has certified", cert, certificate.RevocationRequired, "", true, nil, ca.Answer(t, cert, ocsp.Good, &colleague), unknown},
		{"answer of a stranger's responder", cert, certificate.RevocationRequired, "", true, nil, ca.Answer(t, cert, ocsp.Good, &strange), unknown},
		{"answer of a stranger", cert, certificate.RevocationRequired, "", true, nil, stranger.Answer(t, cert, ocsp.Good, nil), unknown},
		{"answer out of date", cert, certificate.RevocationRequired, "", true, nil, ca.Answer(t, cert, ocsp.Good, nil, oldAnswer), unknown},
		{"answer without an end, old", cert, certificate.RevocationRequired, "", true, nil, ca.Answer(t, cert, ocsp.Good, nil, undated), unknown},
		{"answer about another", cert, certificate.RevocationRequired, "", true, nil, ca.Answer(t, bare, ocsp.Good, nil), unknown},
		{"no answer, but a list", cert, certificate.RevocationRequired, "", true, ca.List(t, 1, mine), nil, revoked},
		{"an answer that is none", cert, certificate.RevocationRequired, "", true, nil, ocsp.TryLaterErrorResponse, unknown},
	} {
		from := certificate.Sources{
			CRL: func(_ context.Context, url string) (*x509.RevocationList, error) {
				if c.crl == nil || url != crlAt {
					return nil, errOut
				}
				return c.crl, nil
			},
			OCSP: func(_ context.Context, url string) ([]byte, error) {
				if c.ocsp == nil || !strings.HasPrefix(url, ocspAt) || len(url) > 400 {
					return nil, errOut
				}
				return c.ocsp, nil
			},
		}
		chain := &certificate.Chain{Authority: &certificate.Authority{Revocation: c.mode, CRL: c.url, Ask: c.ask}, Certs: []*x509.Certificate{c.cert, ca.Cert}}
		unchecked, err := from.Check(t.Context(), chain, time.Now(), nothingUploaded)
		got := string(reason(err))
		if unchecked {
			got = "soft"
		}
		if got != c.want || err != nil && got == "" {
			t.Errorf("%s: %q (%v), want %q", c.name, got, err, c.want)
		}
	}
}

func nothingUploaded([]byte) (*certificate.Revocations, bool, error) { return nil, false, nil }

// An authority between that has been revoked certifies nobody.
func TestRevokedBetween(t *testing.T) {
	t.Parallel()
	root := certificatetest.New(t, "root", nil)
	between := certificatetest.New(t, "between", root, func(c *x509.Certificate) { c.CRLDistributionPoints = []string{"http://ca.example.com/root.crl"} })
	leaf := between.Person(t, "ann", func(c *x509.Certificate) { c.CRLDistributionPoints = []string{crlAt} }).Leaf
	chain := &certificate.Chain{Authority: &certificate.Authority{Revocation: certificate.RevocationSoft, Ask: true}, Certs: []*x509.Certificate{leaf, between.Cert, root.Cert}}
	for want, top := range map[certificate.Reason]*x509.RevocationList{
		"": root.List(t, 1, nil), certificate.Revoked: root.List(t, 1, []*x509.Certificate{between.Cert}),
	} {
		from := certificate.Sources{CRL: func(_ context.Context, url string) (*x509.RevocationList, error) {
			if url == crlAt {
				return between.List(t, 1, nil), nil
			}
			return top, nil
		}}
		if _, err := from.Check(t.Context(), chain, time.Now(), nothingUploaded); reason(err) != want {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// TestUploadedList: the list counts on every node, to its end and, for what is on it, beyond.
func TestUploadedList(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2, func(a *certificate.Authority) { a.Rules = rules(t, "email=email") })
	mail := certificatetest.Names(t, nil, []string{"ann@example.com"})
	lost, kept := h.ca.Person(t, "lost", mail).Leaf, h.ca.Person(t, "kept", mail).Leaf
	upload := func(l *x509.RevocationList) error {
		return h.DB[1].Update(t.Context(), func(tx *fsm.Tx) error { _, err := certificate.Upload(tx, ten, h.trusted.ID, l); return err })
	}
	stranger := certificatetest.New(t, "People", nil)
	old := func(l *x509.RevocationList) { l.ThisUpdate = time.Now().Add(-time.Hour) }
	many := make([]*x509.Certificate, 6001)
	for i := range many {
		many[i] = lost
	}
	if err := upload(h.ca.List(t, 7, []*x509.Certificate{lost})); err != nil {
		t.Fatal(err)
	}
	for name, l := range map[string]*x509.RevocationList{
		"a stranger's": stranger.List(t, 8, nil), "an older one": h.ca.List(t, 6, nil, old), "one for some": h.ca.List(t, 8, nil, issuingPoint(point(crlAt))),
		"one for people only": h.ca.List(t, 8, nil, issuingPoint("\x30\x03\x81\x01\xff")), "too long a one": h.ca.List(t, 8, many),
	} {
		if err := upload(l); !errors.Is(err, identity.ErrInvalid) {
			t.Errorf("%s was taken: %v", name, err)
		}
	}
	owner := func(cert *x509.Certificate) error {
		return h.DB[0].Read(t.Context(), func(tx *fsm.Tx) error { _, _, err := h.shown(t, cert).Owner(tx, ten); return err })
	}
	if err := owner(lost); reason(err) != certificate.Revoked {
		t.Errorf("a revoked one: %v", err)
	}
	if err := owner(kept); err != nil {
		t.Errorf("one that is not: %v", err)
	}
	check := func(cert *x509.Certificate, now time.Time) error {
		chain := &certificate.Chain{Authority: h.trusted, Certs: []*x509.Certificate{cert, h.ca.Cert}}
		_, err := certificate.Sources{}.Check(t.Context(), chain, now, func(number []byte) (l *certificate.Revocations, revoked bool, err error) {
			err = h.view(t, func(tx *fsm.Tx) error {
				l, revoked, err = certificate.Listed(tx, ten, h.trusted.ID, number)
				return err
			})
			return l, revoked, err
		})
		return err
	}
	later := time.Now().Add(2 * time.Hour)
	if err := check(lost, time.Now()); reason(err) != certificate.Revoked {
		t.Errorf("revoked, now: %v", err)
	}
	if err := check(kept, time.Now()); err != nil {
		t.Errorf("good, now: %v", err)
	}
	if err := check(lost, later); reason(err) != certificate.Revoked {
		t.Errorf("revoked, later: %v", err)
	}
	if err := check(kept, later); reason(err) != certificate.Unknown {
		t.Errorf("good, later: %v", err)
	}
	h.update(t, func(tx *fsm.Tx) error { return certificate.Withdraw(tx, ten, h.trusted.ID) })
	if err := owner(lost); err != nil {
		t.Errorf("the list is gone: %v", err)
	}
	if err := h.DB[0].Update(t.Context(), func(tx *fsm.Tx) error { return certificate.Withdraw(tx, ten, h.trusted.ID) }); !errors.Is(err, fsm.ErrNotFound) {
		t.Errorf("twice: %v", err)
	}
}
