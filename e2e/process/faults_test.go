package process

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestFaults breaks a cluster of three real nodes under load, in every way that
// this machine allows, and judges all that was answered. The environment says how:
//
//	QUIS_CAMPAIGN   kill, stop, partition, member, mix, power, disk or all (all)
//	QUIS_ROUNDS     how many faults of each kind of cluster (ordinary, with weak disks)
//	QUIS_FAULTS_FOR how long, such as 5m; without it and QUIS_ROUNDS a short selection
//	QUIS_SEED       repeats the schedule of a run, though not its timing
//	QUIS_REPORT     file to which the table is added
//
// The short selection has one seed that is always the same, and a fresh one.
func TestFaults(t *testing.T) {
	which := "all"
	if s := os.Getenv("QUIS_CAMPAIGN"); s != "" {
		which = s
	}
	rounds, limit := number(t, "QUIS_ROUNDS", 0), time.Duration(0)
	if s := os.Getenv("QUIS_FAULTS_FOR"); s != "" {
		var err error
		if limit, err = time.ParseDuration(s); err != nil {
			t.Fatalf("QUIS_FAULTS_FOR: %v", err)
		}
	}
	seeds := []uint64{uint64(number(t, "QUIS_SEED", 0))}
	switch {
	case seeds[0] == 0 && rounds == 0 && limit == 0:
		seeds = []uint64{1, uint64(rand.Uint32())}
	case seeds[0] == 0:
		seeds[0] = uint64(rand.Uint32())
	}
	if limit == 0 && rounds == 0 {
		limit = 18 * time.Second
	}
	for _, seed := range seeds {
		c := newCampaign(t, seed)
		c.ordinary(which, rounds, limit)
		c.weak(which, rounds, limit/4)
		c.report("Faults: "+which, seed)
		if c.n == 0 && !t.Failed() {
			t.Errorf("QUIS_CAMPAIGN=%s: no such fault can be made here", which)
		}
	}
}

// ordinary is the part of the campaign on ordinary disks.
func (c *campaign) ordinary(which string, rounds int, limit time.Duration) {
	c.t.Helper()
	if selection(which, false, true, false) == nil {
		return
	}
	tr := newTrio(c.t, nil, nil)
	c.runFor(tr, selection(which, false, tr.net != nil, limit >= 30*time.Minute), rounds, limit)
	tr.close()
}

// weak is the part of the campaign on disks that can fail.
func (c *campaign) weak(which string, rounds int, limit time.Duration) {
	c.t.Helper()
	if selection(which, true, true, false) == nil || c.t.Failed() {
		return
	}
	tr := newWeakTrio(c.t)
	if tr == nil {
		return
	}
	c.runFor(tr, selection(which, true, tr.net != nil, false), rounds, limit)
	tr.close()
}

func (c *campaign) runFor(tr *trio, choose func(*rand.Rand) []fault, rounds int, limit time.Duration) {
	c.t.Helper()
	if choose == nil {
		return
	}
	begun, before := time.Now(), c.n
	c.run(tr, choose, func(n int) bool {
		if rounds > 0 {
			return n-before >= rounds
		}
		return time.Since(begun) > limit
	})
}

// selection returns what chooses the faults of a round, nil if there are none: all of
// the campaign, in an order of chance, before any comes again.
func selection(which string, disks, network, soak bool) func(*rand.Rand) []fault {
	var some, rare []fault
	for _, f := range faults() {
		switch {
		case f.disk != disks, f.network && !network:
		case which == "mix" && (f.alone || f.disk || f.long):
		case which != "all" && which != "mix" && f.campaign != which:
		case f.long && soak:
			rare = append(rare, f)
		case !f.long:
			some = append(some, f)
		}
	}
	if len(some) == 0 {
		return nil
	}
	var queue []fault
	next := func(rng *rand.Rand) (f fault) {
		if len(queue) == 0 {
			for _, i := range rng.Perm(len(some)) {
				queue = append(queue, some[i])
			}
			if len(rare) > 0 && rng.IntN(10) == 0 {
				queue = append(queue, rare[rng.IntN(len(rare))])
			}
		}
		f, queue = queue[0], queue[1:]
		return f
	}
	return func(rng *rand.Rand) []fault {
		f := next(rng)
		if which == "mix" || which == "all" && !f.alone && !f.disk && !f.long && rng.IntN(6) == 0 {
			if other := next(rng); other.name != f.name && !other.alone && !other.long {
				return []fault{f, other}
			}
		}
		return []fault{f}
	}
}

// TestFaultsAreFound sets a whole cluster back to an earlier state, as a backup of its
// disks would: a suite that finds nothing in that has not looked.
func TestFaultsAreFound(t *testing.T) {
	tr := newTrio(t, nil, nil)
	l := begin(t.Context(), tr, rand.New(rand.NewPCG(1, 1)))
	written := func() {
		for range 20 {
			_, answered := l.arm()
			select {
			case <-answered:
			case <-time.After(patience):
				t.Fatal("nothing is written")
			}
		}
	}
	cut := func() {
		for i := range tr.servers {
			tr.signal(i+1, syscall.SIGKILL)
		}
		for _, s := range tr.servers {
			<-s.done
		}
	}
	again := func() {
		for i := range tr.servers {
			tr.launch(i + 1)
		}
		if err := tr.healthy(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	written()
	cut()
	for _, s := range tr.servers {
		os.Remove(filepath.Join(s.data, "quis.sock")) // it cannot be copied
		if err := os.CopyFS(filepath.Join(s.dir, "kept"), os.DirFS(s.data)); err != nil {
			t.Fatal(err)
		}
	}
	again()
	written()
	l.end()
	if bad := l.audit(t.Context()); len(bad) > 0 {
		t.Errorf("found although nothing was lost: %q", bad)
	}
	cut()
	for i, s := range tr.servers {
		if err := tr.wipe(i + 1); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(s.dir, "kept"), s.data); err != nil {
			t.Fatal(err)
		}
	}
	again()
	bad := l.audit(t.Context())
	for _, rule := range []string{"register", "unique name"} {
		if !slices.ContainsFunc(bad, func(b string) bool { return strings.HasPrefix(b, rule) }) {
			t.Errorf("no %s is missed, though the cluster was set back; found: %.2000q", rule, bad)
		}
	}
	tr.close()
}
