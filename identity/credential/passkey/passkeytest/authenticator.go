// Package passkeytest is an authenticator in software, and a FIDO metadata service of its
// own, for tests of whatever uses passkeys. It answers the JSON that a server gives to a
// browser with the JSON that a browser sends back; every bit of the answer can be made wrong.
//
// It uses nothing of go-webauthn: what agrees with it agrees with the standard, not with
// itself. Not here: browsers; e2e/browser has a real one.
package passkeytest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"math/big"
	"slices"

	"github.com/fxamacker/cbor/v2"
)

// Algorithms of keys (IANA COSE).
const (
	ES256 = -7
	EdDSA = -8
	RS256 = -257
)

// Formats of attestation.
const (
	None   = "none"
	Self   = "self"     // packed, signed with the passkey's own key
	Packed = "packed"   // signed with the make's key
	U2F    = "fido-u2f" // likewise, in the former format: no AAGUID
)

// An Authenticator makes passkeys and answers with them. Change its fields to change what it
// says from then on.
type Authenticator struct {
	Origin   string // what the browser says where it is
	RPID     string // of the authenticator's data; empty: what the options say
	AAGUID   [16]byte
	Alg      int    // of new passkeys; 0: ES256
	Format   string // of attestation; empty: None
	Maker    *Maker // who signs attestations
	UV       bool   // verifies its user
	Absent   bool   // does not ask for a touch
	Synced   bool   // BE
	BackedUp bool   // BS
	Counts   bool   // has a sign count
	Count    uint32 // the last one
	NoHandle bool   // answers without a user handle, as security keys without storage do

	Keys []*Key
}

// A Key is one passkey in an authenticator.
type Key struct {
	ID, Handle []byte
	RPID       string

	signer crypto.Signer
	alg    int
	cose   []byte
}

var b64 = base64.RawURLEncoding

type options struct {
	Challenge string `json:"challenge"`
	RPID      string `json:"rpId"`
	RP        struct {
		ID string `json:"id"`
	} `json:"rp"`
	User struct {
		ID string `json:"id"`
	} `json:"user"`
	Exclude []descriptor `json:"excludeCredentials"`
	Allow   []descriptor `json:"allowCredentials"`
}

type descriptor struct {
	ID string `json:"id"`
}

// ErrExcluded: the authenticator has one of the passkeys that the server has already.
var ErrExcluded = errors.New("excluded")

// Create makes a passkey as the options of a registration ask, and returns the response.
func (a *Authenticator) Create(opts []byte) ([]byte, error) {
	var o options
	if err := json.Unmarshal(opts, &o); err != nil {
		return nil, err
	}
	for _, d := range o.Exclude {
		if slices.ContainsFunc(a.Keys, func(k *Key) bool { return b64.EncodeToString(k.ID) == d.ID }) {
			return nil, ErrExcluded
		}
	}
	k, err := newKey(a.Alg)
	if err != nil {
		return nil, err
	}
	k.RPID = o.RP.ID
	if k.Handle, err = b64.DecodeString(o.User.ID); err != nil {
		return nil, err
	}
	client := a.clientData("webauthn.create", o.Challenge)
	data := a.data(k)
	data[32] |= 0x40 // attested credential data follow
	data = append(data, a.AAGUID[:]...)
	data = binary.BigEndian.AppendUint16(data, uint16(len(k.ID)))
	data = append(append(data, k.ID...), k.cose...)
	object, err := a.attestation(k, data, sha256.Sum256(client))
	if err != nil {
		return nil, err
	}
	a.Keys = append(a.Keys, k)
	return json.Marshal(map[string]any{
		"id": b64.EncodeToString(k.ID), "rawId": b64.EncodeToString(k.ID), "type": "public-key",
		"authenticatorAttachment": "cross-platform",
		"clientExtensionResults":  map[string]any{"credProps": map[string]any{"rk": !a.NoHandle}},
		"response": map[string]any{
			"clientDataJSON": b64.EncodeToString(client), "attestationObject": b64.EncodeToString(object),
			"transports": []string{"internal", "usb", "telepathy"},
		},
	})
}

// Get answers the options of a sign-in with the first passkey that fits.
func (a *Authenticator) Get(opts []byte) ([]byte, error) {
	var o options
	if err := json.Unmarshal(opts, &o); err != nil {
		return nil, err
	}
	for _, k := range a.Keys {
		if k.RPID == o.RPID && (len(o.Allow) == 0 || slices.Contains(o.Allow, descriptor{b64.EncodeToString(k.ID)})) {
			return a.Answer(k, o.Challenge)
		}
	}
	return nil, errors.New("no passkey for " + o.RPID)
}

// Answer signs a challenge (base64url) with one passkey.
func (a *Authenticator) Answer(k *Key, challenge string) ([]byte, error) {
	if a.Counts {
		a.Count++
	}
	client := a.clientData("webauthn.get", challenge)
	data := a.data(k)
	sum := sha256.Sum256(client)
	signature, err := sign(k.signer, append(slices.Clone(data), sum[:]...))
	if err != nil {
		return nil, err
	}
	response := map[string]any{
		"clientDataJSON": b64.EncodeToString(client), "authenticatorData": b64.EncodeToString(data), "signature": b64.EncodeToString(signature),
	}
	if !a.NoHandle {
		response["userHandle"] = b64.EncodeToString(k.Handle)
	}
	return json.Marshal(map[string]any{
		"id": b64.EncodeToString(k.ID), "rawId": b64.EncodeToString(k.ID), "type": "public-key",
		"clientExtensionResults": map[string]any{}, "response": response,
	})
}

func (a *Authenticator) clientData(kind, challenge string) []byte {
	b, err := json.Marshal(map[string]any{"type": kind, "challenge": challenge, "origin": a.Origin, "crossOrigin": false})
	if err != nil {
		panic(err)
	}
	return b
}

// data is the authenticator data (WebAuthn L3 §6.1) without what may follow.
func (a *Authenticator) data(k *Key) []byte {
	rpID := k.RPID
	if a.RPID != "" {
		rpID = a.RPID
	}
	sum := sha256.Sum256([]byte(rpID))
	var flags byte
	for bit, set := range map[byte]bool{0x01: !a.Absent, 0x04: a.UV, 0x08: a.Synced, 0x10: a.BackedUp} {
		if set {
			flags |= bit
		}
	}
	return binary.BigEndian.AppendUint32(append(sum[:], flags), a.Count)
}

func (a *Authenticator) attestation(k *Key, data []byte, client [32]byte) ([]byte, error) {
	signed := append(slices.Clone(data), client[:]...)
	object := map[string]any{"fmt": "none", "attStmt": map[string]any{}, "authData": data}
	switch a.Format {
	case "", None:
	case Self:
		sig, err := sign(k.signer, signed)
		if err != nil {
			return nil, err
		}
		object["fmt"], object["attStmt"] = "packed", map[string]any{"alg": k.alg, "sig": sig}
	case Packed:
		statement, err := a.Maker.attest(a.AAGUID[:], signed)
		if err != nil {
			return nil, err
		}
		statement["alg"] = ES256
		object["fmt"], object["attStmt"] = "packed", statement
	case U2F:
		public := k.signer.Public().(*ecdsa.PublicKey)
		point, err := public.Bytes()
		if err != nil {
			return nil, err
		}
		statement, err := a.Maker.attest(nil, slices.Concat([]byte{0}, data[:32], client[:], k.ID, point))
		if err != nil {
			return nil, err
		}
		object["fmt"], object["attStmt"] = "fido-u2f", statement
	}
	return canonical.Marshal(object)
}

var canonical = func() cbor.EncMode {
	m, err := cbor.CTAP2EncOptions().EncMode()
	if err != nil {
		panic(err)
	}
	return m
}()

func newKey(alg int) (k *Key, err error) {
	k = &Key{ID: make([]byte, 32), alg: alg}
	rand.Read(k.ID)
	switch alg {
	case 0, ES256:
		k.alg = ES256
		p, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, err
		}
		point, err := p.PublicKey.Bytes()
		if err != nil {
			return nil, err
		}
		k.signer = p
		k.cose, err = canonical.Marshal(map[int]any{1: 2, 3: ES256, -1: 1, -2: point[1:33], -3: point[33:]})
		return k, err
	case EdDSA:
		public, p, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return nil, err
		}
		k.signer = p
		k.cose, err = canonical.Marshal(map[int]any{1: 1, 3: EdDSA, -1: 6, -2: []byte(public)})
		return k, err
	case RS256:
		p, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			return nil, err
		}
		k.signer = p
		k.cose, err = canonical.Marshal(map[int]any{1: 3, 3: RS256, -1: p.N.Bytes(), -2: big.NewInt(int64(p.E)).Bytes()})
		return k, err
	}
	return nil, errors.New("no such algorithm")
}

func sign(signer crypto.Signer, message []byte) ([]byte, error) {
	if _, ok := signer.(ed25519.PrivateKey); ok {
		return signer.Sign(rand.Reader, message, crypto.Hash(0))
	}
	sum := sha256.Sum256(message)
	return signer.Sign(rand.Reader, sum[:], crypto.SHA256)
}
