package cluster

import (
	"strings"
	"time"

	"github.com/hashicorp/raft"

	"github.com/quis-idp/quis/cluster/meter"
)

func stateName(s raft.RaftState) string { return strings.ToLower(s.String()) }

// figures are what Prometheus hears of this node.
func (n *Node) figures() meter.Figures {
	f := meter.Figures{
		State: stateName(n.raft.State()), Term: n.raft.CurrentTerm(), Commit: n.raft.CommitIndex(), Applied: n.cfg.DB.Position().Index,
		Flushed: n.snaps.LastFlush(), Fresh: n.fresh.Known(), Stale: n.staleness(), Queue: n.leader.Waiting(), Oldest: n.oldest(),
		Lags: n.roster.Lags(), Clocks: n.roster.ClockOffsets(), HandOvers: n.roster.HandOvers(),
		Certificates: map[string]time.Time{"node": n.creds.Expires()},
	}
	if id := n.self.Identity(); id != nil {
		f.Certificates["cluster_ca"] = id.AuthorityEnds()
	}
	if n.raft.State() != raft.Leader {
		f.Contact = -1
		if t := n.raft.LastContact(); !t.IsZero() {
			f.Contact = time.Since(t)
		}
	}
	f.Healthy, f.Voters = n.roster.HealthyVoters()
	f.Others = len(n.servers()) - f.Voters
	return f
}

// oldest returns the age of the first entry that is still in the log.
func (n *Node) oldest() time.Duration {
	first, err := n.logs.FirstIndex()
	var l raft.Log
	if err != nil || first == 0 || n.logs.GetLog(first, &l) != nil || l.AppendedAt.IsZero() {
		return 0
	}
	return max(0, n.cfg.Now().Sub(l.AppendedAt))
}
