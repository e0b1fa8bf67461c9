// Package certificatetest is a certificate authority in software, for tests of whatever takes
// people's certificates: it certifies, revokes, and answers for what it certified.
//
// Not here: what is right. Everything that it makes can be made wrong by a change of the template.
package certificatetest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"
)

// An Authority certifies people and other authorities.
type Authority struct {
	Cert *x509.Certificate
	Key  *ecdsa.PrivateKey
}

var numbers atomic.Int64

// New returns an authority that above certifies; nil: it is a root.
func New(t testing.TB, name string, above *Authority, changes ...func(*x509.Certificate)) *Authority {
	t.Helper()
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: name, Organization: []string{"Example"}}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	a := &Authority{}
	a.Cert, a.Key = above.issue(t, template, changes)
	return a
}

// Person returns the certificate of somebody, for signing in.
func (a *Authority) Person(t testing.TB, name string, changes ...func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	cert, key := a.issue(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, changes)
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}
}

func (a *Authority) issue(t testing.TB, template *x509.Certificate, changes []func(*x509.Certificate)) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(numbers.Add(1) + 1000)
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().AddDate(10, 0, 0)
	for _, change := range changes {
		change(template)
	}
	parent, signer := template, key
	if a != nil {
		parent, signer = a.Cert, a.Key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

// PEM is the authority's certificate.
func (a *Authority) PEM() string { return PEM(a.Cert) }

// PEM is a certificate as text.
func PEM(c *x509.Certificate) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
}

// List is the authority's list of these revoked certificates, for an hour from now on.
func (a *Authority) List(t testing.TB, number int64, revoked []*x509.Certificate, changes ...func(*x509.RevocationList)) *x509.RevocationList {
	t.Helper()
	template := &x509.RevocationList{Number: big.NewInt(number), ThisUpdate: time.Now().Add(-time.Minute), NextUpdate: time.Now().Add(time.Hour)}
	for _, c := range revoked {
		template.RevokedCertificateEntries = append(template.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: c.SerialNumber, RevocationTime: template.ThisUpdate})
	}
	for _, change := range changes {
		change(template)
	}
	der, err := x509.CreateRevocationList(rand.Reader, template, a.Cert, a.Key)
	if err != nil {
		t.Fatal(err)
	}
	list, err := x509.ParseRevocationList(der)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// Answer is what an OCSP responder says of a certificate of a, signed by whoever has that
// certificate and key; the authority itself if by is nil.
func (a *Authority) Answer(t testing.TB, c *x509.Certificate, status int, by *tls.Certificate, changes ...func(*ocsp.Response)) []byte {
	t.Helper()
	template := ocsp.Response{
		Status: status, SerialNumber: c.SerialNumber, ThisUpdate: time.Now().Add(-time.Minute), NextUpdate: time.Now().Add(time.Hour), RevokedAt: time.Now().Add(-time.Hour),
	}
	signer, key := a.Cert, a.Key
	if by != nil {
		signer, key = by.Leaf, by.PrivateKey.(*ecdsa.PrivateKey)
		template.Certificate = by.Leaf
	}
	for _, change := range changes {
		change(&template)
	}
	raw, err := ocsp.CreateResponse(a.Cert, signer, template, key)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// Names puts a subject alternative name with these user principal names and addresses into
// a template.
func Names(t testing.TB, upns, emails []string) func(*x509.Certificate) {
	t.Helper()
	var names []asn1.RawValue
	for _, upn := range upns {
		type otherName struct {
			Kind  asn1.ObjectIdentifier
			Value asn1.RawValue
		}
		text, err := asn1.MarshalWithParams(upn, "utf8")
		if err != nil {
			t.Fatal(err)
		}
		other, err := asn1.Marshal(otherName{asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 20, 2, 3}, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: text}})
		if err != nil {
			t.Fatal(err)
		}
		var inner asn1.RawValue
		if _, err := asn1.Unmarshal(other, &inner); err != nil {
			t.Fatal(err)
		}
		names = append(names, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: inner.Bytes})
	}
	for _, email := range emails {
		names = append(names, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 1, Bytes: []byte(email)})
	}
	der, err := asn1.Marshal(names)
	if err != nil {
		t.Fatal(err)
	}
	return func(c *x509.Certificate) {
		c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: der})
	}
}
