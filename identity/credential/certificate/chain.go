package certificate

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"slices"
	"time"
)

// MaxChain is how many certificates a chain may have, the authority's included.
const MaxChain = 5

// oidSmartCardLogon is Microsoft's purpose of certificates on smart cards.
var oidSmartCardLogon = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 20, 2, 2}

// A Chain is a certificate with what certifies it.
type Chain struct {
	Authority *Authority
	Certs     []*x509.Certificate // the person's first, the authority's last
}

// Verify builds the chain from what a browser has presented, its own certificate first, to one of
// the authorities: of several chains the shortest, for which what else the browser sends does
// not matter. It reports *Refused.
func Verify(all []Authority, presented []*x509.Certificate, now time.Time) (*Chain, error) {
	leaf := presented[0]
	if err := forPeople(leaf); err != nil {
		return nil, err
	}
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	for i := range all {
		cert, err := all[i].Parsed()
		if err != nil {
			return nil, err
		}
		roots.AddCert(cert)
	}
	for _, c := range presented[1:min(len(presented), MaxChain)] {
		between.AddCert(c)
	}
	purpose := x509.ExtKeyUsageClientAuth
	if !slices.Contains(leaf.ExtKeyUsage, purpose) {
		purpose = x509.ExtKeyUsageAny // of a smart card: looked at below
	}
	chains, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{purpose}})
	if err != nil {
		return nil, refuse(whyNot(err), err)
	}
	chains = slices.DeleteFunc(chains, func(c []*x509.Certificate) bool {
		return len(c) < 2 || len(c) > MaxChain || slices.ContainsFunc(c, func(c *x509.Certificate) bool { return !strong(c) }) || slices.ContainsFunc(c[1:], forbids)
	})
	if len(chains) == 0 {
		return nil, refuse(Untrusted, errors.New("no chain that is short and strong enough"))
	}
	best := slices.MinFunc(chains, func(a, b []*x509.Certificate) int {
		if len(a) != len(b) {
			return len(a) - len(b)
		}
		return bytes.Compare(a[len(a)-1].Raw, b[len(b)-1].Raw)
	})
	i := slices.IndexFunc(all, func(a Authority) bool { return bytes.Equal(a.Certificate, best[len(best)-1].Raw) })
	return &Chain{Authority: &all[i], Certs: best}, nil
}

// forPeople refuses certificates that are not for signing in. One that does not say what it is
// for is refused, too: it may be anything.
func forPeople(leaf *x509.Certificate) error {
	switch {
	case leaf.IsCA:
		return refuse(Purpose, errors.New("it is an authority's"))
	case leaf.KeyUsage != 0 && leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0:
		return refuse(Purpose, errors.New("its key is not for signatures"))
	case !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageClientAuth) && !slices.ContainsFunc(leaf.UnknownExtKeyUsage, oidSmartCardLogon.Equal):
		return refuse(Purpose, errors.New("its extended key usage is neither clientAuth nor smart card logon"))
	}
	return nil
}

// forbids reports whether a CA certificate is limited to purposes other than signing in.
func forbids(ca *x509.Certificate) bool {
	if len(ca.ExtKeyUsage) == 0 && len(ca.UnknownExtKeyUsage) == 0 {
		return false
	}
	return !slices.Contains(ca.ExtKeyUsage, x509.ExtKeyUsageAny) && !slices.Contains(ca.ExtKeyUsage, x509.ExtKeyUsageClientAuth) &&
		!slices.ContainsFunc(ca.UnknownExtKeyUsage, oidSmartCardLogon.Equal)
}

func strong(c *x509.Certificate) bool {
	key, ok := c.PublicKey.(*rsa.PublicKey)
	return !ok || key.N.BitLen() >= 2048
}

func whyNot(err error) Reason {
	var invalid x509.CertificateInvalidError
	if errors.As(err, &invalid) {
		switch invalid.Reason {
		case x509.Expired:
			return Expired
		case x509.IncompatibleUsage:
			return Purpose
		}
	}
	return Untrusted
}
