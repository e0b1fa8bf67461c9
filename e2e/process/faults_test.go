package process

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"
)

// TestFaults breaks a cluster of three real nodes under load, in every way that
// this machine allows, and judges all that was answered. The environment says how:
//
//	QUIS_CAMPAIGN   kill, stop, partition, member, power, mix or all (all)
//	QUIS_ROUNDS     how many faults; 0: as QUIS_FAULTS_FOR says
//	QUIS_FAULTS_FOR how long, such as 5m; without both a short selection
//	QUIS_SEED       repeats the schedule of a run (not its timing)
//	QUIS_REPORT     file to which the table is added
func TestFaults(t *testing.T) {
	which := "all"
	if s := os.Getenv("QUIS_CAMPAIGN"); s != "" {
		which = s
	}
	rounds, seed, limit := setting(t, "QUIS_ROUNDS"), setting(t, "QUIS_SEED"), 40*time.Second
	if s := os.Getenv("QUIS_FAULTS_FOR"); s != "" {
		var err error
		if limit, err = time.ParseDuration(s); err != nil {
			t.Fatalf("QUIS_FAULTS_FOR: %v", err)
		}
	}
	if seed == 0 {
		seed = int(rand.Uint32())
	}
	tr := newTrio(t, nil)
	choose, ok := selection(tr, which)
	if !ok {
		t.Fatalf("QUIS_CAMPAIGN: there is no campaign %q", which)
	}
	c := newCampaign(t, tr, uint64(seed))
	begun := time.Now()
	c.run(choose, func(n int) bool {
		if rounds > 0 {
			return n >= rounds
		}
		return time.Since(begun) > limit
	})
	c.report("Faults: "+which, uint64(seed))
}

// selection returns what chooses the faults of a round.
func selection(tr *trio, which string) (func(*rand.Rand) []fault, bool) {
	var some []fault
	for _, f := range faults() {
		if f.network && tr.net == nil || which != "all" && which != "mix" && f.campaign != which {
			continue
		}
		some = append(some, f)
	}
	if len(some) == 0 {
		return nil, false
	}
	next := 0
	var order []int
	one := func(rng *rand.Rand) fault { // all of them, before any comes again
		if next == len(order) {
			next, order = 0, rng.Perm(len(some))
		}
		next++
		return some[order[next-1]]
	}
	return func(rng *rand.Rand) []fault {
		if which != "mix" {
			return []fault{one(rng)}
		}
		return []fault{one(rng), one(rng)}
	}, true
}

func setting(t *testing.T, name string) int {
	t.Helper()
	s := os.Getenv(name)
	if s == "" {
		return 0
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		t.Fatalf("%s: %q is not a whole number", name, s)
	}
	return n
}
