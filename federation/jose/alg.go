package jose

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"slices"

	"github.com/go-jose/go-jose/v4"
)

// Asymmetric are the algorithms with which others may sign (RFC 7518, section 3.1; RFC 8037).
var Asymmetric = []string{"ES256", "EdDSA", "PS256", "ES384", "ES512", "PS384", "PS512", "RS256", "RS384", "RS512"}

// FAPI are those that the FAPI 2.0 Security Profile allows, section 5.4.1.
var FAPI = []string{"ES256", "EdDSA", "PS256"}

// Symmetric are the algorithms of a shared secret. Rule takes them only beside Secrets.
var Symmetric = []string{"HS256", "HS384", "HS512"}

// secretBytes is how long the secret of an HMAC must be (RFC 7518, section 3.2).
var secretBytes = map[string]int{"HS256": 32, "HS384": 48, "HS512": 64}

var curves = map[string]elliptic.Curve{"ES256": elliptic.P256(), "ES384": elliptic.P384(), "ES512": elliptic.P521()}

// Signs reports whether the key can have made signatures of alg: its kind and curve
// are those of alg, and what it says of itself (alg, use) does not contradict.
func (k *Key) Signs(alg string) bool {
	if k.Use != "" && k.Use != "sig" || k.Alg != "" && k.Alg != alg || len(k.Ops) > 0 && !slices.Contains(k.Ops, "verify") {
		return false
	}
	switch pub := k.Public.(type) {
	case *ecdsa.PublicKey:
		return curves[alg] != nil && pub.Curve == curves[alg]
	case ed25519.PublicKey:
		return alg == "EdDSA"
	case *rsa.PublicKey:
		return slices.Contains([]string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}, alg)
	}
	return false
}

// Encrypts reports whether something can be encrypted to the key with the key management algorithm alg.
func (k *Key) Encrypts(alg string) bool {
	if k.Use != "" && k.Use != "enc" || k.Alg != "" && k.Alg != alg {
		return false
	}
	if len(k.Ops) > 0 && !slices.ContainsFunc(k.Ops, func(op string) bool {
		return op == "encrypt" || op == "wrapKey" || op == "deriveKey" || op == "deriveBits"
	}) {
		return false
	}
	switch k.Public.(type) {
	case *ecdsa.PublicKey:
		return alg == "ECDH-ES" || alg == "ECDH-ES+A128KW" || alg == "ECDH-ES+A256KW"
	case *rsa.PublicKey:
		return alg == "RSA-OAEP" || alg == "RSA-OAEP-256"
	}
	return false
}

func signatureAlgs(algs []string) []jose.SignatureAlgorithm {
	out := make([]jose.SignatureAlgorithm, len(algs))
	for i, a := range algs {
		out[i] = jose.SignatureAlgorithm(a)
	}
	return out
}
