package keys_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/keys"
)

func TestFourPhases(t *testing.T) {
	t.Parallel()
	p := keys.Policy{Lifetime: 24 * time.Hour, JWKSMaxAge: 10 * time.Minute, TokenLifetime: time.Hour}
	h := newHouse(t, 3, p)
	k := h.nodes[0]
	if err := k.Ensure(t.Context(), tenant); err != nil {
		t.Fatal(err)
	}
	first := inState(t, k, keys.Active)
	token := mustSign(t, k, keys.ES256)
	h.rotate(t, 0)
	before := h.Entries()
	h.rotate(t, 1)
	if h.Entries() != before {
		t.Error("a run with nothing to do wrote something")
	}

	h.pass(t, 25*time.Hour)
	h.rotate(t, 1) // publishes
	second := inState(t, k, keys.Published)
	if second == "" || inState(t, k, keys.Active) != first {
		t.Fatalf("after its life: %v", states(t, k))
	}
	h.rotate(t, 2) // every member has it
	h.pass(t, 9*time.Minute)
	h.rotate(t, 0)
	if got := inState(t, k, keys.Published); got != second {
		t.Fatalf("activated before the JWKS cache time: %v", states(t, k))
	}
	for _, n := range h.nodes {
		if !inJWKS(t, n, first) || !inJWKS(t, n, second) {
			t.Error("a published key is missing from a JWKS")
		}
	}
	h.pass(t, 2*time.Minute)
	h.rotate(t, 0) // activates
	if inState(t, k, keys.Active) != second || inState(t, k, keys.Retiring) != first {
		t.Fatalf("after the cache time: %v", states(t, k))
	}
	h.rotate(t, 0) // every member has stopped signing with it
	h.pass(t, time.Hour)
	h.rotate(t, 0)
	if _, _, err := h.nodes[1].Verify(t.Context(), tenant, token, "JWT"); err != nil {
		t.Errorf("retiring key does not verify: %v", err)
	}
	h.pass(t, 2*time.Minute)
	h.rotate(t, 0)
	if inState(t, k, keys.Gone) != first || inJWKS(t, k, first) {
		t.Fatalf("after the tokens' life: %v", states(t, k))
	}
	if _, _, err := h.open(t, 1, p).Verify(t.Context(), tenant, token, "JWT"); !errors.Is(err, keys.ErrInvalidToken) {
		t.Errorf("key that is gone verifies: %v", err)
	}
	want := []string{"key.activated " + first, "key.published " + second, "key.retired " + first, "key.activated " + second, "key.gone " + first}
	if diff := cmp.Diff(want, h.events()); diff != "" {
		t.Error(diff)
	}
	h.pass(t, 31*24*time.Hour)
	if n := len(states(t, k)); n != 1 && inState(t, k, keys.Gone) != "" {
		t.Errorf("still lists what is gone for a month: %v", states(t, k))
	}
}

func TestLaggingMemberBlocks(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3, keys.Policy{JWKSMaxAge: time.Minute, TokenLifetime: time.Minute})
	k := h.nodes[0]
	if err := k.Ensure(t.Context(), tenant); err != nil {
		t.Fatal(err)
	}
	first := inState(t, k, keys.Active)
	h.Pause(2)
	if err := k.RotateNow(t.Context(), tenant, keys.ES256); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		h.rotate(t, 0)
		h.pass(t, time.Hour)
	}
	if inState(t, k, keys.Active) != first {
		t.Fatal("activated a key that a member has not applied")
	}
	h.Resume(t, 2)
	h.rotate(t, 0) // settles: the cache time begins now, not at publication
	h.rotate(t, 0)
	if inState(t, k, keys.Active) != first {
		t.Fatal("activated before the lagging member's JWKS has left the caches")
	}
	h.pass(t, 2*time.Minute)
	h.Pause(1)
	h.rotate(t, 0)
	if inState(t, k, keys.Retiring) != first {
		t.Fatalf("not activated: %v", states(t, k))
	}
	for range 3 {
		h.rotate(t, 0)
		h.pass(t, time.Hour)
	}
	if inState(t, k, keys.Retiring) != first {
		t.Fatal("removed a key that a member may still sign with")
	}
	token := mustSign(t, h.nodes[1], keys.ES256)
	if kidOf(t, token) != first {
		t.Fatal("the test expects the paused node to sign with the old key")
	}
	if _, _, err := k.Verify(t.Context(), tenant, token, "JWT"); err != nil {
		t.Errorf("token of the paused node: %v", err)
	}
	h.Resume(t, 1)
	h.rotate(t, 0)
	h.pass(t, 3*time.Minute)
	h.rotate(t, 0)
	if inState(t, k, keys.Gone) != first {
		t.Errorf("not removed: %v", states(t, k))
	}
}

func TestSilentMemberHoldsBackOnlyWhatDependsOnIt(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, keys.Policy{Lifetime: time.Hour})
	k := h.nodes[0]
	if err := k.Ensure(t.Context(), tenant, keys.ES256, keys.EdDSA); err != nil {
		t.Fatal(err)
	}
	if err := k.RotateNow(t.Context(), tenant, keys.ES256); err != nil {
		t.Fatal(err)
	}
	h.pass(t, 2*time.Hour)
	silent := errors.New("node-2 does not answer")
	err := k.Rotate(t.Context(), func(context.Context) (uint64, error) { return 0, silent })
	if !errors.Is(err, silent) {
		t.Errorf("got %v", err)
	}
	n := 0
	for _, s := range states(t, k) {
		if s == "published" {
			n++
		}
	}
	if n != 2 {
		t.Errorf("%d published, want the ES256 key still and the EdDSA key now", n)
	}
}

func TestTwoNodesRotateAtOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3, keys.Policy{Lifetime: time.Hour, JWKSMaxAge: time.Minute, TokenLifetime: time.Minute})
	if err := h.nodes[0].Ensure(t.Context(), tenant, keys.ES256, keys.EdDSA); err != nil {
		t.Fatal(err)
	}
	for range 12 {
		var wg sync.WaitGroup
		for i := range h.nodes {
			wg.Go(func() {
				if err := h.nodes[i].Rotate(t.Context(), h.minApplied); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		perPhase := map[string]int{}
		infos, err := h.nodes[0].List(t.Context(), tenant)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range infos {
			perPhase[string(i.Alg)+" "+i.State.String()]++
		}
		for _, a := range []string{"ES256", "EdDSA"} {
			if perPhase[a+" active"] != 1 || perPhase[a+" published"] > 1 {
				t.Fatalf("got %v", perPhase)
			}
		}
		h.pass(t, 40*time.Minute)
	}
	seen := map[string]bool{}
	for _, e := range h.events() {
		if seen[e] {
			t.Errorf("%q happened twice", e)
		}
		seen[e] = true
	}
	if len(seen) < 10 {
		t.Errorf("little happened: %v", h.events())
	}
}

// A plan is made, then another node does all of it, then the first goes on with what it planned.
func TestStalePlanDoesNothing(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2, keys.Policy{JWKSMaxAge: time.Minute, TokenLifetime: time.Minute})
	if err := h.nodes[0].Ensure(t.Context(), tenant, keys.ES256, keys.EdDSA); err != nil {
		t.Fatal(err)
	}
	if err := h.nodes[0].RotateNow(t.Context(), tenant, keys.ES256); err != nil {
		t.Fatal(err)
	}
	h.rotate(t, 0)
	if err := h.nodes[0].RotateNow(t.Context(), tenant, keys.EdDSA); err != nil { // so that members are asked
		t.Fatal(err)
	}
	h.pass(t, 2*time.Minute)
	var after map[string]string
	err := h.nodes[1].Rotate(t.Context(), func(ctx context.Context) (uint64, error) {
		h.rotate(t, 0)
		after = states(t, h.nodes[0])
		return h.minApplied(ctx)
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(after, states(t, h.nodes[0])); diff != "" {
		t.Error(diff)
	}
	seen := map[string]bool{}
	for _, e := range h.events() {
		if seen[e] {
			t.Errorf("%q happened twice", e)
		}
		seen[e] = true
	}
	if len(seen) != 6 { // 2 first keys, 2 successors, 1 retired, 1 activated
		t.Errorf("events %v", h.events())
	}
}

func TestLeaderDiesBetweenSteps(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3, keys.Policy{Lifetime: time.Hour, JWKSMaxAge: time.Minute, TokenLifetime: time.Minute})
	if err := h.nodes[0].Ensure(t.Context(), tenant); err != nil {
		t.Fatal(err)
	}
	first := inState(t, h.nodes[0], keys.Active)
	h.pass(t, 2*time.Hour)
	term := h.Term()
	for step := range 5 {
		node := step % 3
		// The deposed leader tries first: all of its writes must be refused.
		stale := fsm.FencedBy(t.Context(), term)
		term = h.NewTerm()
		before := states(t, h.nodes[0])
		if err := h.nodes[(node+1)%3].Rotate(stale, h.minApplied); !errors.Is(err, fsm.ErrFenced) {
			t.Errorf("step %d: a deposed leader's run gives %v", step, err)
		}
		if diff := cmp.Diff(before, states(t, h.nodes[0])); diff != "" {
			t.Errorf("step %d: a deposed leader changed keys: %s", step, diff)
		}
		fresh := h.open(t, node, h.nodes[node].Policy()) // nothing is kept in memory
		h.SetLeader(false)
		if err := fresh.Rotate(t.Context(), h.minApplied); !errors.Is(err, fsm.ErrUnavailable) {
			t.Errorf("step %d: without a leader %v", step, err)
		}
		h.SetLeader(true)
		if err := fresh.Rotate(fsm.FencedBy(t.Context(), term), h.minApplied); err != nil {
			t.Fatal(err)
		}
		h.pass(t, 3*time.Minute)
	}
	if inState(t, h.nodes[0], keys.Gone) != first {
		t.Errorf("rotation did not finish: %v", states(t, h.nodes[0]))
	}
}

func TestRotateNowTwicePublishesOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2, keys.Policy{})
	if err := h.nodes[0].Ensure(t.Context(), tenant); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for _, k := range h.nodes {
		wg.Go(func() {
			if err := k.RotateNow(t.Context(), tenant, keys.ES256); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if inState(t, h.nodes[0], keys.Published) == "" {
		t.Error("nothing published")
	}
}
