package poll

import (
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"fmt"

	"github.com/quis-idp/quis/federation/oidc/family"
	"github.com/quis-idp/quis/keys/seal"
)

// A code, before base64url: ID of the family to come 16, sealing key ID 4, MAC 16. The MAC
// is under the ring alone: a copy of the state without the root key holds no code, and
// that there is a row for it is looked up anyhow.
const (
	macBytes  = 16
	headBytes = 16 + 4
	codeBytes = headBytes + macBytes
)

var codeText = base64.RawURLEncoding.Strict()

// A Kind is what a code is for. A code of one kind is none of another.
type Kind string

// The kinds.
const (
	Device Kind = "device code" // RFC 8628, section 3.2
	CIBA   Kind = "auth_req_id" // OpenID CIBA Core, section 7.3
)

// Code returns the code of a wait, for one client. key is the sealing key that was current
// when the wait began: with it, every node returns the same text at any time.
func (k Kind) Code(ring *seal.Ring, tenant, clientID string, id family.ID, key uint32) (string, error) {
	b := append(make([]byte, 0, 256), id[:]...)
	b = binary.BigEndian.AppendUint32(b, key)
	mac, err := k.mac(ring, tenant, clientID, b, key)
	if err != nil {
		return "", fmt.Errorf("%s: %w", k, err)
	}
	return codeText.EncodeToString(append(b, mac...)), nil
}

// Parse reads a code and checks its MAC. seal.ErrBox: it is none of this kind, tenant and
// client; other errors are those of the store.
func (k Kind) Parse(ring *seal.Ring, tenant, clientID, text string) (family.ID, error) {
	if len(text) != codeText.EncodedLen(codeBytes) {
		return family.ID{}, fmt.Errorf("%s of %d characters: %w", k, len(text), seal.ErrBox)
	}
	b, err := codeText.DecodeString(text)
	if err != nil {
		return family.ID{}, fmt.Errorf("%s: %w", k, seal.ErrBox)
	}
	mac, err := k.mac(ring, tenant, clientID, b[:headBytes:headBytes], binary.BigEndian.Uint32(b[16:]))
	if err != nil {
		return family.ID{}, fmt.Errorf("%s: %w", k, err)
	}
	if subtle.ConstantTimeCompare(mac, b[headBytes:]) != 1 {
		return family.ID{}, fmt.Errorf("%s: %w", k, seal.ErrBox)
	}
	return family.ID(b[:16]), nil
}

func (k Kind) mac(ring *seal.Ring, tenant, clientID string, head []byte, key uint32) ([]byte, error) {
	msg := append(append(append(head, tenant...), 0), clientID...)
	mac, err := ring.MAC(ring.Passing("oidc "+string(k)), key, msg)
	if err != nil {
		return nil, err
	}
	return mac[:macBytes], nil
}
