package keys_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/fsm/fsmtest"
	"github.com/quis-idp/quis/keys"
	"github.com/quis-idp/quis/keys/seal"
)

const tenant = "ten_a"

// A house is several nodes, each with its own Keys over its own replica.
type house struct {
	*fsmtest.Cluster
	nodes []*keys.Keys
	root  *seal.RootKey

	mu   sync.Mutex
	told []string // by the hook of any node, of attempts too
}

func newHouse(t testing.TB, n int, p keys.Policy) *house {
	t.Helper()
	h := &house{root: seal.GenerateRootKey()}
	h.Cluster = fsmtest.NewCluster(t, n, slices.Concat(seal.Tables, keys.Tables, []fsm.Definition{touched})...)
	err := h.DB[0].Update(t.Context(), func(tx *fsm.Tx) error { return seal.Init(tx, h.root) })
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		h.nodes = append(h.nodes, h.open(t, i, p))
	}
	return h
}

// open starts node i, as after a restart.
func (h *house) open(t testing.TB, i int, p keys.Policy) *keys.Keys {
	t.Helper()
	ring, err := seal.OpenRing(t.Context(), h.DB[i], h.root)
	if err != nil {
		t.Fatal(err)
	}
	return keys.New(h.DB[i], ring, nil, keys.WithPolicy(p), keys.WithHook(func(tx *fsm.Tx, kind, tenant, kid string) error {
		tx.OnCommit(func(uint64) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.told = append(h.told, kind+" "+kid)
		})
		return nil
	}))
}

func (h *house) events() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.told)
}

// minApplied is what the cluster's MinApplied would say.
func (h *house) minApplied(context.Context) (uint64, error) {
	low := h.DB[0].Position().Index
	for _, db := range h.DB {
		low = min(low, db.Position().Index)
	}
	return low, nil
}

// pass lets time pass in the replicated state, which takes a write.
func (h *house) pass(t testing.TB, d time.Duration) {
	t.Helper()
	h.Advance(d)
	err := h.DB[0].Update(t.Context(), func(tx *fsm.Tx) error { return touched.Put(tx, &touch{}) })
	if err != nil {
		t.Fatal(err)
	}
}

func (h *house) rotate(t testing.TB, node int) {
	t.Helper()
	if err := h.nodes[node].Rotate(t.Context(), h.minApplied); err != nil {
		t.Fatal(err)
	}
}

func states(t testing.TB, k *keys.Keys) map[string]string {
	t.Helper()
	infos, err := k.List(t.Context(), tenant)
	if err != nil {
		t.Fatal(err)
	}
	m := map[string]string{}
	for _, i := range infos {
		m[i.KID] = i.State.String()
	}
	return m
}

// inState returns the only key in a state.
func inState(t testing.TB, k *keys.Keys, s keys.State) string {
	t.Helper()
	found := ""
	for kid, state := range states(t, k) {
		if state == s.String() {
			if found != "" {
				t.Fatalf("two keys are %v", s)
			}
			found = kid
		}
	}
	return found
}

func inJWKS(t testing.TB, k *keys.Keys, kid string) bool {
	t.Helper()
	b, err := k.JWKS(t.Context(), tenant)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(string(b), `"kid":"`+kid+`"`)
}

func mustSign(t testing.TB, k *keys.Keys, a keys.Alg) string {
	t.Helper()
	token, err := k.Sign(t.Context(), tenant, a, "JWT", map[string]any{"sub": "usr_1"})
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func kidOf(t testing.TB, token string) string {
	t.Helper()
	head, _, _ := strings.Cut(token, ".")
	_, kid, _, err := keys.ParseHeader(head)
	if err != nil {
		t.Fatal(err)
	}
	return kid
}

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

type touch struct {
	N int `cbor:"1,keyasint,omitempty"`
}

var touched = fsm.NewTable(29, "touch", fsm.Spec[touch]{Key: func(*touch) fsm.Key { return fsm.K("x") }})

func decodeJSON(t testing.TB, b []byte, v any) {
	t.Helper()
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatal(err)
	}
}
