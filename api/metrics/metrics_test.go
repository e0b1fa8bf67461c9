package metrics

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

func TestRequestsAreCountedByRoute(t *testing.T) {
	t.Parallel()
	m := New("1.2.3", "none")
	for _, call := range []struct {
		pattern, method string
		code            int
	}{
		{"POST /oauth2/token", "POST", 200},
		{"POST /oauth2/token", "POST", 200},
		{"/assets/", "GET", 304},
		{"", "BREW", 404},
	} {
		m.Begin()
		m.End(call.pattern, call.method, call.code, 3*time.Millisecond)
	}
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	text := w.Body.String()
	for _, s := range []string{
		`quis_http_requests_total{code="200",method="POST",route="/oauth2/token"} 2`,
		`quis_http_requests_total{code="304",method="GET",route="/assets/"} 1`,
		`quis_http_requests_total{code="404",method="other",route="none"} 1`,
		"quis_http_in_flight_requests 0",
		`quis_build_info{goversion="go1`, `version="1.2.3"} 1`, "quis_http_request_duration_seconds_bucket", "quis_http_panics_total 0", "go_goroutines",
	} {
		if !strings.Contains(text, s) {
			t.Errorf("/metrics lacks %q", s)
		}
	}
	problems, err := promlint.New(w.Body).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("lint: %v %v", problems, err)
	}
}

func TestHealth(t *testing.T) {
	t.Parallel()
	ok := Check{"keys", func(context.Context) error { return nil }}
	bad := Check{"leader", func(context.Context) error { return errors.New("no leader since 12:00") }}
	stuck := Check{"disk", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}
	for _, tc := range []struct {
		name, url string
		handler   http.Handler
		status    int
		body      string
	}{
		{"alive", "/livez", Live(), 200, `{"status":"alive"}`},
		{"ready", "/readyz", Ready(true, ok), 200, `{"status":"ready"}`},
		{"ready, verbose", "/readyz?verbose", Ready(true, ok), 200, `{"status":"ready","checks":[{"name":"keys","ok":true}]}`},
		{"not ready", "/readyz", Ready(true, ok, bad), 503, `{"status":"not ready","checks":[{"name":"leader","ok":false,"reason":"no leader since 12:00"}]}`},
		{"not ready, verbose", "/readyz?verbose=", Ready(true, ok, bad), 503,
			`{"status":"not ready","checks":[{"name":"keys","ok":true},{"name":"leader","ok":false,"reason":"no leader since 12:00"}]}`},
		{"strangers get no reasons", "/readyz?verbose", Ready(false, bad), 503, `{"status":"not ready","checks":[{"name":"leader","ok":false}]}`},
		{"a check that hangs fails", "/readyz", Ready(false, stuck), 503, `{"status":"not ready","checks":[{"name":"disk","ok":false}]}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w := httptest.NewRecorder()
			tc.handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, tc.url, nil))
			if got := strings.TrimSpace(w.Body.String()); w.Code != tc.status || got != tc.body {
				t.Errorf("got %d %s, want %d %s", w.Code, got, tc.status, tc.body)
			}
			if got := w.Header().Get("Retry-After"); (tc.status == 503) != (got != "") {
				t.Errorf("Retry-After %q with %d", got, tc.status)
			}
		})
	}
}

func TestReadinessIsScraped(t *testing.T) {
	t.Parallel()
	m := New("1.2.3", "none")
	m.Watch(
		Check{"keys", func(context.Context) error { return nil }},
		Check{"leader", func(context.Context) error { return errors.New("no leader") }},
		Check{"disk", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }},
	)
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for _, s := range []string{`quis_ready{check="keys"} 1`, `quis_ready{check="leader"} 0`, `quis_ready{check="disk"} 0`} {
		if !strings.Contains(w.Body.String(), s) {
			t.Errorf("/metrics lacks %q", s)
		}
	}
}
