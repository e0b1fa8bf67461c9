package admin_test

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// simulate asks what tokens would say.
func (h *house) simulate(id, user string, scopes ...string) (out map[string]any) {
	h.t.Helper()
	body, err := json.Marshal(map[string]any{"user_id": user, "scopes": scopes})
	h.must(err)
	res, data := h.call(h.root, "POST", "/api/v1/applications/"+id+"/simulate", string(body))
	if res.StatusCode != 200 {
		h.t.Fatalf("%d %s", res.StatusCode, data)
	}
	h.must(json.Unmarshal([]byte(data), &out))
	return out
}

// source returns where the simulator says that a claim comes from.
func source(out map[string]any, in, name string) map[string]any {
	for _, s := range out["sources"].([]any) {
		if s := s.(map[string]any); s["in"] == in && s["claim"] == name {
			return s
		}
	}
	return nil
}

func TestSimulatorExplainsEachClaim(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	app := h.made(`{"name":"x","redirect_uris":["https://a.example/cb"],"allowed_scopes":["openid","profile","email","roles"],"claim_mappings":[
		{"claim":"level","value":"${level}"},
		{"claim":"preferred_username","expression":"'u-' + user.username","in":["id_token"]},
		{"claim":"secret","value":"x","required_scope":"email"},
		{"claim":"broken","expression":"groups[7]"},
		{"claim":"none","value":"${nothing}"}]}`)
	id := app["id"].(string)
	h.want(204, h.root, "POST", "/api/v1/applications/"+id+"/roles/users", `{"user_id":"`+h.plainUser+`","role":"arn:aws:iam::1:role/editor","key":"level"}`)
	before := h.log.Entries()
	out := h.simulate(id, h.plainUser, "openid", "profile", "roles", "groups")
	if n := h.log.Entries() - before; n != 0 {
		t.Errorf("simulating cost %d entries", n)
	}
	for _, field := range []string{"type", "has_access", "access_claims", "id_claims"} {
		if _, ok := out[field]; !ok {
			t.Errorf("%s is missing", field)
		}
	}
	if _, ok := out["script_error"]; ok || out["type"] != "oidc" || out["has_access"] != true {
		t.Errorf("%v", out)
	}
	access, idc := out["access_claims"].(map[string]any), out["id_claims"].(map[string]any)
	if access["sub"] != h.plainUser || access["scope"] != "openid profile roles" || access["level"] != "arn:aws:iam::1:role/editor" ||
		access["iss"] != "http://id.test" || access["client_id"] != app["client_id"] || access["fid"] != nil {
		t.Errorf("access token: %v", access)
	}
	if idc["preferred_username"] != "u-plain" || idc["aud"] != app["client_id"] || idc["secret"] != nil || cmp.Diff([]any{"arn:aws:iam::1:role/editor"}, idc["roles"]) != "" {
		t.Errorf("ID token: %v", idc)
	}
	if d := cmp.Diff([]any{"groups"}, out["refused_scopes"]); d != "" {
		t.Error(d)
	}
	for _, want := range []map[string]any{
		{"in": "access_token", "claim": "sub", "from": "protocol"},
		{"in": "access_token", "claim": "level", "from": "mapping", "mapping": 0.0},
		{"in": "id_token", "claim": "preferred_username", "from": "mapping", "mapping": 1.0},
		{"in": "userinfo", "claim": "preferred_username", "from": "scope", "scope": "profile"},
		{"in": "access_token", "claim": "roles", "from": "scope", "scope": "roles"},
	} {
		if d := cmp.Diff(want, source(out, want["in"].(string), want["claim"].(string))); d != "" {
			t.Error(d)
		}
	}
	outcomes := map[string]any{}
	for _, m := range out["mappings"].([]any) {
		outcomes[m.(map[string]any)["claim"].(string)] = m.(map[string]any)["outcome"]
	}
	want := map[string]any{"level": "claim", "preferred_username": "claim", "secret": "scope email is not granted", "broken": "evaluation", "none": "nothing"}
	if d := cmp.Diff(want, outcomes); d != "" {
		t.Error(d)
	}
}

func TestSimulatorSaysWhyThereIsNoAccess(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	app := h.made(`{"name":"x","redirect_uris":["https://a.example/cb"],"access_restricted":true,"subject_type":"pairwise"}`)
	id := app["id"].(string)
	out := h.simulate(id, h.plainUser, "openid")
	if out["has_access"] != false || !strings.Contains(out["denied_because"].(string), "restricted") {
		t.Errorf("%v", out)
	}
	if sub := out["id_claims"].(map[string]any)["sub"]; sub == h.plainUser || sub == nil {
		t.Errorf("pairwise subject %v", sub)
	}
	h.want(204, h.root, "POST", "/api/v1/applications/"+id+"/access/users", `{"user_id":"`+h.plainUser+`"}`)
	if out = h.simulate(id, h.plainUser, "openid"); out["has_access"] != true || out["denied_because"] != nil {
		t.Errorf("%v", out)
	}
	h.want(200, h.root, "PATCH", "/api/v1/applications/"+id, `{"claim_mappings":[{"claim":"department","value":"${department}","required":true}]}`)
	if out = h.simulate(id, h.plainUser, "openid"); !strings.Contains(out["script_error"].(string), "department") {
		t.Errorf("%v", out)
	}
	body := `{"user_id":"` + h.plainUser + `","scopes":["openid"]}`
	h.want(404, h.acme, "POST", "/api/v1/applications/"+id+"/simulate", body)
	h.want(404, h.root, "POST", "/api/v1/applications/"+id+"/simulate", strings.Replace(body, h.plainUser, h.acmeUser, 1))
	h.want(403, h.plain, "POST", "/api/v1/applications/"+id+"/simulate", body)
}

func TestRolesOfAnApplication(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	path := "/api/v1/applications/" + h.made(`{"name":"x","redirect_uris":["https://a.example/cb"]}`)["id"].(string) + "/roles"
	h.want(204, h.root, "POST", path+"/users", `{"user_id":"`+h.plainUser+`","role":"a/b c","key":"level"}`)
	h.want(404, h.root, "POST", path+"/users", `{"user_id":"`+h.acmeUser+`","role":"x"}`)
	h.want(404, h.root, "POST", path+"/groups", `{"group_id":"`+h.plainUser+`","role":"x"}`)
	h.want(400, h.root, "POST", path+"/users", `{"user_id":"`+h.plainUser+`","role":"x","key":"email"}`)
	h.want(404, h.acme, "GET", path, "")
	_, data := h.call(h.root, "GET", path, "")
	var list struct{ Data []map[string]string }
	h.must(json.Unmarshal([]byte(data), &list))
	if d := cmp.Diff([]map[string]string{{"kind": "user", "id": h.plainUser, "role": "a/b c", "key": "level"}}, list.Data); d != "" {
		t.Error(d)
	}
	gone := path + "/users/" + h.plainUser + "?role=" + url.QueryEscape("a/b c")
	h.want(204, h.root, "DELETE", gone, "")
	h.want(404, h.root, "DELETE", gone, "")
}

// TestMappingFaultsPointAtTheirPlace: line and column come to whoever registers the mapping.
func TestMappingFaultsPointAtTheirPlace(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for mapping, want := range map[string][2]string{
		`{"claim":"a","expression":"user.emial"}`:                {"#/claim_mappings/0/expression", "column 5"},
		`{"claim":"Sub","value":"x"}`:                            {"#/claim_mappings/0/claim", "belongs to the protocol"},
		`{"claim":"a","value":"x","expression":"1"}`:             {"#/claim_mappings/0/value", "not both"},
		`{"claim":"a","value":"x"},{"claim":"a","value":"y"}`:    {"#/claim_mappings/1/claim", "already"},
		`{"claim":"a","expression":"groups.map(g, g.map(h,h))"}`: {"#/claim_mappings/0/expression", "line 1"},
	} {
		p := h.want(400, h.root, "POST", "/api/v1/applications", `{"name":"x","redirect_uris":["https://a.example/cb"],"claim_mappings":[`+mapping+`]}`)
		if len(p.Errors) != 1 || p.Errors[0].Pointer != want[0] || !strings.Contains(p.Errors[0].Detail, want[1]) {
			t.Errorf("%s: %+v", mapping, p.Errors)
		}
	}
}
