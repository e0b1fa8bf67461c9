package oidc

import (
	"net/http"
	"testing"
)

func BenchmarkDevicePoll(b *testing.B) {
	w := newWorld(b, 1)
	tv := w.television("tv")
	a := w.device(0, tv)
	b.ReportAllocs()
	done := perCore(b)
	for b.Loop() {
		if rec := w.poll(0, tv, a.Code); rec.Code != http.StatusBadRequest {
			b.Fatal(rec.Body)
		}
	}
	done()
}

func BenchmarkTokenExchange(b *testing.B) {
	w := newWorld(b, 1)
	app := w.backend("b", ofWeb)
	access := w.tokens(0).Access
	b.ReportAllocs()
	done := perCore(b)
	for b.Loop() {
		if rec := w.trade(0, app, access); rec.Code != http.StatusOK {
			b.Fatal(rec.Body)
		}
	}
	done()
}
