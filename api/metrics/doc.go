// Package metrics is what operators and their machines look at: the Prometheus
// registry of a node with the metrics of HTTP itself, and the health endpoints.
//
// /livez says that the process can still answer and depends on nothing else: a node that
// has lost its quorum must not be restarted for it. /readyz runs named checks and is 503
// while one of them fails; ?verbose lists them all. The public listener tells strangers
// the names of failing checks, the operations listener also the reasons.
//
// Names follow the Prometheus rules: prefix quis_, base units, _total. No label may take
// a value that a stranger chooses: routes are patterns, methods a fixed set.
//
// Not here: the metrics of other rooms. They register their own with [Metrics.Registry].
package metrics
