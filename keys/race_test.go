package keys_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/quis-idp/quis/keys"
)

func edPublic(b []byte) ed25519.PublicKey { return ed25519.PublicKey(b) }

// The invariant that rotation exists for: while keys rotate as fast as they can and
// members fall behind at random, no token is ever signed by a key that any member's
// JWKS lacks, and every token verifies everywhere.
func TestNoTokenWithoutItsKeyInEveryJWKS(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3, keys.Policy{Lifetime: time.Nanosecond, JWKSMaxAge: time.Nanosecond, TokenLifetime: time.Hour})
	if err := h.nodes[0].Ensure(t.Context(), tenant); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var wg sync.WaitGroup
	var signed atomic.Int64
	for i := range h.nodes {
		wg.Go(func() {
			for ctx.Err() == nil {
				token, err := h.nodes[i].Sign(t.Context(), tenant, keys.ES256, "JWT", i)
				if err != nil {
					t.Error(err)
					return
				}
				kid := kidOf(t, token)
				for j, other := range h.nodes {
					if !inJWKS(t, other, kid) {
						t.Errorf("node %d signed with %s, which node %d does not serve", i, kid, j)
						return
					}
					if _, _, err := other.Verify(t.Context(), tenant, token, "JWT"); err != nil {
						t.Errorf("node %d cannot verify what node %d signed: %v", j, i, err)
						return
					}
				}
				signed.Add(1)
			}
		})
	}
	for round := 0; round < 300 || signed.Load() < 300; round++ {
		if t.Failed() {
			break
		}
		if lag := rand.IntN(6); lag < 3 {
			h.Pause(lag)
		}
		if err := h.nodes[rand.IntN(3)].Rotate(t.Context(), h.minApplied); err != nil {
			t.Error(err)
		}
		if rand.IntN(2) == 0 {
			for i := range h.nodes {
				h.Resume(t, i)
			}
		}
	}
	stop()
	wg.Wait()
	activated := 0
	for _, e := range h.events() {
		if strings.HasPrefix(e, keys.KeyActivated) {
			activated++
		}
	}
	if activated < 5 {
		t.Errorf("only %d activations: the test has not tested", activated)
	}
}

// A restart must not matter: a node that knows nothing signs and verifies as the others do.
func TestNodeStartsWithTheStoredKeys(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2, keys.Policy{})
	if err := h.nodes[0].Ensure(t.Context(), tenant, keys.Algs...); err != nil {
		t.Fatal(err)
	}
	fresh := h.open(t, 1, keys.Policy{})
	for _, a := range keys.Algs {
		if _, _, err := fresh.Verify(t.Context(), tenant, mustSign(t, h.nodes[0], a), "JWT"); err != nil {
			t.Errorf("%s: %v", a, err)
		}
		if _, _, err := h.nodes[0].Verify(t.Context(), tenant, mustSign(t, fresh, a), "JWT"); err != nil {
			t.Errorf("%s: %v", a, err)
		}
	}
}

func TestOtherNodesNoticeAnEmergency(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2, keys.Policy{})
	if err := h.nodes[0].Ensure(t.Context(), tenant); err != nil {
		t.Fatal(err)
	}
	token := mustSign(t, h.nodes[1], keys.ES256)
	if err := h.nodes[0].RotateEmergency(t.Context(), tenant, keys.ES256); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	for {
		_, _, err := h.nodes[1].Verify(t.Context(), tenant, token, "JWT")
		if errors.Is(err, keys.ErrInvalidToken) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if time.Since(begin) > keys.MaxStale+5*time.Second {
			t.Fatal("node goes on accepting a revoked key")
		}
	}
}

func TestAgeMetric(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, keys.Policy{})
	k := h.nodes[0]
	if err := k.Ensure(t.Context(), tenant); err != nil {
		t.Fatal(err)
	}
	if err := k.RotateNow(t.Context(), tenant, keys.ES256); err != nil {
		t.Fatal(err)
	}
	h.pass(t, time.Hour)
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(k)
	families, err := reg.Gather()
	if err != nil || len(families) != 1 || families[0].GetName() != "quis_signing_key_age_seconds" || len(families[0].GetMetric()) != 1 {
		t.Fatalf("got %v, %v", families, err)
	}
	m := families[0].GetMetric()[0]
	if age := m.GetGauge().GetValue(); age < 3600 || age > 3700 {
		t.Errorf("age %v", age)
	}
	if kid := m.GetLabel()[0].GetValue(); kid != inState(t, k, keys.Active) {
		t.Errorf("kid %s", kid)
	}
}
