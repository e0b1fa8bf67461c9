package oidc

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/quis-idp/quis/federation"
)

var postedPage = regexp.MustCompile(`action="([^"]*)" data-source="([^"]*)" data-fields="([^"]*)"`)

// posted are the parameters of a response that is a form, and where it goes.
func (w *world) posted(rec *httptest.ResponseRecorder) (action string, fields url.Values) {
	w.t.Helper()
	m := postedPage.FindStringSubmatch(rec.Body.String())
	if rec.Code != http.StatusOK || m == nil || rec.Header().Get("Location") != "" {
		w.t.Fatalf("status %d, want a form: %s", rec.Code, rec.Body)
	}
	fields, err := url.ParseQuery(m[3])
	if err != nil {
		w.t.Fatal(err)
	}
	return m[1], fields
}

func TestFormPost(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	mode := set("response_mode", "form_post")
	action, fields := w.posted(w.authorize(mode))
	if action != callback || fields.Get("code") == "" || fields.Get("state") != "some-state" || fields.Get("iss") != issuer {
		t.Fatalf("%s %v", action, fields)
	}
	w.want(w.post(0, "/oauth2/token", w.codeForm(fields.Get("code"))), 200)
	for _, f := range []func(url.Values){set("scope", "unknown"), del("code_challenge"), set("prompt", "none login")} {
		if _, fields := w.posted(w.authorize(mode, f)); fields.Get("error") == "" || fields.Has("code") || fields.Get("iss") != issuer || fields.Get("state") != "some-state" {
			t.Errorf("error %v", fields)
		}
	}
	w.app = w.register(federation.Application{ClientID: "native", Name: "N", IsPublic: true, RedirectURIs: []string{"com.example.app:/cb"}}, "")
	w.authorizeError(w.authorize(mode, set("scope", "openid")), "invalid_request")
}

// response opens a signed authorization response as an application does: by the published keys.
func (w *world) response(token string, alg jose.SignatureAlgorithm) map[string]string {
	w.t.Helper()
	var set jose.JSONWebKeySet
	decode(w.t, w.get(0, "/.well-known/jwks.json", false).Body.String(), &set)
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{alg})
	if err != nil {
		w.t.Fatal(err)
	}
	var c jwt.Claims
	var all map[string]any
	if err := parsed.Claims(set, &c, &all); err != nil {
		w.t.Fatal(err)
	}
	if err := c.Validate(jwt.Expected{Issuer: issuer, AnyAudience: jwt.Audience{"web"}, Time: time.Now()}); err != nil || c.Expiry == nil || c.Expiry.Time().After(time.Now().Add(10*time.Minute)) {
		w.t.Fatalf("claims %+v: %v", c, err)
	}
	fields := map[string]string{}
	for name, v := range all {
		if s, ok := v.(string); ok {
			fields[name] = s
		}
	}
	return fields
}

func TestSignedResponses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	for _, mode := range []string{"jwt", "query.jwt", "fragment.jwt", "form_post.jwt"} {
		for _, bad := range []bool{false, true} {
			change := []func(url.Values){set("response_mode", mode)}
			if bad {
				change = append(change, set("scope", "unknown"))
			}
			rec := w.authorize(change...)
			var params url.Values
			switch mode {
			case "form_post.jwt":
				_, params = w.posted(rec)
			case "fragment.jwt":
				u, query := w.back(rec)
				if params, _ = url.ParseQuery(u.Fragment); len(query) != 0 {
					t.Errorf("%s: in the query %v", mode, query)
				}
			default:
				_, params = w.back(rec)
			}
			if len(params) != 1 {
				t.Fatalf("%s: beside the response: %v", mode, params)
			}
			fields := w.response(params.Get("response"), jose.ES256)
			if fields["state"] != "some-state" || fields["iss"] != issuer || (fields["code"] == "") != bad || (fields["error"] == "invalid_scope") != bad {
				t.Errorf("%s: %v", mode, fields)
			}
		}
	}
	w.change(func(a *federation.Application) { a.Requests.ResponseAlg = "EdDSA" })
	_, params := w.back(w.authorize(set("response_mode", "jwt")))
	w.response(params.Get("response"), jose.EdDSA)
	// It is no token of ours: neither an ID token to hint with nor an access token.
	w.authorizeError(w.authorize(set("id_token_hint", params.Get("response")), set("prompt", "none")), "login_required")
	w.wantError(w.userinfo(0, params.Get("response")), 401, "invalid_token")
}

// TestRefusesMixUp: whichever way an answer goes, it says from whom it is (RFC 9700, section 4.4).
func TestRefusesMixUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	for _, f := range []func(url.Values){set("scope", "openid"), set("scope", "unknown"), set("prompt", "none login"), del("response_type"), set("max_age", "x"), set("claims", "[")} {
		if _, params := w.back(w.authorize(f)); params.Get("iss") != issuer {
			t.Errorf("no iss in %v", params)
		}
		if _, fields := w.posted(w.authorize(f, set("response_mode", "form_post"))); fields.Get("iss") != issuer {
			t.Errorf("no iss in the form %v", fields)
		}
	}
	var doc map[string]any
	decode(t, w.get(0, "/.well-known/oauth-authorization-server", false).Body.String(), &doc)
	if doc["authorization_response_iss_parameter_supported"] != true || doc["issuer"] != issuer {
		t.Error("the metadata does not say that iss is sent")
	}
}

// TestRefusesResponseModeTricks: one mode or the error in the default one, and never a code in both places.
func TestRefusesResponseModeTricks(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	for _, mode := range []string{"web_message", "Query", "query fragment", "fragment,query", "none", ".jwt", "query.JWT", "form_post.jwt.jwt", "cookie", " "} {
		w.authorizeError(w.authorize(set("response_mode", mode)), "invalid_request")
	}
	u, query := w.back(w.authorize(set("response_mode", "fragment")))
	if query.Has("code") || !strings.Contains(u.Fragment, "code=") {
		t.Errorf("fragment: %s", u)
	}
	u, _ = w.back(w.authorize(func(q url.Values) { q.Add("response_mode", "fragment"); q.Add("response_mode", "query") }))
	if !strings.Contains(u.String(), "error=invalid_request") {
		t.Errorf("two modes: %s", u)
	}
}

// TestRefusesToLeakByRefererOrFrame: nothing of a request or an answer goes on by a header of the
// browser, and none is kept.
func TestRefusesToLeakByRefererOrFrame(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	for _, rec := range []*httptest.ResponseRecorder{w.authorize(), w.authorize(set("scope", "unknown")), w.authorize(set("prompt", "login"))} {
		h := rec.Header()
		if rec.Code != http.StatusSeeOther || h.Get("Referrer-Policy") != "no-referrer" || h.Get("Cache-Control") != "no-store" {
			t.Errorf("%d %v", rec.Code, h)
		}
	}
	// Never with 307 or 308, by which a browser would send a password on (RFC 9700, section 4.12).
	for _, rec := range []*httptest.ResponseRecorder{
		w.nodes[0].do(formRequest(t.Context(), authorizePath, w.request())),
		w.nodes[0].do(formRequest(t.Context(), authorizePath, w.request(set("prompt", "login")))),
		w.nodes[0].do(formRequest(t.Context(), logoutPath, url.Values{})),
	} {
		if rec.Code != http.StatusSeeOther {
			t.Errorf("a post is answered with %d", rec.Code)
		}
	}
}

func TestMetadataOfRequests(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	var doc struct {
		PAR     string   `json:"pushed_authorization_request_endpoint"`
		Modes   []string `json:"response_modes_supported"`
		Objects []string `json:"request_object_signing_alg_values_supported"`
		Prompts []string `json:"prompt_values_supported"`
		Object  bool     `json:"request_parameter_supported"`
		ByURI   *bool    `json:"request_uri_parameter_supported"`
		First   bool     `json:"require_request_uri_registration"`
		Claims  bool     `json:"claims_parameter_supported"`
	}
	body := w.get(0, "/.well-known/openid-configuration", false).Body.String()
	decode(t, body, &doc)
	if doc.PAR != issuer+parPath || len(doc.Modes) != 7 || !doc.Object || doc.ByURI == nil || !*doc.ByURI || !doc.First || !doc.Claims {
		t.Errorf("%+v", doc)
	}
	for _, alg := range doc.Objects {
		if alg == "none" || strings.HasPrefix(alg, "HS") {
			t.Errorf("request objects with %s are offered", alg)
		}
	}
	for _, p := range doc.Prompts {
		if p == "create" {
			t.Error("prompt=create is offered, and there is nothing that it leads to")
		}
	}
	if !json.Valid([]byte(body)) {
		t.Error("no JSON")
	}
}
