package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"slices"

	"github.com/go-jose/go-jose/v4"
)

// Limits of a key that somebody else has chosen.
const (
	MinRSA      = 2048 // bits
	MaxRSA      = 8192 // bits; one more doubling would make a verification cost milliseconds
	minExponent = 1<<16 + 1
	maxExponent = 1<<31 - 1
	maxKeyText  = 16 << 10 // bytes of one JWK, certificates included
	maxKeyID    = 256      // bytes
)

// A Key is a public key of somebody else.
type Key struct {
	ID  string   // kid; may be empty
	Alg string   // alg: the only algorithm it is for; empty: any that fits
	Use string   // use: sig or enc; empty: both
	Ops []string // key_ops; empty: all
	// Public is an *ecdsa.PublicKey on P-256, P-384 or P-521, an ed25519.PublicKey, or an *rsa.PublicKey.
	Public crypto.PublicKey
	// Certificates are those of x5c. That the first is of this key has been checked, and nothing else about them.
	Certificates []*x509.Certificate
}

// private are the members that only a private or symmetric key has (RFC 7518, section 6).
var private = []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv", "seed"}

// errUnknownKind: a kind of key that is not known here, which a set may hold (RFC 7517, section 5).
const errUnknownKind = keyFault("the key is of a kind or curve that is not supported")

// ParseKey reads one public key (RFC 7517, section 4). A private or symmetric key, one
// that is too small or too large, and any that is malformed is refused with ErrKeys.
func ParseKey(raw []byte) (*Key, error) {
	if len(raw) > maxKeyText {
		return nil, keyFault("the key is too long")
	}
	o, err := object(raw)
	if err != nil {
		return nil, keyFault("the key is not a JSON object with each member once")
	}
	return keyOf(raw, o)
}

func keyOf(raw []byte, o map[string]json.RawMessage) (*Key, error) {
	k := &Key{}
	kty := ""
	for name, into := range map[string]*string{"kty": &kty, "kid": &k.ID, "alg": &k.Alg, "use": &k.Use} {
		s, ok := text(o, name)
		if !ok || len(s) > maxKeyID {
			return nil, keyFault("a member of the key is not a short string")
		}
		*into = s
	}
	if kty == "" {
		return nil, keyFault("the key has no kty")
	}
	if kty == "oct" {
		return nil, keyFault("the key is symmetric: a public set must hold public keys only")
	}
	for _, name := range private {
		if _, there := o[name]; there {
			return nil, keyFault("the key is private: a public set must hold public keys only, and this one is no secret any more")
		}
	}
	if ops, there := o["key_ops"]; there && (json.Unmarshal(ops, &k.Ops) != nil || len(k.Ops) > 10) {
		return nil, keyFault("key_ops is not a short list of strings")
	}
	if !knownKind(o, kty) {
		return nil, errUnknownKind
	}
	if n, _ := text(o, "n"); len(n) > base64.RawURLEncoding.EncodedLen(MaxRSA/8+1) {
		return nil, keyFault("the RSA key has more than 8192 bits")
	}
	if e, _ := text(o, "e"); len(e) > 8 {
		return nil, keyFault("the exponent of the RSA key is too large")
	}
	var parsed jose.JSONWebKey
	if err := parsed.UnmarshalJSON(raw); err != nil {
		return nil, keyFault("the key cannot be read: a member is missing, malformed, or contradicts another")
	}
	k.Public, k.Certificates = parsed.Key, parsed.Certificates
	return k, k.check()
}

func knownKind(o map[string]json.RawMessage, kty string) bool {
	crv, _ := text(o, "crv")
	switch kty {
	case "RSA":
		return true
	case "EC":
		return slices.Contains([]string{"P-256", "P-384", "P-521"}, crv)
	case "OKP":
		return crv == "Ed25519"
	}
	return false
}

// check looks at the key itself. That an EC point is on its curve has been checked when it was read.
func (k *Key) check() error {
	switch pub := k.Public.(type) {
	case *rsa.PublicKey:
		if bits := pub.N.BitLen(); bits < MinRSA || bits > MaxRSA {
			return keyFault("the RSA key has fewer than 2048 bits or more than 8192")
		}
		if pub.E < minExponent || pub.E > maxExponent || pub.E%2 == 0 || pub.N.Bit(0) == 0 {
			return keyFault("the exponent of the RSA key is even, below 65537 or above 2^31, or its modulus is even")
		}
	case *ecdsa.PublicKey:
		if _, err := pub.ECDH(); err != nil {
			return keyFault("the EC key is not a point on its curve")
		}
	case ed25519.PublicKey:
		if len(pub) != ed25519.PublicKeySize {
			return keyFault("the Ed25519 key does not have 32 bytes")
		}
	default:
		return errUnknownKind
	}
	return nil
}

// Thumbprint is the key's SHA-256 thumbprint in base64url (RFC 7638): jkt, and the sub_jwk of others.
func (k *Key) Thumbprint() (string, error) {
	sum, err := (&jose.JSONWebKey{Key: k.Public}).Thumbprint(crypto.SHA256)
	if err != nil {
		return "", keyFault("the key has no thumbprint")
	}
	return base64.RawURLEncoding.EncodeToString(sum), nil
}

// ValidThumbprint reports whether text can be what Thumbprint returns.
func ValidThumbprint(text string) bool {
	sum, err := decode(text)
	return err == nil && len(sum) == crypto.SHA256.Size()
}
