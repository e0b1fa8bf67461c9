package testbed

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// A Key is an application's own: it signs assertions and proofs of possession.
type Key struct {
	ID      string
	Alg     jose.SignatureAlgorithm
	private crypto.Signer
	public  jose.JSONWebKey
}

// NewKey makes a P-256 key.
func NewKey() (*Key, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	return KeyOf(private, jose.ES256), nil
}

// KeyOf wraps a key that signs with alg.
func KeyOf(private crypto.Signer, alg jose.SignatureAlgorithm) *Key {
	k := &Key{ID: rand.Text()[:8], Alg: alg, private: private}
	k.public = jose.JSONWebKey{Key: private.Public(), KeyID: k.ID, Algorithm: string(alg), Use: "sig"}
	return k
}

// Public is the key as a member of a JWKS.
func (k *Key) Public() jose.JSONWebKey { return k.public }

// Set is the JWKS that holds the key alone.
func (k *Key) Set() jose.JSONWebKeySet { return jose.JSONWebKeySet{Keys: []jose.JSONWebKey{k.public}} }

// Thumbprint is that of RFC 7638, in base64url.
func (k *Key) Thumbprint() string {
	sum, err := k.public.Thumbprint(crypto.SHA256)
	if err != nil {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(sum)
}

// Sign makes a JWT of the claims, of the given type; the header names the key by kid,
// or carries it if embed is set.
func (k *Key) Sign(typ string, embed bool, claims map[string]any) (string, error) {
	options := (&jose.SignerOptions{}).WithType(jose.ContentType(typ))
	if embed {
		options.WithHeader("jwk", jose.JSONWebKey{Key: k.public.Key})
	} else {
		options.WithHeader("kid", k.ID)
	}
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: k.Alg, Key: jose.JSONWebKey{Key: k.private}}, options)
	if err != nil {
		return "", err
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	signed, err := s.Sign(payload)
	if err != nil {
		return "", err
	}
	return signed.CompactSerialize()
}

// Assertion authenticates an application at the issuer (RFC 7523, section 3).
// Changes replace claims; nil removes one.
func (k *Key) Assertion(clientID, audience string, changes map[string]any) (string, error) {
	now := time.Now().Unix()
	return k.Sign("JWT", false, changed(map[string]any{
		"iss": clientID, "sub": clientID, "aud": audience, "jti": rand.Text(), "iat": now, "exp": now + 60,
	}, changes))
}

// Proof proves possession of the key for one request (RFC 9449, section 4.2).
// Changes replace claims; nil removes one. A token is bound by its hash.
func (k *Key) Proof(method, url, nonce, token string, changes map[string]any) (string, error) {
	claims := map[string]any{"htm": method, "htu": url, "jti": rand.Text(), "iat": time.Now().Unix()}
	if nonce != "" {
		claims["nonce"] = nonce
	}
	if token != "" {
		sum := sha256.Sum256([]byte(token))
		claims["ath"] = base64.RawURLEncoding.EncodeToString(sum[:])
	}
	return k.Sign("dpop+jwt", true, changed(claims, changes))
}

func changed(claims, changes map[string]any) map[string]any {
	maps.Copy(claims, changes)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	return claims
}
