package passkey

import (
	"context"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // names of certificates, as FIDO wants them (RFC 5280 §4.2.1.2)
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"
	"github.com/go-webauthn/webauthn/metadata"
	"github.com/go-webauthn/webauthn/metadata/providers/memory"
	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"
	"github.com/google/uuid"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/event"
)

// Bounds of what one transaction of an import writes or deletes.
const (
	maxModel   = 48 << 10 // bytes of one row
	batchBytes = 128 << 10
	batchRows  = 200
)

// A metadataRow is one model of authenticator, or, of generation 0, the head: which
// generation is the one in use.
type metadataRow struct {
	Generation uint64    `cbor:"1,keyasint,omitempty"`
	Name       string    `cbor:"2,keyasint,omitempty"` // AAGUID, or key identifier of a certificate in hex
	Head       *Metadata `cbor:"3,keyasint,omitempty"`
	Model      *model    `cbor:"4,keyasint,omitempty"`
}

var metadataRows = fsm.NewTable(69, "passkey_metadata", fsm.Spec[metadataRow]{
	Key: func(r *metadataRow) fsm.Key { return metadataKey(r.Generation, r.Name) },
})

func metadataKey(generation uint64, name string) fsm.Key { return fsm.K().Uint(generation).Str(name) }

func (r metadataRow) size() int {
	b, err := cbor.Marshal(r)
	if err != nil {
		return maxModel + 1
	}
	return len(b)
}

// CurrentMetadata returns which metadata are in use, or fsm.ErrNotFound.
func CurrentMetadata(tx *fsm.Tx) (*Metadata, error) {
	r, err := metadataRows.Get(tx, fsm.Global, metadataKey(0, ""))
	if err != nil {
		return nil, err
	}
	return r.Head, nil
}

// Import puts m in the place of the metadata in use, on all nodes: rows first, then, as
// one change, the head that points to them. An import that is broken off changes nothing;
// what it left is removed by the next. It reports identity.ErrInvalid for metadata older than
// those in use: whoever could put those back would take back a revocation.
func (m *Metadata) Import(ctx context.Context, db *fsm.DB) error {
	var random [8]byte
	rand.Read(random[:])
	m.Generation = binary.BigEndian.Uint64(random[:]) | 1 // never the head's
	for rest := m.rows; len(rest) > 0; {
		n, size := 0, 0
		for n < len(rest) && n < batchRows && size < batchBytes {
			size += rest[n].size()
			n++
		}
		if err := m.write(ctx, db, rest[:n]); err != nil {
			return fmt.Errorf("import metadata: %w", err)
		}
		rest = rest[n:]
	}
	if err := db.Update(ctx, m.use); err != nil {
		return fmt.Errorf("import metadata: %w", err)
	}
	return m.sweep(ctx, db)
}

// write puts some rows of a new generation, after a look at whether it is worth it.
func (m *Metadata) write(ctx context.Context, db *fsm.DB, rows []metadataRow) error {
	return db.Update(ctx, func(tx *fsm.Tx) error {
		if err := m.newer(tx); err != nil {
			return err
		}
		for _, r := range rows {
			r.Generation = m.Generation
			if err := metadataRows.Put(tx, &r); err != nil {
				return err
			}
		}
		return nil
	})
}

func (m *Metadata) newer(tx *fsm.Tx) error {
	head, err := CurrentMetadata(tx)
	if errors.Is(err, fsm.ErrNotFound) {
		return nil
	}
	if err == nil && head.Number > m.Number {
		return identity.Invalid("metadata", fmt.Sprintf("These metadata have number %d, and those in use %d. Fetch the newest.", m.Number, head.Number))
	}
	return err
}

// use makes the generation that has been written the one in use. Rows that another import
// swept away meanwhile are missed here.
func (m *Metadata) use(tx *fsm.Tx) error {
	if err := m.newer(tx); err != nil {
		return err
	}
	want, have := map[string]bool{}, 0
	for _, r := range m.rows {
		want[r.Name] = true
	}
	for _, err := range metadataRows.List(tx, fsm.Global, fsm.Prefix(fsm.K().Uint(m.Generation))) {
		if err != nil {
			return err
		}
		have++
	}
	if have != len(want) {
		return identity.Invalid("metadata", "Other metadata were imported at the same time. Try again.")
	}
	head := *m
	head.rows, head.Imported = nil, tx.Now()
	m.Imported = head.Imported
	if err := metadataRows.Put(tx, &metadataRow{Head: &head}); err != nil {
		return err
	}
	return event.Append(tx, event.Event{
		Tenant: identity.DefaultTenant, Type: event.PasskeyMetadataImported,
		Target: event.Target{Kind: "passkey_metadata", ID: fmt.Sprint(m.Number)},
		Data:   map[string]string{"models": fmt.Sprint(m.Models), "sha256": hex.EncodeToString(m.SHA256)},
	})
}

// sweep removes the rows of every generation but the one in use.
func (m *Metadata) sweep(ctx context.Context, db *fsm.DB) error {
	for more := true; more; {
		err := db.Update(ctx, func(tx *fsm.Tx) error {
			head, err := CurrentMetadata(tx)
			if err != nil {
				return err
			}
			n := 0
			for r, err := range metadataRows.List(tx, fsm.Global) {
				if err != nil {
					return err
				}
				if r.Generation == 0 || r.Generation == head.Generation {
					continue
				}
				if n++; n > batchRows {
					break
				}
				if err := metadataRows.Delete(tx, fsm.Global, metadataKey(r.Generation, r.Name)); err != nil {
					return err
				}
			}
			more = n > batchRows
			return nil
		})
		if err != nil {
			return fmt.Errorf("remove former metadata: %w", err)
		}
	}
	return nil
}

// modelOf returns what the metadata in use say of a passkey's model, nil if nothing, and which
// generation they are; 0: there are none, or the passkey does not tell its model.
func modelOf(tx *fsm.Tx, k *Passkey) (m *model, generation uint64, err error) {
	if generation, err = inUse(tx, k); err != nil || generation == 0 {
		return nil, 0, err
	}
	m, err = modelIn(tx, generation, k)
	return m, generation, err
}

// inUse is the generation of the metadata by which a passkey is judged, as modelOf returns it.
// What a generation says never changes.
func inUse(tx *fsm.Tx, k *Passkey) (uint64, error) {
	if k.modelName() == zeroAAGUID {
		return 0, nil
	}
	head, err := CurrentMetadata(tx)
	if errors.Is(err, fsm.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("passkey metadata: %w", err)
	}
	return head.Generation, nil
}

func modelIn(tx *fsm.Tx, generation uint64, k *Passkey) (*model, error) {
	r, err := metadataRows.Get(tx, fsm.Global, metadataKey(generation, k.modelName()))
	if errors.Is(err, fsm.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("passkey metadata: %w", err)
	}
	return r.Model, nil
}

// modelName is what the metadata of the passkey's model are found by.
func (p *Passkey) modelName() string {
	if p.CertificateID != "" {
		return p.CertificateID
	}
	return p.Model()
}

// attest sets what metadata make of a new passkey: its make, whether its attestation
// holds, and whether hardware protects its key; described says that they know its model. A model that is reported as unsafe is refused whoever asks for it.
func (p *Passkey) attest(tx *fsm.Tx, made *webauthn.Credential) (described bool, err error) {
	if p.Model() == zeroAAGUID {
		p.CertificateID = certificateID(made)
	}
	m, _, err := modelOf(tx, p)
	if err != nil || m == nil {
		return false, err
	}
	if err := m.unsafe(tx.Now()); err != nil {
		return true, refuse(registering, "This kind of security key has been reported as unsafe and cannot be used. Use another one.", err)
	}
	p.Make = m.Description
	p.Attested, err = m.vouches(p, made)
	hardware := p.Attested && m.hardware()
	p.Hardware = &hardware
	return true, err
}

// vouches reports whether the attestation hangs on the model's trust anchors. What is
// signed by the passkey's own key only (self attestation) proves nothing about its make.
func (m *model) vouches(p *Passkey, made *webauthn.Credential) (bool, error) {
	switch metadata.AuthenticatorAttestationType(p.AttestationType) {
	case metadata.BasicFull, metadata.AttCA, metadata.AnonCA:
	default:
		return false, nil
	}
	e, err := m.entry()
	if err != nil {
		return false, fmt.Errorf("passkey metadata: %w", err)
	}
	aaguid, err := uuid.FromBytes(p.AAGUID)
	if err != nil {
		return false, fmt.Errorf("aaguid: %w", err)
	}
	known := []memory.Option{memory.WithMetadata(map[uuid.UUID]*metadata.Entry{aaguid: e})}
	if p.CertificateID != "" {
		known = []memory.Option{
			memory.WithMetadata(map[uuid.UUID]*metadata.Entry{}),
			memory.WithMetadataKeyIdentifiers(map[string]*metadata.Entry{p.CertificateID: e}), memory.WithValidateEntryKeyIdentifier(true),
		}
	}
	provider, err := memory.New(known...)
	if err != nil {
		return false, fmt.Errorf("passkey metadata: %w", err)
	}
	_, err = guarded(func() (struct{}, error) {
		again := *made // Verify fills in what is missing
		return struct{}{}, again.Verify(provider, protocol.AttestationPolicy{}, protocol.SignaturePolicy{})
	})
	return err == nil, nil
}

// certificateID is the key identifier of the certificate that attests a U2F key; empty if
// there is none.
func certificateID(made *webauthn.Credential) string {
	if made.AttestationFormat != string(protocol.AttestationFormatFIDOUniversalSecondFactor) {
		return ""
	}
	var o struct {
		Statement struct {
			X5C [][]byte `cbor:"x5c"`
		} `cbor:"attStmt"`
	}
	if err := decoder.Unmarshal(made.Attestation.Object, &o); err != nil || len(o.Statement.X5C) == 0 {
		return ""
	}
	cert, err := x509.ParseCertificate(o.Statement.X5C[0])
	if err != nil {
		return ""
	}
	var spki struct {
		Algorithm pkix.AlgorithmIdentifier
		PublicKey asn1.BitString
	}
	if _, err := asn1.Unmarshal(cert.RawSubjectPublicKeyInfo, &spki); err != nil {
		return ""
	}
	sum := sha1.Sum(spki.PublicKey.Bytes)
	return hex.EncodeToString(sum[:])
}
