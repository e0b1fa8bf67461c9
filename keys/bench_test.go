package keys_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"testing"

	"github.com/quis-idp/quis/keys"
)

func BenchmarkSign(b *testing.B) {
	h := newHouse(b, 1, keys.Policy{})
	k := h.nodes[0]
	if err := k.Ensure(b.Context(), tenant, keys.Algs...); err != nil {
		b.Fatal(err)
	}
	claims := struct {
		Iss, Sub, Aud, Cid, Jti, Scope string
		Exp, Iat                       int64
	}{"https://id.example.com", "usr_01jz7k2h8qf3v9x4m5n6p7r8st", "web", "web", "tok_01jz7k2h8qf3v9x4m5n6p7r8st", "openid profile", 1700000000, 1700000000}
	for _, a := range keys.Algs {
		b.Run(string(a), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := k.Sign(b.Context(), tenant, a, "at+jwt", claims); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("bare P-256", func(b *testing.B) {
		sum := sha256.Sum256([]byte("x"))
		for b.Loop() {
			if _, err := ecdsa.SignASN1(rand.Reader, key, sum[:]); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	h := newHouse(b, 1, keys.Policy{})
	k := h.nodes[0]
	if err := k.Ensure(b.Context(), tenant, keys.Algs...); err != nil {
		b.Fatal(err)
	}
	for _, a := range keys.Algs {
		token := mustSign(b, k, a)
		b.Run(string(a), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := k.Verify(b.Context(), tenant, token, "JWT"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("unknown header", func(b *testing.B) {
		token := fmt.Sprintf("%s.e30.%s", b64(`{"alg":"HS256"}`), b64("x"))
		for b.Loop() {
			if _, _, err := k.Verify(b.Context(), tenant, token, "JWT"); err == nil {
				b.Fatal("accepted")
			}
		}
	})
}
