package notify

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/quis-idp/quis/identity/notify/post"
)

// metrics tell of what this node sends.
type metrics struct {
	attempts *prometheus.CounterVec
	waiting  *prometheus.GaugeVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "quis_mail_attempts_total",
			Help: "Attempts to send mail, by kind (direct, notice, test) and result: done, again, refused, unset (no settings), limited, full.",
		}, []string{"kind", "result"}),
		waiting: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "quis_mail_waiting", Help: "Messages that wait to be sent, by kind: direct ones of this node; notices on the leader.",
		}, []string{"kind"}),
	}
	for _, r := range []string{"done", "again", "refused", "unset", "limited", "full"} {
		m.attempts.WithLabelValues("direct", r)
	}
	if reg != nil {
		reg.MustRegister(m.attempts, m.waiting)
	}
	return m
}

func (m *metrics) count(kind string, err error) {
	var fault *post.Fault
	result := "done"
	switch {
	case errors.Is(err, ErrNoSettings):
		result = "unset"
	case errors.As(err, &fault) && fault.Final:
		result = "refused"
	case err != nil:
		result = "again"
	}
	m.attempts.WithLabelValues(kind, result).Inc()
}
