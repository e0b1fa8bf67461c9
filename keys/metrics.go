package keys

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/quis-idp/quis/fsm"
)

// maxSeries bounds the metric where there are very many tenants.
const maxSeries = 1000

var ageDesc = prometheus.NewDesc("quis_signing_key_age_seconds",
	"Time since the active signing key came into use.", []string{"use", "kid"}, nil)

// Describe implements prometheus.Collector.
func (k *Keys) Describe(ch chan<- *prometheus.Desc) { ch <- ageDesc }

// Collect implements prometheus.Collector: the age of each active key, of the first
// thousand if there are more.
func (k *Keys) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	n := 0
	err := k.db.View(ctx, func(tx *fsm.Tx) error {
		for row, err := range signingKeys.ListAll(tx) {
			if err != nil {
				return err
			}
			if row.State != Active {
				continue
			}
			if n++; n > maxSeries {
				return nil
			}
			ch <- prometheus.MustNewConstMetric(ageDesc, prometheus.GaugeValue,
				tx.Now().Sub(row.Since).Seconds(), "sig", row.KID)
		}
		return nil
	})
	if err != nil {
		ch <- prometheus.NewInvalidMetric(ageDesc, err)
	}
}
