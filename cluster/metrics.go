package cluster

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/hashicorp/raft"
	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what this room tells Prometheus. Gauges are read when scraped.
type metrics struct {
	n       *Node
	reg     prometheus.Registerer
	raft    *raft.Raft
	apply   prometheus.Histogram
	fsync   prometheus.Histogram
	changes prometheus.Counter
	done    []prometheus.Collector
}

func newMetrics(n *Node) *metrics {
	return &metrics{
		n: n, reg: n.cfg.Registerer,
		apply: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "quis_raft_apply_duration_seconds", Help: "Time to apply a run of committed entries to the store.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2.5, 10),
		}),
		fsync: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "quis_wal_fsync_duration_seconds", Help: "Time to write entries to the log durably.",
			Buckets: prometheus.ExponentialBuckets(0.0002, 2.5, 10),
		}),
		changes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "quis_raft_leader_changes_total", Help: "Elections of a leader that this node has seen.",
		}),
	}
}

func (m *metrics) observe(r *raft.Raft) { m.raft = r }

func (m *metrics) register() error {
	if m.reg == nil {
		return nil
	}
	for _, c := range []prometheus.Collector{m.apply, m.fsync, m.changes, (*gauges)(m), m.n.compare} {
		if err := m.reg.Register(c); err != nil {
			return fmt.Errorf("register cluster metrics: %w", err)
		}
		m.done = append(m.done, c)
	}
	return nil
}

func (m *metrics) unregister() {
	for _, c := range m.done {
		m.reg.Unregister(c)
	}
}

func gauge(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

var (
	descState    = gauge("quis_raft_state", "1 for the state this node is in.", "state")
	descTerm     = gauge("quis_raft_term", "Current leadership term.")
	descCommit   = gauge("quis_raft_commit_index", "Last log index known to be on a majority.")
	descApplied  = gauge("quis_raft_applied_index", "Last log index applied to the store.")
	descContact  = gauge("quis_raft_last_contact_seconds", "Time since the leader was heard of; 0 on the leader.")
	descPeers    = gauge("quis_raft_peers", "Members of the cluster, this node included.", "voter")
	descSnapshot = gauge("quis_snapshot_last_success_timestamp_seconds", "When the store was last made durable, in Unix time; 0: not since the start.")
	descStale    = gauge("quis_raft_staleness_seconds", "How old this node's state may be, by its own clock.")
	descCert     = gauge("quis_certificate_expiry_timestamp_seconds", "When a certificate ends, in Unix time.", "name")
)

var stateNames = map[raft.RaftState]string{
	raft.Leader: "leader", raft.Follower: "follower", raft.Candidate: "candidate", raft.Shutdown: "shutdown",
}

func stateName(s raft.RaftState) string { return strings.ToLower(stateNames[s]) }

// gauges reads the node when Prometheus asks.
type gauges metrics

// Describe names what Collect gives.
func (g *gauges) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descState, descTerm, descCommit, descApplied, descContact, descPeers, descSnapshot, descStale, descCert} {
		ch <- d
	}
}

// Collect reads the current values.
func (g *gauges) Collect(ch chan<- prometheus.Metric) {
	put := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	now := g.raft.State()
	for s, name := range stateNames {
		put(descState, one(s == now), name)
	}
	put(descTerm, float64(g.raft.CurrentTerm()))
	put(descCommit, float64(g.raft.CommitIndex()))
	put(descApplied, float64(g.n.cfg.DB.Position().Index))
	contact := 0.0
	if now != raft.Leader {
		contact = math.Inf(1)
		if t := g.raft.LastContact(); !t.IsZero() {
			contact = time.Since(t).Seconds()
		}
	}
	put(descContact, contact)
	voters, others := 0, 0
	for _, s := range g.n.servers() {
		if s.Suffrage == raft.Voter {
			voters++
		} else {
			others++
		}
	}
	put(descPeers, float64(voters), "true")
	put(descPeers, float64(others), "false")
	at := 0.0
	if t := g.n.snaps.LastFlush(); !t.IsZero() {
		at = float64(t.UnixMilli()) / 1000
	}
	put(descSnapshot, at)
	stale := math.Inf(1)
	if g.n.caughtUp.Load() {
		stale = g.n.staleness().Seconds()
	}
	put(descStale, stale)
	put(descCert, float64(g.n.creds.Expires().Unix()), "node")
	if id := g.n.self.Identity(); id != nil {
		put(descCert, float64(id.AuthorityEnds().Unix()), "cluster_ca")
	}
}

func one(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
