package conformance

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// fapiPlan is for plain_fapi with private_key_jwt and DPoP; modules of national profiles,
// of grant management and of signed requests do not belong to it.
var fapiPlan = []module{
	{name: "fapi2-security-profile-final-discovery-end-point-verification", check: func(c *check) {
		meta := c.metadata()
		c.that("issuer is the URL that it was found under", meta["issuer"] == dev.Issuer())
		c.that("there is a pushed authorization request endpoint", text(meta, "pushed_authorization_request_endpoint") == dev.Issuer()+parPath, meta)
		c.that("private_key_jwt is offered", slices.Contains(list(meta, "token_endpoint_auth_methods_supported"), "private_key_jwt"), meta)
		c.that("iss comes with authorization responses", meta["authorization_response_iss_parameter_supported"] == true, meta)
		c.that("S256 is the one challenge method", slices.Equal(list(meta, "code_challenge_methods_supported"), []string{"S256"}), meta)
		algs := list(meta, "dpop_signing_alg_values_supported")
		c.that("proofs may be signed with ES256 and PS256, and not with none", slices.Contains(algs, "ES256") && slices.Contains(algs, "PS256") && !slices.Contains(algs, "none"), algs)
	}},
	{name: "fapi2-security-profile-final-happy-flow", check: underFAPI(func(r *fapi) {
		got, claims := r.whole()
		info := r.resource("DPoP", got.text("access_token"), r.proof, nil)
		r.that("the resource answers 200 with the same sub", info.status == http.StatusOK && info.text("sub") == claims["sub"], info)
	})},
	{name: "fapi2-security-profile-final-user-rejects-authentication", check: underFAPI(func(r *fapi) {
		r.app, r.check.app = fapiAsking, application{id: fapiAsking.id}
		a := r.ask()
		p := r.visitAfter(r.pushed(a))
		f := p.FormWith("decision")
		r.must("the person is asked", f != nil, p.URL, p.Status, excerpt(p.Body))
		p, err := r.browser.Submit(r.ctx, p, f, map[string][]string{"decision": {"deny"}})
		r.no(err)
		got := r.answer(a, p)
		r.that("who says no sends access_denied, and no code", got.Get("error") == "access_denied" && !got.Has("code"), got)
	})},
	{name: "fapi2-security-profile-final-ensure-authorization-request-without-state-success", check: underFAPI(func(r *fapi) { r.whole("state", "") })},
	{name: "fapi2-security-profile-final-ensure-authorization-request-without-nonce-success", check: underFAPI(func(r *fapi) { r.whole("nonce", "") })},
	{name: "fapi2-security-profile-final-ensure-authorization-request-with-64-char-nonce-success", check: underFAPI(func(r *fapi) { r.whole("nonce", strings.Repeat("n", 64)) })},
	{name: "fapi2-security-profile-final-ensure-other-scope-order-succeeds", check: underFAPI(func(r *fapi) { r.whole("scope", "email openid") })},
	{name: "fapi2-security-profile-final-test-claims-parameter-identity-claims", check: underFAPI(func(r *fapi) {
		got, claims := r.whole("claims", `{"userinfo":{"email":null},"id_token":{"name":{"essential":true}}}`)
		r.that("the ID token has name, which no scope asked for", claims["name"] == "Test User", claims)
		info := r.resource("DPoP", got.text("access_token"), r.proof, nil)
		r.that("userinfo has email, which no scope asked for", info.text("email") == "tester@example.com", info.body)
	})},
	{name: "fapi2-security-profile-final-access-token-type-header-case-sensitivity", check: underFAPI(func(r *fapi) {
		got, _ := r.whole()
		for _, scheme := range []string{"dpop", "DPOP"} {
			info := r.resource(scheme, got.text("access_token"), r.proof, nil)
			r.that("the scheme may be spelled in any case", info.status == http.StatusOK, scheme, info)
		}
	})},
	{name: "fapi2-security-profile-final-check-dpop-proof-nbf-exp", check: underFAPI(func(r *fapi) {
		now := time.Now().Unix()
		a := r.ask()
		got := r.proven(tokenPath, r.codeForm(a, r.fapiCode(a)), r.proof, map[string]any{"nbf": now - 10, "exp": now + 60})
		r.that("a proof with nbf and exp is taken", got.status == http.StatusOK, got)
	})},
	{name: "fapi2-security-profile-final-ensure-dpopproof-with-iat-10seconds-before-succeeds", check: underFAPI(func(r *fapi) { r.aged(-10) })},
	{name: "fapi2-security-profile-final-ensure-dpopproof-with-iat-10seconds-after-succeeds", check: underFAPI(func(r *fapi) { r.aged(10) })},
	{name: "fapi2-security-profile-final-ensure-mismatched-dpop-jkt-fails", check: underFAPI(func(r *fapi) {
		a := r.ask("dpop_jkt", r.app.key.Thumbprint())
		got := r.proven(parPath, a.params, r.proof, nil)
		r.that("a proof that is not of the key in dpop_jkt is refused", got.status == http.StatusBadRequest && slices.Contains([]string{"invalid_request", "invalid_dpop_proof"}, got.text("error")), got)
	})},
	{name: "fapi2-security-profile-final-ensure-token-endpoint-fails-with-mismatched-dpop-proof-jkt", check: underFAPI(func(r *fapi) {
		a := r.ask()
		got := r.proven(parPath, a.params, r.app.key, nil)
		r.must("a pushed request may carry a proof", got.status == http.StatusCreated, got)
		r.bound(a, got.text("request_uri"))
	})},
	{name: "fapi2-security-profile-final-ensure-token-endpoint-fails-with-mismatched-dpop-jkt", check: underFAPI(func(r *fapi) {
		a := r.ask("dpop_jkt", r.app.key.Thumbprint())
		r.bound(a, r.pushed(a))
	})},
	{name: "fapi2-security-profile-final-ensure-dpopproof-at-par-endpoint-binding-success", check: underFAPI(func(r *fapi) {
		a := r.ask()
		got := r.proven(parPath, a.params, r.proof, nil)
		r.must("a pushed request may carry a proof", got.status == http.StatusCreated, got)
		code := r.answer(a, r.visit(got.text("request_uri"))).Get("code")
		r.read(a, r.proven(tokenPath, r.codeForm(a, code), r.proof, nil))
	})},
	{name: "fapi2-security-profile-final-ensure-dpop-auth-code-binding-success", check: underFAPI(func(r *fapi) { r.whole("dpop_jkt", r.proof.Thumbprint()) })},
	{name: "fapi2-security-profile-final-ensure-different-nonce-inside-and-outside-request-object", check: underFAPI(func(r *fapi) {
		a := r.ask()
		code := r.answer(a, r.visit(r.pushed(a), "nonce", "another")).Get("code")
		r.read(a, r.proven(tokenPath, r.codeForm(a, code), r.proof, nil))
		r.that("the nonce that was pushed counts", true)
	})},
	{name: "fapi2-security-profile-final-ensure-different-state-inside-and-outside-request-object", check: underFAPI(func(r *fapi) {
		a := r.ask()
		got := r.answer(a, r.visit(r.pushed(a), "state", "another"))
		r.that("the state that was pushed comes back", got.Get("state") == a.params.Get("state"), got)
	})},
	{name: "fapi2-security-profile-final-ensure-authorization-request-with-long-nonce", check: underFAPI(func(r *fapi) { r.whole("nonce", strings.Repeat("n", 384)) })},
	{name: "fapi2-security-profile-final-ensure-authorization-request-with-long-state", check: underFAPI(func(r *fapi) { r.whole("state", strings.Repeat("s", 384)) })},
	{name: "fapi2-security-profile-final-state-only-outside-request-object-not-used", check: underFAPI(func(r *fapi) {
		a := r.ask("state", "")
		got := r.answer(a, r.visit(r.pushed(a), "state", "outside"))
		r.that("state from outside does not come back", !got.Has("state"), got)
	})},
	{name: "fapi2-security-profile-final-ensure-request-object-without-redirect-uri-fails", check: underFAPI(func(r *fapi) { r.unpushable("redirect_uri", "") })},
	{name: "fapi2-security-profile-final-ensure-registered-redirect-uri", check: underFAPI(func(r *fapi) { r.unpushable("redirect_uri", callback+"/other") })},
	{name: "fapi2-security-profile-final-plain-fapi-tolerate-unregistered-redirect-uri", check: underFAPI(func(r *fapi) { r.unpushable("redirect_uri", callback+"/other") })},
	{name: "fapi2-security-profile-final-ensure-unsigned-authorization-request-without-using-par-fails", check: underFAPI(func(r *fapi) {
		r.refused(r.ask(), "invalid_request")
	})},
	{name: "fapi2-security-profile-final-ensure-redirect-uri-in-authorization-request", check: underFAPI(func(r *fapi) { r.unpushable("redirect_uri", "") })},
	{name: "fapi2-security-profile-final-ensure-response-type-code-idtoken-fails", check: underFAPI(func(r *fapi) { r.unpushable("response_type", "code id_token") })},
	{name: "fapi2-security-profile-final-ensure-response-type-token-fails", check: underFAPI(func(r *fapi) { r.unpushable("response_type", "token") })},
	{name: "fapi2-security-profile-final-ensure-client-id-in-token-endpoint", why: "for client authentication by mTLS only"},
	{name: "fapi2-security-profile-final-ensure-holder-of-key-required", check: underFAPI(func(r *fapi) {
		a := r.ask()
		got := r.call(tokenPath, r.codeForm(a, r.fapiCode(a)), nil)
		r.that("without a proof there are no tokens", got.status == http.StatusBadRequest && slices.Contains([]string{"invalid_dpop_proof", "invalid_request"}, got.text("error")), got)
	})},
	{name: "fapi2-security-profile-final-ensure-authorization-code-is-bound-to-client", check: underFAPI(func(r *fapi) {
		a := r.ask()
		code := r.fapiCode(a)
		r.app = fapiSecond
		got := r.proven(tokenPath, r.codeForm(a, code), r.proof, nil)
		r.that("another application gets invalid_grant", got.status == http.StatusBadRequest && got.text("error") == "invalid_grant", got)
	})},
	{name: "fapi2-security-profile-final-attempt-reuse-authorization-code-after-one-second", check: underFAPI(func(r *fapi) {
		a := r.ask()
		form := r.codeForm(a, r.fapiCode(a))
		first := r.proven(tokenPath, form, r.proof, nil)
		r.read(a, first)
		r.wait(time.Second)
		got := r.proven(tokenPath, form, r.proof, nil)
		r.that("the second use is invalid_grant", got.status == http.StatusBadRequest && got.text("error") == "invalid_grant", got)
		r.eventually("the access token of the first use is revoked", func() bool {
			return r.resource("DPoP", first.text("access_token"), r.proof, nil).status == http.StatusUnauthorized
		})
	})},
	{name: "fapi2-security-profile-final-ensure-token-endpoint-fails-with-expired-auth-code", check: underFAPI(func(r *fapi) {
		a := r.ask()
		form := r.codeForm(a, r.fapiCode(a))
		r.wait(61 * time.Second)
		got := r.proven(tokenPath, form, r.proof, nil)
		r.that("after 61 seconds the code is invalid_grant", got.status == http.StatusBadRequest && got.text("error") == "invalid_grant", got)
	})},
	{name: "fapi2-security-profile-final-ensure-signed-client-assertion-with-RS256-fails", check: underFAPI(func(r *fapi) {
		assertion, err := rs256.Assertion(r.app.id, dev.Issuer(), nil)
		r.no(err)
		r.unauthenticated(assertion)
	})},
	{name: "fapi2-security-profile-final-ensure-client-assertion-in-token-endpoint", check: underFAPI(func(r *fapi) { r.unauthenticated("") })},
	{name: "fapi2-security-profile-final-ensure-client-assertion-with-exp-is-5-minutes-in-past-fails", check: underFAPI(func(r *fapi) {
		now := time.Now().Unix()
		r.unauthenticated(r.assertion(map[string]any{"iat": now - 360, "exp": now - 300}))
	})},
	{name: "fapi2-security-profile-final-ensure-client-assertion-with-wrong-aud-fails", check: underFAPI(func(r *fapi) { r.unauthenticated(r.assertion(map[string]any{"aud": "https://other.example.com"})) })},
	{name: "fapi2-security-profile-final-ensure-client-assertion-with-no-sub-fails", check: underFAPI(func(r *fapi) { r.unauthenticated(r.assertion(map[string]any{"sub": nil})) })},
	{name: "fapi2-security-profile-final-ensure-invalid-client-assertions-fail", check: underFAPI(func(r *fapi) {
		good := r.assertion(nil)
		for _, bad := range []string{
			r.assertion(map[string]any{"iss": "somebody"}), r.assertion(map[string]any{"exp": nil}), r.assertion(map[string]any{"jti": nil}),
			r.assertion(map[string]any{"aud": dev.Issuer() + tokenPath}), good[:strings.LastIndexByte(good, '.')+1] + strings.Repeat("A", 86),
			unsigned(url.Values{"client_id": {r.app.id}, "sub": {r.app.id}, "aud": {dev.Issuer()}}),
		} {
			r.unauthenticated(bad)
		}
	})},
	{name: "fapi2-security-profile-final-dpop-negative-tests", check: underFAPI(dpopNegative)},
	{name: "fapi2-security-profile-final-refresh-token", check: underFAPI(func(r *fapi) {
		got, claims := r.whole("scope", "openid offline_access")
		form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {got.text("refresh_token")}}
		r.must("there is a refresh token", form.Get("refresh_token") != "", got.body)
		next := r.proven(tokenPath, form, r.proof, nil)
		r.must("it gives a new access token", next.status == http.StatusOK, next)
		r.usualBound(next)
		info := r.resource("DPoP", next.text("access_token"), r.proof, nil)
		r.that("the resource answers 200 with the same sub", info.status == http.StatusOK && info.text("sub") == claims["sub"], info)
		form.Set("refresh_token", next.text("refresh_token"))
		without := r.call(tokenPath, form, nil)
		r.that("without a proof it gives nothing", without.status == http.StatusBadRequest, without)
		r.app = fapiSecond
		stolen := r.proven(tokenPath, form, r.proof, nil)
		r.that("another application cannot use it", stolen.status == http.StatusBadRequest && stolen.text("error") == "invalid_grant", stolen)
	})},
	{name: "fapi2-security-profile-final-par-ensure-reused-request-uri-prior-to-auth-completion-succeeds", check: underFAPI(func(r *fapi) {
		a := r.ask()
		uri := r.pushed(a)
		p, err := r.browser.Open(r.ctx, authorizeURL()+"?"+url.Values{"client_id": {r.app.id}, "request_uri": {uri}}.Encode())
		r.no(err)
		r.must("the sign-in page is shown", p.FormWith("password") != nil, p.URL, p.Status)
		code := r.answer(a, r.visit(uri)).Get("code")
		r.read(a, r.proven(tokenPath, r.codeForm(a, code), r.proof, nil))
	})},
	{name: "fapi2-security-profile-final-par-attempt-reuse-request_uri", check: underFAPI(func(r *fapi) {
		a := r.ask()
		uri := r.pushed(a)
		code := r.answer(a, r.visit(uri)).Get("code")
		r.read(a, r.proven(tokenPath, r.codeForm(a, code), r.proof, nil))
		p := r.visit(uri)
		second := p.URL.Query().Get("code")
		if p.Status == 0 && second != "" {
			got := r.proven(tokenPath, r.codeForm(a, second), r.proof, nil)
			r.that("a second use of the URI gives no tokens", got.status == http.StatusBadRequest && got.text("error") == "invalid_grant", got)
		} else {
			r.that("a second use of the URI gives no tokens", p.Status >= 400 || p.URL.Query().Get("error") != "", p.URL, p.Status)
		}
	})},
	{name: "fapi2-security-profile-final-par-attempt-to-use-expired-request_uri", why: "the URI lives for five minutes, too long to wait; federation/oidc.TestRefusesExpiredPushedRequest holds it"},
	{name: "fapi2-security-profile-final-par-attempt-to-use-request_uri-for-different-client", check: underFAPI(func(r *fapi) {
		uri := r.pushed(r.ask())
		r.app = fapiSecond
		p := r.visit(uri)
		r.that("another application cannot use the URI", p.Status >= 400 && p.Status < 500, p.URL, p.Status)
	})},
	{name: "fapi2-security-profile-final-par-authorization-request-containing-request_uri-form-param", check: underFAPI(func(r *fapi) { r.unpushable("request_uri", "urn:ietf:params:oauth:request_uri:abc") })},
	{name: "fapi2-security-profile-final-par-attempt-invalid-http-method", check: underFAPI(func(r *fapi) {
		for _, method := range []string{http.MethodGet, http.MethodPut} {
			got := r.do(method, dev.Issuer()+parPath, nil, nil, nil)
			r.that("the endpoint takes POST only", got.status == http.StatusMethodNotAllowed || got.status == http.StatusNotFound, method, got.status)
		}
	})},
	{name: "fapi2-security-profile-final-par-ensure-pkce-required", check: underFAPI(func(r *fapi) { r.unpushable("code_challenge", "", "code_challenge_method", "") })},
	{name: "fapi2-security-profile-final-ensure-pkce-code-verifier-required", check: underFAPI(func(r *fapi) {
		a := r.ask()
		got := r.proven(tokenPath, r.codeForm(a, r.fapiCode(a), "code_verifier", ""), r.proof, nil)
		r.that("without a verifier there are no tokens", got.status == http.StatusBadRequest && slices.Contains([]string{"invalid_grant", "invalid_request"}, got.text("error")), got)
	})},
	{name: "fapi2-security-profile-final-incorrect-pkce-code-verifier-rejected", check: underFAPI(func(r *fapi) {
		a := r.ask()
		got := r.proven(tokenPath, r.codeForm(a, r.fapiCode(a), "code_verifier", strings.Repeat("wrong-", 8)), r.proof, nil)
		r.that("a wrong verifier is invalid_grant", got.status == http.StatusBadRequest && got.text("error") == "invalid_grant", got)
	})},
	{name: "fapi2-security-profile-final-par-plain-pkce-rejected", check: underFAPI(func(r *fapi) { r.unpushable("code_challenge_method", "plain") })},
	{name: "fapi2-security-profile-final-par-without-duplicate-parameters", check: underFAPI(func(r *fapi) { r.whole() })},
}
