package keys_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

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
