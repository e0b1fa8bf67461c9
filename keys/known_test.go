package keys_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/quis-idp/quis/keys"
)

// TestRememberedTokensAreJudgedByTheirKey: what was verified once is refused as ever when
// another signature, another claim or another typ comes with it, or its key is gone.
func TestRememberedTokensAreJudgedByTheirKey(t *testing.T) {
	h := newHouse(t, 1, keys.Policy{})
	k := h.nodes[0]
	if err := k.Ensure(t.Context(), tenant, keys.ES256); err != nil {
		t.Fatal(err)
	}
	token := mustSign(t, k, keys.ES256)
	verify := func(token, typ string) error {
		_, _, err := k.Verify(t.Context(), tenant, token, typ)
		return err
	}
	for range 3 {
		if err := verify(token, "JWT"); err != nil {
			t.Fatal(err)
		}
	}
	parts := strings.Split(token, ".")
	other := strings.Split(mustSign(t, k, keys.ES256), ".")
	for name, forged := range map[string]string{
		"claims changed":              parts[0] + "." + b64(`{"sub":"root"}`) + "." + parts[2],
		"signature of another":        parts[0] + "." + b64(`{"sub":"root"}`) + "." + other[2],
		"last character of signature": token[:len(token)-1] + string("AQgw"[(strings.IndexByte("AQgw", token[len(token)-1])+1)%4]),
	} {
		for range 2 {
			if err := verify(forged, "JWT"); !errors.Is(err, keys.ErrInvalidToken) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if err := verify(token, "at+jwt"); !errors.Is(err, keys.ErrInvalidToken) {
		t.Errorf("with another typ: %v", err)
	}
	if err := k.RotateEmergency(t.Context(), tenant, keys.ES256); err != nil {
		t.Fatal(err)
	}
	for start := time.Now(); !errors.Is(verify(token, "JWT"), keys.ErrInvalidToken); {
		if time.Since(start) > 5*time.Second {
			t.Fatal("a token of a key that is gone is still good")
		}
	}
}
