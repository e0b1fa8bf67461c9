package metrics

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"
)

var descReady = prometheus.NewDesc("quis_ready", "1 while a check of readiness holds: the node takes requests while all do.", []string{"check"}, nil)

// Watch has the checks of /readyz run at every scrape, too. Call it once.
func (m *Metrics) Watch(checks ...Check) { m.Registry.MustRegister(readiness(checks)) }

type readiness []Check

// Describe names what Collect gives.
func (readiness) Describe(ch chan<- *prometheus.Desc) { ch <- descReady }

// Collect runs the checks.
func (r readiness) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), checkTimeout)
	defer cancel()
	for _, c := range r {
		holds := 0.0
		if c.Run(ctx) == nil {
			holds = 1
		}
		ch <- prometheus.MustNewConstMetric(descReady, prometheus.GaugeValue, holds, c.Name)
	}
}
