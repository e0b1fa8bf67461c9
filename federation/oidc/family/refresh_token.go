package family

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"fmt"

	"github.com/quis-idp/quis/keys/seal"
)

// A refresh token, before base64url: family id 16, generation 4, log index 8,
// sealing key id 4, outer MAC 16, inner MAC 16.
//
// The outer MAC is under the ring, so it can be checked before any row is known:
// only what this cluster made gets as far as the store, and the log index in it
// can be trusted enough to wait for. The inner one is under the family's salt,
// which exists in the replicated state alone: neither the ring nor a copy of the
// state is enough to forge a token.
type Token struct {
	Family ID
	Gen    uint32
	Index  uint64 // log entry that minted it
	Key    uint32 // sealing key of the outer MAC
	inner  [macBytes]byte
}

const (
	refreshPurpose = "oidc refresh"
	macBytes       = 16
	headBytes      = 16 + 4 + 8 + 4
	refreshBytes   = headBytes + 2*macBytes
)

var refreshText = base64.RawURLEncoding.Strict()

func (t *Token) head() []byte {
	b := make([]byte, 0, 256)
	b = append(b, t.Family[:]...)
	b = binary.BigEndian.AppendUint32(b, t.Gen)
	b = binary.BigEndian.AppendUint64(b, t.Index)
	return binary.BigEndian.AppendUint32(b, t.Key)
}

// outer is bound to tenant and client, so another client's token fails here, before any state is touched.
func (t *Token) outer(ring *seal.Ring, tenant, clientID string) ([]byte, error) {
	msg := t.head()
	msg = append(append(append(msg, tenant...), 0), clientID...)
	msg = append(msg, t.inner[:]...)
	mac, err := ring.MAC(ring.Passing(refreshPurpose), t.Key, msg)
	if err != nil {
		return nil, err
	}
	return mac[:macBytes], nil
}

func innerMAC(salt []byte, t *Token) (m [macBytes]byte) {
	h := hmac.New(sha256.New, salt)
	h.Write(t.head())
	copy(m[:], h.Sum(nil))
	return m
}

// MintToken returns the token of the family's present generation, which the
// log entry at index made. It is a function of its arguments: every node, asked
// again, returns the same.
func MintToken(ring *seal.Ring, f *Family, index uint64) (string, error) {
	t := Token{Family: f.ID, Gen: f.Gen, Index: index, Key: f.Key}
	t.inner = innerMAC(f.Salt, &t)
	outer, err := t.outer(ring, f.Tenant, f.ClientID)
	if err != nil {
		return "", fmt.Errorf("refresh token: %w", err)
	}
	b := append(append(t.head(), outer...), t.inner[:]...)
	return refreshText.EncodeToString(b), nil
}

// ParseToken reads a token and checks its outer MAC. seal.ErrBox: it is not
// one of this client's.
func ParseToken(ring *seal.Ring, tenant, clientID, text string) (*Token, error) {
	if len(text) != refreshText.EncodedLen(refreshBytes) {
		return nil, fmt.Errorf("refresh token: %w", seal.ErrBox)
	}
	b, err := refreshText.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("refresh token: %w", seal.ErrBox)
	}
	t := &Token{
		Family: ID(b[:16]), Gen: binary.BigEndian.Uint32(b[16:]),
		Index: binary.BigEndian.Uint64(b[20:]), Key: binary.BigEndian.Uint32(b[28:]),
		inner: [macBytes]byte(b[headBytes+macBytes:]),
	}
	outer, err := t.outer(ring, tenant, clientID)
	if err != nil {
		return nil, fmt.Errorf("refresh token: %w", err)
	}
	if subtle.ConstantTimeCompare(outer, b[headBytes:headBytes+macBytes]) != 1 {
		return nil, fmt.Errorf("refresh token: %w", seal.ErrBox)
	}
	return t, nil
}

// Of reports whether the family's own salt made t.
func (t *Token) Of(f *Family) bool {
	m := innerMAC(f.Salt, t)
	return subtle.ConstantTimeCompare(m[:], t.inner[:]) == 1
}
