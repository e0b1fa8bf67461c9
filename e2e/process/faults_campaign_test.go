package process

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quis-idp/quis/e2e/history"
)

// chapter is how many rounds are recorded before they are judged: long enough for
// effects that come late, short enough to be judged quickly.
const chapter = 12

// mixed is the row of rounds with two faults.
const mixed = "two of these at once"

// A campaign injects faults into one trio, round after round.
type campaign struct {
	t    *testing.T
	tr   *trio
	rng  *rand.Rand
	load *load
	out  map[string]*result // by fault
	now  []string           // faults of this chapter
	n    int                // rounds

	networks bool                    // there was one that could break
	done     map[history.Kind][2]int // operations that were acknowledged, and that were refused
}

// A result is what came of one fault.
type result struct {
	rounds, operations, violations int
	outage                         time.Duration   // longest time without a successful write
	gaps                           []time.Duration // from the fault to the next successful write
}

func newCampaign(t *testing.T, seed uint64) *campaign {
	t.Logf("seed %d", seed)
	return &campaign{t: t, rng: rand.New(rand.NewPCG(seed, 0)), out: map[string]*result{}, done: map[history.Kind][2]int{}}
}

func (c *campaign) of(name string) *result {
	if c.out[name] == nil {
		c.out[name] = &result{}
	}
	return c.out[name]
}

// run injects faults into tr, chosen by pick, until enough says so, and stops at the
// first chapter with a violation.
func (c *campaign) run(tr *trio, pick func(rng *rand.Rand) []fault, enough func(rounds int) bool) {
	c.t.Helper()
	c.tr = tr
	c.networks = c.networks || tr.net != nil
	for !enough(c.n) && !c.t.Failed() && c.t.Context().Err() == nil {
		c.load = begin(c.t.Context(), c.tr, c.rng)
		c.now = nil
		var err error
		for i := 0; i < chapter && err == nil && !enough(c.n); i++ {
			c.n++
			err = c.round(pick(c.rng))
		}
		c.load.end()
		if err != nil {
			c.t.Errorf("round %d: %v", c.n, err)
			c.violation(1)
		}
		if err := c.tr.healthy(c.t.Context()); err != nil {
			c.t.Errorf("after round %d: %v", c.n, err)
			return
		}
		bad := c.load.audit(c.t.Context())
		c.count(c.load.rec.Ops())
		for _, b := range bad[:min(len(bad), 10)] {
			c.t.Errorf("up to round %d: %s", c.n, b)
		}
		c.violation(len(bad))
	}
}

// count adds up what was asked.
func (c *campaign) count(ops []history.Op) {
	for _, o := range ops {
		n := c.done[o.Kind]
		switch o.Outcome {
		case history.OK:
			n[0]++
		case history.Refused:
			n[1]++
		}
		c.done[o.Kind] = n
	}
}

// violation counts against every fault of the chapter, because nobody knows whose it is.
func (c *campaign) violation(n int) {
	for _, name := range c.now {
		c.of(name).violations += n
	}
}

// round injects faults together, heals them, and waits until the cluster is whole.
func (c *campaign) round(faults []fault) error {
	ctx, cancel := context.WithTimeout(c.t.Context(), 5*time.Minute)
	defer cancel()
	var names, hits []string
	var heals []func(context.Context) error
	total, hold := false, time.Duration(0)
	c.tr.mortal = false
	start := c.load.rec.Since()
	c.tr.mark("round %d begins", c.n)
	from, answered := c.load.arm()
	for _, f := range faults {
		names = append(names, f.name)
	}
	name := names[0]
	if len(names) > 1 {
		name = mixed
	}
	if !slices.Contains(c.now, name) {
		c.now = append(c.now, name)
	}
	for _, f := range faults {
		heal, what, err := f.strike(ctx, c.tr, c.rng)
		if heal != nil {
			heals = append(heals, heal)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
		hits = append(hits, what)
		if len(faults) == 1 {
			from, answered = c.load.arm() // what was on its way counts for nothing
		}
		total = total || f.total || len(faults) > 1
		c.tr.mortal = c.tr.mortal || f.disk
		hold = max(hold, f.least+time.Duration(c.rng.Int64N(int64(f.most-f.least)+1)))
	}
	what := fmt.Sprintf("%s: %s", strings.Join(names, " + "), strings.Join(hits, " + "))
	c.tr.mark("round %d: %s, for %v", c.n, what, hold)
	gap, err := c.endure(ctx, from, answered, hold, total, heals)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if err := c.tr.healthy(ctx); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	c.tr.mark("round %d is over", c.n)
	end := c.load.rec.Since()
	ops := slices.DeleteFunc(c.load.rec.Ops(), func(o history.Op) bool { return o.Return < start || o.Call > end })
	r := c.of(name)
	r.rounds++
	r.operations += len(ops)
	r.outage = max(r.outage, history.Outage(ops, start, end))
	r.gaps = append(r.gaps, gap)
	c.t.Logf("round %d: %s: next write after %v, %d operations in %v", c.n, what,
		gap.Round(time.Millisecond), len(ops), (end - start).Round(time.Millisecond))
	return nil
}

// endure holds the fault, heals it, and returns how long it took from the fault to the next write.
func (c *campaign) endure(ctx context.Context, from time.Time, answered <-chan time.Time, hold time.Duration, total bool, heals []func(context.Context) error) (time.Duration, error) {
	var at time.Time
	wait := func(limit time.Duration) {
		if !at.IsZero() {
			return
		}
		select {
		case at = <-answered:
		case <-time.After(limit):
		case <-ctx.Done():
		}
	}
	end := time.Now().Add(hold)
	if total {
		wait(hold)
	} else {
		wait(max(hold, 15*time.Second)) // a majority is there: somebody must be answered
	}
	lost := at.IsZero() && !total
	pause(ctx, time.Until(end))
	for _, heal := range slices.Backward(heals) {
		if err := heal(ctx); err != nil {
			return 0, err
		}
	}
	wait(30 * time.Second)
	switch {
	case at.IsZero():
		return 0, fmt.Errorf("no write for %v, though all is healed", time.Since(from).Round(time.Second))
	case lost:
		return 0, fmt.Errorf("no write for %v, though a majority was there", at.Sub(from).Round(time.Millisecond))
	}
	return at.Sub(from), nil
}

// table is the outcome in Markdown.
func (c *campaign) table() string {
	var b strings.Builder
	b.WriteString("| Fault | rounds | operations | violations | longest write outage | next write: p50 | p99 | max |\n")
	b.WriteString("|---|---:|---:|---:|---:|---:|---:|---:|\n")
	names := make([]string, 0, len(c.out))
	for _, f := range faults() {
		if c.out[f.name] != nil {
			names = append(names, f.name)
		}
	}
	if c.out[mixed] != nil {
		names = append(names, mixed)
	}
	round := func(d time.Duration) time.Duration { return d.Round(time.Millisecond) }
	for _, name := range names {
		r := c.out[name]
		slices.Sort(r.gaps)
		p := func(percent int) time.Duration {
			if len(r.gaps) == 0 {
				return 0
			}
			return round(r.gaps[max(0, (len(r.gaps)*percent+99)/100-1)])
		}
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %v | %v | %v | %v |\n", name, r.rounds, r.operations, r.violations,
			round(r.outage), p(50), p(99), p(100))
	}
	d := c.done
	fmt.Fprintf(&b, "\nAcknowledged: %d rows changed by If-Match (%d refused), %d names given (%d refused), %d codes redeemed (%d refused), %d refreshes, "+
		"%d families revoked, after which %d uses were refused.\n",
		d[history.Swap][0], d[history.Swap][1], d[history.Create][0], d[history.Create][1], d[history.Redeem][0], d[history.Redeem][1],
		d[history.Refresh][0], d[history.Revoke][0], d[history.Use][1])
	if !c.networks {
		b.WriteString("\nWithout network faults: this machine or user cannot make network namespaces.\n")
	}
	return b.String()
}

// report prints the table, and adds it to the file that QUIS_REPORT names.
func (c *campaign) report(title string, seed uint64) {
	c.t.Helper()
	text := fmt.Sprintf("### %s\n\nSeed %d, %d rounds.\n\n%s\n", title, seed, c.n, c.table())
	c.t.Logf("\n%s", text)
	path := os.Getenv("QUIS_REPORT")
	if path == "" {
		return
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		c.t.Error(err)
		return
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		c.t.Error(err)
	}
}
