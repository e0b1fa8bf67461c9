package history

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// A Violation is a promise that was broken.
type Violation struct {
	Rule string // which: the name of a model or of a rule of the audit
	Key  string // of what
	Text string // what was seen, for a reader; may have several lines
}

// String returns the violation for a reader.
func (v Violation) String() string { return v.Rule + ": " + v.Key + ": " + v.Text }

// Options are what the judgement depends on. The zero value is the strictest.
type Options struct {
	// Stale is how long after an acknowledged revocation a use may still be answered.
	Stale time.Duration
	// Grace is how long a refresh token names its successor after it has been traded. 0: never refused for that.
	Grace time.Duration
	// ClocksJump says that the nodes' clocks were set during the recording, so that
	// codes and graces may be over at any moment.
	ClocksJump bool
	// Timeout bounds the search for one key; default a minute. A search that does not
	// end in time is a violation too: nothing has been shown.
	Timeout time.Duration
}

// Check judges all operations and returns what is wrong, nothing if all is well.
func Check(ops []Op, opt Options) []Violation {
	if opt.Timeout == 0 {
		opt.Timeout = time.Minute
	}
	var bad []Violation
	for _, m := range models {
		for key, part := range partition(ops, m) {
			part = prepare(part, opt)
			if m.ready != nil {
				part = m.ready(part)
			}
			switch m.linearizable(part, opt.Timeout) {
			case porcupine.Illegal:
				bad = append(bad, Violation{m.name, key, "no order explains the answers:\n" + tell(part)})
			case porcupine.Unknown:
				bad = append(bad, Violation{m.name, key, fmt.Sprintf("not decided within %v:\n%s", opt.Timeout, tell(part))})
			}
		}
	}
	bad = append(bad, successors(ops)...)
	bad = append(bad, usedAfterRevocation(ops, opt.Stale)...)
	slices.SortFunc(bad, func(a, b Violation) int {
		return cmp.Or(cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Key, b.Key))
	})
	return bad
}

// partition returns the operations that m judges, by key. Those without effect are
// left out: whoever sees an effect of one sees something that nobody did.
func partition(ops []Op, m model) map[string][]Op {
	parts := map[string][]Op{}
	for _, o := range ops {
		void := o.Outcome == Never || o.Outcome == Unknown && !o.Kind.changes() && o.Kind != Start
		if m.judges(o.Kind) && !void {
			parts[o.Key] = append(parts[o.Key], o)
		}
	}
	return parts
}

// prepare gives the operations of one key what the models need to know of the others.
func prepare(ops []Op, opt Options) []Op {
	after := map[string]string{}        // refresh token -> successor
	asked := map[string]time.Duration{} // refresh token -> when it was first traded in
	for _, o := range ops {
		if o.Kind != Refresh {
			continue
		}
		if o.Outcome == OK {
			after[o.Old] = o.Got
		}
		if at, ok := asked[o.Old]; o.Outcome != Refused && (!ok || o.Call < at) {
			asked[o.Old] = o.Call
		}
	}
	out := make([]Op, 0, len(ops))
	for _, o := range ops {
		switch o.Kind {
		case Redeem:
			o.Old = ""
			if opt.ClocksJump {
				o.Old = tooLate
			}
		case Revoke:
			if o.Outcome == OK {
				o.Return += opt.Stale
			}
		case Refresh:
			if o.New = after[o.Old]; o.New == "" {
				o.New = "successor of " + o.Old
			}
			first, traded := asked[o.Old]
			if opt.ClocksJump || traded && opt.Grace > 0 && o.Return-first > opt.Grace {
				o.Note += " " + tooLate
			}
		}
		out = append(out, o)
	}
	return out
}

// successors reports refresh tokens that were traded for two different ones.
func successors(ops []Op) (bad []Violation) {
	seen := map[[2]string]Op{}
	for _, o := range ops {
		if o.Kind != Refresh || o.Outcome != OK {
			continue
		}
		at := [2]string{o.Key, o.Old}
		if before, ok := seen[at]; ok && before.Got != o.Got {
			bad = append(bad, Violation{"two live successors", o.Key, tell([]Op{before, o})})
		}
		seen[at] = o
	}
	return bad
}

// usedAfterRevocation reports uses that began later than stale after an acknowledged
// revocation and succeeded all the same.
func usedAfterRevocation(ops []Op, stale time.Duration) (bad []Violation) {
	ended := map[string]Op{}
	for _, o := range ops {
		if o.Kind != Revoke || o.Outcome != OK {
			continue
		}
		if before, ok := ended[o.Key]; !ok || o.Return < before.Return {
			ended[o.Key] = o
		}
	}
	for _, o := range ops {
		end, ok := ended[o.Key]
		if ok && o.Kind == Use && o.Outcome == OK && o.Call > end.Return+stale {
			bad = append(bad, Violation{"used after revocation", o.Key,
				fmt.Sprintf("%v later, at most %v allowed:\n%s", (o.Call - end.Return).Round(time.Millisecond), stale, tell([]Op{end, o}))})
		}
	}
	return bad
}

// tell lists operations, one a line, at most fifty.
func tell(ops []Op) string {
	const most = 50
	var b strings.Builder
	for i, o := range ops {
		if i == most {
			fmt.Fprintf(&b, "  … and %d more\n", len(ops)-most)
			break
		}
		fmt.Fprintf(&b, "  %s\n", o)
	}
	return b.String()
}
