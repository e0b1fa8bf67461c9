package certificate

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"
	"golang.org/x/crypto/ocsp"
)

// Bounds of asking.
const (
	askTime   = 8 * time.Second // for all of a chain
	skew      = 5 * time.Minute // that clocks of authorities may be ahead
	ageless   = time.Hour       // how old an answer may be that does not say when there will be a newer one
	perSource = 2               // addresses of one kind in one certificate
)

// Sources fetch what authorities publish. They decide where requests may go; what they
// return is judged here. A nil one has nothing.
type Sources struct {
	CRL  func(ctx context.Context, url string) (*x509.RevocationList, error)
	OCSP func(ctx context.Context, url string) ([]byte, error) // by GET (RFC 6960, appendix A.1)
}

// errNoSource is why nothing is known of a certificate that nobody can be asked about.
var errNoSource = errors.New("nothing says where to ask about it")

// Check asks whether anything in a chain but its authority has been revoked. uploaded looks
// in the authority's uploaded list. unchecked: it could not be learned, and the authority lets
// people in all the same. It reports *Refused, and what uploaded reports.
func (s Sources) Check(ctx context.Context, c *Chain, now time.Time, uploaded func(number []byte) (*Revocations, bool, error)) (unchecked bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	var doubts []error
	for i, cert := range c.Certs[:len(c.Certs)-1] {
		issuer := c.Certs[i+1]
		if own := i == len(c.Certs)-2; own {
			head, revoked, err := uploaded(cert.SerialNumber.Bytes())
			if err != nil {
				return false, err
			}
			if revoked {
				return false, refuse(Revoked, errors.New("by the uploaded list"))
			}
			if head != nil && now.Before(head.NextUpdate) {
				continue
			}
		}
		if c.Authority.Revocation == RevocationOff {
			continue
		}
		revoked, err := s.ask(ctx, c, i, issuer, now)
		if revoked {
			return false, refuse(Revoked, err)
		}
		if err != nil {
			doubts = append(doubts, err)
		}
	}
	if len(doubts) == 0 {
		return false, nil
	}
	if c.Authority.Revocation == RevocationSoft {
		return true, nil
	}
	return false, refuse(Unknown, errors.Join(doubts...))
}

// ask asks one source after the other about certificate i of a chain until one knows. err
// says why none does, or how it is known that it was revoked.
func (s Sources) ask(ctx context.Context, c *Chain, i int, issuer *x509.Certificate, now time.Time) (revoked bool, err error) {
	cert := c.Certs[i]
	doubt := errNoSource
	if i == len(c.Certs)-2 && c.Authority.CRL != "" {
		if revoked, doubt = s.byList(ctx, c.Authority.CRL, "", cert, issuer, now); doubt == nil || revoked {
			return revoked, doubt
		}
	}
	if !c.Authority.Ask {
		return false, doubt
	}
	for _, at := range first(cert.OCSPServer) {
		if revoked, doubt = s.byOCSP(ctx, at, cert, issuer, now); doubt == nil || revoked {
			return revoked, doubt
		}
	}
	for _, at := range first(cert.CRLDistributionPoints) {
		if revoked, doubt = s.byList(ctx, at, at, cert, issuer, now); doubt == nil || revoked {
			return revoked, doubt
		}
	}
	return false, doubt
}

// first are the first addresses that can be asked, of as many as a certificate may name.
func first(urls []string) []string {
	urls = slices.DeleteFunc(slices.Clone(urls), func(u string) bool { return !httpURL(u) })
	return urls[:min(len(urls), perSource)]
}

// byList looks a certificate up in a list; partial is the address that the list may be limited to.
func (s Sources) byList(ctx context.Context, at, partial string, cert, issuer *x509.Certificate, now time.Time) (revoked bool, err error) {
	if s.CRL == nil {
		return false, errNoSource
	}
	l, err := s.CRL(ctx, at)
	if err != nil {
		return false, fmt.Errorf("list: %w", err)
	}
	if err := complete(l, issuer, scope{partial, !cert.IsCA}, now); err != nil {
		return false, fmt.Errorf("list: %w", err)
	}
	for _, e := range l.RevokedCertificateEntries {
		if e.SerialNumber.Cmp(cert.SerialNumber) == 0 {
			return true, errors.New("by a list")
		}
	}
	return false, nil
}

var oidIssuingPoint = asn1.ObjectIdentifier{2, 5, 29, 28}

// A scope is to which certificates a list may be limited.
type scope struct {
	point  string // those that have this address as their distribution point; "": it must not
	people bool   // those that are no authority's
}

// complete says why a list does not tell of all certificates of an issuer, or of those in a
// scope, whether they have been revoked, as of now. What is critical and not known here makes
// a list useless (RFC 5280 §5.2), as it does delta lists and those that one issuer makes for another.
func complete(l *x509.RevocationList, issuer *x509.Certificate, s scope, now time.Time) error {
	switch {
	case !bytes.Equal(l.RawIssuer, issuer.RawSubject):
		return errors.New("it is another issuer's")
	case l.CheckSignatureFrom(issuer) != nil:
		return errors.New("its signature is not the issuer's")
	case now.Add(skew).Before(l.ThisUpdate):
		return errors.New("it is of a time to come")
	case !now.Before(l.NextUpdate):
		return errors.New("it is out of date")
	}
	for _, e := range l.Extensions {
		if e.Id.Equal(oidIssuingPoint) {
			if !s.covers(e.Value) {
				return errors.New("it is limited to some certificates")
			}
		} else if e.Critical {
			return errors.New("it has a critical extension that is not known here")
		}
	}
	for _, entry := range l.RevokedCertificateEntries {
		for _, e := range entry.Extensions {
			if e.Critical {
				return errors.New("it has a critical extension that is not known here")
			}
		}
	}
	return nil
}

// covers reports whether an issuing distribution point (RFC 5280 §5.2.5) limits its list to no
// less than the scope.
func (s scope) covers(der []byte) bool {
	input := cryptobyte.String(der)
	var point cryptobyte.String
	if !input.ReadASN1(&point, casn1.SEQUENCE) || !input.Empty() {
		return false
	}
	for !point.Empty() {
		var part cryptobyte.String
		var tag casn1.Tag
		if !point.ReadAnyASN1(&part, &tag) {
			return false
		}
		switch tag {
		case casn1.Tag(0).ContextSpecific().Constructed(): // distributionPoint
			if s.point == "" || !names(part, s.point) {
				return false
			}
		case casn1.Tag(1).ContextSpecific(): // onlyContainsUserCerts
			if !s.people {
				return false
			}
		default:
			return false
		}
	}
	return true
}

// names reports whether a DistributionPointName has the address among its full names.
func names(point cryptobyte.String, address string) bool {
	var full cryptobyte.String
	if !point.ReadASN1(&full, casn1.Tag(0).ContextSpecific().Constructed()) {
		return false
	}
	for !full.Empty() {
		var name cryptobyte.String
		var tag casn1.Tag
		if !full.ReadAnyASN1(&name, &tag) {
			return false
		}
		if tag == casn1.Tag(6).ContextSpecific() && string(name) == address {
			return true
		}
	}
	return false
}

// byOCSP asks a responder (RFC 6960), as high-volume ones want it (RFC 5019 §5).
func (s Sources) byOCSP(ctx context.Context, at string, cert, issuer *x509.Certificate, now time.Time) (revoked bool, err error) {
	if s.OCSP == nil {
		return false, errNoSource
	}
	request, err := ocsp.CreateRequest(cert, issuer, nil)
	if err != nil {
		return false, fmt.Errorf("ocsp: %w", err)
	}
	raw, err := s.OCSP(ctx, strings.TrimSuffix(at, "/")+"/"+url.PathEscape(base64.StdEncoding.EncodeToString(request)))
	if err != nil {
		return false, fmt.Errorf("ocsp: %w", err)
	}
	answer, err := ocsp.ParseResponseForCert(raw, cert, issuer)
	if err != nil {
		return false, fmt.Errorf("ocsp: %w", err)
	}
	if err := mayAnswer(answer, issuer, now); err != nil {
		return false, fmt.Errorf("ocsp: %w", err)
	}
	switch answer.Status {
	case ocsp.Good:
		return false, nil
	case ocsp.Revoked:
		return true, errors.New("by OCSP")
	}
	return false, errors.New("ocsp: the responder does not know the certificate")
}

// mayAnswer checks what the library leaves to its callers: that whoever signed may answer for
// the issuer (RFC 6960 §4.2.2.2), or everybody whom it has certified could; and that the
// answer is of now.
func mayAnswer(answer *ocsp.Response, issuer *x509.Certificate, now time.Time) error {
	if signer := answer.Certificate; signer != nil && !bytes.Equal(signer.Raw, issuer.Raw) {
		if !slices.Contains(signer.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning) || now.Before(signer.NotBefore) || now.After(signer.NotAfter) {
			return errors.New("it is signed by somebody who may not answer for the issuer")
		}
	}
	until := answer.NextUpdate
	if until.IsZero() {
		until = answer.ThisUpdate.Add(ageless)
	}
	if now.Add(skew).Before(answer.ThisUpdate) || !now.Before(until) {
		return errors.New("the answer is out of date")
	}
	return nil
}
