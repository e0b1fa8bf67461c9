package oidc

import (
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/quis-idp/quis/federation"
)

// fapi gives the world an application of the FAPI 2.0 security profile with a DPoP key.
func (w *world) fapi() {
	w.app = w.registerKeyed(func(a *federation.Application) {
		a.ClientID, a.Profile, a.Tokens.DPoPBound = "bank", federation.ProfileFAPI2, true
	})
}

// pushAs pushes a request as the world's FAPI application.
func (w *world) pushAs(form url.Values, change ...member) *httptest.ResponseRecorder {
	form.Set("client_id", w.app.ClientID)
	return w.nodes[0].do(formRequest(w.t.Context(), parPath, asserted(w.t, form, w.app.ClientID, change...)))
}

func (w *world) pushedURI(rec *httptest.ResponseRecorder) string {
	w.t.Helper()
	var answer struct {
		URI string `json:"request_uri"`
	}
	if decode(w.t, rec.Body.String(), &answer); rec.Code != 201 {
		w.t.Fatalf("pushed: %d %s", rec.Code, rec.Body)
	}
	return answer.URI
}

func TestFAPIFlow(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3, func(c *Config) { c.Grace = time.Nanosecond })
	w.fapi()
	uri := w.pushedURI(w.pushAs(w.request()))
	_, params := w.back(w.byURI(1, uri))
	if params.Get("code") == "" || params.Get("iss") != issuer {
		t.Fatalf("%v", params)
	}
	form := asserted(t, w.codeForm(params.Get("code")), w.app.ClientID)
	got := w.want(w.nodes[2].do(w.send(2, form, proving(t, otherKey()))), 200)
	if got.Type != "DPoP" || claims(t, got.Access)["cnf"] == nil {
		t.Fatalf("%+v", got)
	}
	// Refresh tokens are not rotated: they are of use to nobody but the application.
	for i := range 3 {
		w.want(w.nodes[i].do(w.send(i, asserted(t, refreshForm(got.Refresh), w.app.ClientID), proving(t, otherKey()))), 200)
		w.cluster.Advance(time.Second)
		w.signIn() // carries the clock into the state
	}
}

func TestFAPIRefusesWhatTheProfileForbids(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.fapi()
	w.authorizeError(w.authorize(), "invalid_request") // not pushed
	w.authorizeError(w.authorize(set("code_challenge_method", "plain")), "invalid_request")
	w.wantError(w.nodes[0].do(formRequest(t.Context(), parPath, w.request())), 401, "invalid_client")
	r := formRequest(t.Context(), parPath, w.request())
	r.SetBasicAuth(w.app.ClientID, secret)
	w.wantError(w.nodes[0].do(r), 401, "invalid_client")
	w.wantError(w.pushAs(w.request(), with("aud", issuer+"/oauth2/par")), 401, "invalid_client")
	w.wantError(w.pushAs(w.request(), with("aud", []string{issuer})), 401, "invalid_client")
	for _, f := range []func(url.Values){del("code_challenge"), set("code_challenge_method", "plain"), del("redirect_uri"), set("response_type", "code id_token")} {
		if rec := w.pushAs(w.request(f)); rec.Code != 400 {
			t.Errorf("%d %s", rec.Code, rec.Body)
		}
	}
	// A token without a key is not given.
	_, params := w.back(w.byURI(0, w.pushedURI(w.pushAs(w.request()))))
	w.wantError(w.nodes[0].do(w.send(0, asserted(t, w.codeForm(params.Get("code")), w.app.ClientID))), 400, "invalid_dpop_proof")
}

func TestFAPIRequestObjects(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.fapi()
	s := &signer{t, clientKey(), "k1"}
	now := time.Now()
	object := func(change ...func(map[string]any)) url.Values {
		c := w.object(put("nbf", now.Unix()))
		for _, f := range change {
			f(c)
		}
		return url.Values{"request": {s.sign(objectType, c)}}
	}
	_, params := w.back(w.byURI(0, w.pushedURI(w.pushAs(object(put("response_mode", "jwt"))))))
	if params.Get("response") == "" {
		t.Fatalf("%v", params)
	}
	for _, f := range []func(map[string]any){
		omit("nbf"), put("nbf", now.Add(-2*time.Hour).Unix()), put("exp", now.Add(2*time.Hour).Unix()), put("aud", "https://other.example.com"),
	} {
		w.wantError(w.pushAs(object(f)), 400, "invalid_request_object")
	}
}

// TestPushedDPoPKey: the code of a request that was pushed with a proof is of use with that key only.
func TestPushedDPoPKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	push := func(form url.Values) *httptest.ResponseRecorder {
		r := formRequest(t.Context(), parPath, form)
		r.SetBasicAuth(w.app.ClientID, secret)
		proving(t, clientKey())(r)
		return w.nodes[0].do(r)
	}
	w.wantError(push(w.request(set("dpop_jkt", thumbprint(otherKey())))), 400, "invalid_dpop_proof")
	for _, form := range []url.Values{w.request(), w.request(set("dpop_jkt", thumbprint(clientKey())))} {
		_, params := w.back(w.byURI(0, w.pushedURI(push(form))))
		bad := w.send(0, w.codeForm(params.Get("code")), proving(t, otherKey()))
		bad.SetBasicAuth(w.app.ClientID, secret)
		w.wantError(w.nodes[0].do(bad), 400, "invalid_grant")
		good := w.send(0, w.codeForm(params.Get("code")), proving(t, clientKey()))
		good.SetBasicAuth(w.app.ClientID, secret)
		if got := w.want(w.nodes[0].do(good), 200); !strings.EqualFold(got.Type, "DPoP") {
			t.Errorf("type %q", got.Type)
		}
	}
	w.authorizeError(w.authorize(set("dpop_jkt", "short")), "invalid_request")
}
