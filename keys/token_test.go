package keys_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/keys"
)

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// Every algorithm, against an implementation that is not ours, in both directions.
func TestAgreesWithGoJOSE(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, keys.Policy{})
	k := h.nodes[0]
	if err := k.Ensure(t.Context(), tenant, keys.Algs...); err != nil {
		t.Fatal(err)
	}
	b, err := k.JWKS(t.Context(), tenant)
	if err != nil {
		t.Fatal(err)
	}
	var set jose.JSONWebKeySet
	decodeJSON(t, b, &set)
	if len(set.Keys) != len(keys.Algs) {
		t.Fatalf("JWKS has %d keys", len(set.Keys))
	}
	for _, alg := range keys.Algs {
		for range 40 { // leading zeros of r, s come in about one signature of 128
			token := mustSign(t, k, alg)
			jws, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(alg)})
			if err != nil {
				t.Fatal(err)
			}
			head := jws.Signatures[0].Header
			found := set.Key(head.KeyID)
			if len(found) != 1 || found[0].Algorithm != string(alg) || found[0].Use != "sig" || !found[0].IsPublic() {
				t.Fatalf("%s: JWKS entry %+v", alg, found)
			}
			if head.ExtraHeaders[jose.HeaderType] != "JWT" {
				t.Errorf("%s: typ %v", alg, head.ExtraHeaders[jose.HeaderType])
			}
			payload, err := jws.Verify(found[0])
			if err != nil || string(payload) != `{"sub":"usr_1"}` {
				t.Fatalf("%s: %s, %v", alg, payload, err)
			}
			sum, err := found[0].Thumbprint(5) // crypto.SHA256
			if err != nil || b64(string(sum)) != head.KeyID {
				t.Errorf("%s: kid is no thumbprint: %v", alg, err)
			}
			if _, _, err := k.Verify(t.Context(), tenant, token, "JWT"); err != nil {
				t.Errorf("%s: own verification: %v", alg, err)
			}
		}
	}
}

// The example of RFC 7638 §3.1 is RSA with an e and n of its own; RFC 8037 A.3 gives one for Ed25519.
func TestThumbprintOfRFC8037(t *testing.T) {
	t.Parallel()
	raw, err := base64.RawURLEncoding.DecodeString("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")
	if err != nil {
		t.Fatal(err)
	}
	got, err := keys.Thumbprint(keys.EdDSA, edPublic(raw))
	if want := "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"; err != nil || got != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
}

func TestSignedClaims(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, keys.Policy{})
	k := h.nodes[0]
	if err := k.Ensure(t.Context(), tenant); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		claims any
		typ    string
		want   string
	}{
		{struct {
			A int `json:"a"`
		}{1}, "at+jwt", `{"a":1}`},
		{json.RawMessage(`{"b": 2}`), "logout+jwt", `{"b": 2}`},
		{map[string]string{"c": "ü"}, "", `{"c":"ü"}`},
	} {
		token, err := k.Sign(t.Context(), tenant, keys.ES256, c.typ, c.claims)
		if err != nil {
			t.Fatal(err)
		}
		got, _, err := k.Verify(t.Context(), tenant, token, c.typ)
		if err != nil || string(got) != c.want {
			t.Errorf("got %s, %v, want %s", got, err, c.want)
		}
		if _, _, err := k.Verify(t.Context(), tenant, token, "other"); !errors.Is(err, keys.ErrInvalidToken) {
			t.Errorf("another typ: %v", err)
		}
	}
	if _, err := k.Sign(t.Context(), tenant, keys.ES256, "", func() {}); err == nil {
		t.Error("signed what is no JSON")
	}
}

// forge returns a token with a hand-made header, properly signed by a key of its own.
func forge(t testing.TB, head, payload string) string {
	t.Helper()
	key, err := keys.Generate(keys.ES256)
	if err != nil {
		t.Fatal(err)
	}
	input := b64(head) + "." + payload
	sig, err := keys.SignInput(keys.ES256, key, []byte(input))
	if err != nil {
		t.Fatal(err)
	}
	return input + "." + b64(string(sig))
}

func TestVerifyRefuses(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, keys.Policy{})
	k := h.nodes[0]
	if err := k.Ensure(t.Context(), tenant, keys.ES256, keys.RS256, keys.PS256); err != nil {
		t.Fatal(err)
	}
	good, rsa := mustSign(t, k, keys.ES256), mustSign(t, k, keys.RS256)
	kid, rsaKid := kidOf(t, good), kidOf(t, rsa)
	part := strings.Split(good, ".")
	rsaPart := strings.Split(rsa, ".")
	body := part[1]
	last := func(s string) string { // another spelling of the same bytes
		const a = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
		return s[:len(s)-1] + string(a[strings.IndexByte(a, s[len(s)-1])+1])
	}
	bad := map[string]string{
		"empty":             "",
		"dots":              "..",
		"two parts":         part[0] + "." + part[1],
		"four parts":        good + ".x",
		"no signature":      part[0] + "." + part[1] + ".",
		"none":              b64(`{"alg":"none","kid":"`+kid+`","typ":"JWT"}`) + "." + body + ".",
		"none, signed":      b64(`{"alg":"none","kid":"`+kid+`","typ":"JWT"}`) + "." + body + "." + part[2],
		"HS256":             b64(`{"alg":"HS256","kid":"`+kid+`","typ":"JWT"}`) + "." + body + "." + part[2],
		"other alg of ours": b64(`{"alg":"PS256","kid":"`+rsaKid+`","typ":"JWT"}`) + "." + rsaPart[1] + "." + rsaPart[2],
		"other key":         part[0] + "." + rsaPart[1] + "." + rsaPart[2],
		"other payload":     part[0] + "." + b64(`{"sub":"usr_2"}`) + "." + part[2],
		"padding":           good + "=",
		"loose signature":   part[0] + "." + part[1] + "." + last(part[2]),
		"newline":           part[0] + "." + part[1] + "." + part[2][:9] + "\n" + part[2][9:],
		"newline in body":   part[0] + "." + part[1][:4] + "\n" + part[1][4:] + "." + part[2],
		"truncated":         good[:len(good)-4],
		"longer signature":  good + "AAAA",
		"zero signature":    part[0] + "." + part[1] + "." + b64(string(make([]byte, 64))),
		"too long":          part[0] + "." + strings.Repeat("A", 20<<10) + "." + part[2],
		"long header":       forge(t, `{"alg":"ES256","kid":"`+kid+`","typ":"JWT"`+strings.Repeat(" ", 600)+`}`, body),
		"unknown kid":       forge(t, `{"alg":"ES256","kid":"`+b64(string(make([]byte, 32)))+`","typ":"JWT"}`, body),
		"kid of ours":       forge(t, `{"alg":"ES256","kid":"`+kid+`","typ":"JWT"}`, body),
		"no kid":            forge(t, `{"alg":"ES256","typ":"JWT"}`, body),
		"no typ":            forge(t, `{"alg":"ES256","kid":"`+kid+`"}`, body),
	}
	for what, token := range bad {
		_, _, err := k.Verify(t.Context(), tenant, token, "JWT")
		if !errors.Is(err, keys.ErrInvalidToken) {
			t.Errorf("%s: got %v, want ErrInvalidToken", what, err)
		} else if len(token) > 30 && strings.Contains(err.Error(), token[len(token)-20:]) {
			t.Errorf("%s: the error repeats the token", what)
		}
	}
	if _, _, err := k.Verify(t.Context(), tenant, good, "JWT"); err != nil {
		t.Errorf("the good one: %v", err)
	}
}

func TestHeadersOfOthers(t *testing.T) {
	t.Parallel()
	for head, ok := range map[string]bool{
		`{"alg":"ES256","kid":"k","typ":"JWT"}`:                   true,
		` { "typ" : "JWT", "kid":"k" , "alg":"ES256" } `:          true,
		`{"alg":"ES256","kid":"k"}`:                               true,
		`{"alg":"ES256","kid":"k","typ":"JWT","typ":"JWT"}`:       false,
		`{"alg":"none","alg":"ES256","kid":"k"}`:                  false,
		`{"alg":"ES256","\u0061lg":"none","kid":"k"}`:             false,
		`{"alg":"ES256","kid":"k","crit":["exp"]}`:                false,
		`{"alg":"ES256","kid":"k","jku":"https://evil.example/"}`: false,
		`{"alg":"ES256","kid":"k","x5u":"https://evil.example/"}`: false,
		`{"alg":"ES256","kid":"k","jwk":{"kty":"EC"}}`:            false,
		`{"alg":"ES256","kid":"k","b64":false}`:                   false,
		`{"alg":"ES256","kid":"k","cty":"JWT"}`:                   false,
		`{"alg":"ES256","kid":"k","zip":"DEF"}`:                   false,
		`{"ALG":"ES256","kid":"k"}`:                               false,
		`{"alg":["ES256"],"kid":"k"}`:                             false,
		`{"alg":null,"kid":"k"}`:                                  false,
		`{"alg":"ES256","kid":"k"}{}`:                             false,
		`{"alg":"ES256","kid":"k"`:                                false,
		`["alg","ES256"]`:                                         false,
		`"alg"`:                                                   false,
		``:                                                        false,
	} {
		if _, _, _, err := keys.ParseHeader(b64(head)); (err == nil) != ok {
			t.Errorf("%s: %v", head, err)
		}
	}
}

func TestOtherSpellingOfOurHeaderVerifies(t *testing.T) {
	t.Parallel()
	key, err := keys.Generate(keys.ES256)
	if err != nil {
		t.Fatal(err)
	}
	h := newHouse(t, 1, keys.Policy{})
	k := h.nodes[0]
	kid, err := keys.InsertActive(t.Context(), k, tenant, keys.ES256, key)
	if err != nil {
		t.Fatal(err)
	}
	// What another version of this program may write for the same three members.
	input := b64(`{"typ":"JWT","kid":"`+kid+`","alg":"ES256"}`) + "." + b64(`{}`)
	sig, err := keys.SignInput(keys.ES256, key, []byte(input))
	if err != nil {
		t.Fatal(err)
	}
	if _, got, err := k.Verify(t.Context(), tenant, input+"."+b64(string(sig)), "JWT"); err != nil || got != kid {
		t.Errorf("got %s, %v", got, err)
	}
}

// A key has one algorithm; a header that names another one is refused though the
// signature is sound.
func TestAlgorithmIsTheKeys(t *testing.T) {
	t.Parallel()
	key, err := keys.Generate(keys.PS256)
	if err != nil {
		t.Fatal(err)
	}
	h := newHouse(t, 1, keys.Policy{})
	kid, err := keys.InsertActive(t.Context(), h.nodes[0], tenant, keys.PS256, key)
	if err != nil {
		t.Fatal(err)
	}
	for _, signed := range []keys.Alg{keys.PS256, keys.RS256} {
		for _, named := range []string{"PS256", "RS256", "ES256"} {
			input := b64(`{ "alg":"`+named+`","kid":"`+kid+`","typ":"JWT"}`) + ".e30"
			sig, err := keys.SignInput(signed, key, []byte(input))
			if err != nil {
				t.Fatal(err)
			}
			_, _, err = h.nodes[0].Verify(t.Context(), tenant, input+"."+b64(string(sig)), "JWT")
			if ok := signed == keys.PS256 && named == "PS256"; ok != (err == nil) {
				t.Errorf("signed with %s, names %s: %v", signed, named, err)
			}
		}
	}
}

func TestForgedKidsDoNotFloodTheLeader(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, keys.Policy{})
	k := h.nodes[0]
	if err := k.Ensure(t.Context(), tenant); err != nil {
		t.Fatal(err)
	}
	var asked atomic.Int32
	k.CountCatchUps(time.Hour, func() { asked.Add(1) })
	refused := func(head string) {
		t.Helper()
		if _, _, err := k.Verify(t.Context(), tenant, forge(t, head, "e30"), "JWT"); !errors.Is(err, keys.ErrInvalidToken) {
			t.Errorf("%s: %v", head, err)
		}
	}
	plausible := b64(string(bytes.Repeat([]byte{7}, 32)))
	for _, head := range []string{
		`{}`, `garbage`, `{"alg":"ES256","kid":"short","typ":"JWT"}`, `{"alg":"HS256","kid":"` + plausible + `","typ":"JWT"}`,
		`{"alg":"ES256","kid":"` + plausible + `","typ":"other"}`,
		`{"alg":"ES256","kid":"` + kidOf(t, mustSign(t, k, keys.ES256)) + `","typ":"JWT"}`,
	} {
		refused(head)
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("implausible headers asked the leader %d times", n)
	}
	refused(`{"alg":"ES256","kid":"` + plausible + `","typ":"JWT"}`)
	if n := asked.Load(); n != 1 {
		t.Errorf("a plausible kid asked the leader %d times", n)
	}
	h.SetLeader(false)
	k.CountCatchUps(0, func() {})
	_, _, err := k.Verify(t.Context(), tenant, forge(t, `{"alg":"ES256","kid":"`+plausible+`","typ":"JWT"}`, "e30"), "JWT")
	if !errors.Is(err, fsm.ErrUnavailable) {
		t.Errorf("without a leader: %v, want ErrUnavailable", err)
	}
}

func TestFixedSignature(t *testing.T) {
	t.Parallel()
	for der, want := range map[string]string{
		"\x30\x06\x02\x01\x01\x02\x01\x02":         strings.Repeat("\x00", 31) + "\x01" + strings.Repeat("\x00", 31) + "\x02",
		"\x30\x08\x02\x02\x00\xff\x02\x02\x00\x80": strings.Repeat("\x00", 31) + "\xff" + strings.Repeat("\x00", 31) + "\x80",
		"":                                     "",
		"\x30\x03\x02\x01\x01":                 "",
		"\x30\x06\x02\x01\x01\x02\x01\x02\x00": "",
		"\x30\x09\x02\x01\x01\x02\x01\x02\x02\x01\x03":                       "",
		"\x30\x26\x02\x21\x01" + strings.Repeat("\x01", 32) + "\x02\x01\x02": "",
	} {
		got, err := keys.FixedSignature([]byte(der))
		if (err == nil) != (want != "") || string(got) != want {
			t.Errorf("%x: got %x, %v", der, got, err)
		}
	}
}
