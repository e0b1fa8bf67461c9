package keys_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quis-idp/quis/keys"
)

func FuzzParseHeader(f *testing.F) {
	f.Add(`{"alg":"ES256","kid":"k","typ":"JWT"}`)
	f.Add(`{"alg":"ES256","crit":["x"]}`)
	f.Add(`{"alg":"a","\u0061lg":"b"}`)
	f.Fuzz(func(t *testing.T, head string) {
		alg, kid, typ, err := keys.ParseHeader(b64(head))
		if err != nil {
			return
		}
		// Whatever we accept means the same to a plain JSON decoder, which takes the last of duplicates.
		var m map[string]string
		if err := json.Unmarshal([]byte(head), &m); err != nil {
			t.Fatalf("%q is no JSON object of strings: %v", head, err)
		}
		got := map[string]string{"alg": string(alg), "kid": kid, "typ": typ}
		for n, v := range got {
			if v == "" && m[n] == "" {
				delete(got, n)
				delete(m, n)
			}
		}
		if diff := cmp.Diff(m, got); diff != "" {
			t.Errorf("%q: %s", head, diff)
		}
	})
}

func FuzzVerify(f *testing.F) {
	h := newHouse(f, 1, keys.Policy{})
	k := h.nodes[0]
	if err := k.Ensure(f.Context(), tenant); err != nil {
		f.Fatal(err)
	}
	k.CountCatchUps(0, func() {})
	good := mustSign(f, k, keys.ES256)
	f.Add(good)
	f.Add("..")
	f.Add(good[:len(good)-1])
	f.Fuzz(func(t *testing.T, token string) {
		_, _, err := k.Verify(t.Context(), tenant, token, "JWT")
		if (token == good) != (err == nil) {
			t.Errorf("%q: %v", token, err)
		}
		if err != nil && !errors.Is(err, keys.ErrInvalidToken) {
			t.Errorf("%q: not ErrInvalidToken: %v", token, err)
		}
	})
}
