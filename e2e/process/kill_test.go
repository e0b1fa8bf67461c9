package process

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// recovery is how long the cluster may take from the leader's death to the next write.
const recovery = 1500 * time.Millisecond

// TestLeaderKills kills the leader again and again (QUIS_KILLS) under load, and says
// how long nobody could write. What is judged of the answers is the same as in TestFaults.
func TestLeaderKills(t *testing.T) {
	kills := number(t, "QUIS_KILLS", 3)
	var leader fault
	for _, f := range faults() {
		if f.name == "kill -9 of the leader" {
			leader = f
		}
	}
	tr := newTrio(t, nil, nil)
	seed := uint64(rand.Uint32())
	c := newCampaign(t, seed)
	c.run(tr, func(*rand.Rand) []fault { return []fault{leader} }, func(n int) bool { return n >= kills })
	tr.close()
	c.report("Kills of the leader", seed)
	gaps := c.of(leader.name).gaps
	late := slices.DeleteFunc(slices.Clone(gaps), func(g time.Duration) bool { return g <= recovery })
	if len(late) > 0 {
		t.Errorf("%d of %d recoveries took longer than %v: %v", len(late), len(gaps), recovery, late)
	}
}
