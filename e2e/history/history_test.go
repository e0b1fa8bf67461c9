package history_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/quis-idp/quis/e2e/history"
)

// A line of a history made by hand: times in milliseconds, a return of 0 stays open.
type line struct {
	kind          history.Kind
	old, new, got string
	call, ret     int
	outcome       history.Outcome
}

func ops(lines []line) []history.Op {
	var out []history.Op
	for _, l := range lines {
		o := history.Op{
			Kind: l.kind, Key: "k", Node: "n", Old: l.old, New: l.new, Got: l.got, Outcome: l.outcome,
			Call: time.Duration(l.call) * time.Millisecond, Return: time.Duration(l.ret) * time.Millisecond,
		}
		if l.ret == 0 {
			o.Return = 1<<63 - 1
		}
		out = append(out, o)
	}
	return out
}

const (
	ok      = history.OK
	refused = history.Refused
	never   = history.Never
	unknown = history.Unknown
)

// Every rule is broken by some history, and kept by one that looks much like it.
func TestCheck(t *testing.T) {
	t.Parallel()
	strict := history.Options{Stale: 500 * time.Millisecond, Grace: 30 * time.Second}
	jumping := strict
	jumping.ClocksJump = true
	for name, c := range map[string]struct {
		opt  history.Options
		rule string // that is broken; empty: none
		h    []line
	}{
		"a read of what was written":            {strict, "", []line{{history.Write, "", "a", "", 1, 2, ok}, {history.Read, "", "", "a", 3, 4, ok}}},
		"an acknowledged write is lost":         {strict, "register", []line{{history.Write, "", "a", "", 1, 2, ok}, {history.Read, "", "", "", 3, 4, ok}}},
		"a stale read":                          {strict, "register", []line{{history.Write, "", "a", "", 1, 2, ok}, {history.Write, "", "b", "", 3, 4, ok}, {history.Read, "", "", "a", 5, 6, ok}}},
		"what certainly did not happen is seen": {strict, "register", []line{{history.Write, "", "a", "", 1, 2, never}, {history.Read, "", "", "a", 3, 4, ok}}},
		"what may have happened is seen late":   {strict, "", []line{{history.Write, "", "a", "", 1, 0, unknown}, {history.Read, "", "", "", 3, 4, ok}, {history.Read, "", "", "a", 5, 6, ok}}},
		"what may have happened comes and goes": {strict, "register", []line{{history.Write, "", "a", "", 1, 0, unknown}, {history.Read, "", "", "a", 3, 4, ok}, {history.Read, "", "", "", 5, 6, ok}}},
		"two swaps from one value":              {strict, "register", []line{{history.Swap, "", "a", "", 1, 9, ok}, {history.Swap, "", "b", "", 1, 9, ok}}},
		"a swap is refused though all is well":  {strict, "register", []line{{history.Swap, "", "a", "", 1, 2, refused}}},
		"a swap is refused rightly":             {strict, "", []line{{history.Write, "", "a", "", 1, 2, ok}, {history.Swap, "b", "c", "a", 3, 4, refused}}},

		"a count that lacks one":                         {strict, "counter", []line{{history.Add, "", "", "1", 1, 2, ok}, {history.Add, "", "", "2", 3, 4, ok}, {history.Count, "", "", "1", 5, 6, ok}}},
		"two adds that came to one":                      {strict, "counter", []line{{history.Add, "", "", "1", 1, 9, ok}, {history.Add, "", "", "1", 1, 9, ok}}},
		"an add applied twice":                           {strict, "counter", []line{{history.Add, "", "", "1", 1, 2, ok}, {history.Count, "", "", "2", 3, 4, ok}}},
		"an unknown add that counts before it is called": {strict, "counter", []line{{history.Count, "", "", "1", 1, 2, ok}, {history.Add, "", "", "", 3, 0, unknown}}},
		"unknown adds of which one counted":              {strict, "", []line{{history.Add, "", "", "", 1, 0, unknown}, {history.Add, "", "", "", 5, 0, unknown}, {history.Add, "", "", "1", 2, 3, ok}, {history.Count, "", "", "2", 4, 5, ok}}},
		"fewer unknown adds than counted":                {strict, "counter", []line{{history.Add, "", "", "", 1, 0, unknown}, {history.Count, "", "", "2", 4, 5, ok}}},
		"an unknown add that counted":                    {strict, "", []line{{history.Add, "", "", "", 1, 0, unknown}, {history.Count, "", "", "1", 3, 4, ok}}},

		"a name is given twice":            {strict, "unique name", []line{{history.Create, "", "a", "", 1, 9, ok}, {history.Create, "", "b", "", 1, 9, ok}}},
		"a free name is refused":           {strict, "unique name", []line{{history.Create, "", "a", "", 1, 2, refused}}},
		"a name of an unknown create":      {strict, "", []line{{history.Create, "", "a", "", 1, 0, unknown}, {history.Create, "", "b", "", 3, 4, refused}, {history.Lookup, "", "", "a", 5, 6, ok}}},
		"a name changes hands":             {strict, "unique name", []line{{history.Create, "", "a", "", 1, 2, ok}, {history.Lookup, "", "", "b", 3, 4, ok}}},
		"a code is redeemed twice":         {strict, "single use", []line{{history.Redeem, "", "", "", 1, 9, ok}, {history.Redeem, "", "", "", 1, 9, ok}}},
		"a code is raced":                  {strict, "", []line{{history.Redeem, "", "", "", 1, 9, ok}, {history.Redeem, "", "", "", 1, 9, refused}}},
		"both racers lose":                 {strict, "single use", []line{{history.Redeem, "", "", "", 1, 9, refused}, {history.Redeem, "", "", "", 1, 9, refused}}},
		"both racers lose as time flies":   {jumping, "", []line{{history.Redeem, "", "", "", 1, 9, refused}, {history.Redeem, "", "", "", 1, 9, refused}}},
		"one of unknown outcome had won":   {strict, "", []line{{history.Redeem, "", "", "", 1, 0, unknown}, {history.Redeem, "", "", "", 3, 4, refused}}},
		"redeemed after it was, certainly": {strict, "single use", []line{{history.Redeem, "", "", "", 1, 2, ok}, {history.Redeem, "", "", "", 3, 0, unknown}, {history.Redeem, "", "", "", 5, 6, ok}}},

		"racers are told one successor":            {strict, "", []line{{history.Start, "", "t0", "", 1, 2, ok}, {history.Refresh, "t0", "", "t1", 3, 9, ok}, {history.Refresh, "t0", "", "t1", 3, 9, ok}}},
		"racers are told two successors":           {strict, "two live successors", []line{{history.Start, "", "t0", "", 1, 2, ok}, {history.Refresh, "t0", "", "t1", 3, 9, ok}, {history.Refresh, "t0", "", "t2", 3, 9, ok}}},
		"a lost answer is asked for again":         {strict, "", []line{{history.Start, "", "t0", "", 1, 2, ok}, {history.Refresh, "t0", "", "", 3, 0, unknown}, {history.Refresh, "t0", "", "t1", 5, 6, ok}, {history.Refresh, "t1", "", "t2", 7, 8, ok}}},
		"a good token is refused":                  {strict, "refresh", []line{{history.Start, "", "t0", "", 1, 2, ok}, {history.Refresh, "t0", "", "t1", 3, 4, ok}, {history.Refresh, "t1", "", "", 5, 6, refused}}},
		"an old token is good":                     {strict, "refresh", []line{{history.Start, "", "t0", "", 1, 2, ok}, {history.Refresh, "t0", "", "t1", 3, 4, ok}, {history.Refresh, "t1", "", "t2", 5, 6, ok}, {history.Refresh, "t0", "", "t1", 7, 8, ok}}},
		"an old token ends the family":             {strict, "", []line{{history.Start, "", "t0", "", 1, 2, ok}, {history.Refresh, "t0", "", "t1", 3, 4, ok}, {history.Refresh, "t1", "", "t2", 5, 6, ok}, {history.Refresh, "t0", "", "", 7, 8, refused}, {history.Refresh, "t2", "", "", 9, 10, refused}}},
		"a family lives on after reuse":            {strict, "refresh", []line{{history.Start, "", "t0", "", 1, 2, ok}, {history.Refresh, "t0", "", "t1", 3, 4, ok}, {history.Refresh, "t1", "", "t2", 5, 6, ok}, {history.Refresh, "t0", "", "", 7, 8, refused}, {history.Refresh, "t2", "", "t3", 9, 10, ok}}},
		"refused within the grace":                 {strict, "refresh", []line{{history.Start, "", "t0", "", 1, 2, ok}, {history.Refresh, "t0", "", "t1", 3, 4, ok}, {history.Refresh, "t0", "", "", 5, 6, refused}}},
		"refused after the grace":                  {strict, "", []line{{history.Start, "", "t0", "", 1, 2, ok}, {history.Refresh, "t0", "", "t1", 3, 4, ok}, {history.Refresh, "t0", "", "", 40000, 40001, refused}, {history.Refresh, "t1", "", "", 40002, 40003, refused}}},
		"refused as time flies":                    {jumping, "", []line{{history.Start, "", "t0", "", 1, 2, ok}, {history.Refresh, "t0", "", "t1", 3, 4, ok}, {history.Refresh, "t0", "", "", 5, 6, refused}}},
		"a revoked family refreshes":               {strict, "refresh", []line{{history.Start, "", "t0", "", 1, 2, ok}, {history.Revoke, "", "", "", 3, 4, ok}, {history.Refresh, "t0", "", "t1", 600, 601, ok}}},
		"a family refreshes within the bound":      {strict, "", []line{{history.Start, "", "t0", "", 1, 2, ok}, {history.Revoke, "", "", "", 3, 4, ok}, {history.Refresh, "t0", "", "t1", 5, 6, ok}}},
		"a lost revocation comes when it likes":    {strict, "", []line{{history.Start, "", "t0", "", 1, 2, ok}, {history.Revoke, "", "", "", 3, 0, unknown}, {history.Refresh, "t0", "", "t1", 600, 601, ok}, {history.Refresh, "t1", "", "", 602, 603, refused}}},
		"an answered successor that is unheard of": {strict, "refresh", []line{{history.Start, "", "t0", "", 1, 2, ok}, {history.Refresh, "t7", "", "t8", 3, 4, ok}}},

		"used after the bound":  {strict, "used after revocation", []line{{history.Revoke, "", "", "", 3, 4, ok}, {history.Use, "", "", "", 600, 601, ok}}},
		"used within the bound": {strict, "", []line{{history.Revoke, "", "", "", 3, 4, ok}, {history.Use, "", "", "", 400, 900, ok}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bad := history.Check(ops(c.h), c.opt)
			if c.rule == "" && len(bad) > 0 {
				t.Errorf("a good history is blamed: %v", bad)
			}
			found := false
			for _, v := range bad {
				found = found || v.Rule == c.rule
			}
			if c.rule != "" && !found {
				t.Errorf("not found: %s; found %v", c.rule, bad)
			}
		})
	}
}

// Of many adds whose outcome nobody knows any may have taken effect, and the search ends all the same.
func TestCheckDecidesManyUnknownAdds(t *testing.T) {
	t.Parallel()
	var h []line
	for i := range 60 {
		h = append(h, line{history.Add, "", "", "", i + 1, 0, unknown})
	}
	for i := range 1000 {
		h = append(h, line{history.Add, "", "", strconv.Itoa(i + 1 + i/100), 100 + 2*i, 101 + 2*i, ok}) // every hundredth was one of those
	}
	opt := history.Options{Timeout: 10 * time.Second}
	if bad := history.Check(ops(h), opt); len(bad) > 0 {
		t.Errorf("%.200v", bad)
	}
	h[500].got = h[501].got
	if bad := history.Check(ops(h), opt); len(bad) != 1 || !strings.Contains(bad[0].Text, "no order") {
		t.Errorf("a number twice: %.200v", bad)
	}
}

func TestRecorder(t *testing.T) {
	t.Parallel()
	r := history.NewRecorder()
	lost := r.Begin(history.Op{Kind: history.Write, Key: "a", New: "1"})
	p := r.Begin(history.Op{Kind: history.Read, Key: "a"})
	p.End(history.OK, "1", "")
	lost.End(history.Unknown, "", "no answer")
	got := r.Ops()
	if len(got) != 2 || got[0].Outcome != history.Unknown || got[0].Return != 1<<63-1 || got[1].Got != "1" || got[1].Return < got[1].Call {
		t.Errorf("recorded %v", got)
	}
	if !strings.Contains(got[0].String(), "unknown no answer") {
		t.Errorf("told as %s", got[0])
	}
}

func TestOutage(t *testing.T) {
	t.Parallel()
	h := ops([]line{
		{history.Write, "", "a", "", 0, 10, ok},
		{history.Write, "", "b", "", 500, 600, ok}, // nobody wanted to write before 500
		{history.Write, "", "c", "", 620, 700, never},
		{history.Read, "", "", "", 650, 660, ok},
		{history.Write, "", "d", "", 700, 900, ok},
	})
	if got := history.Outage(h, 0, time.Second); got != 280*time.Millisecond {
		t.Errorf("outage %v, want 280ms", got)
	}
	if got := history.Outage(h[:3], 0, time.Second); got != 380*time.Millisecond {
		t.Errorf("outage without an end %v, want 380ms", got)
	}
	if got := history.Writes(h); got != 3 {
		t.Errorf("%d writes", got)
	}
}

// node is one that agrees with its like about everything.
func node(name string, rows map[string]string) history.Node {
	sum := func(context.Context) (uint64, []byte, error) { return 7, []byte("sum"), nil }
	return history.Node{
		Name: name, Hash: sum, Chain: sum,
		Events:  func(context.Context) (uint64, string, error) { return 3, "end", nil },
		Applied: func(context.Context) (uint64, error) { return 7, nil },
		Read: func(_ context.Context, k history.Kind, key string) (string, error) {
			return rows[string(k)+" "+key], nil
		},
	}
}

// Nodes that differ in anything are found; equal ones are not blamed.
func TestAudit(t *testing.T) {
	t.Parallel()
	whole := map[string]string{"read a": "2", "count c": "1", "lookup n": "me"}
	for name, c := range map[string]struct {
		rule  string
		spoil func(n *history.Node)
	}{
		"equal":              {"", func(*history.Node) {}},
		"a write is missing": {"register", func(n *history.Node) { *n = node("b", map[string]string{"count c": "1", "lookup n": "me"}) }},
		"a name is missing":  {"unique name", func(n *history.Node) { *n = node("b", map[string]string{"read a": "2", "count c": "1"}) }},
		"a count is off": {"counter", func(n *history.Node) {
			*n = node("b", map[string]string{"read a": "2", "count c": "2", "lookup n": "me"})
		}},
		"another state": {"state hash", func(n *history.Node) {
			n.Hash = func(context.Context) (uint64, []byte, error) { return 7, []byte("other"), nil }
		}},
		"nothing to compare": {"state hash", func(n *history.Node) {
			n.Hash = func(context.Context) (uint64, []byte, error) { return 8, []byte("sum"), nil }
		}},
		"another log": {"log chain", func(n *history.Node) {
			n.Chain = func(context.Context) (uint64, []byte, error) { return 7, []byte("other"), nil }
		}},
		"a broken chain": {"event chain", func(n *history.Node) {
			n.Events = func(context.Context) (uint64, string, error) { return 0, "", errors.New("corrupt") }
		}},
		"another chain": {"event chain", func(n *history.Node) {
			n.Events = func(context.Context) (uint64, string, error) { return 3, "other end", nil }
		}},
		"left behind": {"nodes agree", func(n *history.Node) {
			n.Applied = func(context.Context) (uint64, error) { return 6, nil }
		}},
		"cannot read": {"every write on every node", func(n *history.Node) {
			n.Read = func(context.Context, history.Kind, string) (string, error) { return "", errors.New("closed") }
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rec := history.NewRecorder()
			rec.Begin(history.Op{Kind: history.Write, Key: "a", New: "2"}).End(history.OK, "", "")
			rec.Begin(history.Op{Kind: history.Add, Key: "c"}).End(history.OK, "1", "")
			rec.Begin(history.Op{Kind: history.Create, Key: "n", New: "me"}).End(history.OK, "", "")
			nodes := []history.Node{node("a", whole), node("b", whole)}
			c.spoil(&nodes[1])
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			bad, unasked := history.Audit(ctx, rec, nodes)
			bad = append(bad, history.Check(rec.Ops(), history.Options{})...)
			if len(unasked) > 0 {
				t.Errorf("not asked: %v", unasked)
			}
			found := false
			for _, v := range bad {
				found = found || v.Rule == c.rule
			}
			if found != (c.rule != "") || c.rule == "" && len(bad) > 0 {
				t.Errorf("looked for %q, found %v", c.rule, bad)
			}
		})
	}
}

// A write that nobody got an answer to may still reach the nodes, one after the other, while
// they are read. One that was acknowledged must be everywhere before.
func TestAuditWhileALateWriteArrives(t *testing.T) {
	t.Parallel()
	for late, rule := range map[history.Outcome]string{history.Unknown: "", history.OK: "counter"} {
		rec := history.NewRecorder()
		rec.Begin(history.Op{Kind: history.Add, Key: "c"}).End(history.OK, "1", "")
		rec.Begin(history.Op{Kind: history.Add, Key: "c"}).End(late, "2", "")
		var nodes []history.Node
		for i, got := range []string{"2", "1", "2"} {
			nodes = append(nodes, node(string(rune('a'+i)), map[string]string{"count c": got}))
		}
		bad, _ := history.Audit(t.Context(), rec, nodes)
		bad = append(bad, history.Check(rec.Ops(), history.Options{})...)
		if rule == "" && len(bad) > 0 || rule != "" && (len(bad) != 1 || bad[0].Rule != rule) {
			t.Errorf("a write that is %v: found %v, looked for %q", late, bad, rule)
		}
	}
}

func TestAuditSaysWhatItCouldNotAsk(t *testing.T) {
	t.Parallel()
	bad, unasked := history.Audit(t.Context(), history.NewRecorder(), []history.Node{{Name: "mute"}})
	if len(bad) > 0 || len(unasked) != 4 {
		t.Errorf("found %v, not asked %v", bad, unasked)
	}
}

func TestCheckKeys(t *testing.T) {
	t.Parallel()
	uses := []history.KeyUse{{KID: "k", Node: "a", At: 10}}
	if bad := history.CheckKeys(uses, []history.KeySet{{Node: "b", At: 9}, {Node: "b", KIDs: []string{"k"}, At: 11}}); len(bad) > 0 {
		t.Errorf("blamed: %v", bad)
	}
	if bad := history.CheckKeys(uses, []history.KeySet{{Node: "b", KIDs: []string{"j"}, At: 11}}); len(bad) != 1 {
		t.Errorf("found %v", bad)
	}
}

func TestCheckDuties(t *testing.T) {
	t.Parallel()
	good := []history.DutyWrite{{"d", "b", 3, 12}, {"d", "a", 2, 10}, {"d", "a", 2, 11}}
	if bad := history.CheckDuties(good); len(bad) > 0 {
		t.Errorf("blamed: %v", bad)
	}
	for _, w := range []history.DutyWrite{{"d", "a", 2, 13}, {"d", "a", 3, 13}} {
		if bad := history.CheckDuties(append(good, w)); len(bad) == 0 {
			t.Errorf("%+v not found", w)
		}
	}
}

func TestTable(t *testing.T) {
	t.Parallel()
	table := history.Table{Title: "fault"}
	table.Seed(7)
	table.Seed(7)
	table.Add(history.Row{Fault: "crash", Rounds: 1, Operations: 10, Outage: time.Second})
	table.Add(history.Row{Fault: "crash", Rounds: 2, Operations: 5, Violations: 1, Outage: 1500 * time.Millisecond})
	table.Add(history.Row{Fault: "delay", Rounds: 1})
	want := "| fault | rounds | operations | violations | longest write outage |\n|---|--:|--:|--:|--:|\n" +
		"| crash | 3 | 15 | 1 | 1.5s |\n| delay | 1 | 0 | 0 | 0s |\n\nSeeds: 7\n"
	if got := table.Markdown(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if table.Violations() != 1 {
		t.Errorf("%d violations", table.Violations())
	}
	var b strings.Builder
	if err := table.WriteJSON(&b); err != nil || !strings.Contains(b.String(), `"longest_write_outage_ns": 1500000000`) || !strings.Contains(b.String(), `"seeds"`) {
		t.Errorf("JSON %s, %v", b.String(), err)
	}
}
