package demo

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"
)

// leeway is how far the provider's clock and ours may differ.
const leeway = time.Minute

// A jwk is a public key as the provider publishes it (RFC 7517).
type jwk struct {
	ID  string `json:"kid"`
	Alg string `json:"alg"`
	N   string `json:"n"`
	E   string `json:"e"`
	X   string `json:"x"`
	Y   string `json:"y"`
}

// A jwt is a token taken apart, for checking and for showing.
type jwt struct {
	Header, Claims []byte // JSON
	signed         string
	signature      []byte
}

func parseJWT(token string) (jwt, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return jwt{}, errors.New("the token is not a signed JWT")
	}
	var raw [3][]byte
	for i, p := range parts {
		b, err := base64.RawURLEncoding.DecodeString(p)
		if err != nil {
			return jwt{}, errors.New("the token is not base64url")
		}
		raw[i] = b
	}
	return jwt{Header: raw[0], Claims: raw[1], signature: raw[2], signed: parts[0] + "." + parts[1]}, nil
}

// checkIDToken checks signature and claims as OpenID Connect Core 1.0 §3.1.3.7 says.
func (p *provider) checkIDToken(ctx context.Context, token, clientID, nonce string, now time.Time) error {
	t, err := parseJWT(token)
	if err != nil {
		return fmt.Errorf("ID token: %w", err)
	}
	var header struct{ Alg, Kid string }
	if err := json.Unmarshal(t.Header, &header); err != nil {
		return fmt.Errorf("ID token: header: %w", err)
	}
	key, err := p.key(ctx, header.Kid)
	if err != nil {
		return fmt.Errorf("ID token: %w", err)
	}
	if key.Alg != header.Alg || !key.verify(t) {
		return errors.New("ID token: the signature is wrong")
	}
	var c struct {
		Issuer   string          `json:"iss"`
		Audience json.RawMessage `json:"aud"`
		Nonce    string          `json:"nonce"`
		Expires  float64         `json:"exp"`
		Issued   float64         `json:"iat"`
	}
	if err := json.Unmarshal(t.Claims, &c); err != nil {
		return fmt.Errorf("ID token: claims: %w", err)
	}
	at := float64(now.Unix())
	switch {
	case c.Issuer != p.issuer:
		return fmt.Errorf("ID token: issued by %q, not by %q", c.Issuer, p.issuer)
	case !audienceIs(c.Audience, clientID):
		return errors.New("ID token: made for another application (aud)")
	case c.Nonce != nonce:
		return errors.New("ID token: not of this sign-in (nonce)")
	case at > c.Expires+leeway.Seconds():
		return errors.New("ID token: has expired")
	case at < c.Issued-leeway.Seconds():
		return errors.New("ID token: issued in the future; compare the clocks")
	}
	return nil
}

// audienceIs reports whether aud is want alone, as a string or a list of one.
func audienceIs(aud json.RawMessage, want string) bool {
	var one string
	if json.Unmarshal(aud, &one) == nil {
		return one == want
	}
	var several []string
	return json.Unmarshal(aud, &several) == nil && len(several) == 1 && several[0] == want
}

// verify checks the signature with the algorithm that the key is for, never the
// one that only the token names.
func (k jwk) verify(t jwt) bool {
	digest := sha256.Sum256([]byte(t.signed))
	switch k.Alg {
	case "ES256":
		x, y := k.field(k.X), k.field(k.Y)
		if len(x) != 32 || len(y) != 32 || len(t.signature) != 64 {
			return false
		}
		pub, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(append([]byte{4}, x...), y...))
		if err != nil {
			return false
		}
		r, s := new(big.Int).SetBytes(t.signature[:32]), new(big.Int).SetBytes(t.signature[32:])
		return ecdsa.Verify(pub, digest[:], r, s)
	case "EdDSA":
		x := k.field(k.X)
		return len(x) == ed25519.PublicKeySize && ed25519.Verify(x, []byte(t.signed), t.signature)
	case "RS256", "PS256":
		pub := &rsa.PublicKey{N: new(big.Int).SetBytes(k.field(k.N)), E: int(new(big.Int).SetBytes(k.field(k.E)).Int64())}
		if pub.N.BitLen() < 2048 || pub.E < 3 {
			return false
		}
		if k.Alg == "PS256" {
			return rsa.VerifyPSS(pub, crypto.SHA256, digest[:], t.signature, nil) == nil
		}
		return rsa.VerifyPKCS1v15(pub, crypto.SHA256, digest[:], t.signature) == nil
	}
	return false
}

func (k jwk) field(s string) []byte {
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return nil
	}
	return b
}

func indent(raw []byte) string {
	var b bytes.Buffer
	if json.Indent(&b, raw, "", "  ") != nil {
		return string(raw)
	}
	return b.String()
}
