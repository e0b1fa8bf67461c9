package daemon

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/directory"
)

// countEvery is how old the figures of countRows may be.
const countEvery = time.Minute

// countRows keeps the gauges of how much there is: a walk over the keys, a fraction of a
// microsecond each, once a minute.
func (n *Node) countRows(ctx context.Context) error {
	gauge := func(name, help string) prometheus.Gauge {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
		n.metrics.Registry.MustRegister(g)
		return g
	}
	users := gauge("quis_users", "Users of all tenants, as this node knows.")
	apps := gauge("quis_apps", "Applications of all tenants, as this node knows.")
	tick := time.NewTicker(countEvery)
	defer tick.Stop()
	for {
		err := n.db.View(ctx, func(tx *fsm.Tx) error {
			u, err := directory.CountUsers(tx)
			if err != nil {
				return err
			}
			a, err := federation.Count(tx)
			users.Set(float64(u))
			apps.Set(float64(a))
			return err
		})
		if err != nil && ctx.Err() == nil {
			n.log.WarnContext(ctx, "rows not counted", "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}
