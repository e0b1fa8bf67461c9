package passkey

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/assurance"
	"github.com/quis-idp/quis/identity/credential/device"
	"github.com/quis-idp/quis/identity/event"
)

// Bounds of passkeys.
const (
	maxPasskeys     = 50 // of one user
	maxName         = 80 // bytes
	maxCredentialID = 1023
)

// A Passkey is one credential of a user: a passkey, or a security key.
type Passkey struct {
	ID              string    `cbor:"1,keyasint,omitempty"` // pky_…
	Tenant          string    `cbor:"2,keyasint,omitempty"`
	UserID          string    `cbor:"3,keyasint,omitempty"`
	Name            string    `cbor:"4,keyasint,omitempty"` // given by the person
	CredentialID    []byte    `cbor:"5,keyasint,omitempty"`
	PublicKey       []byte    `cbor:"6,keyasint,omitempty"` // COSE_Key (RFC 9052 §7)
	AAGUID          []byte    `cbor:"7,keyasint,omitempty"` // 16 bytes; all zero if it does not tell
	Transports      []string  `cbor:"8,keyasint,omitempty"`
	Synced          bool      `cbor:"9,keyasint,omitempty"`  // backup eligible (BE): may leave its device. Never changes
	BackedUp        bool      `cbor:"10,keyasint,omitempty"` // backup state (BS) when last used
	UVInitialized   bool      `cbor:"11,keyasint,omitempty"` // has verified its user when it was registered, or beside another factor
	SignCount       uint32    `cbor:"12,keyasint,omitempty"` // 0: it does not count
	AttestationType string    `cbor:"13,keyasint,omitempty"` // basic_full, basic_surrogate, attca, anonca, none
	Format          string    `cbor:"14,keyasint,omitempty"` // of the attestation: packed, tpm, none, …
	Attested        bool      `cbor:"15,keyasint,omitempty"` // verified against imported metadata, when it was registered or at a sign-in since
	Make            string    `cbor:"16,keyasint,omitempty"` // what the metadata call it
	Created         time.Time `cbor:"17,keyasint,omitempty"`
	LastUsed        time.Time `cbor:"18,keyasint,omitempty"` // zero: never
	Suspect         time.Time `cbor:"19,keyasint,omitempty"` // when its count said that there is a copy; it is refused since. Zero: never
	LastChallenge   []byte    `cbor:"20,keyasint,omitempty"` // that it answered: the same answer does not count twice
	CertificateID   string    `cbor:"22,keyasint,omitempty"` // in hex, of a U2F key's attestation: what its metadata are found by
	Unasked         bool      `cbor:"23,keyasint,omitempty"` // the browser made it by itself; see BeginUnasked
	Second          bool      `cbor:"24,keyasint,omitempty"` // a security key: asked for after a password, and one factor whatever it verifies; see BeginKey
	Discoverable    *bool     `cbor:"21,keyasint,omitempty"` // nil: the browser did not tell (credProps)
	Judged          uint64    `cbor:"25,keyasint,omitempty"` // generation of the metadata that it was judged by when it last signed in; 0: none
	Hardware        *bool     `cbor:"26,keyasint,omitempty"` // it is attested, and its maker says that hardware protects its key; nil: nobody has asked yet
}

// InHardware reports whether hardware protects the key, for sure, or else as far as is known: one that is attested and
// was judged by an older release may turn out to be.
func (p *Passkey) InHardware(sure bool) bool {
	if p.Hardware == nil {
		return p.Attested && !sure
	}
	return *p.Hardware
}

// A handle is a user's WebAuthn user handle: random, so it tells nothing about the user.
type handle struct {
	Value  []byte `cbor:"1,keyasint,omitempty"`
	Tenant string `cbor:"2,keyasint,omitempty"`
	UserID string `cbor:"3,keyasint,omitempty"`
}

// An evidence row keeps what a passkey was attested with, so that it can be verified again
// by other metadata. A sign-in reads it at most once for each import, so it is not part of the passkey.
type evidence struct {
	CredentialID []byte `cbor:"1,keyasint,omitempty"`
	Object       []byte `cbor:"2,keyasint,omitempty"` // CBOR attestation object (WebAuthn L3 §6.5.4)
	ClientData   []byte `cbor:"3,keyasint,omitempty"` // JSON
	Tenant       string `cbor:"4,keyasint,omitempty"`
}

// Passkeys belong to tenants but are kept in one scope, by the hash of their ID: all tenants
// share an RP ID, so an ID must be unique in the house, and one that is another tenant's must
// not be called unknown. Listings go by owner, whose key begins with the tenant.
var (
	passkeys = fsm.NewTable(65, "passkeys", fsm.Spec[Passkey]{
		Key: func(p *Passkey) fsm.Key { return keyOf(p.CredentialID) },
	})
	passkeysByOwner = passkeys.Unique(1, "owner", func(p *Passkey) []fsm.Key {
		return []fsm.Key{fsm.K(p.Tenant, p.UserID, p.ID)}
	})
	handles = fsm.NewTable(66, "passkey_handles", fsm.Spec[handle]{
		Key: func(h *handle) fsm.Key { return fsm.K(string(h.Value)) },
	})
	handlesByOwner = handles.Unique(1, "owner", func(h *handle) []fsm.Key {
		return []fsm.Key{fsm.K(h.Tenant, h.UserID)}
	})
	evidences = fsm.NewTable(87, "passkey_attestations", fsm.Spec[evidence]{
		Key: func(e *evidence) fsm.Key { return keyOf(e.CredentialID) },
	})
)

// Tables are what this room keeps in the store.
var Tables = []fsm.Definition{passkeys, handles, evidences, metadataRows}

func keyOf(credentialID []byte) fsm.Key {
	sum := sha256.Sum256(credentialID)
	return fsm.K(string(sum[:]))
}

// Model is the AAGUID as text.
func (p *Passkey) Model() string { return formatAAGUID(p.AAGUID) }

// List yields a user's passkeys in order of creation.
func List(tx *fsm.Tx, tenant, userID string) iter.Seq2[*Passkey, error] {
	return passkeysByOwner.List(tx, fsm.Global, fsm.Prefix(fsm.K(tenant, userID)))
}

// Get returns one of a user's passkeys, or fsm.ErrNotFound.
func Get(tx *fsm.Tx, tenant, userID, id string) (*Passkey, error) {
	return passkeysByOwner.Get(tx, fsm.Global, fsm.K(tenant, userID, id))
}

// Rename gives a user's passkey another name. It reports identity.ErrInvalid and fsm.ErrNotFound.
func Rename(tx *fsm.Tx, tenant, userID, id, name string) error {
	p, err := Get(tx, tenant, userID, id)
	if err != nil {
		return err
	}
	former := p.Name
	if p.Name, err = cleanName(name); err != nil || p.Name == former {
		return err
	}
	if err := passkeys.Put(tx, p); err != nil {
		return err
	}
	return appendEvent(tx, event.PasskeyRenamed, p, map[string]string{"former_name": former})
}

// Delete removes a user's passkey, or reports fsm.ErrNotFound; the trust in all devices ends
// with it. The browser should be told, by Signals; whether another way to sign in is left is
// for the caller to see.
func Delete(tx *fsm.Tx, tenant, userID, id string) error {
	p, err := Get(tx, tenant, userID, id)
	if err != nil {
		return err
	}
	if err := remove(tx, p); err != nil {
		return err
	}
	if err := appendEvent(tx, event.PasskeyDeleted, p, nil); err != nil {
		return err
	}
	return device.Forfeit(tx, tenant, userID, "passkey removed", assurance.Passkey, id)
}

// DeleteAllOf removes a user's passkeys and handle, without events: the user's deletion is one.
func DeleteAllOf(tx *fsm.Tx, tenant, userID string) error {
	return removeAll(tx, fsm.K(tenant, userID))
}

// DeleteTenant removes all passkeys of a tenant that is being deleted.
func DeleteTenant(tx *fsm.Tx, tenant string) error { return removeAll(tx, fsm.K(tenant)) }

func removeAll(tx *fsm.Tx, owner fsm.Key) error {
	for p, err := range passkeysByOwner.List(tx, fsm.Global, fsm.Prefix(owner)) {
		if err != nil {
			return err
		}
		if err := remove(tx, p); err != nil {
			return err
		}
	}
	for h, err := range handlesByOwner.List(tx, fsm.Global, fsm.Prefix(owner)) {
		if err != nil {
			return err
		}
		if err := handles.Delete(tx, fsm.Global, fsm.K(string(h.Value))); err != nil {
			return err
		}
	}
	return nil
}

func remove(tx *fsm.Tx, p *Passkey) error {
	if err := passkeys.Delete(tx, fsm.Global, keyOf(p.CredentialID)); err != nil {
		return err
	}
	return evidences.Delete(tx, fsm.Global, keyOf(p.CredentialID))
}

func cleanName(name string) (string, error) {
	name = strings.TrimSpace(identity.Printable(name, maxName))
	if name == "" {
		return "", identity.Invalid("name", "Give the passkey a name.")
	}
	return name, nil
}

// handleOf returns a user's handle, or nil if there is none yet.
func handleOf(tx *fsm.Tx, tenant, userID string) ([]byte, error) {
	h, err := handlesByOwner.Get(tx, fsm.Global, fsm.K(tenant, userID))
	if errors.Is(err, fsm.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("user handle: %w", err)
	}
	return h.Value, nil
}

// credential is the passkey as the library wants to see it. It is told no AAGUID and no
// format: what they mean is looked at here.
func (p *Passkey) credential() webauthn.Credential {
	flags := protocol.FlagUserPresent
	if p.Synced {
		flags |= protocol.FlagBackupEligible
	}
	if p.BackedUp {
		flags |= protocol.FlagBackupState
	}
	if p.UVInitialized {
		flags |= protocol.FlagUserVerified
	}
	return webauthn.Credential{
		ID: p.CredentialID, PublicKey: p.PublicKey, Transport: transports(p.Transports), Flags: webauthn.NewCredentialFlags(flags),
		Authenticator: webauthn.Authenticator{SignCount: p.SignCount},
	}
}

func transports(names []string) []protocol.AuthenticatorTransport {
	var t []protocol.AuthenticatorTransport
	for _, n := range names {
		t = append(t, protocol.AuthenticatorTransport(n))
	}
	return t
}

func appendEvent(tx *fsm.Tx, what event.Type, p *Passkey, data map[string]string) error {
	all := map[string]string{"user_id": p.UserID, "aaguid": p.Model()}
	if p.Second {
		all[event.SecondKey] = "yes"
	}
	for k, v := range data {
		all[k] = v
	}
	return event.Append(tx, event.Event{
		Tenant: p.Tenant, Type: what, Target: event.Target{Kind: "passkey", ID: p.ID, Name: p.Name}, Data: all,
	})
}
