package metrics

import (
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics holds the registry of one node and the metrics of its HTTP listeners.
type Metrics struct {
	// Registry is where the other rooms register theirs.
	Registry *prometheus.Registry

	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	inFlight prometheus.Gauge
	panics   prometheus.Counter
}

// New returns a registry of its own that tells the build (a release and a commit), the Go runtime, the process and HTTP.
func New(version, revision string) *Metrics {
	m := &Metrics{
		Registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "quis_http_requests_total", Help: "Requests answered on the public listener.",
		}, []string{"route", "method", "code"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "quis_http_request_duration_seconds", Help: "Time from the request's headers to the end of the answer.",
			Buckets:                     []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10},
			NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 100, NativeHistogramMinResetDuration: time.Hour,
		}, []string{"route", "method"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "quis_http_in_flight_requests", Help: "Requests being answered on the public listener.",
		}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "quis_http_panics_total", Help: "Requests that ended in a panic: each is a bug.",
		}),
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "quis_build_info", Help: "Always 1; the labels say what is running.",
		ConstLabels: prometheus.Labels{"version": version, "revision": revision, "goversion": runtime.Version()},
	})
	build.Set(1)
	m.Registry.MustRegister(build, m.requests, m.duration, m.inFlight, m.panics,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Handler serves the registry for a scraper.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.Registry, promhttp.HandlerOpts{Registry: m.Registry, EnableOpenMetrics: true, Timeout: 10 * time.Second})
}

// Begin counts a request in.
func (m *Metrics) Begin() { m.inFlight.Inc() }

// End counts it out: pattern is the ServeMux pattern that answered it, "" if there was none.
func (m *Metrics) End(pattern, method string, code int, took time.Duration) {
	m.inFlight.Dec()
	route, method := route(pattern), known(method)
	m.requests.WithLabelValues(route, method, strconv.Itoa(code)).Inc()
	m.duration.WithLabelValues(route, method).Observe(took.Seconds())
}

// Panicked counts a request that ended in a panic.
func (m *Metrics) Panicked() { m.panics.Inc() }

// route is the path of a pattern; the method has a label of its own.
func route(pattern string) string {
	if pattern == "" {
		return "none"
	}
	if _, path, ok := strings.Cut(pattern, " "); ok {
		return strings.TrimSpace(path)
	}
	return pattern
}

// known keeps strangers from making up label values.
func known(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	}
	return "other"
}
