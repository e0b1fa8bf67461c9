package gossip

import "github.com/prometheus/client_golang/prometheus"

var (
	descAlive = prometheus.NewDesc("quis_gossip_alive_members", "Nodes that gossip finds alive, this one included.", nil, nil)
	descScore = prometheus.NewDesc("quis_gossip_health_score", "How badly this node's own probes fare, 0 (well) to 7: high while it is short of processor time or its network loses packets.", nil, nil)
)

// figures reads gossip when Prometheus asks.
type figures struct{ g *Gossip }

// Describe names what Collect gives.
func (figures) Describe(ch chan<- *prometheus.Desc) {
	ch <- descAlive
	ch <- descScore
}

// Collect reads the current values.
func (f figures) Collect(ch chan<- prometheus.Metric) {
	ch <- prometheus.MustNewConstMetric(descAlive, prometheus.GaugeValue, float64(f.g.list.NumMembers()))
	ch <- prometheus.MustNewConstMetric(descScore, prometheus.GaugeValue, float64(f.g.list.GetHealthScore()))
}
