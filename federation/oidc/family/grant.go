package family

import (
	"crypto/rand"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
)

// An ID names one authorization. It is drawn when the code is made, long before
// there is a row, so it must not be guessable.
type ID [16]byte

// NewID draws an ID.
func NewID() (id ID) {
	rand.Read(id[:])
	return id
}

// ParseID reads what String wrote.
func ParseID(text string) (ID, error) {
	raw, err := identity.ParseID(identity.PrefixFamily, text)
	return ID(raw), err
}

// String returns the ID as events, claims and the API spell it.
func (id ID) String() string { return identity.FormatID(identity.PrefixFamily, id) }

func (id ID) key() fsm.Key { return fsm.K(string(id[:])) }

// A Grant is what was authorized: by a person in this browser or on another
// device, or by an assertion. Nothing of it is stored before it is exchanged. Its
// numbers are those of sealed codes; embed it in rows that wait for an exchange.
type Grant struct {
	Family    ID       `cbor:"1,keyasint,omitempty"`
	Scope     []string `cbor:"3,keyasint,omitempty"`
	UserID    string   `cbor:"4,keyasint,omitempty"`
	SessionID string   `cbor:"5,keyasint,omitempty"`
	Nonce     string   `cbor:"6,keyasint,omitempty"`
	AuthTime  int64    `cbor:"8,keyasint,omitempty"` // Unix seconds
	AMR       []string `cbor:"9,keyasint,omitempty"`
	ACR       string   `cbor:"10,keyasint,omitempty"`
	Index     uint64   `cbor:"12,keyasint,omitempty"` // log index of the state that it was given by

	Resources []string `cbor:"13,keyasint,omitempty"` // RFC 8707; none: the issuer itself
	Details   []byte   `cbor:"14,keyasint,omitempty"` // authorization_details (RFC 9396), JSON
	Claims    []byte   `cbor:"15,keyasint,omitempty"` // the claims parameter (OpenID Connect Core, section 5.5), likewise
	JKT       string   `cbor:"16,keyasint,omitempty"` // thumbprint of the DPoP key that it is bound to (RFC 9449, section 10)
	Detached  bool     `cbor:"17,keyasint,omitempty"` // hangs on no session, with or without offline_access

	Impersonator string `cbor:"18,keyasint,omitempty"` // ID of the administrator who acts as the user; it never outlives the session then
}

// A Confirmation names the key that tokens are bound to: of DPoP (RFC 9449, section
// 6) or of a TLS client certificate (RFC 8705, section 3.1). Both are SHA-256 in base64url.
type Confirmation struct {
	JKT string `cbor:"1,keyasint,omitempty" json:"jkt,omitempty"`
	X5T string `cbor:"2,keyasint,omitempty" json:"x5t#S256,omitempty"`
}

// Bound reports whether there is a key.
func (c Confirmation) Bound() bool { return c != Confirmation{} }
