package admin_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/resource"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/credential/certificate"
	"github.com/quis-idp/quis/identity/credential/certificate/certificatetest"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/regain"
	"github.com/quis-idp/quis/identity/session"
)

// An operation is a route as the published document shows it: what is tested here is
// what a stranger can read there.
type operation struct {
	method, path, id string
	installation     bool
	conditional      bool
	schema           map[string]any // of the body, or nil
	bodyOptional     bool
	file             string // the body of one that takes a file, which has no schema
}

func operations(h *house) []operation {
	h.t.Helper()
	_, body := h.call("", "GET", "/api/openapi.json", "")
	var doc struct {
		Paths map[string]map[string]struct {
			OperationID string
			Description string
			Parameters  []struct{ Name, In string }
			RequestBody *struct {
				Required bool
				Content  map[string]struct{ Schema map[string]any }
			}
		}
		Components struct{ Schemas map[string]map[string]any }
	}
	h.must(json.Unmarshal([]byte(body), &doc))
	var all []operation
	for path, item := range doc.Paths {
		for method, op := range item {
			o := operation{method: strings.ToUpper(method), path: path, id: op.OperationID, installation: strings.Contains(op.Description, "default tenant")}
			for _, p := range op.Parameters {
				o.conditional = o.conditional || p.Name == "If-Match"
			}
			if op.RequestBody != nil {
				ref, _ := op.RequestBody.Content["application/json"].Schema["$ref"].(string)
				o.schema = doc.Components.Schemas[strings.TrimPrefix(ref, "#/components/schemas/")]
				o.bodyOptional = !op.RequestBody.Required
			}
			if o.id == "uploadRevocationList" {
				o.file = string(certificatetest.New(h.t, "CA", nil).List(h.t, 1, nil).Raw)
			}
			all = append(all, o)
		}
	}
	slices.SortFunc(all, func(a, b operation) int { return strings.Compare(a.id, b.id) })
	if len(all) < 40 {
		h.t.Fatalf("only %d operations", len(all))
	}
	return all
}

// at fills the wildcards of a path.
func (o operation) at(ids map[string]string) string {
	path := o.path
	for _, part := range strings.Split(o.path, "/") {
		if name, ok := strings.CutPrefix(part, "{"); ok {
			id := ids[strings.TrimSuffix(name, "}")]
			if id == "" {
				id = "xyz_0123456789abcdefghjkmnpqrs"
			}
			path = strings.Replace(path, part, id, 1)
		}
	}
	return path
}

// body makes a request that the schema accepts: what is required, and no more.
func (o operation) body(ids map[string]string) string {
	if o.schema == nil {
		return o.file
	}
	v := map[string]any{}
	required, _ := o.schema["required"].([]any)
	for _, name := range required {
		v[name.(string)] = "some long text 42"
	}
	for name, id := range map[string]string{"user_id": ids["user"], "group_id": ids["group"]} {
		if _, ok := v[name]; ok && id != "" {
			v[name] = id
		}
	}
	data, _ := json.Marshal(v)
	return string(data)
}

func TestEveryRouteIsGuarded(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for _, o := range operations(h) {
		path, body := o.at(nil), o.body(nil)
		res, _ := h.call("", o.method, path, body)
		if res.StatusCode != 401 || !strings.HasPrefix(res.Header.Get("WWW-Authenticate"), "Bearer") {
			t.Errorf("%s without a token: %d %v", o.id, res.StatusCode, res.Header)
		}
		own := strings.HasPrefix(o.path+"/", "/api/v1/me/") // everybody's
		if !own {
			h.want(403, h.plain, o.method, path, body)
		}
		if o.installation {
			h.want(403, h.acme, o.method, path, body)
		} else {
			for _, slug := range []string{"default", "nowhere"} {
				h.want(403, h.acme, o.method, path+"?tenant="+slug, body)
			}
			h.want(404, h.root, o.method, path+"?tenant=nowhere", body)
		}
	}
	for _, auth := range []string{"Basic cm9vdDpyb290", "Bearer", "Bearer ", "bearer x", "quis_pat_x", "Bearer " + h.root + " x", "Bearer " + h.root[:len(h.root)-1]} {
		h.want(401, "", "GET", "/api/v1/users", "", "Authorization", auth)
	}
	h.want(200, "", "GET", "/api/v1/users", "", "Authorization", "bearer "+h.root)
}

func TestEveryRouteReadsStrictly(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for _, o := range operations(h) {
		path := o.at(nil)
		if p := h.want(400, h.root, o.method, path+"?tennant=x", o.body(nil)); !slices.Equal(pointers(p), []string{"#/tennant"}) {
			t.Errorf("%s: %+v", o.id, p)
		}
		h.want(400, h.root, o.method, path+"?a=%zz", o.body(nil))
		if o.schema == nil {
			if o.method != "GET" {
				h.want(400, h.root, o.method, path, `{}`)
			}
			continue
		}
		if p := h.want(400, h.root, o.method, path, `{"no_such":1}`); !slices.Contains(pointers(p), "#/no_such") {
			t.Errorf("%s: %+v", o.id, p)
		}
		for _, bad := range []string{`[]`, `"x"`, `nul`, `{"a":}`, o.body(nil) + `{}`, strings.Repeat(`{"a":`, 5000)} {
			h.want(400, h.root, o.method, path, bad)
		}
		h.want(413, h.root, o.method, path, `{"no_such":"`+strings.Repeat("x", 300<<10)+`"}`)
		h.want(415, h.root, o.method, path, o.body(nil), "Content-Type", "text/plain")
		h.want(415, h.root, o.method, path, o.body(nil), "Content-Type", "")
		if !o.bodyOptional {
			h.want(400, h.root, o.method, path, "")
		}
	}
}

func TestEveryMissingThingIsNotFound(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for _, o := range operations(h) {
		if strings.Contains(o.path, "{") {
			h.want(404, h.root, o.method, o.at(nil), o.body(nil))
		}
	}
}

// things are one of each kind in tenant acme.
func (h *house) things() map[string]string {
	ids := map[string]string{"users": h.acmeUser, "user": h.acmeUser, "tenants": h.acmeTenant}
	ids["factor"], ids["device"] = h.equip(h.acmeTenant, h.acmeUser, "phone")
	root := certificatetest.New(h.t, "CA", nil)
	h.update(func(tx *fsm.Tx) error {
		g, err := directory.CreateGroup(tx, h.acmeTenant, directory.Group{Name: "secret"})
		if err != nil {
			return err
		}
		a := federation.Application{Tenant: h.acmeTenant, Name: "app", RedirectURIs: []string{"https://a.example/cb"}}
		if _, err := federation.Create(tx, h.ring, &a, ""); err != nil {
			return err
		}
		s, err := h.sessions.Start(tx, session.Session{Tenant: h.acmeTenant, UserID: h.acmeUser})
		if err != nil {
			return err
		}
		ids["groups"], ids["group"], ids["applications"], ids["sessions"] = g.ID, g.ID, a.ID, s.Session.ID
		api, err := resource.CreateServer(tx, resource.Server{Tenant: h.acmeTenant, Identifier: "https://api.acme.example", Name: "API"})
		if err != nil {
			return err
		}
		scope, err := resource.CreateScope(tx, resource.Scope{Tenant: h.acmeTenant, Name: "acme:read", Texts: resource.Texts{"en": "Read"}, Resource: api.ID})
		if err != nil {
			return err
		}
		ids["resource-servers"], ids["scopes"] = api.ID, scope.Name
		ca, err := certificate.Add(tx, certificate.Authority{
			Tenant: h.acmeTenant, Name: "CA", Certificate: root.Cert.Raw, Key: certificate.KeySoftware, Revocation: certificate.RevocationRequired,
		})
		if err != nil {
			return err
		}
		ids["certificate-authorities"] = ca.ID
		for tok, err := range credential.ListTokens(tx, h.acmeTenant, h.acmeUser) {
			if err != nil {
				return err
			}
			ids["token"] = tok.ID
		}
		if _, _, err := regain.NewLink(tx, h.acmeTenant, h.acmeUser, time.Hour); err != nil {
			return err
		}
		return directory.AddMember(tx, h.acmeTenant, g.ID, h.acmeUser)
	})
	h.must(h.db.View(h.t.Context(), func(tx *fsm.Tx) error {
		all, _, err := event.List(tx, h.acmeTenant, event.Query{Limit: 1})
		ids["events"] = all[0].ID
		return err
	}))
	return ids
}

// of returns the IDs for the wildcards of o: {id} is that of the resource in the path.
func (o operation) of(ids map[string]string) map[string]string {
	kind := strings.Split(o.path, "/")[3]
	return map[string]string{
		"id": ids[kind], "user": ids["user"], "group": ids["group"], "token": ids["token"], "target": ids["user"],
		"factor": ids["factor"], "device": ids["device"],
		"name": ids["scopes"], "application": ids["applications"]}
}

// An admin of one tenant can reach nothing of another one by its ID, whatever the
// route, and the admin of the right tenant can, so the IDs are good.
func TestTenantsAreApart(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ids := h.things()
	h.update(func(tx *fsm.Tx) error {
		_, err := directory.CreateTenant(tx, directory.Tenant{Slug: "rival", Name: "Rival"})
		return err
	})
	var rival string
	h.update(func(tx *fsm.Tx) error {
		tenant, err := directory.TenantBySlug(tx, "rival")
		rival = tenant.ID
		return err
	})
	_, spy := h.person(rival, "spy", true)
	for _, o := range operations(h) {
		if o.installation || !strings.Contains(o.path, "{") || strings.HasPrefix(o.path, "/api/v1/mail/templates/") { // letters are the same everywhere
			continue
		}
		path, body := o.at(o.of(ids)), o.body(o.of(ids))
		h.want(404, spy, o.method, path, body)
		h.want(404, h.root, o.method, path, body) // without ?tenant= that is the default tenant
		h.want(403, spy, o.method, path+"?tenant=acme", body)
		if o.method == http.MethodGet {
			h.want(200, h.acme, o.method, path, "")
			h.want(200, h.root, o.method, path+"?tenant=acme", "")
		}
	}
	for _, list := range []string{"users", "groups", "applications", "sessions", "events", "scopes", "resource-servers", "certificate-authorities"} {
		res, body := h.call(spy, "GET", "/api/v1/"+list, "")
		for kind, id := range ids {
			if res.StatusCode != 200 || strings.Contains(body, id) {
				t.Errorf("%s shows %s of another tenant: %d %s", list, kind, res.StatusCode, body)
			}
		}
	}
}

func TestStaleChangesAreRefused(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ids := h.things()
	n := 0
	for _, o := range operations(h) {
		if !o.conditional {
			continue
		}
		n++
		path := o.at(o.of(ids))
		if !o.installation {
			path += "?tenant=acme"
		}
		for _, tag := range []string{`"1"`, `"x"`, `1`, `W/"1"`} {
			h.want(412, h.root, o.method, path, o.body(nil), "If-Match", tag)
		}
		h.want(400, h.root, o.method, path, o.body(nil), "If-Match", `"1", "2"`)
		res, _ := h.call(h.root, "GET", path, "")
		if o.method == http.MethodPatch {
			h.want(200, h.root, o.method, path, "{}", "If-Match", res.Header.Get("ETag"))
			h.want(200, h.root, o.method, path, "{}", "If-Match", "*")
		}
	}
	if n < 12 {
		t.Errorf("only %d conditional operations", n)
	}
}
