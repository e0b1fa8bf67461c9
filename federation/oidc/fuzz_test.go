package oidc

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/quis-idp/quis/federation/oidc/family"
	"github.com/quis-idp/quis/keys/seal"
)

// FuzzAuthorizeQuery: whatever the query, the answer is a redirect to the
// application, to sign-in, or a page; and nothing is written.
func FuzzAuthorizeQuery(f *testing.F) {
	w := newWorld(f, 1)
	f.Add(w.request().Encode())
	f.Add(w.request(set("prompt", "none"), set("max_age", "1"), set("response_mode", "fragment")).Encode())
	f.Add(w.request(set("response_mode", "form_post"), set("claims", `{"id_token":{"acr":{"essential":true,"value":"x"}}}`)).Encode())
	f.Add(w.request(set("response_mode", "jwt"), set("acr_values", "a b"), set("dpop_jkt", challenge()), set("resource", "https://a")).Encode())
	f.Add(url.Values{"client_id": {"web"}, "request_uri": {w.pushed(0)}}.Encode())
	f.Add(w.request(set("request", "e30.e30.e30")).Encode())
	f.Add("client_id=web&client_id=web")
	f.Add("client_id=web&redirect_uri=https%3A%2F%2Fapp.example.com%2Fcb&flow_done=x")
	f.Add("%zz&;=")
	f.Fuzz(func(t *testing.T, query string) {
		r := httptest.NewRequest("GET", "/oauth2/authorize", nil)
		r.URL.RawQuery = query
		r.AddCookie(w.cookie)
		before := w.cluster.Entries()
		rec := w.nodes[0].do(r)
		if n := w.cluster.Entries() - before; n != 0 {
			t.Fatalf("%q cost %d log entries", query, n)
		}
		to := rec.Header().Get("Location")
		switch rec.Code {
		case http.StatusSeeOther:
			if !strings.HasPrefix(to, callback+"?") && !strings.HasPrefix(to, callback+"#") && !strings.HasPrefix(to, "/login?") {
				t.Fatalf("%q leads to %q", query, to)
			}
		case http.StatusBadRequest:
		case http.StatusOK: // a response that is posted
			if !strings.Contains(rec.Body.String(), `<form method=post action="`+callback+`"`) {
				t.Fatalf("%q is answered with %s", query, rec.Body)
			}
		default:
			t.Fatalf("%q: status %d %s", query, rec.Code, rec.Body)
		}
	})
}

// FuzzTokenForm: no body that holds no valid code or token is answered with one, or written about.
func FuzzTokenForm(f *testing.F) {
	w := newWorld(f, 1)
	spare := w.tokens(0)
	f.Add(w.codeForm("garbage").Encode())
	f.Add(refreshForm(strings.ToUpper(spare.Refresh)).Encode())
	f.Add(refreshForm(spare.Access).Encode())
	f.Add("grant_type=authorization_code&code=%00&code=%ff")
	f.Add("grant_type=client_credentials&scope=%22")
	f.Fuzz(func(t *testing.T, body string) {
		r := httptest.NewRequest("POST", "/oauth2/token", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.SetBasicAuth("web", secret)
		before := w.cluster.Entries()
		rec := w.nodes[0].do(r)
		form, _ := url.ParseQuery(body)
		if rec.Code == http.StatusOK && form.Get("grant_type") == "client_credentials" {
			return
		}
		if n := w.cluster.Entries() - before; n != 0 {
			t.Fatalf("%q cost %d log entries", body, n)
		}
		got, err := decodeTokens(rec)
		if _, ok := statusOf[got.Error]; err != nil || !ok || rec.Code < 400 || rec.Code >= 500 {
			t.Fatalf("%q: %d %s", body, rec.Code, rec.Body)
		}
	})
}

func FuzzParseRefreshToken(f *testing.F) {
	w := newWorld(f, 1)
	ring := w.nodes[0].ring
	good := w.tokens(0).Refresh
	f.Add(good)
	f.Add(strings.Repeat("A", len(good)))
	f.Add(good + "=")
	f.Fuzz(func(t *testing.T, text string) {
		token, err := family.ParseToken(ring, tenant.ID, "web", text)
		if err != nil && !errors.Is(err, seal.ErrBox) {
			t.Fatal(err)
		}
		if err == nil && text != good {
			t.Fatalf("%q passes as %+v", text, token)
		}
	})
}

func FuzzOpenCode(f *testing.F) {
	w := newWorld(f, 1)
	ring := w.nodes[0].ring
	good := w.code(0)
	f.Add(good)
	f.Add(good[:len(good)-2])
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := family.OpenCode(ring, tenant.ID, "web", text)
		if err != nil && !errors.Is(err, seal.ErrBox) {
			t.Fatal(err)
		}
		if err == nil && text != good {
			t.Fatalf("%q passes as %+v", text, c)
		}
	})
}
