package keys

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"strings"
)

// ErrInvalidToken: not a token that one of the tenant's keys has signed with this typ.
var ErrInvalidToken = errors.New("token is not valid")

const (
	maxToken  = 16 << 10 // bytes of a whole token
	maxHeader = 512      // bytes of its encoded header
	kidLength = 43       // of a SHA-256 in base64url
)

// Verify checks a compact JWS against the tenant's published, active and retiring keys
// and returns its payload and the kid. The header must hold exactly alg, kid and typ:
// the key's own algorithm and the typ asked for (RFC 8725 §3.1, §3.11); nothing in a token
// chooses a key by value or by URL. Anything else is ErrInvalidToken. An unknown kid is
// looked for at the leader; other errors are those of that.
//
// The claims are not looked at: expiry, issuer and audience are the caller's to check.
func (k *Keys) Verify(ctx context.Context, tenant, token string, typ string) (payload []byte, kid string, err error) {
	if len(token) > maxToken {
		return nil, "", fmt.Errorf("%d bytes: %w", len(token), ErrInvalidToken)
	}
	head, rest, ok1 := strings.Cut(token, ".")
	body, sig, ok2 := strings.Cut(rest, ".")
	if !ok1 || !ok2 || strings.Contains(sig, ".") {
		return nil, "", fmt.Errorf("not three parts: %w", ErrInvalidToken)
	}
	signature, err := decode(sig)
	if err != nil || len(signature) == 0 {
		return nil, "", fmt.Errorf("signature is not base64url: %w", ErrInvalidToken)
	}
	key, err := k.verifier(ctx, tenant, head, typ)
	if err != nil {
		return nil, "", err
	}
	signed := func() bool { return key.alg.verify(key.public, []byte(token[:len(head)+1+len(body)]), signature) }
	if !k.seen.verified(key, token, signed) {
		return nil, "", fmt.Errorf("signature does not match: %w", ErrInvalidToken)
	}
	if payload, err = decode(body); err != nil {
		return nil, "", fmt.Errorf("payload is not base64url: %w", ErrInvalidToken)
	}
	return payload, key.kid, nil
}

// verifier returns the key that a header names.
func (k *Keys) verifier(ctx context.Context, tenant, head, typ string) (*key, error) {
	s, err := k.keysOf(ctx, tenant)
	if err != nil {
		return nil, err
	}
	for _, key := range s.live { // nearly always: exactly the bytes that we write
		if key.header(typ) == head {
			return key, nil
		}
	}
	h, err := parseHeader(head)
	if err != nil {
		return nil, fmt.Errorf("header: %w: %w", err, ErrInvalidToken)
	}
	if h.Typ != typ {
		return nil, fmt.Errorf("typ is not %q: %w", typ, ErrInvalidToken)
	}
	if !h.Alg.Valid() || !plausibleKID(h.KID) {
		return nil, fmt.Errorf("no key of ours: %w", ErrInvalidToken)
	}
	// The kid may be newer than what this node holds: look here, then at the leader.
	for _, load := range []func(context.Context, string) (*keySet, error){k.exactKeysOf, k.catchUp} {
		if s.known[h.KID] != nil || s.gone[h.KID] {
			break
		}
		if s, err = load(ctx, tenant); err != nil {
			return nil, fmt.Errorf("look for key: %w", err)
		}
	}
	key := s.known[h.KID]
	if key == nil || key.alg != h.Alg {
		return nil, fmt.Errorf("no key of ours: %w", ErrInvalidToken)
	}
	return key, nil
}

func plausibleKID(kid string) bool {
	b, err := decode(kid)
	return err == nil && len(kid) == kidLength && len(b) == sha256.Size
}

var errHeader = errors.New("not ours")

// parseHeader reads a JOSE header in any spelling, but with alg, kid and typ only, each
// a string and at most once: crit, jwk, jku, x5u, x5c and whatever may come are refused, not ignored.
func parseHeader(head string) (h header, err error) {
	if len(head) > maxHeader {
		return h, errHeader
	}
	b, err := decode(head)
	if err != nil {
		return h, errHeader
	}
	d := json.NewDecoder(strings.NewReader(string(b)))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return h, errHeader
	}
	seen := map[string]bool{}
	for d.More() {
		name, err1 := d.Token()
		value, err2 := d.Token()
		n, ok1 := name.(string)
		v, ok2 := value.(string)
		if err1 != nil || err2 != nil || !ok1 || !ok2 || seen[n] {
			return h, errHeader
		}
		seen[n] = true
		switch n {
		case "alg":
			h.Alg = Alg(v)
		case "kid":
			h.KID = v
		case "typ":
			h.Typ = v
		default:
			return h, errHeader
		}
	}
	if _, err := d.Token(); err != nil { // the closing brace
		return h, errHeader
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return h, errHeader
	}
	return h, nil
}

// decode reads base64url without padding, and of all spellings only the one we write.
func decode(s string) ([]byte, error) {
	if strings.ContainsAny(s, "\r\n") { // which the decoder skips
		return nil, errHeader
	}
	return base64.RawURLEncoding.Strict().DecodeString(s)
}

// verify checks a JWS signature over input.
func (a Alg) verify(public crypto.PublicKey, input, sig []byte) bool {
	sum := sha256.Sum256(input)
	switch key := public.(type) {
	case *ecdsa.PublicKey:
		if len(sig) != 64 {
			return false
		}
		return ecdsa.Verify(key, sum[:], new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:]))
	case ed25519.PublicKey:
		return ed25519.Verify(key, input, sig)
	case *rsa.PublicKey:
		if a == PS256 {
			return rsa.VerifyPSS(key, crypto.SHA256, sum[:], sig, pss) == nil
		}
		return rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], sig) == nil
	}
	return false
}
