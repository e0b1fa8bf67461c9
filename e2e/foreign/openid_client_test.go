package foreign

import (
	"strings"
	"testing"

	"github.com/quis-idp/quis/e2e/testbed"
)

// relyingParty tells the script who it is and what to do.
func relyingParty(flow, clientID, auth string) map[string]any {
	return map[string]any{
		"issuer": dev.Issuer(), "client_id": clientID, "secret": secret, "auth": auth, "flow": flow,
		"redirect_uri": callback, "goodbye": "http://localhost:9999/bye", "scope": "openid profile email groups offline_access",
	}
}

// carry brings the person to where the script says, and what came back to the script.
func (s *script) carry(b *testbed.Browser) {
	s.t.Helper()
	p := answers(s.t, b, s.hear("authorize")["url"].(string))
	back := map[string]any{"url": p.URL.String()}
	if p.Sent != nil {
		back["form"] = p.Sent.Encode()
	}
	s.tell(back)
}

func TestOpenIDClientSignsIn(t *testing.T) {
	t.Parallel()
	for _, auth := range []string{"basic", "post"} {
		b := testbed.NewBrowser("http://localhost:9999/")
		s := start(t, "openid-client.mjs", relyingParty("code", "web", auth))
		s.carry(b)
		done := s.hear("done")
		if at(done, "claims", "iss") != dev.Issuer() || at(done, "userinfo", "email") != "tester@example.com" || at(done, "claims", "sub") != at(done, "userinfo", "sub") {
			t.Errorf("%s: claims %v, userinfo %v", auth, done["claims"], done["userinfo"])
		}
		if done["rotated"] != true || done["active"] != true || done["after"] != false {
			t.Errorf("%s: refreshed token rotated %v, active %v, and %v after it was revoked", auth, done["rotated"], done["active"], done["after"])
		}
		p, err := b.Open(t.Context(), done["end_session"].(string))
		if err != nil || p.Status != 0 || p.URL.String() != "http://localhost:9999/bye?state=bye" {
			t.Errorf("%s: sign-out led to %+v, %v", auth, p, err)
		}
		if p, err := b.Open(t.Context(), dev.Issuer()+"/login"); err != nil || p.FormWith("password") == nil {
			t.Errorf("%s: still signed in after sign-out: %v", auth, err)
		}
	}
}

func TestOpenIDClientOfAPublicApplication(t *testing.T) {
	t.Parallel()
	s := start(t, "openid-client.mjs", relyingParty("public", "spa", "none"))
	s.carry(testbed.NewBrowser("http://localhost:9999/"))
	if done := s.hear("done"); at(done, "userinfo", "preferred_username") != "tester" {
		t.Errorf("userinfo %v", done["userinfo"])
	}
}

func TestOpenIDClientActsForItself(t *testing.T) {
	t.Parallel()
	s := start(t, "openid-client.mjs", relyingParty("credentials", "web", "basic"))
	if done := s.hear("done"); done["token_type"] != "bearer" || done["access_token"] == "" {
		t.Errorf("tokens %v", done)
	}
}

// TestOpenIDClientBySafeChannels: what is asked is pushed, and the answer comes as a
// form or as a signed token.
func TestOpenIDClientBySafeChannels(t *testing.T) {
	t.Parallel()
	for _, flow := range []string{"par", "form_post", "jarm"} {
		s := start(t, "openid-client.mjs", relyingParty(flow, "web", "basic"))
		s.carry(testbed.NewBrowser("http://localhost:9999/"))
		if done := s.hear("done"); at(done, "userinfo", "email") != "tester@example.com" {
			t.Errorf("%s: %v", flow, done)
		}
	}
}

// TestOpenIDClientWithAKey: no secret, but private_key_jwt; as FAPI 2.0 wants it with
// pushed requests and DPoP, and otherwise with signed requests.
func TestOpenIDClientWithAKey(t *testing.T) {
	t.Parallel()
	for flow, profile := range map[string]string{"fapi": "fapi2", "jar": ""} {
		s := start(t, "openid-client.mjs", relyingParty(flow, "", "key"))
		s.tell(map[string]any{"client_id": register(t, map[string]any{
			"name": "keyed " + flow, "profile": profile, "token_endpoint_auth_method": "private_key_jwt", "jwks": map[string]any{"keys": []any{s.hear("key")["jwk"]}},
			"redirect_uris": []string{callback}, "dpop_bound_access_tokens": flow == "fapi", "require_pushed_authorization_requests": flow == "fapi",
			"allowed_scopes": []string{"openid", "profile", "email", "groups", "offline_access"},
		}).ClientID})
		s.carry(testbed.NewBrowser("http://localhost:9999/"))
		done := s.hear("done")
		if at(done, "userinfo", "email") != "tester@example.com" {
			t.Errorf("%s: %v", flow, done)
		}
		if flow == "fapi" && (done["token_type"] != "dpop" || at(done, "refreshed", "token_type") != "dpop") {
			t.Errorf("tokens are of type %v and %v", done["token_type"], at(done, "refreshed", "token_type"))
		}
	}
}

// TestOpenIDClientWithoutABrowser: the person decides elsewhere.
func TestOpenIDClientWithoutABrowser(t *testing.T) {
	t.Parallel()
	app := register(t, map[string]any{
		"name": "television", "allowed_scopes": []string{"openid", "profile", "email"}, "redirect_uris": []string{callback},
		"grant_types": []string{"authorization_code", "urn:ietf:params:oauth:grant-type:device_code", "urn:openid:params:grant-type:ciba"},
	})
	told := func(flow string) map[string]any {
		o := relyingParty(flow, app.ClientID, "basic")
		o["secret"], o["scope"], o["login_hint"] = app.ClientSecret, "openid email", username
		return o
	}
	s := start(t, "openid-client.mjs", told("device"))
	p, err := testbed.NewBrowser().Reach(t.Context(), s.hear("authorize")["url"].(string), username, password)
	if err != nil || p.Status != 200 {
		t.Fatalf("the device was not let in: %+v, %v", p, err)
	}
	s.tell(map[string]any{})
	if done := s.hear("done"); at(done, "userinfo", "email") != "tester@example.com" {
		t.Errorf("device: %v", done)
	}
	s = start(t, "openid-client.mjs", told("ciba"))
	message := s.hear("asked")["message"].(string)
	b := testbed.NewBrowser()
	if _, err := b.Reach(t.Context(), dev.Issuer()+"/login", username, password); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the request is among those that wait", func() bool {
		p, err = b.Open(t.Context(), dev.Issuer()+"/account/approvals")
		return err == nil && strings.Contains(p.Body, message)
	})
	if p, err = b.Press(t.Context(), p, "decision", map[string][]string{"decision": {"allow"}}); err != nil || p.Status != 200 {
		t.Fatalf("the request was not allowed: %+v, %v", p, err)
	}
	if done := s.hear("done"); at(done, "userinfo", "email") != "tester@example.com" {
		t.Errorf("ciba: %v", done)
	}
}
