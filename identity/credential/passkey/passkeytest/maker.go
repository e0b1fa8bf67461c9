package passkeytest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // a name of a key, as FIDO wants it
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
	"time"
)

// A Maker makes authenticators: it has a certificate authority whose certificates attest them.
type Maker struct {
	Root *x509.Certificate

	key, batch *ecdsa.PrivateKey
}

// NewMaker returns a maker with keys of its own.
func NewMaker() (m *Maker, err error) {
	m = &Maker{}
	if m.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, err
	}
	if m.batch, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, err
	}
	m.Root, err = authority("A maker of authenticators", m.key)
	return m, err
}

// CertificateID is the key identifier by which metadata name the certificate of U2F keys.
func (m *Maker) CertificateID() (string, error) {
	point, err := m.batch.PublicKey.Bytes()
	sum := sha1.Sum(point)
	return hex.EncodeToString(sum[:]), err
}

var oidAAGUID = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 45724, 1, 1, 4}

func (m *Maker) attest(aaguid, signed []byte) (map[string]any, error) {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), BasicConstraintsValid: true,
		Subject: pkix.Name{
			Country: []string{"SE"}, Organization: []string{"A maker"}, OrganizationalUnit: []string{"Authenticator Attestation"}, CommonName: "Batch 1",
		},
	}
	if aaguid != nil {
		value, err := asn1.Marshal(aaguid)
		if err != nil {
			return nil, err
		}
		template.ExtraExtensions = []pkix.Extension{{Id: oidAAGUID, Value: value}}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, m.Root, &m.batch.PublicKey, m.key)
	if err != nil {
		return nil, err
	}
	sig, err := sign(m.batch, signed)
	return map[string]any{"sig": sig, "x5c": []any{der}}, err
}

func authority(name string, key crypto.Signer) (*x509.Certificate, error) {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// A FIDO publishes metadata, signed as FIDO signs them.
type FIDO struct {
	Roots *x509.CertPool
	Host  string // that its certificate is for

	root *x509.Certificate
	key  *rsa.PrivateKey
}

// NewFIDO returns a metadata service with keys of its own.
func NewFIDO() (f *FIDO, err error) {
	f = &FIDO{Host: "mds.fidoalliance.org", Roots: x509.NewCertPool()}
	if f.key, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		return nil, err
	}
	if f.root, err = authority("A root", f.key); err != nil {
		return nil, err
	}
	f.Roots.AddCert(f.root)
	return f, nil
}

// A Model is what metadata say of one make of authenticator.
type Model struct {
	AAGUID        string // empty: it is named by CertificateID
	CertificateID string
	Description   string
	Roots         []*x509.Certificate
	Status        string   // empty: FIDO_CERTIFIED
	Padding       int      // bytes of an icon
	Protection    []string // of its keys; nil: hardware, empty: it is not said
}

// Blob returns metadata with a number, the next of which are due at next.
func (f *FIDO) Blob(number int, next time.Time, models ...Model) ([]byte, error) {
	var entries []map[string]any
	for _, m := range models {
		statement := map[string]any{
			"description": m.Description, "attestationTypes": []string{"basic_full"}, "protocolFamily": "fido2",
			"icon": "data:image/png;base64," + fmt.Sprintf("%0*d", m.Padding, 0),
		}
		if m.Protection == nil {
			m.Protection = []string{"hardware", "secure_element"}
		}
		if len(m.Protection) > 0 {
			statement["keyProtection"] = m.Protection
		}
		var roots [][]byte
		for _, r := range m.Roots {
			roots = append(roots, r.Raw)
		}
		statement["attestationRootCertificates"] = roots
		if m.Status == "" {
			m.Status = "FIDO_CERTIFIED"
		}
		e := map[string]any{
			"metadataStatement": statement, "timeOfLastStatusChange": "2024-01-01",
			"statusReports": []any{map[string]any{"status": m.Status, "effectiveDate": "2024-01-01"}},
		}
		if m.AAGUID != "" {
			e["aaguid"], statement["aaguid"] = m.AAGUID, m.AAGUID
		} else {
			e["attestationCertificateKeyIdentifiers"] = []string{m.CertificateID}
		}
		entries = append(entries, e)
	}
	return f.sign(map[string]any{"legalHeader": "none", "no": number, "nextUpdate": next.Format(time.DateOnly), "entries": entries})
}

func (f *FIDO) sign(payload any) ([]byte, error) {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: f.Host}, DNSNames: []string{f.Host},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, f.root, f.key.Public(), f.key)
	if err != nil {
		return nil, err
	}
	head, err := json.Marshal(map[string]any{"alg": "RS256", "typ": "JWT", "x5c": [][]byte{der}})
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(payload)
	if err != nil {
		return nil, err
	}
	signed := b64.EncodeToString(head) + "." + b64.EncodeToString(body)
	sum := sha256.Sum256([]byte(signed))
	sig, err := rsa.SignPKCS1v15(rand.Reader, f.key, crypto.SHA256, sum[:])
	return []byte(signed + "." + b64.EncodeToString(sig)), err
}

// Roots are the maker's trust anchors, as metadata list them.
func (m *Maker) Roots() []*x509.Certificate { return []*x509.Certificate{m.Root} }
