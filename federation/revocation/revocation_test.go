package revocation

import (
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"golang.org/x/crypto/ocsp"

	"github.com/quis-idp/quis/federation/fetch"
	"github.com/quis-idp/quis/identity/credential/certificate/certificatetest"
)

// TestSources: lists are asked for once, answers each time, and nothing of the wrong kind is taken.
func TestSources(t *testing.T) {
	t.Parallel()
	ca := certificatetest.New(t, "People", nil)
	cert := ca.Person(t, "ann").Leaf
	var asked atomic.Int64
	mux := http.NewServeMux()
	say := func(path, kind string, body []byte) {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			asked.Add(1)
			w.Header().Set("Content-Type", kind)
			_, _ = w.Write(body)
		})
	}
	say("/people.crl", "application/pkix-crl", ca.List(t, 7, []*x509.Certificate{cert}).Raw)
	say("/page.crl", "text/html", ca.List(t, 7, nil).Raw)
	say("/broken.crl", "application/pkix-crl", []byte("<html>"))
	say("/ocsp/", "application/ocsp-response", ca.Answer(t, cert, ocsp.Good, nil))
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	from := Sources(fetch.New(fetch.Config{Loopback: true}))
	for range 3 {
		if l, err := from.CRL(t.Context(), s.URL+"/people.crl"); err != nil || l.Number.Int64() != 7 || len(l.RevokedCertificateEntries) != 1 {
			t.Fatalf("%+v, %v", l, err)
		}
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("asked %d times for one list", n)
	}
	for _, path := range []string{"/page.crl", "/broken.crl", "/none.crl"} {
		if l, err := from.CRL(t.Context(), s.URL+path); err == nil {
			t.Errorf("%s: %+v", path, l)
		}
	}
	before := asked.Load()
	for range 2 {
		if raw, err := from.OCSP(t.Context(), s.URL+"/ocsp/MEIw"); err != nil || len(raw) == 0 {
			t.Errorf("%v", err)
		}
	}
	if n := asked.Load() - before; n != 2 {
		t.Errorf("asked %d times for two answers", n)
	}
	outside := Sources(fetch.New(fetch.Config{}))
	if _, err := outside.CRL(t.Context(), s.URL+"/people.crl"); err == nil {
		t.Error("a request went to this machine")
	}
}
