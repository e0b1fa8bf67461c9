package oidc

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/quis-idp/quis/federation"
)

// TestRefusesTokenSubstitution shows everything that quis ever gives out to every place
// that takes something: each takes its own kind and no other (RFC 8725, section 3.11).
func TestRefusesTokenSubstitution(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.signIn()
	tokens := w.tokens(0, set("scope", "openid offline_access"))
	_, answer := w.back(w.authorize(set("response_mode", "query.jwt")))
	things := map[string]string{
		"access token": tokens.Access, "ID token": tokens.ID, "refresh token": tokens.Refresh, "code": w.code(0),
		"own access token": w.want(w.post(0, "/oauth2/token", url.Values{"grant_type": {"client_credentials"}}), 200).Access,
		"request URI":      w.pushed(0), "signed response": answer.Get("response"), "session cookie": w.cookie.Value,
	}
	for kind, thing := range things {
		if thing == "" {
			t.Fatalf("there is no %s", kind)
		}
	}
	hinted := func(thing string) bool { // a hint that is believed leads straight back, at prompt=none
		_, params := w.back(w.authorize(set("prompt", "none"), set("id_token_hint", thing)))
		return params.Get("code") != ""
	}
	places := []struct {
		name  string
		takes []string
		try   func(thing string) bool
	}{
		{"userinfo", []string{"access token"}, func(thing string) bool { return w.userinfo(0, thing).Code == 200 }},
		{"introspection", []string{"access token", "own access token", "refresh token"}, func(thing string) bool {
			return strings.Contains(w.post(0, "/oauth2/introspect", url.Values{"token": {thing}}).Body.String(), `"active":true`)
		}},
		{"id_token_hint", []string{"ID token"}, hinted},
		{"request_uri", []string{"request URI"}, func(thing string) bool {
			rec := w.get(0, "/oauth2/authorize?"+url.Values{"client_id": {w.app.ClientID}, "request_uri": {thing}}.Encode(), true)
			return rec.Code == http.StatusSeeOther && strings.Contains(rec.Header().Get("Location"), "code=")
		}},
		{"request object", nil, func(thing string) bool {
			_, params := w.back(w.authorize(set("request", thing)))
			return params.Get("code") != ""
		}},
		{"client secret", nil, func(thing string) bool {
			r := formRequest(t.Context(), "/oauth2/token", url.Values{"grant_type": {"client_credentials"}})
			r.SetBasicAuth(w.app.ClientID, thing)
			return w.nodes[0].do(r).Code == 200
		}},
		{"session cookie", []string{"session cookie"}, func(thing string) bool {
			r, err := http.NewRequestWithContext(t.Context(), "GET", "/oauth2/authorize?"+w.request(set("prompt", "none")).Encode(), nil)
			if err != nil {
				t.Fatal(err)
			}
			r.AddCookie(&http.Cookie{Name: w.cookie.Name, Value: thing})
			return strings.Contains(w.nodes[0].do(r).Header().Get("Location"), "code=")
		}},
		// What is used up by being taken comes last.
		{"refresh grant", []string{"refresh token"}, func(thing string) bool { return w.post(0, "/oauth2/token", refreshForm(thing)).Code == 200 }},
		{"code grant", []string{"code"}, func(thing string) bool { return w.post(0, "/oauth2/token", w.codeForm(thing)).Code == 200 }},
		{"device grant", nil, func(thing string) bool {
			return w.post(0, "/oauth2/token", url.Values{"grant_type": {federation.GrantDevice}, "device_code": {thing}}).Code == 200
		}},
		{"assertion grant", nil, func(thing string) bool {
			return w.post(0, "/oauth2/token", url.Values{"grant_type": {federation.GrantJWTBearer}, "assertion": {thing}}).Code == 200
		}},
	}
	for _, own := range []bool{false, true} {
		for _, p := range places {
			for _, kind := range slices.Sorted(maps.Keys(things)) {
				if takes := slices.Contains(p.takes, kind); takes == own && p.try(things[kind]) != takes {
					t.Errorf("%s at %s: taken is %v, want %v", kind, p.name, !takes, takes)
				}
			}
		}
	}
}

// TestOffersNeitherImplicitNorHybrid: no response type brings a token through the browser.
func TestOffersNeitherImplicitNorHybrid(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.signIn()
	for _, kind := range []string{"token", "id_token", "id_token token", "code token", "code id_token", "code id_token token", "none", "CODE", "code code"} {
		for _, mode := range []string{"query", "fragment", "form_post"} {
			rec := w.authorize(set("response_type", kind), set("response_mode", mode))
			said := rec.Header().Get("Location") + rec.Body.String()
			if !strings.Contains(said, "unsupported_response_type") {
				t.Errorf("%q by %s: %d %s", kind, mode, rec.Code, said)
			}
			for _, name := range []string{"access_token", "id_token=", `"id_token"`, "code="} {
				if strings.Contains(said, name) {
					t.Errorf("%q by %s brings %s", kind, mode, name)
				}
			}
		}
	}
}

// TestRefusesAClientThatPosesAsAPerson: the token of an application that acts for itself
// says so, whatever the application is called (RFC 9700, section 4.15).
func TestRefusesAClientThatPosesAsAPerson(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	poser := w.register(federation.Application{
		ClientID: w.user.ID, Name: "Poser", GrantTypes: []string{federation.GrantClientCredentials}, AllowedScopes: []string{"openid", "profile", "email", "api"},
	}, secret)
	r := formRequest(t.Context(), "/oauth2/token", url.Values{"grant_type": {"client_credentials"}, "scope": {"openid profile email"}})
	r.SetBasicAuth(poser.ClientID, secret)
	got := w.want(w.nodes[0].do(r), 200)
	if got.ID != "" || got.Refresh != "" {
		t.Errorf("an application gets an ID token %q, a refresh token %q", got.ID, got.Refresh)
	}
	if rec := w.userinfo(0, got.Access); rec.Code == 200 || strings.Contains(rec.Body.String(), w.user.Email) {
		t.Errorf("userinfo: %d %s", rec.Code, rec.Body)
	}
}
