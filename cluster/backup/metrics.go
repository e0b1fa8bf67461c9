package backup

import (
	"context"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/quis-idp/quis/fsm"
)

// figures are the same on every node but for the failures, which are those seen here.
type figures struct {
	failures atomic.Int64
}

func (f *figures) failed() { f.failures.Add(1) }

var (
	lastSuccess = prometheus.NewDesc("quis_backup_last_success_timestamp_seconds", "When the latest scheduled backup that was read back whole began; absent: none yet.", nil, nil)
	lastTook    = prometheus.NewDesc("quis_backup_duration_seconds", "How long it took, with reading it back.", nil, nil)
	lastBytes   = prometheus.NewDesc("quis_backup_bytes", "Its size.", nil, nil)
	failures    = prometheus.NewDesc("quis_backup_failures_total", "Scheduled backups that failed on this node.", nil, nil)
)

// Describe names the metrics.
func (k *Keeper) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{lastSuccess, lastTook, lastBytes, failures} {
		ch <- d
	}
}

// Collect reads the latest good run from the store.
func (k *Keeper) Collect(ch chan<- prometheus.Metric) {
	ch <- prometheus.MustNewConstMetric(failures, prometheus.CounterValue, float64(k.figures.failures.Load()))
	var good *Run
	err := k.DB.View(context.Background(), func(tx *fsm.Tx) error {
		for r, err := range runs.List(tx, fsm.Global, fsm.Reverse()) {
			if err != nil {
				return err
			}
			if r.Good() {
				good = r
				return nil
			}
		}
		return nil
	})
	if err != nil || good == nil {
		return
	}
	ch <- prometheus.MustNewConstMetric(lastSuccess, prometheus.GaugeValue, float64(good.Started.Unix()))
	ch <- prometheus.MustNewConstMetric(lastTook, prometheus.GaugeValue, good.Ended.Sub(good.Started).Seconds())
	ch <- prometheus.MustNewConstMetric(lastBytes, prometheus.GaugeValue, float64(good.Bytes))
}
