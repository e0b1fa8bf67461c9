package admin_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quis-idp/quis/api/admin/authentication"
	"github.com/quis-idp/quis/cluster/checkup"
	"github.com/quis-idp/quis/cluster/feature"
	"github.com/quis-idp/quis/identity/credential"
)

// said calls, checks for success and returns the answer.
func (h *house) said(method, path, body string, headers ...string) map[string]any {
	h.t.Helper()
	res, data := h.call(h.root, method, path, body, headers...)
	var m map[string]any
	if res.StatusCode == 204 {
		return nil
	}
	if err := json.Unmarshal([]byte(data), &m); err != nil || res.StatusCode >= 300 {
		h.t.Fatalf("%s %s: %d %.300s %v", method, path, res.StatusCode, data, err)
	}
	return m
}

// etag returns the tag of what is at path.
func (h *house) etag(path string) string {
	h.t.Helper()
	res, _ := h.call(h.root, "GET", path, "")
	return res.Header.Get("ETag")
}

// What needs mail, at a node that sends none, is not silently nothing.
func TestWhatNeedsMailIsWarnedOf(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	const at = "/api/v1/settings/authentication"
	about := func(got map[string]any) (fields []string) {
		all, _ := got["warnings"].([]any)
		for _, w := range all {
			if field, rest, _ := strings.Cut(w.(string), " "); strings.Contains(rest, "quis mail set") {
				fields = append(fields, field)
			}
		}
		return fields
	}
	if diff := cmp.Diff([]string{"allow_forgot_password"}, about(h.said("GET", at, ""))); diff != "" {
		t.Error(diff)
	}
	all := `{"allow_magic_link":true,"allow_email_otp":true,"allow_self_registration":true,"allow_forgot_password":false}`
	if diff := cmp.Diff([]string{"allow_magic_link", "allow_email_otp", "allow_self_registration"}, about(h.said("PATCH", at, all))); diff != "" {
		t.Error(diff)
	}
	h.said("PUT", "/api/v1/settings/mail", `{"host":"smtp.example.com","from":"noreply@example.com"}`)
	if got := about(h.said("GET", at, "")); got != nil {
		t.Errorf("at a node that sends mail: %v", got)
	}
}

// Passwords are to be looked up in leaks, as by default, and this node has nowhere to look: whoever asks is told, and what is told may be sent back.
func TestNothingIsLookedUpUnnoticed(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	const at = "/api/v1/settings/authentication"
	h.said("PUT", "/api/v1/settings/mail", `{"host":"smtp.example.com","from":"noreply@example.com"}`)
	first := h.said("GET", at, "")
	if w, _ := first["warnings"].([]any); len(w) != 1 || !strings.Contains(w[0].(string), "quis breach build") {
		t.Errorf("warnings: %v", first["warnings"])
	}
	first["brand_name"] = "Acme"
	whole, err := json.Marshal(first)
	h.must(err)
	if got := h.said("PUT", at, string(whole)); got["brand_name"] != "Acme" || len(got["warnings"].([]any)) != 1 {
		t.Errorf("%v", got)
	}
	found := func(c credential.Checks) checkup.Finding { return authentication.Finding(t.Context(), h.db, c) }
	nowhere, somewhere := credential.Checks{}, credential.Checks{Breached: func(context.Context, string) (int, error) { return 0, nil }}
	if f := found(nowhere); f.Level != checkup.Warn || !strings.Contains(f.Found, "nothing is looked up") || !strings.Contains(f.Advice, "quis breach build") {
		t.Errorf("doctor: %+v", f)
	}
	if f := found(somewhere); f.Level != checkup.OK || f.Found != "new passwords are looked up" {
		t.Errorf("doctor of a node that looks: %+v", f)
	}
	if got := h.said("PATCH", at, `{"password":{"check_breached":false}}`); got["warnings"] != nil {
		t.Errorf("warnings where nothing is wanted: %v", got["warnings"])
	}
	if f := found(nowhere); f.Level != checkup.OK || !strings.Contains(f.Found, "is off") {
		t.Errorf("doctor where nothing is wanted: %+v", f)
	}
}

func TestAuthenticationSettings(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	const at = "/api/v1/settings/authentication"
	first := h.said("GET", at, "")
	if first["mfa_policy"] != "disabled" || first["allow_password_login"] != true || first["password"].(map[string]any)["min_length"] != 15.0 {
		t.Errorf("%v", first)
	}
	// A part of a part is changed, and the rest stays.
	got := h.said("PATCH", at, `{"mfa_policy":"any","password":{"min_length":14},"passkey":{"deny_aaguids":["08987058-cadc-4b81-b6e1-30de50dcbe96"]}}`)
	if p := got["password"].(map[string]any); got["mfa_policy"] != "any" || p["min_length"] != 14.0 || p["check_breached"] != true {
		t.Errorf("%v", got)
	}
	if got = h.said("PATCH", at, `{"brand_color":"#0b5a49"}`); got["mfa_policy"] != "any" || len(got["passkey"].(map[string]any)["deny_aaguids"].([]any)) != 1 {
		t.Errorf("%v", got)
	}
	// Another tenant's are its own.
	if other := h.said("GET", at+"?tenant=acme", ""); other["mfa_policy"] != "disabled" {
		t.Errorf("%v", other)
	}
	h.want(400, h.root, "PATCH", at, `{"brand_color":"#ffff00"}`)
	if p := h.want(400, h.root, "PATCH", at, `{"brand_color":"rgb(0, 0, 0)"}`); !strings.Contains(p.Detail, "brand_color must be # and six hexadecimal digits") {
		t.Errorf("%+v", p)
	}
	got = h.said("PATCH", at, `{"password":{"blocklist":["Acme","rockets"]}}`)
	if p := got["password"].(map[string]any); len(p["blocklist"].([]any)) != 2 || p["min_length"] != 14.0 {
		t.Errorf("%v", got)
	}
	h.want(400, h.root, "POST", "/api/v1/users", `{"username":"wile","password":"acme acme acme acme"}`)
	h.want(400, h.root, "PATCH", at, `{"password":{"blocklist":["ab"]}}`)
	h.want(400, h.root, "PATCH", at, `{"password":{"min_length":65}}`)
	h.want(400, h.root, "PATCH", at, `{"mfa_policy":"inherit"}`)
	h.want(400, h.root, "PATCH", at, `{"allow_local_login":false}`)
	h.want(403, h.plain, "GET", at, "")
	// A whole body is laid over the defaults.
	if got = h.said("PUT", at, `{"mfa_policy":"otp"}`); got["brand_color"] != "" || got["password"].(map[string]any)["min_length"] != 15.0 || got["mfa_policy"] != "otp" {
		t.Errorf("%v", got)
	}
	h.mixed.Store(true)
	h.want(412, h.root, "PATCH", at, `{"mfa_policy":"any"}`)
}

func TestAuthenticationSettingsAreConditional(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	const at = "/api/v1/settings/authentication"
	tag := h.etag(at)
	h.want(200, h.root, "PATCH", at, `{"mfa_policy":"any"}`, "If-Match", tag)
	h.want(412, h.root, "PATCH", at, `{"mfa_policy":"otp"}`, "If-Match", tag)
	h.want(200, h.root, "PATCH", at, `{"mfa_policy":"otp"}`, "If-Match", h.etag(at))
}

// TestDeviceBoundWaitsForEveryMember: where one would be content with any passkey, no policy asks for
// one that never leaves its device, whatever else it asks for.
func TestDeviceBoundWaitsForEveryMember(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	group := "/api/v1/groups/" + h.said("POST", "/api/v1/groups", `{"name":"admins","mfa_policy":"passkey"}`)["id"].(string)
	app := "/api/v1/applications/" + h.made(`{"name":"x","redirect_uris":["https://a.example/cb"],"mfa_policy":"passkey"}`)["id"].(string)
	at := []string{group, app, "/api/v1/settings/authentication"}
	h.older.Store(feature.DeviceBound)
	for _, path := range at {
		h.want(412, h.root, "PATCH", path, `{"mfa_policy":"device_bound"}`)
		h.want(200, h.root, "PATCH", path, `{"mfa_policy":"otp"}`)
	}
	h.older.Store("")
	for _, path := range at {
		if got := h.said("PATCH", path, `{"mfa_policy":"device_bound"}`); got["mfa_policy"] != "device_bound" {
			t.Errorf("%s: %v", path, got["mfa_policy"])
		}
	}
	h.want(400, h.root, "PATCH", at[2], `{"mfa_allowed_methods":["totp"]}`)
}

func TestPolicyOfGroups(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	g := h.said("POST", "/api/v1/groups", `{"name":"admins","mfa_policy":"otp"}`)
	at := "/api/v1/groups/" + g["id"].(string)
	if g["mfa_policy"] != "otp" {
		t.Errorf("%v", g)
	}
	if g = h.said("PATCH", at, `{"description":"d"}`); g["mfa_policy"] != "otp" {
		t.Errorf("%v", g)
	}
	if g = h.said("PATCH", at, `{"mfa_policy":"passkey"}`); g["mfa_policy"] != "passkey" || g["description"] != "d" {
		t.Errorf("%v", g)
	}
	h.said("PUT", at+"/members/"+h.plainUser, "")
	q := `{"user_id":"` + h.plainUser + `","factors":[{"method":"password"}]}`
	d := h.said("POST", "/api/v1/policies/evaluate", q)
	reasons := d["reasons"].([]any)
	if d["level"] != 2.0 || len(reasons) != 2 || reasons[1].(map[string]any)["name"] != "admins" || reasons[1].(map[string]any)["met"] != false {
		t.Errorf("%v", d)
	}
	if g = h.said("PUT", at, `{"name":"admins"}`); g["mfa_policy"] != "inherit" {
		t.Errorf("%v", g)
	}
	if d = h.said("POST", "/api/v1/policies/evaluate", q); d["outcome"] != "allow" {
		t.Errorf("%v", d)
	}
	h.want(404, h.root, "POST", "/api/v1/policies/evaluate", `{"user_id":"usr_none"}`)
	h.mixed.Store(true)
	h.want(412, h.root, "PATCH", at, `{"mfa_policy":"any"}`)
	h.said("PATCH", at, `{"description":"e"}`)
}
