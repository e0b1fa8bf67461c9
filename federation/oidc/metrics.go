package oidc

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/quis-idp/quis/federation"
)

type metrics struct {
	issued   *prometheus.CounterVec
	requests *prometheus.CounterVec
	reuse    prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		issued: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "quis_tokens_issued_total", Help: "Access tokens issued.",
		}, []string{"grant", "alg"}),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "quis_token_requests_total", Help: "Requests to the token endpoint.",
		}, []string{"grant", "result", "error"}),
		reuse: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "quis_refresh_reuse_detected_total", Help: "Refresh tokens that came again after their time.",
		}),
	}
	if reg != nil {
		reg.MustRegister(m.issued, m.requests, m.reuse)
	}
	return m
}

// grantLabel keeps what strangers send out of the label's values.
func grantLabel(grant string) string {
	switch grant {
	case federation.GrantCode, federation.GrantRefresh, federation.GrantClientCredentials,
		federation.GrantDevice, federation.GrantCIBA, federation.GrantExchange, federation.GrantJWTBearer:
		return grant
	}
	return "other"
}
