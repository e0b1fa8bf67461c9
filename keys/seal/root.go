package seal

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strings"
)

// ErrSealed: what is stored was wrapped under another root key than the one at hand.
var ErrSealed = errors.New("sealed under another root key")

const rootKeySize = 32

// A RootKey is the 32-byte secret that all nodes of a cluster are given. It prints
// as its fingerprint only. While a cluster goes over to another root key it holds
// several: the first is in use, and what is under one of the others still opens.
type RootKey struct {
	key    [rootKeySize]byte
	aead   cipher.AEAD
	id     string
	others []*RootKey // accepted as well; none of them has others
}

// GenerateRootKey returns a new random root key.
func GenerateRootKey() *RootKey {
	var b [rootKeySize]byte
	rand.Read(b[:])
	return newRootKey(b)
}

func decodeRootKey(text string) ([]byte, bool) {
	if b, err := hex.DecodeString(text); err == nil {
		return b, true
	}
	text = strings.TrimRight(text, "=")
	for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		if b, err := enc.Strict().DecodeString(text); err == nil {
			return b, true
		}
	}
	return nil, false
}

// weak finds placeholders: all zeros and the like.
func weak(b []byte) bool {
	for _, c := range b {
		if c != b[0] {
			return false
		}
	}
	return true
}

func newRootKey(b [rootKeySize]byte) *RootKey {
	k := &RootKey{key: b}
	wrap := k.Derive("seal wrap v1")
	k.aead = newXAES(wrap)
	id := k.Derive("root key id")
	k.id = hex.EncodeToString(id[:8])
	return k
}

// Encode returns the secret itself as 64 hexadecimal digits, and so the others on lines
// of their own, for a file that only its owner may read.
func (k *RootKey) Encode() string {
	text := hex.EncodeToString(k.key[:])
	for _, o := range k.others {
		text += "\n" + o.Encode()
	}
	return text
}

// ID is the key's public fingerprint: 16 hexadecimal digits that tell keys apart
// and give nothing away.
func (k *RootKey) ID() string { return k.id }

// Derive returns a key for one purpose: HKDF-SHA-256 (RFC 5869) with the purpose as
// label. Different purposes give unrelated keys.
func (k *RootKey) Derive(purpose string) [32]byte {
	return derive(k.key[:], "quis root: "+purpose)
}

// Wrap encrypts plaintext under a key derived from k and binds aad to it.
func (k *RootKey) Wrap(plaintext, aad []byte) ([]byte, error) {
	return appendSealed(k.aead, []byte{wrapVersion}, plaintext, aad), nil
}

// Unwrap opens what Wrap returned. It reports ErrBox if box was not wrapped under k or
// one of its others with this aad, or was changed since.
func (k *RootKey) Unwrap(box, aad []byte) ([]byte, error) {
	plain, _, err := k.unwrap(box, aad)
	return plain, err
}

func (k *RootKey) unwrap(box, aad []byte) (plain []byte, by *RootKey, err error) {
	if len(box) < 1 || box[0] != wrapVersion {
		return nil, nil, fmt.Errorf("unwrap: unknown format: %w", ErrBox)
	}
	if plain, err = openSealed(k.aead, box, 1, aad); err == nil {
		return plain, k, nil
	}
	for _, o := range k.others {
		if plain, fault := openSealed(o.aead, box, 1, aad); fault == nil {
			return plain, o, nil
		}
	}
	return nil, nil, err
}

// String redacts the key.
func (k *RootKey) String() string { return "root key " + k.id }

// GoString redacts the key.
func (k *RootKey) GoString() string { return k.String() }

// LogValue redacts the key.
func (k *RootKey) LogValue() slog.Value { return slog.StringValue(k.String()) }

// MarshalText redacts the key, so that no encoder writes it by accident; see Encode.
func (k *RootKey) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

func derive(secret []byte, label string) [32]byte {
	b, err := hkdf.Key(sha256.New, secret, nil, label, 32)
	if err != nil { // only for lengths that 32 is not
		panic(err)
	}
	return [32]byte(b)
}
