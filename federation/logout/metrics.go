package logout

import "github.com/prometheus/client_golang/prometheus"

// metrics tell of what this node sends: only the leader sends anything.
type metrics struct {
	attempts *prometheus.CounterVec
	waiting  prometheus.Gauge
	took     prometheus.Histogram
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "quis_logout_attempts_total",
			Help: "Attempts to deliver a back-channel logout token: done, pending (it will be tried again), failed (given up), gone.",
		}, []string{"result"}),
		waiting: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "quis_logout_deliveries_pending", Help: "Back-channel logout tokens that wait to be sent, on the leader.",
		}),
		took: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "quis_logout_attempt_duration_seconds", Help: "Time that applications took to answer a logout token.",
			Buckets: []float64{.01, .05, .25, 1, 5},
		}),
	}
	for _, r := range []string{Done, Pending, Failed} {
		m.attempts.WithLabelValues(r)
	}
	if reg != nil {
		reg.MustRegister(m.attempts, m.waiting, m.took)
	}
	return m
}

func resultOf(d *Delivery) string {
	if d == nil {
		return "gone"
	}
	return d.State
}
