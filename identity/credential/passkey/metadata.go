package passkey

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/go-webauthn/webauthn/metadata"
	"github.com/google/uuid"

	"github.com/quis-idp/quis/identity"
)

// MaxMetadata bounds a metadata BLOB, in bytes; FIDO's has about 8 MiB, most of it icons.
const MaxMetadata = 32 << 20

// Metadata says which metadata are imported.
type Metadata struct {
	Number     int       `cbor:"1,keyasint,omitempty"` // serial number that FIDO gave them
	NextUpdate time.Time `cbor:"2,keyasint,omitempty"` // when there are newer ones
	Imported   time.Time `cbor:"3,keyasint,omitempty"`
	Models     int       `cbor:"4,keyasint,omitempty"` // of authenticators
	Skipped    int       `cbor:"5,keyasint,omitempty"` // entries that are of other protocols or could not be read
	SHA256     []byte    `cbor:"6,keyasint,omitempty"` // of the BLOB
	Generation uint64    `cbor:"7,keyasint,omitempty"` // which rows are these

	rows []metadataRow
}

// A model is what has to be known of one make of authenticator.
type model struct {
	Description string   `cbor:"1,keyasint,omitempty"`
	Types       []string `cbor:"2,keyasint,omitempty"` // of attestation that it gives
	Roots       [][]byte `cbor:"3,keyasint,omitempty"` // certificates in DER: trust anchors
	Reports     []report `cbor:"4,keyasint,omitempty"`
	Protection  []string `cbor:"5,keyasint,omitempty"` // of its keys (FIDO Registry §3.2); none of rows that are older than the field
}

// A report is one status of a model: certified, revoked, …
type report struct {
	Status string    `cbor:"1,keyasint,omitempty"`
	From   time.Time `cbor:"2,keyasint,omitempty"` // zero: since ever
	Until  time.Time `cbor:"3,keyasint,omitempty"` // zero: for good
}

// mdsHost is whom the BLOB's certificate is for (FIDO MDS v3.1.1 §3.2).
const mdsHost = "mds.fidoalliance.org"

// FIDORoots are the certificates that FIDO's metadata hang on: GlobalSign Root R46, as the
// library carries it.
func FIDORoots() (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	der, err := base64.StdEncoding.DecodeString(metadata.ProductionMDSRoot)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	pool.AddCert(cert)
	return pool, nil
}

// ParseMetadata verifies and reads a FIDO metadata BLOB (a JWT, FIDO MDS v3.1.1 §3.2) as of
// now; its certificate must hang on roots. Nothing is fetched: whether that certificate has
// been revoked is for the operator to know. It reports identity.ErrInvalid, field
// metadata, with a sentence.
func ParseMetadata(blob []byte, roots *x509.CertPool, now time.Time) (*Metadata, error) {
	payload, err := verifyBlob(blob, roots, now)
	if err != nil {
		return nil, err
	}
	var read metadata.PayloadJSON
	if err := json.Unmarshal(payload, &read); err != nil {
		return nil, badMetadata("Its contents are not those of a FIDO metadata BLOB.", err)
	}
	next, err := time.Parse(time.DateOnly, read.NextUpdate)
	if err != nil || read.Number <= 0 {
		return nil, badMetadata("It has no number, or no date of the next update.", err)
	}
	sum := sha256.Sum256(blob)
	m := &Metadata{Number: read.Number, NextUpdate: next, SHA256: sum[:]}
	for _, e := range read.Entries {
		rows, err := rowsOf(e)
		if err != nil || len(rows) == 0 {
			m.Skipped++
			continue
		}
		m.Models++
		m.rows = append(m.rows, rows...)
	}
	if m.Models == 0 {
		return nil, badMetadata("It describes no authenticator.", nil)
	}
	return m, nil
}

func badMetadata(sentence string, cause error) error {
	return refuseAs(identity.Invalid("metadata", "This is not FIDO metadata that can be used. "+sentence), cause)
}

// verifyBlob returns the payload of a JWT whose chain and signature hold.
func verifyBlob(blob []byte, roots *x509.CertPool, now time.Time) ([]byte, error) {
	if len(blob) > MaxMetadata {
		return nil, badMetadata("It is too large.", nil)
	}
	text := strings.TrimSpace(string(blob))
	part := strings.Split(text, ".")
	if len(part) != 3 {
		return nil, badMetadata("It should be the file from https://mds3.fidoalliance.org as it is, three parts with dots between.", nil)
	}
	var header struct {
		Alg string   `json:"alg"`
		X5C [][]byte `json:"x5c"` // base64, not base64url: RFC 7515 §4.1.6
	}
	head, err := base64.RawURLEncoding.DecodeString(part[0])
	if err == nil {
		err = json.Unmarshal(head, &header)
	}
	if err != nil {
		return nil, badMetadata("Its header cannot be read.", err)
	}
	if len(header.X5C) == 0 || len(header.X5C) > 8 {
		return nil, badMetadata("It carries no certificate.", nil)
	}
	leaf, err := verifyChain(header.X5C, roots, now)
	if err != nil {
		return nil, badMetadata("Its certificate does not hang on the one of FIDO's metadata service, or has expired.", err)
	}
	signature, err := base64.RawURLEncoding.DecodeString(part[2])
	if err == nil {
		err = verifyJWS(header.Alg, leaf.PublicKey, text[:len(part[0])+1+len(part[1])], signature)
	}
	if err != nil {
		return nil, badMetadata("Its signature does not hold: the file has been changed or cut off.", err)
	}
	return base64.RawURLEncoding.DecodeString(part[1])
}

func verifyChain(chain [][]byte, roots *x509.CertPool, now time.Time) (*x509.Certificate, error) {
	between := x509.NewCertPool()
	var leaf *x509.Certificate
	for i, der := range chain {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, err
		}
		if i == 0 {
			leaf = cert
		} else {
			between.AddCert(cert)
		}
	}
	_, err := leaf.Verify(x509.VerifyOptions{
		DNSName: mdsHost, Roots: roots, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	return leaf, err
}

// verifyJWS checks a signature of RFC 7518 §3: the two algorithms that FIDO has used.
func verifyJWS(alg string, key crypto.PublicKey, signed string, signature []byte) error {
	sum := sha256.Sum256([]byte(signed))
	switch key := key.(type) {
	case *rsa.PublicKey:
		if alg != "RS256" {
			break
		}
		return rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], signature)
	case *ecdsa.PublicKey:
		if alg != "ES256" || len(signature) != 64 {
			break
		}
		if !ecdsa.Verify(key, sum[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])) {
			return errors.New("signature does not match")
		}
		return nil
	}
	return fmt.Errorf("algorithm %.20q with a %T", alg, key)
}

// rowsOf are the rows of one entry: one by AAGUID, or one for each key identifier of an
// authenticator that has none (U2F). An entry of UAF has neither.
func rowsOf(j metadata.EntryJSON) ([]metadataRow, error) {
	e, err := j.Parse()
	if err != nil {
		return nil, err
	}
	m := &model{Description: identity.Printable(e.MetadataStatement.Description, 200)}
	for _, t := range e.MetadataStatement.AttestationTypes {
		m.Types = append(m.Types, string(t))
	}
	for _, p := range e.MetadataStatement.KeyProtection {
		m.Protection = append(m.Protection, identity.Printable(p, 40))
	}
	for _, c := range e.MetadataStatement.AttestationRootCertificates {
		m.Roots = append(m.Roots, c.Raw)
	}
	for _, r := range e.StatusReports {
		out := report{Status: string(r.Status)}
		if r.EffectiveDate != nil {
			out.From = *r.EffectiveDate
		}
		if r.SunsetDate != nil {
			out.Until = *r.SunsetDate
		}
		m.Reports = append(m.Reports, out)
	}
	var rows []metadataRow
	if e.AaGUID != uuid.Nil {
		rows = append(rows, metadataRow{Name: e.AaGUID.String(), Model: m})
	}
	for _, id := range e.AttestationCertificateKeyIdentifiers {
		if len(rows) < 32 && len(id) == 40 {
			rows = append(rows, metadataRow{Name: strings.ToLower(id), Model: m})
		}
	}
	for _, r := range rows {
		if r.size() > maxModel {
			return nil, errors.New("entry too large")
		}
	}
	return rows, nil
}

// hardware reports whether the maker says that hardware protects the model's keys, and no software does (FIDO
// Registry §3.2): a maker that says nothing does not say it.
func (m *model) hardware() bool {
	kept := slices.ContainsFunc(m.Protection, func(p string) bool { return p == "hardware" || p == "tee" || p == "secure_element" })
	return kept && !slices.Contains(m.Protection, "software")
}

// entry is the model as the library wants to see it.
func (m *model) entry() (*metadata.Entry, error) {
	e := &metadata.Entry{MetadataStatement: metadata.Statement{Description: m.Description}}
	for _, t := range m.Types {
		e.MetadataStatement.AttestationTypes = append(e.MetadataStatement.AttestationTypes, metadata.AuthenticatorAttestationType(t))
	}
	for _, der := range m.Roots {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, err
		}
		e.MetadataStatement.AttestationRootCertificates = append(e.MetadataStatement.AttestationRootCertificates, cert)
	}
	e.StatusReports = m.reports()
	return e, nil
}

func (m *model) reports() (all []metadata.StatusReport) {
	for _, r := range m.Reports {
		out := metadata.StatusReport{Status: metadata.AuthenticatorStatus(r.Status)}
		if !r.From.IsZero() {
			out.EffectiveDate = &r.From
		}
		if !r.Until.IsZero() {
			out.SunsetDate = &r.Until
		}
		all = append(all, out)
	}
	return all
}

// unsafe reports that FIDO says of the model that it is revoked or broken.
func (m *model) unsafe(now time.Time) error {
	return metadata.ValidateStatusReportsAt(m.reports(), nil, metadata.DefaultUndesiredAuthenticatorStatuses(), now)
}
