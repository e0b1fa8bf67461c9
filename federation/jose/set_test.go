package jose

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

func rsaText(n, e []byte) string {
	return fmt.Sprintf(`{"kty":"RSA","n":%q,"e":%q}`, base64.RawURLEncoding.EncodeToString(n), base64.RawURLEncoding.EncodeToString(e))
}

// TestRefusesKeySetBombs: nothing that a stranger registers as his keys costs more than reading 64 KiB.
func TestRefusesKeySetBombs(t *testing.T) {
	good := public(t, p256(), "a", "", "")
	huge := new(big.Int).Lsh(big.NewInt(1), 1<<17)
	private, _ := json.Marshal(jose.JSONWebKey{Key: p256()})
	privateRSA, _ := json.Marshal(jose.JSONWebKey{Key: rsa2k()})
	n := rsa2k().N.Bytes()
	for what, text := range map[string]string{
		"no object":          `[]`,
		"nothing":            ``,
		"no keys":            `{}`,
		"keys is null":       `{"keys":null}`,
		"keys twice":         `{"keys":[],"keys":[]}`,
		"something behind":   `{"keys":[]} {}`,
		"key is null":        `{"keys":[null]}`,
		"too many":           `{"keys":[` + strings.Repeat(good+",", MaxKeys) + good + `]}`,
		"too long":           `{"keys":[],"pad":"` + strings.Repeat("x", MaxSet) + `"}`,
		"deep":               `{"keys":` + strings.Repeat("[", 30000) + strings.Repeat("]", 30000) + `}`,
		"long key":           `{"keys":[{"kty":"EC","pad":"` + strings.Repeat("x", maxKeyText) + `"}]}`,
		"kid twice":          `{"keys":[` + good + "," + good + `]}`,
		"private":            `{"keys":[` + string(private) + `]}`,
		"private RSA":        `{"keys":[` + string(privateRSA) + `]}`,
		"private, emptied":   `{"keys":[` + strings.Replace(good, `"kty"`, `"d":null,"kty"`, 1) + `]}`,
		"symmetric":          `{"keys":[{"kty":"oct","k":"AAAA"}]}`,
		"no kty":             `{"keys":[{"crv":"P-256"}]}`,
		"member twice":       `{"keys":[` + strings.Replace(good, `"kty"`, `"kty":"oct","kty"`, 1) + `]}`,
		"huge modulus":       `{"keys":[` + rsaText(huge.Bytes(), []byte{1, 0, 1}) + `]}`,
		"8200 bits":          `{"keys":[` + rsaText(new(big.Int).SetBit(big.NewInt(1), 8199, 1).Bytes(), []byte{1, 0, 1}) + `]}`,
		"1024 bits":          `{"keys":[` + rsaText(n[:128], []byte{1, 0, 1}) + `]}`,
		"exponent 1":         `{"keys":[` + rsaText(n, []byte{1}) + `]}`,
		"exponent 3":         `{"keys":[` + rsaText(n, []byte{3}) + `]}`,
		"even exponent":      `{"keys":[` + rsaText(n, []byte{1, 0, 2}) + `]}`,
		"huge exponent":      `{"keys":[` + rsaText(n, n) + `]}`,
		"40-bit exponent":    `{"keys":[` + rsaText(n, []byte{1, 0, 0, 0, 1}) + `]}`,
		"off the curve":      `{"keys":[{"kty":"EC","crv":"P-256","x":"` + strings.Repeat("A", 42) + `E","y":"` + strings.Repeat("A", 42) + `E"}]}`,
		"EC without y":       `{"keys":[{"kty":"EC","crv":"P-256","x":"` + strings.Repeat("A", 43) + `"}]}`,
		"short Ed25519":      `{"keys":[{"kty":"OKP","crv":"Ed25519","x":"AAAA"}]}`,
		"certificate of who": `{"keys":[` + strings.Replace(good, `"kty"`, `"x5c":["AAAA"],"kty"`, 1) + `]}`,
	} {
		if s, err := ParseSet([]byte(text)); !errors.Is(err, ErrKeys) {
			t.Errorf("%s: %v, %v", what, s, err)
		} else if strings.ContainsAny(err.Error(), "\"\\") {
			t.Errorf("%s: %q cannot stand in an error description", what, err)
		}
	}
}

func TestLeavesOutKeysOfUnknownKinds(t *testing.T) {
	s := setOf(t, `{"kty":"future","kid":"x"}`, `{"kty":"EC","crv":"secp256k1","x":"AA","y":"AA"}`, `{"kty":"OKP","crv":"X25519","x":"AA"}`, public(t, p256(), "a", "", ""))
	if len(s.Keys()) != 1 || s.Keys()[0].ID != "a" {
		t.Errorf("%+v", s.Keys())
	}
	// One kid for two uses is how some publish one certificate.
	if s := setOf(t, public(t, rsa2k(), "a", "", "sig"), public(t, rsa2k(), "a", "", "enc")); len(s.Keys()) != 2 {
		t.Errorf("%+v", s.Keys())
	}
}

func FuzzParseSet(f *testing.F) {
	f.Add([]byte(`{"keys":[` + public(f, p256(), "a", "ES256", "sig") + `]}`))
	f.Add([]byte(`{"keys":[` + public(f, ed(), "", "", "") + "," + public(f, rsa2k(), "", "", "enc") + `]}`))
	f.Add([]byte(`{"keys":[{"kty":"oct","k":"AAAA"}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := ParseSet(raw)
		if err != nil {
			if !errors.Is(err, ErrKeys) {
				t.Fatal(err)
			}
			return
		}
		for _, k := range s.Keys() {
			if err := k.check(); err != nil {
				t.Fatalf("%+v: %v", k, err)
			}
			if _, err := k.Thumbprint(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func FuzzVerify(f *testing.F) {
	good := sign(f, p256(), "ES256", map[string]any{"kid": "k", "typ": "JWT"}, `{"a":1}`)
	r := all()
	r.Keys, r.Secrets = setOf(f, public(f, p256(), "k", "", "")), [][]byte{secret}
	f.Add(good)
	f.Add(good + ".")
	f.Add(strings.Replace(good, ".", "..", 1))
	f.Add(encode(`{"alg":"none"}`) + "." + encode(`{}`) + ".")
	f.Add(encode(`{"alg":"HS256","kid":"k"}`) + "." + encode(`{}`) + ".AAAA")
	f.Fuzz(func(t *testing.T, text string) {
		token, err := r.Verify(text)
		if err == nil && string(token.Payload) != `{"a":1}` || err != nil && !errors.Is(err, ErrToken) {
			t.Fatalf("%q: %+v %v", text, token, err)
		}
		if _, _, err := Peek(text); err != nil && !errors.Is(err, ErrToken) {
			t.Fatal(err)
		}
	})
}

func FuzzParseClaims(f *testing.F) {
	f.Add([]byte(`{"iss":"a","sub":"b","aud":"c","exp":1900000000,"iat":1.5,"jti":"d"}`))
	f.Add([]byte(`{"aud":["a","b"],"exp":-1}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, err := ParseClaims(raw)
		if err != nil {
			if !errors.Is(err, ErrToken) {
				t.Fatal(err)
			}
			return
		}
		if err := c.Check(Expected{}); err != nil && !errors.Is(err, ErrToken) {
			t.Fatal(err)
		}
	})
}

func BenchmarkVerifyES256(b *testing.B) {
	text := sign(b, p256(), "ES256", map[string]any{"kid": "k"}, `{"iss":"a","sub":"b","aud":"c","exp":1900000000,"jti":"d"}`)
	r := all()
	r.Keys = setOf(b, public(b, p256(), "k", "", ""))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Verify(text); err != nil {
			b.Fatal(err)
		}
	}
}
