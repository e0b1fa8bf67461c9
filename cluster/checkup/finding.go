package checkup

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// A Level says how bad a finding is.
type Level uint8

// The levels, from good to bad.
const (
	OK   Level = iota // as it should be
	Warn              // works, and wants attention
	Fail              // does not work, or will not for long
)

// String returns ok, warn or fail.
func (l Level) String() string {
	switch l {
	case OK:
		return "ok"
	case Warn:
		return "warn"
	}
	return "fail"
}

// A Finding is what was found when one thing was looked at.
type Finding struct {
	Check  string `cbor:"1,keyasint,omitempty"` // what was looked at, in a word or two
	Level  Level  `cbor:"2,keyasint,omitempty"`
	Found  string `cbor:"3,keyasint,omitempty"` // what was found, for a person
	Advice string `cbor:"4,keyasint,omitempty"` // what to do about it; empty if nothing
	Node   string `cbor:"5,keyasint,omitempty"` // whom it concerns; empty: the whole cluster
	Same   string `cbor:"6,keyasint,omitempty"` // a setting that every node should have alike; empty: none
}

// A Peer is a member as another one finds it.
type Peer struct {
	Node    string `cbor:"1,keyasint,omitempty"`
	Address string `cbor:"2,keyasint,omitempty"` // where it was looked for
	Fault   string `cbor:"3,keyasint,omitempty"` // why it was not reached; empty: it was
	Gossip  Heard  `cbor:"4,keyasint,omitempty"`
}

// Heard says whether gossip knows a peer.
type Heard uint8

// What gossip says of a peer.
const (
	Off   Heard = iota // it does not gossip
	Alive              // it has been heard of
	Lost               // it has not
)

// A Report is what one node says of itself and of its peers.
type Report struct {
	Findings []Finding `cbor:"1,keyasint,omitempty"`
	Peers    []Peer    `cbor:"2,keyasint,omitempty"`
}

// A Member is a node that is asked, and what came of it.
type Member struct {
	ID, Address string
	Version     string        // of its program; empty: not known
	Offset      time.Duration // its clock less that of the node that asks
	Uncertain   time.Duration // how far off Offset may be; 0: the clock is not known

	Report *Report // nil: there is none, because of Err, or of an older release
	Err    error   // why there was no answer
}

// patience bounds the question to one member; it measures its disk meanwhile.
const patience = 15 * time.Second

// Gather asks every member at once. ask returns nil for a member of a release that knows
// no such question.
func Gather(ctx context.Context, members []Member, ask func(ctx context.Context, m *Member) (*Report, error)) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var all sync.WaitGroup
	for i := range members {
		m := &members[i]
		all.Go(func() { m.Report, m.Err = ask(ctx, m) })
	}
	all.Wait()
}

// Clocks that are further apart than this want attention, and fail: sessions, codes and
// tokens are judged by the time that the leader stamps.
const (
	skewWarn = 500 * time.Millisecond
	skewFail = 5 * time.Second
)

// Judge returns the findings about the cluster as a whole and then those of each node,
// given what the members said to the node asked.
func Judge(asked string, members []Member) []Finding {
	out := reach(members)
	out = append(out, gossip(members)...)
	out = append(out, clocks(asked, members)...)
	out = append(out, versions(members)...)
	out = append(out, differences(members)...)
	for _, m := range members {
		if m.Report == nil {
			continue
		}
		for _, f := range m.Report.Findings {
			f.Node = m.ID
			out = append(out, f)
		}
	}
	return out
}

// reach says who does not answer at all, and between whom the way is blocked.
func reach(members []Member) []Finding {
	var out []Finding
	silent := map[string]bool{}
	for _, m := range members {
		switch {
		case m.Err != nil:
			silent[m.ID] = true
			out = append(out, Finding{
				Node: m.ID, Check: "reachable", Level: Fail, Found: "does not answer at " + m.Address + ": " + Reason(m.Err),
				Advice: "Start the node. If it runs, open TCP port " + port(m.Address) + " to it from every other node.",
			})
		case m.Report == nil:
			out = append(out, Finding{
				Node: m.ID, Check: "reachable", Level: Warn, Found: "answers, but its release (" + m.Version + ") knows no checkup",
				Advice: "Upgrade the node.",
			})
		}
	}
	for _, m := range members {
		if m.Report == nil {
			continue
		}
		for _, p := range m.Report.Peers {
			if p.Fault != "" && !silent[p.Node] {
				out = append(out, Finding{
					Node: m.ID, Check: "reachable", Level: Fail, Found: "does not reach " + p.Node + " at " + p.Address + ": " + p.Fault,
					Advice: "Open TCP port " + port(p.Address) + " from " + m.ID + " to " + p.Node + "; look at firewalls and at the address that " + p.Node + " advertises (cluster.advertise).",
				})
			}
		}
	}
	switch {
	case len(out) > 0:
		return out
	case len(members) == 1:
		return []Finding{{Check: "reachable", Found: "this node is the whole cluster"}}
	}
	return []Finding{{Check: "reachable", Found: fmt.Sprintf("each of %d nodes reaches every other over the cluster port", len(members))}}
}

// gossip says who is not heard. Of a node that does not answer it says so once: for its
// own sake, and not once for each that misses it.
func gossip(members []Member) []Finding {
	var out []Finding
	heard, answering, missed := 0, map[string]bool{}, map[string]bool{}
	for _, m := range members {
		answering[m.ID] = m.Err == nil
	}
	for _, m := range members {
		if m.Report == nil {
			continue
		}
		for _, p := range m.Report.Peers {
			switch {
			case p.Gossip == Alive:
				heard++
			case p.Gossip == Lost && !answering[p.Node]:
				if !missed[p.Node] {
					out = append(out, Finding{Node: p.Node, Check: "gossip", Level: Warn, Found: "is not heard by " + m.ID, Advice: "Start the node: it does not answer either."})
				}
				missed[p.Node] = true
			case p.Gossip == Lost:
				out = append(out, Finding{
					Node: m.ID, Check: "gossip", Level: Warn, Found: "does not hear " + p.Node,
					Advice: "Open the gossip port (cluster.gossip, 8301 unless configured) for TCP and UDP between " + m.ID + " and " + p.Node + ". Without it failures are noticed later.",
				})
			}
		}
	}
	if len(out) > 0 || heard == 0 {
		return out
	}
	who := "every node"
	if slices.ContainsFunc(members, func(m Member) bool { return m.Err != nil }) {
		who += " that answers"
	}
	return []Finding{{Check: "gossip", Found: who + " hears every other"}}
}

func clocks(asked string, members []Member) []Finding {
	var out []Finding
	var worst time.Duration
	known := 0
	for _, m := range members {
		if m.ID == asked || m.Uncertain <= 0 {
			continue
		}
		known++
		off := max(m.Offset.Abs()-m.Uncertain, 0) // what is certain of it
		worst = max(worst, m.Offset.Abs())
		if off > skewWarn {
			f := Finding{
				Node: m.ID, Check: "clock", Level: Warn, Found: fmt.Sprintf("%s %s that of %s", m.Offset.Abs().Round(time.Millisecond), aheadOf(m.Offset), asked),
				Advice: "Let every node keep its time by NTP (chronyd or systemd-timesyncd), from the same sources.",
			}
			if off > skewFail {
				f.Level = Fail
			}
			out = append(out, f)
		}
	}
	if len(out) == 0 && known > 0 {
		out = append(out, Finding{Check: "clock", Found: "the clocks are " + max(worst, time.Millisecond).Round(time.Millisecond).String() + " apart at most"})
	}
	return out
}

func aheadOf(d time.Duration) string {
	if d < 0 {
		return "behind"
	}
	return "ahead of"
}

func versions(members []Member) []Finding {
	of := map[string]string{}
	for _, m := range members {
		if m.Version != "" {
			of[m.Version] += " " + m.ID
		}
	}
	if len(of) < 2 {
		for v := range of {
			return []Finding{{Check: "release", Found: "every node runs " + v}}
		}
		return nil
	}
	return []Finding{{
		Check: "release", Level: Warn, Found: "the nodes run different releases:" + listed(of),
		Advice: "Upgrade the others, too. New features wait until every node runs the newer release.",
	}}
}

// differences says which settings the nodes do not have alike.
func differences(members []Member) []Finding {
	of := map[string]map[string]string{} // check to setting to nodes
	for _, m := range members {
		if m.Report == nil {
			continue
		}
		for _, f := range m.Report.Findings {
			if f.Same != "" {
				if of[f.Check] == nil {
					of[f.Check] = map[string]string{}
				}
				of[f.Check][f.Same] += " " + m.ID
			}
		}
	}
	var out []Finding
	for _, check := range slices.Sorted(maps.Keys(of)) {
		if nodes := of[check]; len(nodes) > 1 {
			out = append(out, Finding{
				Check: check, Level: Fail, Found: "the nodes are configured differently:" + listed(nodes),
				Advice: "Give every node the same, and start those again whose configuration you change.",
			})
		}
	}
	return out
}
