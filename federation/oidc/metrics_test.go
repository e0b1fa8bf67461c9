package oidc

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/quis-idp/quis/federation"
)

func TestMetricsCountByGrantAndNeverByWhatStrangersSend(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	w := newWorld(t, 1, func(c *Config) { c.Registerer, c.Grace = reg, 1 })
	first := w.tokens(0)
	second := w.want(w.post(0, "/oauth2/token", refreshForm(first.Refresh)), 200)
	w.want(w.post(0, "/oauth2/token", refreshForm(second.Refresh)), 200)
	w.want(w.post(0, "/oauth2/token", refreshForm(first.Refresh)), 400)
	w.want(w.post(0, "/oauth2/token", url.Values{"grant_type": {"made-up"}}), 400)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetValue())
			}
			got[f.GetName()+"{"+strings.Join(labels, ",")+"}"] = m.GetCounter().GetValue()
		}
	}
	for name, want := range map[string]float64{
		"quis_tokens_issued_total{ES256,authorization_code}":            1,
		"quis_tokens_issued_total{ES256,refresh_token}":                 2,
		"quis_token_requests_total{,refresh_token,ok}":                  2,
		"quis_token_requests_total{invalid_grant,refresh_token,error}":  1,
		"quis_token_requests_total{unsupported_grant_type,other,error}": 1,
		"quis_refresh_reuse_detected_total{}":                           1,
	} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
	if t.Failed() {
		t.Log(got)
	}
}

func TestDeniedPageLeadsBackWithTheError(t *testing.T) {
	t.Parallel()
	var shown, back string
	w := newWorld(t, 1, func(c *Config) {
		c.DeniedPage = func(w http.ResponseWriter, _ *http.Request, application, to string) {
			shown, back = application, to
			w.WriteHeader(http.StatusForbidden)
		}
	})
	w.app = w.register(federation.Application{ClientID: "closed", Name: "Closed", RedirectURIs: []string{callback}, AccessRestricted: true}, secret)
	if rec := w.authorize(set("scope", "openid")); rec.Code != http.StatusForbidden || shown != "Closed" {
		t.Fatalf("%d, shown for %q", rec.Code, shown)
	}
	u, err := url.Parse(back)
	if err != nil || u.Query().Get("error") != "access_denied" || u.Query().Get("state") != "some-state" || u.Query().Get("iss") != issuer {
		t.Fatalf("back to %q: %v", back, err)
	}
}
