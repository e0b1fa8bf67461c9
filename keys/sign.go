package keys

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/quis-idp/quis/fsm"
)

// A header is the JOSE header of our tokens, and all of it (RFC 7515 §4).
type header struct {
	Alg Alg    `json:"alg"`
	KID string `json:"kid"`
	Typ string `json:"typ,omitempty"`
}

// Sign returns claims as a compact JWS (RFC 7515 §7.1) by the tenant's active key for
// alg, with kid and, unless it is empty, typ in the header. claims is marshalled as JSON,
// a json.RawMessage taken as it is. A tenant without such a key is fsm.ErrNotFound.
func (k *Keys) Sign(ctx context.Context, tenant string, alg Alg, typ string, claims any) (string, error) {
	key, err := k.signer(ctx, tenant, alg)
	if err != nil {
		return "", fmt.Errorf("sign: %w", err)
	}
	payload, raw := claims.(json.RawMessage)
	if !raw {
		if payload, err = json.Marshal(claims); err != nil {
			return "", fmt.Errorf("sign: claims: %w", err)
		}
	}
	h := key.header(typ)
	enc := base64.RawURLEncoding
	b := make([]byte, 0, len(h)+2+enc.EncodedLen(len(payload))+enc.EncodedLen(maxSignature))
	b = append(append(b, h...), '.')
	b = enc.AppendEncode(b, payload)
	sig, err := key.alg.Signature(key.private, b)
	if err != nil {
		return "", fmt.Errorf("sign with %s: %w", key.kid, err)
	}
	b = append(b, '.')
	return string(enc.AppendEncode(b, sig)), nil
}

// maxSignature is a guess for the capacity of a token: RSA with 2048 bits.
const maxSignature = 256

func (k *Keys) signer(ctx context.Context, tenant string, alg Alg) (*key, error) {
	s, err := k.keysOf(ctx, tenant)
	if err == nil && s.active[alg] == nil {
		s, err = k.catchUp(ctx, tenant)
	}
	if err != nil {
		return nil, err
	}
	if key := s.active[alg]; key != nil {
		return key, key.err
	}
	return nil, fmt.Errorf("%s has no active %.20s key: %w", tenant, string(alg), fsm.ErrNotFound)
}

// Signature returns the JWS signature by key, which fits a, over input (RFC 7518 §3, RFC 8037 §3.1).
func (a Alg) Signature(key crypto.Signer, input []byte) ([]byte, error) {
	if a == EdDSA {
		return key.Sign(rand.Reader, input, crypto.Hash(0))
	}
	sum := sha256.Sum256(input)
	switch a {
	case ES256:
		der, err := key.Sign(rand.Reader, sum[:], crypto.SHA256)
		if err != nil {
			return nil, err
		}
		return fixedSignature(der)
	case PS256:
		return key.Sign(rand.Reader, sum[:], pss)
	default:
		return key.Sign(rand.Reader, sum[:], crypto.SHA256)
	}
}

var pss = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}

// fixedSignature turns the ASN.1 that crypto.Signer gives for ECDSA into the r ‖ s of
// 32 bytes each that JWS wants (RFC 7518 §3.4).
func fixedSignature(der []byte) ([]byte, error) {
	sig := make([]byte, 64)
	var seq cryptobyte.String
	var r, s []byte
	in := cryptobyte.String(der)
	if !in.ReadASN1(&seq, asn1.SEQUENCE) || !in.Empty() ||
		!seq.ReadASN1Integer(&r) || !seq.ReadASN1Integer(&s) || !seq.Empty() ||
		len(r) > 32 || len(s) > 32 {
		return nil, fmt.Errorf("ECDSA signature of %d bytes: %w", len(der), fsm.ErrCorrupt)
	}
	copy(sig[32-len(r):], r)
	copy(sig[64-len(s):], s)
	return sig, nil
}
