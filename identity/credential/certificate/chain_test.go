package certificate_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"testing"
	"time"

	"github.com/quis-idp/quis/identity/credential/certificate"
	"github.com/quis-idp/quis/identity/credential/certificate/certificatetest"
)

var smartCardLogon = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 20, 2, 2}

func trusting(cas ...*certificatetest.Authority) (all []certificate.Authority) {
	for _, ca := range cas {
		all = append(all, certificate.Authority{ID: "aut_" + ca.Cert.Subject.CommonName, Certificate: ca.Cert.Raw})
	}
	return all
}

// TestChains: which certificates are good, whoever's they are.
func TestChains(t *testing.T) {
	t.Parallel()
	root, stranger := certificatetest.New(t, "root", nil), certificatetest.New(t, "stranger", nil)
	between := certificatetest.New(t, "between", root)
	servers := certificatetest.New(t, "servers", root, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })
	named := certificatetest.New(t, "named", root, func(c *x509.Certificate) {
		c.PermittedEmailAddresses, c.PermittedDNSDomainsCritical = []string{"example.com"}, true
	})
	deep := []*certificatetest.Authority{root}
	for range 4 {
		deep = append(deep, certificatetest.New(t, "deep", deep[len(deep)-1]))
	}
	usage := func(known []x509.ExtKeyUsage, unknown ...asn1.ObjectIdentifier) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.ExtKeyUsage, c.UnknownExtKeyUsage = known, unknown }
	}
	mail := func(address string) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.EmailAddresses = []string{address} }
	}
	server := []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	client := []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	for _, c := range []struct {
		name string
		by   *certificatetest.Authority
		with []*certificatetest.Authority // sent along
		says func(*x509.Certificate)
		want certificate.Reason
	}{
		{"good", root, nil, nil, ""},
		{"good, by an authority between", between, []*certificatetest.Authority{between}, nil, ""},
		{"the one between was not sent", between, nil, nil, certificate.Untrusted},
		{"by a stranger", stranger, nil, nil, certificate.Untrusted},
		{"by a stranger who sends itself along", stranger, []*certificatetest.Authority{stranger}, nil, certificate.Untrusted},
		{"expired", root, nil, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }, certificate.Expired},
		{"of tomorrow", root, nil, func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour) }, certificate.Expired},
		{"smart card logon", root, nil, usage(nil, smartCardLogon), ""},
		{"smart card logon and server", root, nil, usage(server, smartCardLogon), ""},
		{"of a server", root, nil, usage(server), certificate.Purpose},
		{"of code", root, nil, usage([]x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}), certificate.Purpose},
		{"for anything", root, nil, usage([]x509.ExtKeyUsage{x509.ExtKeyUsageAny}), certificate.Purpose},
		{"for it does not say what", root, nil, usage(nil), certificate.Purpose},
		{"for encryption only", root, nil, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment }, certificate.Purpose},
		{"of an authority", root, nil, func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = true, true }, certificate.Purpose},
		{"by an authority for servers", servers, []*certificatetest.Authority{servers}, usage(client), certificate.Purpose},
		{"by an authority for servers, smart card", servers, []*certificatetest.Authority{servers}, usage(nil, smartCardLogon), certificate.Untrusted},
		{"of a permitted name", named, []*certificatetest.Authority{named}, mail("ann@example.com"), ""},
		{"of a name that is not permitted", named, []*certificatetest.Authority{named}, mail("ann@example.org"), certificate.Untrusted},
		{"too long a chain", deep[4], []*certificatetest.Authority{deep[4], deep[3], deep[2], deep[1]}, nil, certificate.Untrusted},
		{"as long as it may be", deep[3], []*certificatetest.Authority{deep[3], deep[2], deep[1]}, nil, ""},
	} {
		says := c.says
		if says == nil {
			says = func(*x509.Certificate) {}
		}
		sent := []*x509.Certificate{c.by.Person(t, "ann", says).Leaf}
		for _, a := range c.with {
			sent = append(sent, a.Cert)
		}
		chain, err := certificate.Verify(trusting(root), sent, time.Now())
		if reason(err) != c.want || (err == nil) != (c.want == "") {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
		if err == nil && chain.Authority.ID != "aut_root" {
			t.Errorf("%s: it ends at %s", c.name, chain.Authority.ID)
		}
	}
	if _, err := certificate.Verify(nil, []*x509.Certificate{root.Person(t, "ann").Leaf}, time.Now()); reason(err) != certificate.Untrusted {
		t.Errorf("nobody is trusted: %v", err)
	}
}

// The chain ends at the nearest authority, whatever else was sent.
func TestNearestAuthority(t *testing.T) {
	t.Parallel()
	root := certificatetest.New(t, "root", nil)
	between := certificatetest.New(t, "between", root)
	leaf := between.Person(t, "ann").Leaf
	for _, sent := range [][]*x509.Certificate{{leaf}, {leaf, between.Cert}, {leaf, between.Cert, root.Cert}} {
		chain, err := certificate.Verify(trusting(root, between), sent, time.Now())
		if err != nil || chain.Authority.ID != "aut_between" || len(chain.Certs) != 2 {
			t.Errorf("%d sent: %+v, %v", len(sent), chain, err)
		}
	}
}

func TestWeakKeys(t *testing.T) {
	t.Parallel()
	root := certificatetest.New(t, "root", nil)
	for bits, want := range map[int]certificate.Reason{1024: certificate.Untrusted, 2048: ""} {
		key, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			t.Fatal(err)
		}
		leaf := root.Person(t, "ann").Leaf
		template := &x509.Certificate{
			SerialNumber: leaf.SerialNumber, Subject: leaf.Subject, NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter, KeyUsage: leaf.KeyUsage, ExtKeyUsage: leaf.ExtKeyUsage,
		}
		der, err := x509.CreateCertificate(rand.Reader, template, root.Cert, key.Public(), root.Key)
		if err != nil {
			t.Fatal(err)
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := certificate.Verify(trusting(root), []*x509.Certificate{cert}, time.Now()); reason(err) != want || (err == nil) != (want == "") {
			t.Errorf("%d bits: %v", bits, err)
		}
	}
}
