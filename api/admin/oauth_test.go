package admin_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
)

// made creates an application and returns its answer.
func (h *house) made(body string) map[string]any {
	h.t.Helper()
	res, data := h.call(h.root, "POST", "/api/v1/applications", body)
	if res.StatusCode != 201 {
		h.t.Fatalf("%d %s", res.StatusCode, data)
	}
	var out map[string]any
	h.must(json.Unmarshal([]byte(data), &out))
	return out
}

// TestApplicationContract: the request of the contract gives what it says, field by field.
func TestApplicationContract(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	got := h.made(`{
  "name": "My App",
  "description": "Internal dashboard",
  "type": "oidc",
  "redirect_uris": ["https://app.example.com/callback"],
  "allowed_scopes": ["openid", "profile", "email", "groups"],
  "grant_types": ["authorization_code", "refresh_token"],
  "token_expiry": 3600,
  "access_restricted": false,
  "show_in_dashboard": true,
  "launch_url": "https://app.example.com",
  "mfa_policy": "inherit"
}`)
	for _, field := range strings.Fields(`name friendly_name description type client_id client_secret redirect_uris allowed_scopes grant_types is_public
		require_pkce token_expiry access_restricted show_in_dashboard launch_url app_group icon_url mfa_policy backchannel_logout_uri post_logout_uris`) {
		if _, ok := got[field]; !ok {
			t.Errorf("%s is missing", field)
		}
	}
	id := got["id"].(string)
	h.want(204, h.root, "POST", "/api/v1/applications/"+id+"/access/users", `{"user_id":"`+h.plainUser+`"}`)
	again := h.made(`{"name":"x","redirect_uris":["regex:^https://app\\.example\\.com/auth/callback.*"],"mfa_policy":"disabled","backchannel_logout_uri":"https://app.example.com/out"}`)
	if again["mfa_policy"] != "disabled" || again["backchannel_logout_uri"] != "https://app.example.com/out" {
		t.Errorf("%v", again)
	}
	for _, policy := range []string{"any", "otp", "passkey", "device_bound"} {
		if got := h.made(`{"name":"x","redirect_uris":["https://a.example/cb"],"mfa_policy":"` + policy + `"}`); got["mfa_policy"] != policy {
			t.Errorf("%s: %v", policy, got)
		}
	}
	h.mixed.Store(true)
	h.want(412, h.root, "POST", "/api/v1/applications", `{"name":"x","redirect_uris":["https://a.example/cb"],"mfa_policy":"any"}`)
}

// TestEverySettingIsKept: what is set is answered again, and PUT without it takes it away.
func TestEverySettingIsKept(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	key := `{"keys":[{"kty":"EC","crv":"P-256","kid":"1","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}`
	body := `{"name":"all","friendly_name":"All","description":"d","redirect_uris":["https://app.example.com/cb"],"post_logout_uris":["https://app.example.com/out"],
"allowed_scopes":["openid"],"grant_types":["authorization_code","refresh_token","urn:ietf:params:oauth:grant-type:token-exchange","urn:openid:params:grant-type:ciba","urn:ietf:params:oauth:grant-type:jwt-bearer"],
"token_expiry":600,"access_restricted":true,"show_in_dashboard":false,"launch_url":"https://app.example.com/","app_group":"g","icon_url":"https://app.example.com/i","mfa_policy":"disabled","disabled":true,
"consent_mode":"always","owner":"me","contacts":["me@example.com"],"tags":["team:a"],"client_uri":"https://app.example.com/","policy_uri":"https://app.example.com/p","tos_uri":"https://app.example.com/t",
"token_endpoint_auth_method":"private_key_jwt","token_endpoint_auth_signing_alg":"ES256","jwks":` + key + `,"profile":"fapi2","allowed_origins":["https://app.example.com"],
"signing_alg":"EdDSA","id_token_on_refresh":true,"id_token_encrypted_response_alg":"ECDH-ES","id_token_encrypted_response_enc":"A256GCM","userinfo_signed_response_alg":"ES256",
"userinfo_encrypted_response_alg":"ECDH-ES","userinfo_encrypted_response_enc":"A128GCM","introspection_signed_response_alg":"ES256","introspection_encrypted_response_alg":"ECDH-ES","introspection_encrypted_response_enc":"A128GCM",
"dpop_bound_access_tokens":true,"default_max_age":60,"require_auth_time":true,"default_acr_values":["urn:a"],"subject_type":"pairwise","refresh_token_idle":600,"refresh_token_absolute":1200,"refresh_token_rotation":false,
"require_pushed_authorization_requests":true,"require_signed_request_object":true,"request_object_signing_alg":"ES256","request_uris":["https://app.example.com/r"],"authorization_signed_response_alg":"ES256",
"authorization_details_types":["payment"],"token_exchange_from":["other"],"token_exchange_audiences":["https://api.example.com"],"token_exchange_impersonate":true,
"backchannel_token_delivery_mode":"ping","backchannel_client_notification_endpoint":"https://app.example.com/ping","backchannel_logout_uri":"https://app.example.com/bc","backchannel_logout_session_required":true,
"frontchannel_logout_uri":"https://app.example.com/fc","frontchannel_logout_session_required":true,
"claim_mappings":[{"claim":"department","value":"x","expression":"","required_scope":"openid","in":["id_token"],"required":true}],
"trusted_issuers":[{"issuer":"https://i.example.com","jwks_uri":"https://i.example.com/k","subject":"email","scopes":["openid"],"max_lifetime":60}]}`
	got := h.made(body)
	var sent map[string]any
	h.must(json.Unmarshal([]byte(body), &sent))
	for name, want := range sent {
		a, _ := json.Marshal(want)
		b, _ := json.Marshal(got[name])
		if string(a) != string(b) {
			t.Errorf("%s: sent %s, got %s", name, a, b)
		}
	}
	for name := range got {
		if _, ok := sent[name]; !ok && !strings.Contains(" id client_id type is_public require_pkce registered_by created_at updated_at sector_identifier_uri jwks_uri tls_client_certificate_bound_access_tokens ", " "+name+" ") && !strings.HasPrefix(name, "tls_client_auth_") {
			t.Errorf("%s is not tried", name)
		}
	}
	if got["client_secret"] != nil {
		t.Error("an application that authenticates by a key has a secret")
	}
	id := got["id"].(string)
	h.want(200, h.root, "PUT", "/api/v1/applications/"+id, `{"name":"bare","redirect_uris":["https://app.example.com/cb"]}`)
	if a := h.application(id); a.Modern() {
		t.Errorf("something of it stays: %+v", a)
	}
}

// A list in a PATCH is the whole list: a new issuer has no keys, scopes or subject of the
// one that stood in its place.
func TestPatchedListsHoldNothingOfFormerOnes(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	id := h.made(`{"name":"x","redirect_uris":["https://a.example/cb"],"claim_mappings":[{"claim":"a","value":"x","required_scope":"email","required":true}],
"grant_types":["authorization_code","urn:ietf:params:oauth:grant-type:jwt-bearer"],
"trusted_issuers":[{"issuer":"https://i.example.com","jwks_uri":"https://i.example.com/k","subject":"email","scopes":["openid"],"max_lifetime":60}]}`)["id"].(string)
	h.want(200, h.root, "PATCH", "/api/v1/applications/"+id, `{"claim_mappings":[{"claim":"b","expression":"user.username"}],
"trusted_issuers":[{"issuer":"https://j.example.com","jwks_uri":"https://j.example.com/k"}]}`)
	a := h.application(id)
	if d := cmp.Diff([]federation.ClaimMapping{{Claim: "b", Expression: "user.username"}}, a.Claims); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]federation.TrustedIssuer{{Issuer: "https://j.example.com", JWKSURI: "https://j.example.com/k"}}, a.Issuers); d != "" {
		t.Error(d)
	}
}

func (h *house) application(id string) (a *federation.Application) {
	h.t.Helper()
	h.update(func(tx *fsm.Tx) (err error) {
		a, _, err = federation.Get(tx, identity.DefaultTenant, id)
		return err
	})
	return a
}

func TestTwoSecretsLive(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	got := h.made(`{"name":"x","redirect_uris":["https://a.example/cb"]}`)
	id, first := got["id"].(string), got["client_secret"].(string)
	at := "/api/v1/applications/" + id
	_, data := h.call(h.root, "POST", at+"/regenerate-secret", `{"keep_previous":true,"previous_expires_in":3600}`)
	var now struct {
		ClientSecret string `json:"client_secret"`
	}
	h.must(json.Unmarshal([]byte(data), &now))
	accepts := func(secret string) bool {
		ok, err := federation.CheckSecret(h.ring, h.application(id), secret)
		h.must(err)
		return ok
	}
	if !accepts(first) || !accepts(now.ClientSecret) {
		t.Fatal("one of two secrets does not live")
	}
	var secrets struct {
		Data []struct {
			ID        string  `json:"id"`
			ExpiresAt *string `json:"expires_at"`
		}
	}
	_, data = h.call(h.root, "GET", at+"/secrets", "")
	h.must(json.Unmarshal([]byte(data), &secrets))
	if len(secrets.Data) != 2 || secrets.Data[0].ExpiresAt != nil || secrets.Data[1].ExpiresAt == nil || strings.Contains(data, first) {
		t.Fatalf("%s", data)
	}
	h.want(404, h.root, "DELETE", at+"/secrets/sec_none", "")
	h.want(204, h.root, "DELETE", at+"/secrets/"+secrets.Data[1].ID, "")
	if accepts(first) || !accepts(now.ClientSecret) {
		t.Error("the wrong one ended")
	}
	h.want(400, h.root, "DELETE", at+"/secrets/"+secrets.Data[0].ID, "")
	h.call(h.root, "POST", at+"/regenerate-secret", `{"keep_previous":true}`)
	h.call(h.root, "POST", at+"/regenerate-secret", ``)
	if accepts(now.ClientSecret) {
		t.Error("without keep_previous a former secret goes on working")
	}
}

func TestListApplicationsThatFit(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.made(`{"name":"Wiki of Alice","redirect_uris":["https://a.example/cb"],"tags":["team:a"]}`)
	h.made(`{"name":"Shop","friendly_name":"The Shop","type":"spa","redirect_uris":["https://a.example/cb"],"tags":["team:b"]}`)
	id := h.made(`{"name":"Other","redirect_uris":["https://a.example/cb"]}`)["client_id"].(string)
	for query, want := range map[string]int{
		"": 3, "?name=wiki": 1, "?name=SHOP": 1, "?tag=team:a": 1, "?tag=team": 0, "?type=spa": 1, "?type=oidc": 2, "?client_id=" + id: 1, "?client_id=x": 0, "?type=oidc&tag=team:b": 0,
	} {
		_, data := h.call(h.root, "GET", "/api/v1/applications"+query, "")
		var page struct{ Data []json.RawMessage }
		h.must(json.Unmarshal([]byte(data), &page))
		if len(page.Data) != want {
			t.Errorf("%q: %d, want %d", query, len(page.Data), want)
		}
	}
	h.want(400, h.root, "GET", "/api/v1/applications?type=saml", "")
}

// TestRefusesURLsInside: no URL that quis would be made to fetch may lead inside, in whatever form.
func TestRefusesURLsInside(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for _, inside := range []string{
		"https://127.0.0.1/x", "https://2130706433/x", "https://0177.0.0.1/x", "https://0x7f.1/x", "https://[::1]/x", "https://[::ffff:127.0.0.1]/x", "https://[::ffff:a9fe:a9fe]/x",
		"https://169.254.169.254/x", "https://10.0.0.1/x", "https://[fd00::1]/x", "https://[64:ff9b::a00:1]/x", "https://localhost/x", "http://localhost/x", "http://app.example.com/x",
		"https://app.example.com:22/x", "https://user@app.example.com/x",
	} {
		for _, field := range []string{
			`"jwks_uri":"%"`, `"request_uris":["%"]`, `"sector_identifier_uri":"%"`, `"backchannel_logout_uri":"%"`, `"backchannel_client_notification_endpoint":"%"`,
			`"trusted_issuers":[{"issuer":"https://i.example","jwks_uri":"%"}]`,
		} {
			h.want(400, h.root, "POST", "/api/v1/applications", `{"name":"x","redirect_uris":["https://app.example.com/cb"],`+strings.ReplaceAll(field, "%", inside)+`}`)
		}
	}
}

func TestRegistrationPolicyAndTokens(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	_, data := h.call(h.root, "GET", "/api/v1/registration/policy", "")
	if !strings.Contains(data, `"mode":"closed"`) {
		t.Error(data)
	}
	for _, bad := range []string{`{"mode":"x"}`, `{"redirect_hosts":["*.example.com"]}`, `{"scopes":["a b"]}`, `{"grant_types":["password"]}`, `{"consent_mode":"implicit"}`} {
		h.want(400, h.root, "PUT", "/api/v1/registration/policy", bad)
	}
	h.want(200, h.root, "PUT", "/api/v1/registration/policy", `{"mode":"token","redirect_hosts":["app.example.com"],"metadata_documents":true}`)
	res, data := h.call(h.root, "POST", "/api/v1/registration/tokens", `{"name":"CI"}`)
	var made struct{ ID, Token string }
	h.must(json.Unmarshal([]byte(data), &made))
	if res.StatusCode != 201 || !strings.HasPrefix(made.Token, "quis_iat_") {
		t.Fatal(data)
	}
	_, data = h.call(h.root, "GET", "/api/v1/registration/tokens", "")
	if strings.Contains(data, made.Token) || !strings.Contains(data, made.ID) {
		t.Error(data)
	}
	h.want(204, h.root, "DELETE", "/api/v1/registration/tokens/"+made.ID, "")
	h.want(404, h.root, "DELETE", "/api/v1/registration/tokens/"+made.ID, "")
	h.want(403, h.plain, "GET", "/api/v1/registration/policy", "")
}

// TestNothingNewIsWrittenWhileAMemberIsOlder: it would lose it, or hold nobody to it.
func TestNothingNewIsWrittenWhileAMemberIsOlder(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	res, data := h.call(h.root, "POST", "/api/v1/applications", `{"name":"old","redirect_uris":["https://app.example.com/cb"]}`)
	var app struct{ ID string }
	h.must(json.Unmarshal([]byte(data), &app))
	if res.StatusCode != 201 {
		t.Fatal(data)
	}
	h.mixed.Store(true)
	one := "/api/v1/applications/" + app.ID
	for _, c := range [][3]string{
		{"PUT", "/api/v1/registration/policy", `{"mode":"open"}`},
		{"POST", "/api/v1/registration/tokens", `{"name":"CI"}`},
		{"POST", one + "/regenerate-secret", `{"keep_previous":true,"previous_expires_in":60}`},
		{"PATCH", one, `{"consent_mode":"explicit"}`},
		{"PATCH", one, `{"dpop_bound_access_tokens":true}`},
		{"PATCH", one, `{"grant_types":["urn:ietf:params:oauth:grant-type:device_code"]}`},
		{"POST", "/api/v1/resource-servers", `{"identifier":"https://api.example.com","name":"API"}`},
		{"POST", "/api/v1/scopes", `{"name":"orders","friendly_name":"Orders"}`},
		{"POST", one + "/roles/users", `{"user_id":"` + h.plainUser + `","role":"editor"}`},
	} {
		before := h.log.Entries()
		res, data := h.call(h.root, c[0], c[1], c[2])
		if n := h.log.Entries() - before; n != 0 || res.StatusCode != 412 {
			t.Errorf("%s %s %s: %d, %d entries: %s", c[0], c[1], c[2], res.StatusCode, n, data)
		}
	}
	h.want(200, h.root, "POST", one+"/regenerate-secret", `{"keep_previous":true}`)
}
