package process

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/quis-idp/quis/e2e/testbed"
	"github.com/quis-idp/quis/fsm/fsmtest"
)

// TestOddStateIsHealed: one letter of a person's row is changed in the store of one of
// three nodes while it is away. Within two comparisons the node keeps apart, and is
// healed, while people sign in at the others.
func TestOddStateIsHealed(t *testing.T) {
	t.Parallel()
	nodes := threeServers(t, testbed.Issuer)
	for i, s := range nodes {
		s.keys["drain"] = "0s"
		s.keys["cluster.compare_every"] = "1s"
		s.bootstrap = i == 0
		s.run()
	}
	for _, s := range nodes {
		s.waitReady()
	}
	nodes[1].signIn()
	odd := nodes[2]
	giveLead(t, nodes, 0)
	odd.stop()
	if err := fsmtest.Damage(filepath.Join(odd.data, "store"), "tester@example.com"); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	odd.run()
	waitFor(t, "the odd state to be found", func() bool {
		nodes[0].signIn()
		nodes[1].signIn()
		n, err := testbed.Sample(t.Context(), odd.operations(), "quis_state_divergence_total")
		return err == nil && n > 0
	})
	t.Logf("found %v after the start", time.Since(begun).Round(time.Millisecond))
	waitFor(t, "the node to be healed", func() bool {
		apart, err := testbed.Sample(t.Context(), odd.operations(), "quis_state_isolated")
		return err == nil && apart == 0 && odd.ready(t.Context())
	})
	t.Logf("healed %v after the start", time.Since(begun).Round(time.Millisecond))
	odd.signIn()
	for _, s := range nodes {
		s.stop()
	}
	if out := odd.stderr.String(); !strings.Contains(out, "differs from that of the majority") || !strings.Contains(out, "goes on") {
		t.Errorf("the node did not say what had happened:\n%s", out)
	}
}
