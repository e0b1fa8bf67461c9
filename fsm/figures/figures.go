// Package figures tells Prometheus how a node's store is doing: its engine's levels,
// compactions, flushes and cache.
//
// Everything is read when Prometheus asks, in some ten microseconds. Counters of the
// engine begin anew when the store is restored, which Prometheus takes for a restart.
//
// Not here: what is in the store, how far it has come, and its disk (cluster).
package figures

import (
	"github.com/cockroachdb/pebble/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/quis-idp/quis/fsm"
)

// A figure is one number of the engine.
type figure struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	of   func(*pebble.Metrics) float64
}

func gauge(name, help string, of func(*pebble.Metrics) float64) figure {
	return figure{prometheus.NewDesc(name, help, nil, nil), prometheus.GaugeValue, of}
}

func counter(name, help string, of func(*pebble.Metrics) float64) figure {
	return figure{prometheus.NewDesc(name, help, nil, nil), prometheus.CounterValue, of}
}

var engine = []figure{
	gauge("quis_store_size_bytes", "Bytes that the store takes on the disk.",
		func(m *pebble.Metrics) float64 { return float64(m.DiskSpaceUsage()) }),
	gauge("quis_store_memtable_bytes", "Bytes of what was written and is not flushed yet.",
		func(m *pebble.Metrics) float64 { return float64(m.MemTable.Size) }),
	gauge("quis_store_l0_files", "Files that wait to be compacted into lower levels.",
		func(m *pebble.Metrics) float64 { return float64(m.Levels[0].TablesCount) }),
	gauge("quis_store_read_amplification", "Levels that a read may have to look at; writes wait where the engine falls far behind.",
		func(m *pebble.Metrics) float64 { return float64(m.ReadAmp()) }),
	gauge("quis_store_compaction_debt_bytes", "Bytes that must be rewritten before the levels are in shape.",
		func(m *pebble.Metrics) float64 { return float64(m.Compact.EstimatedDebt) }),
	counter("quis_store_compactions_total", "Compactions that have ended.",
		func(m *pebble.Metrics) float64 { return float64(m.Compact.Count) }),
	counter("quis_store_compaction_seconds_total", "Time spent compacting.",
		func(m *pebble.Metrics) float64 { return m.Compact.Duration.Seconds() }),
	counter("quis_store_flushes_total", "Memtables made durable.",
		func(m *pebble.Metrics) float64 { return float64(m.Flush.Count) }),
	counter("quis_store_flush_seconds_total", "Time spent making memtables durable.",
		func(m *pebble.Metrics) float64 { return m.Flush.WriteThroughput.WorkDuration.Seconds() }),
	counter("quis_store_flushed_bytes_total", "Bytes of memtables made durable.",
		func(m *pebble.Metrics) float64 { return float64(m.Flush.WriteThroughput.Bytes) }),
	gauge("quis_store_cache_size_bytes", "Bytes of blocks in the cache.",
		func(m *pebble.Metrics) float64 { return float64(m.BlockCache.Size) }),
	counter("quis_store_cache_hits_total", "Blocks found in the cache.",
		func(m *pebble.Metrics) float64 { return float64(m.BlockCache.Hits) }),
	counter("quis_store_cache_misses_total", "Blocks read from files.",
		func(m *pebble.Metrics) float64 { return float64(m.BlockCache.Misses) }),
	gauge("quis_store_snapshots", "Transactions and streams that keep old versions from being removed.",
		func(m *pebble.Metrics) float64 { return float64(m.Snapshots.Count) }),
}

// A Collector reads one store.
type Collector struct{ db *fsm.DB }

// New returns the collector of a store.
func New(db *fsm.DB) *Collector { return &Collector{db} }

// Describe names what Collect gives.
func (c *Collector) Describe(ch chan<- *prometheus.Desc) {
	for _, f := range engine {
		ch <- f.desc
	}
}

// Collect reads the current values; those of a store that is closed are left out.
func (c *Collector) Collect(ch chan<- prometheus.Metric) {
	m, err := c.db.EngineMetrics()
	if err != nil {
		return
	}
	for _, f := range engine {
		ch <- prometheus.MustNewConstMetric(f.desc, f.kind, f.of(m))
	}
}
