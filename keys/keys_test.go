package keys_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/keys"
	"github.com/quis-idp/quis/keys/seal"
)

func TestFirstKeyIsActiveAtOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3, keys.Policy{})
	if _, err := h.nodes[1].Sign(t.Context(), tenant, keys.ES256, "JWT", 1); !errors.Is(err, fsm.ErrNotFound) {
		t.Errorf("sign without a key: %v", err)
	}
	if _, err := h.nodes[1].JWKS(t.Context(), tenant); !errors.Is(err, fsm.ErrNotFound) {
		t.Errorf("JWKS without a key: %v", err)
	}
	var wg sync.WaitGroup
	for _, k := range h.nodes {
		wg.Go(func() {
			if err := k.Ensure(t.Context(), tenant); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	kid := inState(t, h.nodes[0], keys.Active)
	if n := len(states(t, h.nodes[0])); n != 1 {
		t.Errorf("three nodes made %d keys", n)
	}
	for _, k := range h.nodes {
		token := mustSign(t, k, keys.ES256)
		if kidOf(t, token) != kid || !inJWKS(t, k, kid) {
			t.Error("nodes disagree about the active key")
		}
		for _, v := range h.nodes {
			payload, got, err := v.Verify(t.Context(), tenant, token, "JWT")
			if err != nil || got != kid || string(payload) != `{"sub":"usr_1"}` {
				t.Errorf("got %s, %s, %v", payload, got, err)
			}
		}
	}
	if want := []string{"key.activated " + kid}; !cmp.Equal(h.events(), want) {
		t.Errorf("events %v", h.events())
	}
}

func TestUnknownAlgorithm(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, keys.Policy{})
	if err := h.nodes[0].Ensure(t.Context(), tenant, "HS256"); err == nil {
		t.Error("made a key for HS256")
	}
	for _, f := range []func(context.Context, string, keys.Alg) error{h.nodes[0].RotateNow, h.nodes[0].RotateEmergency} {
		if err := f(t.Context(), tenant, keys.ES256); !errors.Is(err, fsm.ErrNotFound) {
			t.Errorf("rotated what is not there: %v", err)
		}
	}
}

func TestEmergencyRotation(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3, keys.Policy{})
	k := h.nodes[0]
	if err := k.Ensure(t.Context(), tenant, keys.ES256, keys.EdDSA); err != nil {
		t.Fatal(err)
	}
	if err := k.RotateNow(t.Context(), tenant, keys.ES256); err != nil {
		t.Fatal(err)
	}
	token, other := mustSign(t, h.nodes[1], keys.ES256), mustSign(t, k, keys.EdDSA)
	old := kidOf(t, token)
	successor := inState(t, k, keys.Published)
	h.Pause(2)
	if err := k.RotateEmergency(t.Context(), tenant, keys.ES256); err != nil {
		t.Fatal(err)
	}
	if _, _, err := k.Verify(t.Context(), tenant, token, "JWT"); !errors.Is(err, keys.ErrInvalidToken) {
		t.Errorf("token of the old key: %v", err)
	}
	if _, _, err := k.Verify(t.Context(), tenant, other, "JWT"); err != nil {
		t.Errorf("token of another algorithm: %v", err)
	}
	got := states(t, k)
	if got[old] != "gone" || got[successor] != "gone" {
		t.Errorf("left alive: %v", got)
	}
	err := h.DB[0].View(t.Context(), func(tx *fsm.Tx) error {
		n, err := keys.PrivateParts(tx, tenant)
		if n != 2 {
			t.Errorf("%d private keys are stored, want the new one and the EdDSA one", n)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	fresh := mustSign(t, k, keys.ES256)
	if kid := kidOf(t, fresh); kid == old || kid == successor {
		t.Error("signs with a revoked key")
	}
	// The lagging node does not know the new key, asks once, and then does.
	if _, _, err := h.nodes[2].Verify(t.Context(), tenant, fresh, "JWT"); err != nil {
		t.Errorf("on the lagging node: %v", err)
	}
	if ev := h.events(); !slices.Contains(ev, "key.revoked "+old) || !slices.Contains(ev, "key.revoked "+successor) {
		t.Errorf("events %v", ev)
	}
}

func TestHookCanRefuse(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, keys.Policy{})
	ring, err := seal.OpenRing(t.Context(), h.DB[0], h.root)
	if err != nil {
		t.Fatal(err)
	}
	refused := errors.New("no")
	k := keys.New(h.DB[0], ring, nil, keys.WithHook(func(*fsm.Tx, string, string, string) error { return refused }))
	if err := k.Ensure(t.Context(), tenant); !errors.Is(err, refused) {
		t.Errorf("got %v", err)
	}
	if n := len(states(t, k)); n != 0 {
		t.Errorf("%d keys in spite of the hook", n)
	}
}

func TestTenantsDoNotShareKeys(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, keys.Policy{})
	k := h.nodes[0]
	for _, ten := range []string{tenant, "ten_b"} {
		if err := k.Ensure(t.Context(), ten); err != nil {
			t.Fatal(err)
		}
	}
	token := mustSign(t, k, keys.ES256)
	if _, _, err := k.Verify(t.Context(), "ten_b", token, "JWT"); !errors.Is(err, keys.ErrInvalidToken) {
		t.Errorf("another tenant accepts the token: %v", err)
	}
	err := h.DB[0].Update(t.Context(), func(tx *fsm.Tx) error {
		if used, err := keys.UsesSealingKey(tx, 1); err != nil || !used {
			t.Errorf("sealing key 1 in use: %v, %v", used, err)
		}
		return keys.DeleteTenant(tx, tenant)
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.JWKS(t.Context(), tenant); !errors.Is(err, fsm.ErrNotFound) {
		t.Errorf("keys of a deleted tenant: %v", err)
	}
	if _, err := k.JWKS(t.Context(), "ten_b"); err != nil {
		t.Error(err)
	}
}

func TestPrivateKeysAreSealedInTheLog(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, keys.Policy{})
	if err := h.nodes[0].Ensure(t.Context(), tenant, keys.ES256, keys.EdDSA, keys.RS256); err != nil {
		t.Fatal(err)
	}
	// Every PKCS #8 structure of an EC, Ed25519 or RSA key names its algorithm; so does the public half, once each.
	for oid, want := range map[string]int{"\x2a\x86\x48\xce\x3d\x02\x01": 1, "\x2b\x65\x70": 1, "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01": 1} {
		n := 0
		for _, e := range h.Log() {
			n += strings.Count(string(e.Data), oid)
		}
		if n != want {
			t.Errorf("OID %x is in the log %d times, want %d", oid, n, want)
		}
	}
}
