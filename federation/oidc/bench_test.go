package oidc

import (
	"net/http"
	"net/url"
	"syscall"
	"testing"
	"time"

	"github.com/quis-idp/quis/federation"
)

// perCore starts to measure processor time, which says more than the clock does on
// a machine shared with others; call what it returns when done.
func perCore(b *testing.B) (done func()) {
	used := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	before := used()
	return func() { b.ReportMetric(float64(b.N)/(used()-before).Seconds(), "req/core-s") }
}

func BenchmarkClientCredentials(b *testing.B) {
	w := newWorld(b, 1)
	form := url.Values{"grant_type": {"client_credentials"}, "scope": {"api"}}
	b.ReportAllocs()
	done := perCore(b)
	for b.Loop() {
		if rec := w.post(0, "/oauth2/token", form); rec.Code != 200 {
			b.Fatal(rec.Body)
		}
	}
	done()
}

// BenchmarkClientCredentialsDPoP has the proofs made before: what is measured is the server.
func BenchmarkClientCredentialsDPoP(b *testing.B) {
	w := newWorld(b, 1)
	proofs := make([]string, b.N)
	for i := range proofs {
		proofs[i] = dpopProof(b, clientKey(), "POST", "/oauth2/token")
	}
	b.ReportAllocs()
	b.ResetTimer()
	done := perCore(b)
	for i := range b.N {
		if rec := w.nodes[0].do(w.send(0, forItself(), basic, func(r *http.Request) { r.Header.Set("DPoP", proofs[i]) })); rec.Code != 200 {
			b.Fatal(rec.Body)
		}
	}
	done()
}

// BenchmarkClientCredentialsPrivateKeyJWT writes one entry for each, which spends the assertion.
func BenchmarkClientCredentialsPrivateKeyJWT(b *testing.B) {
	w := newWorld(b, 1)
	w.registerKeyed()
	forms := make([]url.Values, b.N)
	for i := range forms {
		forms[i] = asserted(b, forItself(), "keyed", with("exp", time.Now().Add(4*time.Minute).Unix()))
	}
	b.ReportAllocs()
	b.ResetTimer()
	done := perCore(b)
	for _, form := range forms {
		if rec := w.nodes[0].do(w.send(0, form)); rec.Code != 200 {
			b.Fatal(rec.Body)
		}
	}
	done()
}

func BenchmarkRefresh(b *testing.B) {
	w := newWorld(b, 1)
	token := w.tokens(0).Refresh
	b.ReportAllocs()
	done := perCore(b)
	for b.Loop() {
		r, err := decodeTokens(w.post(0, "/oauth2/token", refreshForm(token)))
		if err != nil || r.Refresh == "" {
			b.Fatal(r, err)
		}
		token = r.Refresh
	}
	done()
}

func BenchmarkCodeExchange(b *testing.B) {
	w := newWorld(b, 1)
	forms := make([]url.Values, b.N)
	for i := range forms {
		forms[i] = w.codeForm(w.code(0))
	}
	b.ReportAllocs()
	done := perCore(b)
	b.ResetTimer()
	for _, form := range forms {
		if rec := w.post(0, "/oauth2/token", form); rec.Code != 200 {
			b.Fatal(rec.Body)
		}
	}
	done()
}

func BenchmarkAuthorize(b *testing.B) {
	w := newWorld(b, 1)
	path := "/oauth2/authorize?" + w.request().Encode()
	b.ReportAllocs()
	done := perCore(b)
	for b.Loop() {
		if rec := w.get(0, path, true); rec.Code != http.StatusSeeOther {
			b.Fatal(rec.Body)
		}
	}
	done()
}

func BenchmarkUserinfo(b *testing.B) {
	w := newWorld(b, 1)
	access := w.tokens(0).Access
	b.ReportAllocs()
	done := perCore(b)
	for b.Loop() {
		if rec := w.userinfo(0, access); rec.Code != 200 {
			b.Fatal(rec.Body)
		}
	}
	done()
}

func BenchmarkIntrospection(b *testing.B) {
	w := newWorld(b, 1)
	form := url.Values{"token": {w.tokens(0).Access}}
	b.ReportAllocs()
	done := perCore(b)
	for b.Loop() {
		if rec := w.post(0, "/oauth2/introspect", form); rec.Code != 200 {
			b.Fatal(rec.Body)
		}
	}
	done()
}

// BenchmarkRefreshMapped is BenchmarkRefresh with three mappings, one of them an expression over groups.
func BenchmarkRefreshMapped(b *testing.B) {
	w := newWorld(b, 1)
	w.change(func(a *federation.Application) {
		a.Claims = []federation.ClaimMapping{
			{Claim: "mail", Value: "${email}"}, {Claim: "who", Value: "${name} (${username})"}, {Claim: "teams", Expression: `groups.filter(g, g.startsWith("t-"))`},
		}
	})
	token := w.tokens(0).Refresh
	b.ReportAllocs()
	done := perCore(b)
	for b.Loop() {
		r, err := decodeTokens(w.post(0, "/oauth2/token", refreshForm(token)))
		if err != nil || r.Refresh == "" {
			b.Fatal(r, err)
		}
		token = r.Refresh
	}
	done()
}
