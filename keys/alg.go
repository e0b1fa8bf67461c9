package keys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"

	"github.com/quis-idp/quis/fsm"
)

// An Alg is a JWS algorithm (RFC 7518 §3.1, RFC 8037).
type Alg string

// The algorithms that keys are made for. ES256 is the default: it signs 30 times as
// fast as RS256 at 2048 bits.
const (
	ES256 Alg = "ES256"
	RS256 Alg = "RS256"
	PS256 Alg = "PS256"
	EdDSA Alg = "EdDSA" // Ed25519
)

// Algs lists the algorithms, preferred first.
var Algs = []Alg{ES256, EdDSA, PS256, RS256}

// Valid reports whether a is one of Algs.
func (a Alg) Valid() bool {
	switch a {
	case ES256, RS256, PS256, EdDSA:
		return true
	}
	return false
}

// generate makes a key pair for a. RSA takes a few hundred milliseconds.
func (a Alg) generate(rsaBits int) (crypto.Signer, error) {
	switch a {
	case ES256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case RS256, PS256:
		return rsa.GenerateKey(rand.Reader, rsaBits)
	case EdDSA:
		_, k, err := ed25519.GenerateKey(rand.Reader)
		return k, err
	}
	return nil, fmt.Errorf("algorithm %.20q: %w", string(a), errAlg)
}

// fits reports whether pub is a key for a: a key never changes its algorithm.
func (a Alg) fits(pub crypto.PublicKey) bool {
	switch k := pub.(type) {
	case *ecdsa.PublicKey:
		return a == ES256 && k.Curve == elliptic.P256()
	case *rsa.PublicKey:
		return (a == RS256 || a == PS256) && k.N.BitLen() >= 2048
	case ed25519.PublicKey:
		return a == EdDSA
	}
	return false
}

// A jwk is a public key as the JWKS shows it (RFC 7517 §4, RFC 7518 §6, RFC 8037 §2).
type jwk struct {
	Kty string `json:"kty"`
	Use string `json:"use"`
	Alg Alg    `json:"alg"`
	KID string `json:"kid"`
	Crv string `json:"crv,omitempty"`
	X   string `json:"x,omitempty"`
	Y   string `json:"y,omitempty"`
	N   string `json:"n,omitempty"`
	E   string `json:"e,omitempty"`
}

// publicJWK returns pub as a JWK whose kid is its thumbprint.
func publicJWK(a Alg, pub crypto.PublicKey) (jwk, error) {
	if !a.fits(pub) {
		return jwk{}, fmt.Errorf("%T is no key for %s: %w", pub, a, fsm.ErrCorrupt)
	}
	j := jwk{Use: "sig", Alg: a}
	var required any // the members of RFC 7638 §3.2, in lexicographic order
	switch k := pub.(type) {
	case *ecdsa.PublicKey:
		point, err := k.Bytes() // 04 ‖ x ‖ y
		if err != nil {
			return jwk{}, fmt.Errorf("encode key: %w", err)
		}
		j.Kty, j.Crv, j.X, j.Y = "EC", "P-256", b64(point[1:33]), b64(point[33:])
		required = struct {
			Crv string `json:"crv"`
			Kty string `json:"kty"`
			X   string `json:"x"`
			Y   string `json:"y"`
		}{j.Crv, j.Kty, j.X, j.Y}
	case *rsa.PublicKey:
		j.Kty, j.N, j.E = "RSA", b64(k.N.Bytes()), b64(big.NewInt(int64(k.E)).Bytes())
		required = struct {
			E   string `json:"e"`
			Kty string `json:"kty"`
			N   string `json:"n"`
		}{j.E, j.Kty, j.N}
	case ed25519.PublicKey:
		j.Kty, j.Crv, j.X = "OKP", "Ed25519", b64(k)
		required = struct {
			Crv string `json:"crv"`
			Kty string `json:"kty"`
			X   string `json:"x"`
		}{j.Crv, j.Kty, j.X}
	}
	b, err := json.Marshal(required)
	if err != nil {
		return jwk{}, fmt.Errorf("thumbprint: %w", err)
	}
	sum := sha256.Sum256(b)
	j.KID = b64(sum[:])
	return j, nil
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
