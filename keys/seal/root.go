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

// A Wrapper encrypts the few keys that encrypt everything else. RootKey is one; an
// HSM or a key manager can be another.
type Wrapper interface {
	// Wrap encrypts plaintext and binds aad to it.
	Wrap(plaintext, aad []byte) ([]byte, error)
	// Unwrap opens what Wrap returned, given the same aad.
	Unwrap(box, aad []byte) ([]byte, error)
	// ID names the key in public: safe to store and to print.
	ID() string
}

const rootKeySize = 32

// A RootKey is the 32-byte secret that all nodes of a cluster are given. It prints
// as its fingerprint only.
type RootKey struct {
	key  [rootKeySize]byte
	aead cipher.AEAD
	id   string
}

// GenerateRootKey returns a new random root key.
func GenerateRootKey() *RootKey {
	var b [rootKeySize]byte
	rand.Read(b[:])
	return newRootKey(b)
}

// ParseRootKey reads a root key written as 64 hexadecimal digits or in base64
// (standard or URL alphabet); white space around it does not matter. Its errors
// never repeat the text.
func ParseRootKey(text string) (*RootKey, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return nil, errors.New("root key is empty")
	}
	b, ok := decodeRootKey(text)
	if !ok {
		return nil, fmt.Errorf("root key of %d characters is neither 64 hexadecimal digits nor base64 of 32 bytes", len(text))
	}
	if len(b) != rootKeySize {
		return nil, fmt.Errorf("root key has %d bytes, must have %d", len(b), rootKeySize)
	}
	if weak(b) {
		return nil, errors.New("root key repeats one byte: make one with a random generator")
	}
	return newRootKey([rootKeySize]byte(b)), nil
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

// Encode returns the secret itself as 64 hexadecimal digits, for a file that only
// its owner may read.
func (k *RootKey) Encode() string { return hex.EncodeToString(k.key[:]) }

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

// Unwrap opens what Wrap returned. It reports ErrBox if box was not wrapped under k
// with this aad, or was changed since.
func (k *RootKey) Unwrap(box, aad []byte) ([]byte, error) {
	if len(box) < 1 || box[0] != wrapVersion {
		return nil, fmt.Errorf("unwrap: unknown format: %w", ErrBox)
	}
	return openSealed(k.aead, box, 1, aad)
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
