package claim

import "testing"

func BenchmarkText(b *testing.B) {
	benchmark(b, Mapping{Claim: "x", Value: "${email}"})
}

func BenchmarkExpression(b *testing.B) {
	benchmark(b, Mapping{Claim: "x", Expression: `user.email.endsWith("@example.com") ? "staff" : "guest"`})
}

func BenchmarkNoMappings(b *testing.B) { benchmark(b) }

func benchmark(b *testing.B, list ...Mapping) {
	e, f := quiet(), facts()
	b.ReportAllocs()
	for b.Loop() {
		if out, err := e.Plan(list, f.Scopes, InIDToken, InAccessToken).Apply(b.Context(), f); err != nil || len(out) != len(list) {
			b.Fatal(out, err)
		}
	}
}

func BenchmarkCompile(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if p := compile(`groups.filter(g, g.startsWith("app-")).map(g, g.substring(4))`); p.fault != "" {
			b.Fatal(p.fault)
		}
	}
}
