package admin_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/consent"
	"github.com/quis-idp/quis/federation/oidc/family"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/session"
)

// object calls and returns the answer, which must have the status.
func (h *house) object(status int, method, path, body string) map[string]any {
	h.t.Helper()
	res, data := h.call(h.root, method, path, body)
	if res.StatusCode != status {
		h.t.Fatalf("%s %s: %d %s", method, path, res.StatusCode, data)
	}
	var v map[string]any
	if data != "" {
		h.must(json.Unmarshal([]byte(data), &v))
	}
	return v
}

func TestScopesAndResourceServers(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.object(201, "POST", "/api/v1/resource-servers", `{"identifier":"https://pay.example","name":"Pay","open_to_all":true,"authorization_details":[
		{"type":"payment","texts":{"en":"Pay"},"members":[{"name":"amount","kind":"object","required":true,"members":[{"name":"value","kind":"number","max":1000}]},{"name":"to","kind":"string","label":"To"}]},
		{"type":"look","texts":{"en":"Look"},"remembered":true}]}`)
	at := "/api/v1/resource-servers/" + s["id"].(string)
	h.object(201, "POST", "/api/v1/scopes", `{"name":"pay:read/all","texts":{"en":"Read payments"},"sensitive":true,"resource_server_id":"`+s["id"].(string)+`"}`)
	if got := h.object(200, "GET", at, ""); got["scopes"].([]any)[0] != "pay:read/all" || got["token_format"] != "jwt" || len(got["authorization_details"].([]any)) != 2 {
		t.Errorf("%v", got)
	}
	// A list that is sent replaces the one before, member by member of its entries as well.
	got := h.object(200, "PATCH", at, `{"authorization_details":[{"type":"look","texts":{"de":"Ansehen"}}]}`)
	types := got["authorization_details"].([]any)
	only := types[0].(map[string]any)
	if len(types) != 1 || only["remembered"] == true || len(only["members"].([]any)) != 0 || len(only["texts"].(map[string]any)) != 1 || got["open_to_all"] != true {
		t.Errorf("%v", got)
	}
	h.want(400, h.root, "PATCH", at, `{"token_format":"opaque"}`)
	h.want(400, h.root, "PATCH", at, `{"identifier":"https://other.example"}`)
	h.want(400, h.root, "DELETE", at, "")
	h.want(409, h.root, "POST", "/api/v1/resource-servers", `{"identifier":"https://pay.example","name":"Again"}`)

	scope := "/api/v1/scopes/pay:read%2Fall"
	if got := h.object(200, "PATCH", scope, `{"texts":{"de":"Zahlungen lesen"}}`); len(got["texts"].(map[string]any)) != 2 {
		t.Errorf("%v", got)
	}
	if got := h.object(200, "PUT", scope, `{"texts":{"de":"Zahlungen lesen"}}`); len(got["texts"].(map[string]any)) != 1 || got["resource_server_id"] != "" {
		t.Errorf("%v", got)
	}
	if got := h.object(200, "GET", "/api/v1/scopes/email", ""); got["built_in"] != true || got["created_at"] != nil {
		t.Errorf("%v", got)
	}
	h.want(400, h.root, "PATCH", "/api/v1/scopes/email", `{"sensitive":true}`)
	h.want(400, h.root, "DELETE", "/api/v1/scopes/email", "")
	h.object(204, "DELETE", scope, "")
	h.object(204, "DELETE", at, "")
	h.want(404, h.root, "GET", scope, "")
}

func TestConsentsAreListedAndRevoked(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	app := federation.Application{Tenant: identity.DefaultTenant, Name: "App", RedirectURIs: []string{"https://a.example/cb"}, Consent: federation.ConsentExplicit}
	var in string
	h.update(func(tx *fsm.Tx) error {
		if _, err := federation.Create(tx, h.ring, &app, ""); err != nil {
			return err
		}
		started, err := h.sessions.Start(tx, session.Session{Tenant: identity.DefaultTenant, UserID: h.plainUser})
		in = started.Session.ID
		return err
	})
	ctx := identity.WithTenant(t.Context(), identity.Tenant{ID: identity.DefaultTenant})
	desk := consent.NewDesk(h.db, h.ring)
	asked, err := desk.Ask(ctx, consent.Decision{}, consent.Question{
		UserID: h.plainUser, SessionID: in, Application: app.ID, Family: family.NewID(), ReturnTo: "/x?y", Scopes: []string{"openid", "email"},
	})
	h.must(err)
	q, err := desk.Open(ctx, asked.Sealed(), h.plainUser, in)
	h.must(err)
	_, err = desk.Allow(ctx, q, nil)
	h.must(err)

	of, to := "/api/v1/users/"+h.plainUser+"/consents", "/api/v1/applications/"+app.ID+"/consents"
	for _, path := range []string{of, to} {
		rows := h.object(200, "GET", path, "")["data"].([]any)
		if len(rows) != 1 {
			t.Fatalf("%s: %v", path, rows)
		}
		row, _ := json.Marshal(rows[0])
		for _, want := range []string{h.plainUser, app.ID, `"scopes":["openid"]`, `"declined":["email"]`} {
			if !strings.Contains(string(row), want) {
				t.Errorf("%s lacks %s: %s", path, want, row)
			}
		}
	}
	before := h.log.Entries()
	h.object(204, "DELETE", of+"/"+app.ID, "")
	if n := h.log.Entries() - before; n != 1 {
		t.Errorf("revoking cost %d log entries", n)
	}
	h.want(404, h.root, "DELETE", of+"/"+app.ID, "")
	if rows := h.object(200, "GET", of, "")["data"].([]any); len(rows) != 0 {
		t.Errorf("still there: %v", rows)
	}
}
