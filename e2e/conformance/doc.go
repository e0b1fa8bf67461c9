// Package conformance holds no code: its tests walk the conditions of the OpenID
// Foundation's certification test plans for providers, module by module under their
// names, against three nodes behind a round-robin proxy. The person's browser is
// [testbed.Browser], which knows no JavaScript.
//
// RESULTS.md is the outcome, written by `go test ./e2e/conformance -update`; the test
// fails if a run disagrees with it. It is our own reading of the plans, not a
// certification, and differs from the Foundation's suite in two things: the issuer is
// plain http, and every request carries PKCE, which quis demands of all applications.
package conformance
