package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

var (
	p256   = sync.OnceValue(func() *ecdsa.PrivateKey { return ec(elliptic.P256()) })
	p384   = sync.OnceValue(func() *ecdsa.PrivateKey { return ec(elliptic.P384()) })
	p521   = sync.OnceValue(func() *ecdsa.PrivateKey { return ec(elliptic.P521()) })
	rsa2k  = sync.OnceValue(func() *rsa.PrivateKey { k, _ := rsa.GenerateKey(rand.Reader, 2048); return k })
	ed     = sync.OnceValue(func() ed25519.PrivateKey { _, k, _ := ed25519.GenerateKey(rand.Reader); return k })
	secret = []byte("a-test-secret-that-looks-random-0123456789-and-is-long-enough-for-HS512")
)

func ec(c elliptic.Curve) *ecdsa.PrivateKey {
	k, _ := ecdsa.GenerateKey(c, rand.Reader)
	return k
}

func public(t testing.TB, key crypto.Signer, id, alg, use string) string {
	t.Helper()
	b, err := json.Marshal(jose.JSONWebKey{Key: key.Public(), KeyID: id, Algorithm: alg, Use: use})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func setOf(t testing.TB, keys ...string) *Set {
	t.Helper()
	s, err := ParseSet([]byte(`{"keys":[` + strings.Join(keys, ",") + `]}`))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func sign(t testing.TB, key any, alg string, header map[string]any, payload string) string {
	t.Helper()
	opts := &jose.SignerOptions{}
	for k, v := range header {
		opts = opts.WithHeader(jose.HeaderKey(k), v)
	}
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(alg), Key: key}, opts)
	if err != nil {
		t.Fatal(err)
	}
	jws, err := s.Sign([]byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	text, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func encode(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func all() *Rule {
	return &Rule{Algs: append(append([]string{}, Asymmetric...), Symmetric...), Types: []string{"", "jwt"}}
}

func TestVerifiesEveryAlgorithm(t *testing.T) {
	for alg, key := range map[string]crypto.Signer{
		"ES256": p256(), "ES384": p384(), "ES512": p521(), "EdDSA": ed(),
		"RS256": rsa2k(), "RS384": rsa2k(), "RS512": rsa2k(), "PS256": rsa2k(), "PS384": rsa2k(), "PS512": rsa2k(),
	} {
		r := all()
		r.Keys = setOf(t, public(t, key, "k", "", ""))
		token, err := r.Verify(sign(t, key, alg, map[string]any{"kid": "k", "typ": "JWT"}, `{"a":1}`))
		if err != nil || string(token.Payload) != `{"a":1}` || token.Alg != alg {
			t.Errorf("%s: %+v %v", alg, token, err)
		}
	}
	for _, alg := range Symmetric {
		r := all()
		r.Secrets = [][]byte{secret}
		if _, err := r.Verify(sign(t, secret, alg, nil, `{}`)); err != nil {
			t.Errorf("%s: %v", alg, err)
		}
	}
}

func refused(t *testing.T, what string, r *Rule, text string) {
	t.Helper()
	if token, err := r.Verify(text); !errors.Is(err, ErrToken) {
		t.Errorf("%s: %+v, %v", what, token, err)
	}
}

// TestRefusesAlgorithmConfusion: a public key is no secret, whatever the token says (RFC 8725, section 2.1).
func TestRefusesAlgorithmConfusion(t *testing.T) {
	r := all()
	r.Keys = setOf(t, public(t, p256(), "k", "", ""), public(t, rsa2k(), "r", "", ""))
	for _, known := range []string{public(t, p256(), "k", "", ""), public(t, rsa2k(), "r", "", "")} {
		for _, kid := range []string{"k", "r"} {
			text := hs256([]byte(known), kid)
			refused(t, "HS256 under a public key", r, text)
			with := *r
			with.Secrets = [][]byte{secret}
			refused(t, "HS256 under a public key, secrets allowed", &with, text)
		}
	}
	refused(t, "ES256 where only EdDSA is taken", &Rule{Algs: []string{"EdDSA"}, Types: []string{""}, Keys: r.Keys},
		sign(t, p256(), "ES256", map[string]any{"kid": "k"}, `{}`))
	bound := all()
	bound.Keys = setOf(t, public(t, rsa2k(), "r", "PS256", ""))
	refused(t, "RS256 by a key that says PS256", bound, sign(t, rsa2k(), "RS256", map[string]any{"kid": "r"}, `{}`))
	bound.Keys = setOf(t, public(t, rsa2k(), "r", "", "enc"))
	refused(t, "signature by a key for encryption", bound, sign(t, rsa2k(), "RS256", map[string]any{"kid": "r"}, `{}`))
	r.Secrets = [][]byte{[]byte("short")}
	refused(t, "secret shorter than the hash", r, hs256([]byte("short"), "k"))
}

func hs256(secret []byte, kid string) string {
	head := encode(`{"alg":"HS256","kid":"` + kid + `"}`)
	mac := hmac.New(sha256.New, secret)
	fmt.Fprintf(mac, "%s.%s", head, encode(`{}`))
	return head + "." + encode(`{}`) + "." + encode(string(mac.Sum(nil)))
}

func TestRefusesUnsignedTokens(t *testing.T) {
	r := all()
	r.Keys = setOf(t, public(t, p256(), "k", "", ""))
	r.Algs = append(r.Algs, "none", "")
	for _, alg := range []string{"none", "None", "NONE", "nOnE", ""} {
		for _, sig := range []string{"", encode("x")} {
			refused(t, "alg "+alg, r, encode(`{"alg":"`+alg+`"}`)+"."+encode(`{}`)+"."+sig)
		}
	}
	good := sign(t, p256(), "ES256", map[string]any{"kid": "k"}, `{}`)
	refused(t, "signature cut off", r, good[:strings.LastIndex(good, ".")+1])
	refused(t, "another payload", r, strings.Replace(good, "."+encode(`{}`)+".", "."+encode(`{"a":1}`)+".", 1))
}

func TestRefusesHeadersThatSteerTheVerifier(t *testing.T) {
	r := all()
	r.Keys = setOf(t, public(t, p256(), "k", "", ""))
	for name, v := range map[string]any{
		"crit": []string{"x"}, "jku": "https://evil.example/jwks", "x5u": "https://evil.example/cert", "b64": false, "zip": "DEF",
		"jwk": json.RawMessage(public(t, p384(), "", "", "")), "typ": "other", "kid": strings.Repeat("k", 300),
	} {
		refused(t, name, r, sign(t, p256(), "ES256", map[string]any{name: v}, `{}`))
	}
	refused(t, "alg twice", r, encode(`{"alg":"ES256","alg":"none"}`)+"."+encode(`{}`)+"."+encode("x"))
	refused(t, "kid is a number", r, encode(`{"alg":"ES256","kid":1}`)+"."+encode(`{}`)+"."+encode("x"))
	untyped := *r
	untyped.Types = []string{"dpop+jwt"}
	refused(t, "no typ where one is wanted", &untyped, sign(t, p256(), "ES256", nil, `{}`))
	if _, err := untyped.Verify(sign(t, p256(), "ES256", map[string]any{"typ": "application/DPoP+JWT"}, `{}`)); err != nil {
		t.Error(err)
	}
}

func TestRefusesOversizedTokens(t *testing.T) {
	r := all()
	r.Keys = setOf(t, public(t, p256(), "k", "", ""))
	refused(t, "long payload", r, sign(t, p256(), "ES256", nil, `{"a":"`+strings.Repeat("x", MaxToken)+`"}`))
	refused(t, "long header", r, sign(t, p256(), "ES256", map[string]any{"pad": strings.Repeat("x", maxHeader)}, `{}`))
	r.Max = 100
	refused(t, "longer than the rule", r, sign(t, p256(), "ES256", nil, `{}`))
}

func TestRefusesNestedTokens(t *testing.T) {
	r := all()
	r.Keys = setOf(t, public(t, p256(), "k", "", ""))
	inner := sign(t, p256(), "ES256", nil, `{"sub":"x"}`)
	for _, text := range []string{
		sign(t, p256(), "ES256", map[string]any{"cty": "JWT"}, inner), sign(t, p256(), "ES256", nil, inner),
		sign(t, p256(), "ES256", map[string]any{"cty": "jwt"}, `{}`),
	} {
		refused(t, "nested", r, text)
		asked := *r
		asked.Nested = true
		if _, err := asked.Verify(text); err != nil {
			t.Error(err)
		}
	}
	refused(t, "encrypted", r, "a.b.c.d.e")
}

func TestEmbeddedKey(t *testing.T) {
	r := &Rule{Algs: Asymmetric, Types: []string{""}, Embedded: true}
	with := func(jwk string) string {
		return sign(t, p256(), "ES256", map[string]any{"jwk": json.RawMessage(jwk), "kid": "anything"}, `{}`)
	}
	token, err := r.Verify(with(public(t, p256(), "mine", "", "")))
	if err != nil || token.By == nil {
		t.Fatal(err)
	}
	want, _ := (&jose.JSONWebKey{Key: p256().Public()}).Thumbprint(crypto.SHA256)
	if got, err := token.By.Thumbprint(); err != nil || got != base64.RawURLEncoding.EncodeToString(want) {
		t.Errorf("thumbprint %q, %v", got, err)
	}
	refused(t, "another key", r, with(public(t, ec(elliptic.P256()), "", "", "")))
	refused(t, "none", r, sign(t, p256(), "ES256", nil, `{}`))
	private, _ := json.Marshal(jose.JSONWebKey{Key: p256()})
	refused(t, "private", r, encode(`{"alg":"ES256","jwk":`+string(private)+`}`)+"."+encode(`{}`)+"."+encode("x"))
	refused(t, "symmetric", r, encode(`{"alg":"ES256","jwk":{"kty":"oct","k":"AAAA"}}`)+"."+encode(`{}`)+"."+encode("x"))
}

func TestPicksKeys(t *testing.T) {
	s := setOf(t, public(t, p256(), "a", "", "sig"), public(t, p384(), "b", "ES384", ""), public(t, rsa2k(), "c", "", "enc"), public(t, ed(), "", "", ""))
	for _, c := range []struct {
		kid, alg string
		n        int
	}{{"a", "ES256", 1}, {"", "ES256", 1}, {"b", "ES256", 0}, {"", "ES384", 1}, {"c", "RS256", 0}, {"x", "EdDSA", 1}, {"x", "ES256", 0}} {
		if n := len(s.Verifying(c.kid, c.alg)); n != c.n {
			t.Errorf("%+v: %d", c, n)
		}
	}
	if _, err := s.Encrypting("ECDH-ES"); !errors.Is(err, ErrKeys) {
		t.Error(err)
	}
	if k, err := s.Encrypting("RSA-OAEP-256"); err != nil || k.ID != "c" {
		t.Error(k, err)
	}
	if n := len((*Set)(nil).Verifying("", "ES256")); n != 0 {
		t.Error(n)
	}
}

func TestClaims(t *testing.T) {
	now := time.Unix(1_900_000_000, 0)
	good := func() map[string]any {
		return map[string]any{"iss": "me", "sub": "me", "aud": []string{"https://id.example", "x"}, "exp": now.Unix() + 60, "iat": now.Unix(), "jti": "0123"}
	}
	e := Expected{Now: now, Skew: 5 * time.Second, Issuer: "me", Subject: "me", Audience: []string{"https://id.example"}, Life: 5 * time.Minute, ID: true}
	check := func(c map[string]any, e Expected) error {
		b, _ := json.Marshal(c)
		parsed, err := ParseClaims(b)
		if err != nil {
			return err
		}
		return parsed.Check(e)
	}
	if err := check(good(), e); err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func(map[string]any){
		"another issuer":    func(c map[string]any) { c["iss"] = "you" },
		"another subject":   func(c map[string]any) { c["sub"] = "you" },
		"another audience":  func(c map[string]any) { c["aud"] = "https://other.example" },
		"no audience":       func(c map[string]any) { delete(c, "aud") },
		"empty audience":    func(c map[string]any) { c["aud"] = []string{} },
		"audience of kinds": func(c map[string]any) { c["aud"] = []any{"https://id.example", 1} },
		"no exp":            func(c map[string]any) { delete(c, "exp") },
		"expired":           func(c map[string]any) { c["exp"] = now.Unix() - 6 },
		"long-lived":        func(c map[string]any) { c["exp"] = now.Unix() + 600 },
		"exp in text":       func(c map[string]any) { c["exp"] = "1900000060" },
		"exp without end":   func(c map[string]any) { c["exp"] = 1e300 },
		"exp null":          func(c map[string]any) { c["exp"] = nil },
		"not yet":           func(c map[string]any) { c["nbf"] = now.Unix() + 60 },
		"of the future":     func(c map[string]any) { c["iat"] = now.Unix() + 60 },
		"old":               func(c map[string]any) { c["iat"] = now.Unix() - 600 },
		"no jti":            func(c map[string]any) { delete(c, "jti") },
		"long jti":          func(c map[string]any) { c["jti"] = strings.Repeat("x", 256) },
		"iss is a list":     func(c map[string]any) { c["iss"] = []string{"me"} },
		"another spelling":  func(c map[string]any) { delete(c, "iss"); c["ISS"] = "me" },
	} {
		c := good()
		change(c)
		if err := check(c, e); !errors.Is(err, ErrToken) {
			t.Errorf("%s: %v", what, err)
		}
	}
	e.OnlyAudience = true
	if err := check(good(), e); !errors.Is(err, ErrToken) {
		t.Errorf("audience of others: %v", err)
	}
	if _, err := ParseClaims([]byte(`{"iss":"me","iss":"you"}`)); !errors.Is(err, ErrToken) {
		t.Errorf("iss twice: %v", err)
	}
}

func TestEncryptsToTheApplicationAlone(t *testing.T) {
	s := setOf(t, public(t, rsa2k(), "rsa", "", "enc"), public(t, p256(), "ec", "", "enc"))
	for _, alg := range KeyAlgs {
		for _, enc := range append([]string{""}, ContentAlgs...) {
			text, err := Encryption{Alg: alg, Enc: enc, ContentType: "JWT"}.Encrypt(s, []byte("inner"))
			if err != nil {
				t.Fatal(alg, enc, err)
			}
			if enc == "" {
				enc = DefaultContent
			}
			box, err := jose.ParseEncryptedCompact(text, []jose.KeyAlgorithm{jose.KeyAlgorithm(alg)}, []jose.ContentEncryption{jose.ContentEncryption(enc)})
			if err != nil {
				t.Fatal(err)
			}
			key := any(rsa2k())
			if strings.HasPrefix(alg, "ECDH") {
				key = p256()
			}
			if got, err := box.Decrypt(key); err != nil || string(got) != "inner" || box.Header.ExtraHeaders["cty"] != "JWT" {
				t.Errorf("%s %s: %q %v %v", alg, enc, got, err, box.Header)
			}
		}
	}
	for _, e := range []Encryption{{Alg: "RSA1_5"}, {Alg: "dir"}, {Alg: "RSA-OAEP", Enc: "A192GCM"}, {}} {
		if _, err := e.Encrypt(s, nil); !errors.Is(err, ErrKeys) {
			t.Errorf("%+v: %v", e, err)
		}
	}
	if _, err := (Encryption{Alg: "ECDH-ES"}).Encrypt(setOf(t, public(t, p256(), "", "", "sig")), nil); !errors.Is(err, ErrKeys) {
		t.Error(err)
	}
}
