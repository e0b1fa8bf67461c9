package certificate

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/quis-idp/quis/identity"
)

// Bounds of what a certificate may say of a person; one that says more is refused. All of it
// travels in flows.
const (
	maxNames = 5   // of one kind
	maxText  = 254 // bytes of one
	maxTitle = 200
)

// Names are what a certificate says of its owner: as much as rules need, and little enough to
// travel in a flow.
type Names struct {
	Fingerprint   []byte    `cbor:"1,keyasint,omitempty"` // SHA-256 of the certificate
	Number        []byte    `cbor:"2,keyasint,omitempty"` // serial number, big-endian
	Issuer        []byte    `cbor:"3,keyasint,omitempty"` // SHA-256 of the issuer's name in DER
	Subject       []byte    `cbor:"4,keyasint,omitempty"` // SHA-256 of the subject's name as text
	Title         string    `cbor:"5,keyasint,omitempty"` // the subject's name for people, perhaps cut off
	Emails        []string  `cbor:"6,keyasint,omitempty"`
	UPNs          []string  `cbor:"7,keyasint,omitempty"`
	CommonNames   []string  `cbor:"8,keyasint,omitempty"`
	SerialNumbers []string  `cbor:"9,keyasint,omitempty"`
	UIDs          []string  `cbor:"10,keyasint,omitempty"`
	NotAfter      time.Time `cbor:"11,keyasint,omitempty"`
	Issued        bool      `cbor:"12,keyasint,omitempty"` // by the authority itself, whose list then says whether it is revoked
}

var (
	oidSAN          = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidUPN          = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 20, 2, 3}
	oidCommonName   = asn1.ObjectIdentifier{2, 5, 4, 3}
	oidSerialNumber = asn1.ObjectIdentifier{2, 5, 4, 5}
	oidUID          = asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 1}
)

// NamesOf reads a certificate. It reports *Refused for one that says more, or stranger things,
// than is taken from anybody.
func NamesOf(cert *x509.Certificate) (*Names, error) {
	sum, issuer, subject := sha256.Sum256(cert.Raw), sha256.Sum256(cert.RawIssuer), sha256.Sum256([]byte(cert.Subject.String()))
	n := &Names{
		Fingerprint: sum[:], Number: cert.SerialNumber.Bytes(), Issuer: issuer[:], Subject: subject[:],
		Title: identity.Printable(cert.Subject.String(), maxTitle), Emails: cert.EmailAddresses, NotAfter: cert.NotAfter,
	}
	if n.Title == "" {
		n.Title = "CN=?"
	}
	for _, e := range cert.Extensions {
		if e.Id.Equal(oidSAN) {
			upns, err := parseUPNs(e.Value)
			if err != nil {
				return nil, refuse(Strange, err)
			}
			n.UPNs = append(n.UPNs, upns...)
		}
	}
	for _, attribute := range cert.Subject.Names {
		into := map[string]*[]string{
			oidCommonName.String(): &n.CommonNames, oidSerialNumber.String(): &n.SerialNumbers, oidUID.String(): &n.UIDs,
		}[attribute.Type.String()]
		if text, ok := attribute.Value.(string); ok && into != nil && plain(text) {
			*into = append(*into, text)
		}
	}
	for _, all := range [][]string{n.Emails, n.UPNs, n.CommonNames, n.SerialNumbers, n.UIDs} {
		if len(all) > maxNames {
			return nil, refuse(Strange, nil)
		}
		for _, text := range all {
			if !plain(text) {
				return nil, refuse(Strange, nil)
			}
		}
	}
	return n, nil
}

// plain reports whether text can be a name: one that is cut or cleaned would be another's.
func plain(text string) bool {
	return text != "" && len(text) <= maxText && utf8.ValidString(text) && identity.Printable(text, maxText) == text && strings.TrimSpace(text) == text
}

// of returns what a rule looks at.
func (n *Names) of(from string) []string {
	switch from {
	case FromEmail:
		return n.Emails
	case FromUPN:
		return n.UPNs
	case FromCommonName:
		return n.CommonNames
	case FromSerialNumber:
		return n.SerialNumbers
	case FromUID:
		return n.UIDs
	}
	return nil
}

// parseUPNs returns the user principal names in a subject alternative name extension (RFC 5280
// §4.2.1.6): the values of GeneralName [0], otherName, with Microsoft's type, which are
// UTF8Strings. What else there is is passed over.
func parseUPNs(der []byte) (upns []string, err error) {
	broken := asn1.StructuralError{Msg: "subject alternative name"}
	input := cryptobyte.String(der)
	var names cryptobyte.String
	if !input.ReadASN1(&names, casn1.SEQUENCE) || !input.Empty() {
		return nil, broken
	}
	otherName := casn1.Tag(0).ContextSpecific().Constructed()
	for !names.Empty() {
		var one cryptobyte.String
		var tag casn1.Tag
		if !names.ReadAnyASN1(&one, &tag) {
			return nil, broken
		}
		if tag != otherName {
			continue
		}
		var kind asn1.ObjectIdentifier
		var value, text cryptobyte.String
		if !one.ReadASN1ObjectIdentifier(&kind) || !one.ReadASN1(&value, casn1.Tag(0).ContextSpecific().Constructed()) || !one.Empty() {
			return nil, broken
		}
		if !kind.Equal(oidUPN) {
			continue
		}
		if !value.ReadASN1(&text, casn1.UTF8String) || !value.Empty() {
			return nil, broken
		}
		upns = append(upns, string(text))
	}
	return upns, nil
}
