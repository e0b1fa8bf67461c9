package duty

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics tell of the runs on this node: only the leader has any.
type metrics struct {
	runs    *prometheus.CounterVec
	took    *prometheus.HistogramVec
	success *prometheus.GaugeVec
}

func newMetrics() *metrics {
	return &metrics{
		runs: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "quis_task_runs_total",
			Help: "Runs of the leader's duties by how they ended: ok, error, fenced or cancelled.",
		}, []string{"task", "result"}),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "quis_task_duration_seconds", Help: "Time that a run of a duty took, however it ended.",
			Buckets: []float64{.005, .025, .1, .5, 2.5, 10, 60, 600},
		}, []string{"task"}),
		success: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "quis_task_last_success_timestamp_seconds",
			Help: "When a duty last succeeded on this node, in Unix time; 0: not since its start.",
		}, []string{"task"}),
	}
}

// begin has the series of a job there from the start, so that their first increase counts.
func (m *metrics) begin(job string) {
	for _, r := range []string{"ok", "error", "fenced", "cancelled"} {
		m.runs.WithLabelValues(job, r)
	}
	m.took.WithLabelValues(job)
	m.success.WithLabelValues(job)
}

func (m *metrics) register(reg prometheus.Registerer) (done func(), err error) {
	var in []prometheus.Collector
	done = func() {
		for _, c := range in {
			reg.Unregister(c)
		}
	}
	for _, c := range []prometheus.Collector{m.runs, m.took, m.success} {
		if err := reg.Register(c); err != nil {
			done()
			return nil, fmt.Errorf("register duty metrics: %w", err)
		}
		in = append(in, c)
	}
	return done, nil
}

func (m *metrics) ran(job, result string, took time.Duration) {
	m.runs.WithLabelValues(job, result).Inc()
	m.took.WithLabelValues(job).Observe(took.Seconds())
	if result == "ok" {
		m.success.WithLabelValues(job).SetToCurrentTime()
	}
}
