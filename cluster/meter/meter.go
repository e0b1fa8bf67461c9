// Package meter is what a node's Raft part tells Prometheus.
//
// Histograms and counters are fed where things happen; all else is one [Figures] that
// is read when Prometheus asks. Names are for ever: rules and dashboards use them.
//
// Not here: the figures of the store (fsm) and of what is built on the cluster.
package meter

import (
	"fmt"
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// States are the states that a node's Raft can be in.
var States = []string{"leader", "follower", "candidate", "shutdown"}

// Figures are a node's state at one moment.
type Figures struct {
	State                 string // one of States
	Term, Commit, Applied uint64
	Contact               time.Duration // since the leader was heard of; 0 on the leader, negative: never
	Voters, Others        int
	Healthy               int       // voters
	Flushed               time.Time // when the store was last made durable; zero: not since the start
	Fresh                 bool      // Stale says something
	Stale                 time.Duration
	Certificates          map[string]time.Time // ends
	Queue                 int                  // batches that wait to be packed
	Oldest                time.Duration        // age of the oldest entry in the log; 0: none
	Lags                  map[string]uint64    // on the leader: entries that a member's log lacks
	Clocks                map[string]time.Duration
	HandOvers             int64
}

// A Meter holds the metrics of one node.
type Meter struct {
	Apply     prometheus.Histogram // seconds
	Fsync     prometheus.Histogram // seconds
	Packed    prometheus.Histogram // batches in one entry
	Changes   prometheus.Counter   // of the leader
	Elections prometheus.Counter   // in which this node stood

	read func() Figures
	reg  prometheus.Registerer
	done []prometheus.Collector
}

// New returns a meter; read gives the figures whenever Prometheus asks, after Register.
func New(read func() Figures) *Meter {
	return &Meter{
		read: read,
		Apply: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "quis_raft_apply_duration_seconds", Help: "Time to apply a run of committed entries to the store.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2.5, 10),
		}),
		Fsync: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "quis_wal_fsync_duration_seconds", Help: "Time to write entries to the log durably.",
			Buckets: prometheus.ExponentialBuckets(0.0002, 2.5, 10),
		}),
		Packed: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "quis_raft_batches_per_entry", Help: "Batches packed into one log entry, on the leader.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 8),
		}),
		Changes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "quis_raft_leader_changes_total", Help: "Elections of a leader that this node has seen.",
		}),
		Elections: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "quis_raft_elections_total", Help: "Elections in which this node stood.",
		}),
	}
}

// Register registers the meter and more with reg, which may be nil.
func (m *Meter) Register(reg prometheus.Registerer, more ...prometheus.Collector) error {
	if m.reg = reg; reg == nil {
		return nil
	}
	for _, c := range append([]prometheus.Collector{m.Apply, m.Fsync, m.Packed, m.Changes, m.Elections, (*gauges)(m)}, more...) {
		if err := reg.Register(c); err != nil {
			return fmt.Errorf("register cluster metrics: %w", err)
		}
		m.done = append(m.done, c)
	}
	return nil
}

// Unregister takes back what Register did.
func (m *Meter) Unregister() {
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
	descHealthy  = gauge("quis_raft_healthy_voters", "Voters that answer and keep up, as this node sees it.")
	descSnapshot = gauge("quis_snapshot_last_success_timestamp_seconds", "When the store was last made durable, in Unix time; 0: not since the start.")
	descStale    = gauge("quis_raft_staleness_seconds", "How old this node's state may be, by its own clock.")
	descCert     = gauge("quis_certificate_expiry_timestamp_seconds", "When a certificate ends, in Unix time.", "name")
	descQueue    = gauge("quis_raft_propose_queue_length", "Batches that wait to be packed into an entry.")
	descOldest   = gauge("quis_raft_oldest_log_age_seconds", "Age of the oldest entry in the log: how long a member may be away without being installed anew.")
	descLag      = gauge("quis_raft_follower_lag_entries", "Entries that a member's log lacks, on the leader.", "member")
	descClock    = gauge("quis_clock_offset_seconds", "By how much a member's wall clock is ahead of this node's.", "member")
	descHanded   = prometheus.NewDesc("quis_raft_stuck_follower_handovers_total", "How often this node gave leadership away because replication to a member had stopped.", nil, nil)
)

var descs = []*prometheus.Desc{
	descState, descTerm, descCommit, descApplied, descContact, descPeers, descHealthy, descSnapshot, descStale, descCert,
	descQueue, descOldest, descLag, descClock, descHanded,
}

// gauges reads the node when Prometheus asks.
type gauges Meter

// Describe names what Collect gives.
func (g *gauges) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range descs {
		ch <- d
	}
}

// Collect reads the current values.
func (g *gauges) Collect(ch chan<- prometheus.Metric) {
	put := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	f := g.read()
	for _, s := range States {
		put(descState, one(s == f.State), s)
	}
	put(descTerm, float64(f.Term))
	put(descCommit, float64(f.Commit))
	put(descApplied, float64(f.Applied))
	put(descContact, secondsOr(f.Contact >= 0, f.Contact))
	put(descPeers, float64(f.Voters), "true")
	put(descPeers, float64(f.Others), "false")
	put(descHealthy, float64(f.Healthy))
	put(descSnapshot, unix(f.Flushed))
	put(descStale, secondsOr(f.Fresh, f.Stale))
	for name, end := range f.Certificates {
		put(descCert, unix(end), name)
	}
	put(descQueue, float64(f.Queue))
	put(descOldest, f.Oldest.Seconds())
	for member, n := range f.Lags {
		put(descLag, float64(n), member)
	}
	for member, d := range f.Clocks {
		put(descClock, d.Seconds(), member)
	}
	ch <- prometheus.MustNewConstMetric(descHanded, prometheus.CounterValue, float64(f.HandOvers))
}

// secondsOr is infinite for what is not known.
func secondsOr(known bool, d time.Duration) float64 {
	if !known {
		return math.Inf(1)
	}
	return d.Seconds()
}

func unix(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}

func one(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
