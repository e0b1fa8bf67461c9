package conformance

import (
	"crypto/rand"
	"net/http"
	"slices"
	"time"

	"github.com/quis-idp/quis/e2e/testbed"
)

// aged signs in with a proof that was made so many seconds from now.
func (r *fapi) aged(seconds int64) {
	r.t.Helper()
	a := r.ask()
	got := r.proven(tokenPath, r.codeForm(a, r.fapiCode(a)), r.proof, map[string]any{"iat": time.Now().Unix() + seconds})
	r.that("a proof of ten seconds before or after is taken", got.status == http.StatusOK, got)
}

// bound redeems a code that is bound to another key.
func (r *fapi) bound(a *ask, uri string) {
	r.t.Helper()
	code := r.answer(a, r.visit(uri)).Get("code")
	got := r.proven(tokenPath, r.codeForm(a, code), r.proof, nil)
	r.that("a code that is bound to another key gives no tokens", got.status == http.StatusBadRequest && slices.Contains([]string{"invalid_grant", "invalid_dpop_proof"}, got.text("error")), got)
}

// unpushable pushes a request that must be refused.
func (r *fapi) unpushable(changes ...string) {
	r.t.Helper()
	got := r.push(r.ask(changes...))
	r.that("the pushed request is refused", got.status == http.StatusBadRequest && got.text("request_uri") == "" &&
		slices.Contains([]string{"invalid_request", "unsupported_response_type"}, got.text("error")), got)
}

// assertion makes a client assertion with changes.
func (r *fapi) assertion(changes map[string]any) string {
	r.t.Helper()
	s, err := r.app.key.Assertion(r.app.id, dev.Issuer(), changes)
	r.no(err)
	return s
}

// unauthenticated redeems a code with a client assertion that must be refused.
func (r *fapi) unauthenticated(assertion string) {
	r.t.Helper()
	a := r.ask()
	got := r.proven(tokenPath, r.codeForm(a, "any", "client_id", r.app.id), r.proof, nil)
	r.must("with a good one the code is what is looked at", got.text("error") == "invalid_grant", got)
	form := r.codeForm(a, "any", "client_id", r.app.id)
	form.Set("client_assertion", assertion)
	got = r.proven(tokenPath, form, r.proof, nil)
	r.that("the client is refused", (got.status == http.StatusUnauthorized || got.status == http.StatusBadRequest) &&
		slices.Contains([]string{"invalid_client", "invalid_request"}, got.text("error")), got)
}

// dpopNegative sends proofs that must be refused, to the token endpoint and to userinfo.
func dpopNegative(r *fapi) {
	got, _ := r.whole()
	token := got.text("access_token")
	now := time.Now().Unix()
	other, err := testbed.NewKey()
	r.no(err)
	for name, changes := range map[string]map[string]any{
		"no jti": {"jti": nil}, "no iat": {"iat": nil}, "no htm": {"htm": nil}, "no htu": {"htu": nil},
		"another method": {"htm": http.MethodDelete}, "another URL": {"htu": "https://other.example.com/"},
		"too old": {"iat": now - 3600}, "of the future": {"iat": now + 3600},
	} {
		a := r.ask()
		got := r.proven(tokenPath, r.codeForm(a, "any"), r.proof, changes)
		r.that("the token endpoint refuses a proof that is not for it, or lacks something", got.status == http.StatusBadRequest && got.text("error") == "invalid_dpop_proof", name, got)
		info := r.resource("DPoP", token, r.proof, changes)
		r.that("so does the resource", info.status == http.StatusUnauthorized, name, info)
	}
	jti := map[string]any{"jti": rand.Text()}
	taken := 0
	for range 4 { // each node remembers what it has seen (RFC 9449, section 11.1)
		if r.resource("DPoP", token, r.proof, jti).status == http.StatusOK {
			taken++
		}
	}
	r.that("a proof is good once on each of the three nodes", taken >= 1 && taken <= 3, taken)
	r.that("a proof of another key is refused", r.resource("DPoP", token, other, nil).status == http.StatusUnauthorized)
	r.that("a proof for another token is refused", r.resource("DPoP", token, r.proof, map[string]any{"ath": "x"}).status == http.StatusUnauthorized)
	r.that("a bound token is no bearer token", r.userinfo(token).status == http.StatusUnauthorized)
}
