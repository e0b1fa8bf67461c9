package push

import (
	"bytes"
	"crypto/ecdh"
	"encoding/base64"
	"testing"
)

func raw(t *testing.T, s string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The example of RFC 8291, section 5 and appendix A.
func TestExampleOfTheRFC(t *testing.T) {
	t.Parallel()
	own, err := ecdh.P256().NewPrivateKey(raw(t, "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := encryptWith(own, raw(t, "DGv6ra1nlYgDCS1FRnbzlw"), pad([]byte("When I grow up, I want to be a watermelon"), 0),
		raw(t, "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"), raw(t, "BTBZMqHH6r4Tts7J_aSIgg"))
	want := raw(t, "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27ml"+
		"mlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPT"+
		"pK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN")
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%v\n%x\nwant\n%x", err, got, want)
	}
}

// Whatever is said in whichever language is as long as anything else.
func TestEveryMessageIsAsLong(t *testing.T) {
	t.Parallel()
	browser, err := ecdh.P256().NewPrivateKey(raw(t, "q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94"))
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{0, 1, padded - 1} {
		got, err := encrypt(make([]byte, n), browser.PublicKey().Bytes(), make([]byte, authSize))
		if want := saltSize + 4 + 1 + pointSize + padded + 16; err != nil || len(got) != want {
			t.Errorf("%d bytes become %d, want %d: %v", n, len(got), want, err)
		}
	}
	if _, err := encrypt(make([]byte, padded), browser.PublicKey().Bytes(), make([]byte, authSize)); err == nil {
		t.Error("more than fits is taken")
	}
	if _, err := encrypt(nil, make([]byte, pointSize), make([]byte, authSize)); err == nil {
		t.Error("what is no point of the curve is taken")
	}
}
