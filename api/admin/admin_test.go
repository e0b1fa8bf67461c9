package admin_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quis-idp/quis/api/client"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/session"
)

func TestUsers(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	c, ctx := h.client(h.root), t.Context()
	u, err := c.Users.Create(ctx, client.UserFields{
		Username: ptr("ada"), Email: ptr("ada@example.com"), Name: ptr("Ada"), Password: ptr("correct horse battery"),
	})
	h.must(err)
	if u.ID == "" || u.ETag == "" || u.Username != "ada" || u.CreatedAt.IsZero() {
		t.Errorf("got %+v", u)
	}
	again, err := c.Users.Create(ctx, client.UserFields{Username: ptr("ADA")})
	if client.Status(err) != http.StatusConflict {
		t.Errorf("second ada: got %v, %v", again, err)
	}
	changed, err := c.Users.Update(ctx, u.ID, client.UserFields{Name: ptr("Ada L.")}, u.ETag)
	h.must(err)
	if changed.Name != "Ada L." || changed.Email != "ada@example.com" || changed.ETag == u.ETag {
		t.Errorf("got %+v", changed)
	}
	if _, err := c.Users.Update(ctx, u.ID, client.UserFields{Name: ptr("stale")}, u.ETag); client.Status(err) != http.StatusPreconditionFailed {
		t.Errorf("stale change: got %v", err)
	}
	found, err := c.Users.Find(ctx, "ada")
	h.must(err)
	if found.ID != u.ID {
		t.Errorf("found %+v", found)
	}
	h.must(c.Users.SetPassword(ctx, u.ID, "another horse battery"))
	h.must(c.Users.Delete(ctx, u.ID))
	if _, err := c.Users.Get(ctx, u.ID); client.Status(err) != http.StatusNotFound {
		t.Errorf("deleted: got %v", err)
	}
}

func TestReplaceResetsWhatIsNotMentioned(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	at := "/api/v1/users/" + h.plainUser
	h.want(200, h.root, "PATCH", at, `{"name":"Plain","locale":"de"}`)
	res, body := h.call(h.root, "PUT", at, `{"username":"plain","locale":"en"}`)
	var u client.User
	h.must(json.Unmarshal([]byte(body), &u))
	if res.StatusCode != 200 || u.Name != "" || u.Locale != "en" {
		t.Errorf("got %d %+v", res.StatusCode, u)
	}
	if p := h.want(400, h.root, "PUT", at, `{"name":"x"}`); !slices.Equal(pointers(p), []string{"#/username"}) {
		t.Errorf("got %v", p)
	}
	h.want(304, h.root, "GET", at, "", "If-None-Match", res.Header.Get("ETag"))
}

func TestAdminsKeepTheirOwnAccess(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	at := "/api/v1/users/" + h.rootUser
	h.want(403, h.root, "PATCH", at, `{"admin":false}`)
	h.want(403, h.root, "PATCH", at, `{"disabled":true}`)
	h.want(403, h.root, "DELETE", at, "")
	h.want(200, h.root, "PATCH", at, `{"name":"Root"}`)
}

// What applications hold for a user ends with the password and with being disabled, and
// does not come back when the user is enabled again.
func TestTakingAccessAwayRevokesWhatApplicationsHold(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	at := "/api/v1/users/" + h.plainUser
	for _, step := range []struct {
		status             int
		method, path, body string
		revoked            int // so far
	}{
		{200, "PATCH", at, `{"name":"Plain"}`, 0},
		{204, "PUT", at + "/password", `{"password":"another horse battery"}`, 1},
		{200, "PATCH", at, `{"disabled":true}`, 2},
		{200, "PATCH", at, `{"disabled":true,"name":"P"}`, 2},
		{200, "PATCH", at, `{"disabled":false}`, 2},
		{200, "PATCH", at, `{"disabled":true,"email":"p@example.com"}`, 3},
	} {
		h.want(step.status, h.root, step.method, step.path, step.body)
		_, body := h.call(h.root, "GET", "/api/v1/events?type=family.revoked&target="+h.plainUser, "")
		if got := strings.Count(body, `"evt_`); got != step.revoked {
			t.Errorf("after %s %s: revoked %d times, want %d", step.method, step.body, got, step.revoked)
		}
	}
}

func TestGroups(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	c, ctx := h.client(h.root), t.Context()
	g, err := c.Groups.Create(ctx, client.GroupFields{Name: ptr("eng")})
	h.must(err)
	h.must(c.Groups.AddMember(ctx, g.ID, h.plainUser))
	h.must(c.Groups.AddMember(ctx, g.ID, h.plainUser))
	members, err := c.Groups.Members(ctx, g.ID, client.List{})
	h.must(err)
	if len(members.Data) != 1 || members.Data[0].ID != h.plainUser {
		t.Errorf("members: %+v", members)
	}
	of, err := c.Users.Groups(ctx, h.plainUser, client.List{})
	h.must(err)
	if len(of.Data) != 1 || of.Data[0].Name != "eng" {
		t.Errorf("groups: %+v", of)
	}
	h.must(c.Groups.RemoveMember(ctx, g.ID, h.plainUser))
	if _, err = c.Groups.Update(ctx, g.ID, client.GroupFields{Name: ptr("dev")}, `"1"`); client.Status(err) != 412 {
		t.Errorf("stale: %v", err)
	}
	g, err = c.Groups.Update(ctx, g.ID, client.GroupFields{Name: ptr("dev")}, g.ETag)
	h.must(err)
	h.want(412, h.root, "DELETE", "/api/v1/groups/"+g.ID, "", "If-Match", `"1"`)
	h.want(412, h.root, "DELETE", "/api/v1/groups/"+g.ID, "", "If-Match", `"abc"`)
	h.want(204, h.root, "DELETE", "/api/v1/groups/"+g.ID, "", "If-Match", g.ETag)
}

// The document of the specification is accepted as it stands, word for word.
func TestApplications(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	res, body := h.call(h.root, "POST", "/api/v1/applications", `{
		"name": "My App", "description": "Internal dashboard", "type": "oidc",
		"redirect_uris": ["https://app.example.com/callback"],
		"allowed_scopes": ["openid", "profile", "email", "groups"],
		"grant_types": ["authorization_code", "refresh_token"],
		"token_expiry": 3600, "access_restricted": false, "show_in_dashboard": true,
		"launch_url": "https://app.example.com", "mfa_policy": "inherit"}`)
	var a client.Application
	h.must(json.Unmarshal([]byte(body), &a))
	if res.StatusCode != 201 || a.ClientID == "" || len(a.ClientSecret) < 32 || res.Header.Get("Location") != "/api/v1/applications/"+a.ID {
		t.Fatalf("got %d %s %v", res.StatusCode, body, res.Header)
	}
	for _, field := range []string{"name", "friendly_name", "description", "type", "client_id", "redirect_uris", "allowed_scopes", "grant_types", "is_public",
		"require_pkce", "token_expiry", "access_restricted", "show_in_dashboard", "launch_url", "app_group", "icon_url", "mfa_policy", "backchannel_logout_uri", "post_logout_uris"} {
		if !strings.Contains(body, `"`+field+`":`) {
			t.Errorf("answer has no %s", field)
		}
	}
	at := "/api/v1/applications/" + a.ID
	_, body = h.call(h.root, "GET", at, "")
	if strings.Contains(body, "client_secret") {
		t.Errorf("secret is shown again: %s", body)
	}
	next, err := h.client(h.root).Applications.RegenerateSecret(t.Context(), a.ID, false)
	h.must(err)
	if next.ClientSecret == "" || next.ClientSecret == a.ClientSecret {
		t.Error("secret is not new")
	}
	h.want(200, h.root, "POST", at+"/regenerate-secret", "")
	h.want(400, h.root, "PATCH", at, `{"mfa_policy":"sms"}`)
	h.want(400, h.root, "PATCH", at, `{"redirect_uris":["http://evil.example/cb"]}`)
	h.want(200, h.root, "PATCH", at, `{"friendly_name":"App"}`)

	h.want(204, h.root, "POST", at+"/access/users", `{"user_id":"`+h.plainUser+`"}`)
	h.want(404, h.root, "POST", at+"/access/users", `{"user_id":"`+h.acmeUser+`"}`)
	if _, body := h.call(h.root, "GET", at+"/access", ""); !strings.Contains(body, h.plainUser) {
		t.Errorf("access: %s", body)
	}
	h.want(204, h.root, "DELETE", at+"/access/users/"+h.plainUser, "")
	h.want(404, h.root, "DELETE", at+"/access/users/"+h.plainUser, "")
	h.want(204, h.root, "DELETE", at, "")
	h.want(404, h.root, "GET", at, "")
}

func TestSessions(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	var started *session.Started
	start := func() {
		h.update(func(tx *fsm.Tx) (err error) {
			started, err = h.sessions.Start(tx, session.Session{Tenant: identity.DefaultTenant, UserID: h.plainUser, AMR: []string{"pwd"}})
			return err
		})
	}
	start()
	c, ctx := h.client(h.root), t.Context()
	page, err := c.Sessions(ctx, client.List{})
	h.must(err)
	if len(page.Data) != 1 || page.Data[0].UserID != h.plainUser || page.Data[0].LastSeen.IsZero() {
		t.Errorf("got %+v", page)
	}
	if _, body := h.call(h.root, "GET", "/api/v1/sessions/"+started.Session.ID, ""); strings.Contains(strings.ToLower(body), "secret") {
		t.Errorf("session shows a secret: %s", body)
	}
	h.must(c.EndSession(ctx, started.Session.ID))
	h.want(404, h.root, "DELETE", "/api/v1/sessions/"+started.Session.ID, "")
	start()
	h.must(c.Users.EndSessions(ctx, h.plainUser))
	page, err = c.Users.Sessions(ctx, h.plainUser, client.List{})
	h.must(err)
	if len(page.Data) != 0 {
		t.Errorf("left: %+v", page)
	}
	start()
	h.must(c.Users.SetPassword(ctx, h.plainUser, "a new long password"))
	if page, err = c.Sessions(ctx, client.List{}); err != nil || len(page.Data) != 0 {
		t.Errorf("after a new password: %+v %v", page, err)
	}
}

func TestTenants(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	c, ctx := h.client(h.root), t.Context()
	n, err := c.Tenants.Create(ctx, client.TenantFields{Slug: ptr("new"), Name: ptr("New")})
	h.must(err)
	ks, err := h.client(h.root, client.WithTenant("new")).Keys(ctx)
	h.must(err)
	if len(ks) != 1 || ks[0].State != "active" {
		t.Errorf("keys of a new tenant: %+v", ks)
	}
	if _, err := c.Tenants.Create(ctx, client.TenantFields{Slug: ptr("new"), Name: ptr("New")}); client.Status(err) != 409 {
		t.Errorf("twice: %v", err)
	}
	h.want(403, h.root, "DELETE", "/api/v1/tenants/"+h.acmeTenant, "") // has users
	h.want(403, h.root, "DELETE", "/api/v1/tenants/"+identity.DefaultTenant, "")
	h.must(c.Tenants.Delete(ctx, n.ID))
	h.want(404, h.root, "GET", "/api/v1/users?tenant=new", "")
	res, body := h.call(h.root, "POST", "/api/v1/users?tenant=acme", `{"username":"x"}`)
	if loc := res.Header.Get("Location"); res.StatusCode != 201 || !strings.HasSuffix(loc, "?tenant=acme") {
		t.Errorf("got %d %s %q", res.StatusCode, body, loc)
	} else {
		h.want(200, h.root, "GET", loc, "")
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	c, ctx := h.client(h.root), t.Context()
	before, err := c.Keys(ctx)
	h.must(err)
	after, err := c.RotateKeys(ctx, "", false)
	h.must(err)
	if len(before) != 1 || len(after) != 2 {
		t.Errorf("got %+v, then %+v", before, after)
	}
	after, err = c.RotateKeys(ctx, "ES256", true)
	h.must(err)
	for _, k := range after {
		if k.Kid == before[0].Kid && k.State != "gone" {
			t.Errorf("still there: %+v", k)
		}
	}
	if _, err := c.RotateKeys(ctx, "PS256", false); client.Status(err) != 404 {
		t.Errorf("unused algorithm: %v", err)
	}
}

func TestEvents(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	c, ctx := h.client(h.root), t.Context()
	u, err := c.Users.Create(ctx, client.UserFields{Username: ptr("eve")})
	h.must(err)
	page, err := c.Events(ctx, client.EventFilter{Type: "user.created", Target: u.ID})
	h.must(err)
	if len(page.Data) != 1 || page.Data[0].Actor.ID != h.rootUser || page.Data[0].Actor.Kind != "user" {
		t.Errorf("got %+v", page)
	}
	for name, hint := range map[string]string{
		"user.c": `did you mean "user.created"?`, "user.nonsense": "there are user.created, ", "user.creatd": `did you mean "user.created"?`, "usr.*": `did you mean "user.*"?`, "nonsense": "nor what one begins with", "nonsense*": "nor what",
	} {
		if _, err := c.Events(ctx, client.EventFilter{Type: name}); err == nil || !strings.Contains(err.Error(), hint) {
			t.Errorf("type %s: %v, want %q", name, err, hint)
		}
	}
	if page, err = c.Events(ctx, client.EventFilter{Type: "tenant.deleted"}); err != nil || len(page.Data) != 0 {
		t.Errorf("half a type: %+v, %v", page, err)
	}
	if page, err = c.Events(ctx, client.EventFilter{Type: "user.*", OldestFirst: true}); err != nil || len(page.Data) < 3 {
		t.Errorf("user.*: %+v, %v", page, err)
	}
	if page, err = c.Events(ctx, client.EventFilter{User: h.rootUser, Since: time.Now().Add(-time.Hour), Type: "user.created"}); err != nil || len(page.Data) != 2 || page.Data[0].Actor.Name != "root" {
		t.Errorf("of root: %+v, %v", page, err)
	}
	one, err := c.Event(ctx, page.Data[0].ID)
	h.must(err)
	if diff := cmp.Diff(&page.Data[0], one); diff != "" {
		t.Error(diff)
	}
	if page, err = c.Events(ctx, client.EventFilter{Since: time.Now().Add(time.Hour)}); err != nil || len(page.Data) != 0 {
		t.Errorf("in an hour: %+v, %v", page, err)
	}
	h.want(404, h.root, "GET", "/api/v1/events/"+identity.NewID(identity.PrefixEvent), "")
	h.want(400, h.root, "GET", "/api/v1/events?since=yesterday", "")
	v, err := c.VerifyAudit(ctx)
	h.must(err)
	if !v.Intact || v.Entries == 0 || v.NodeID != "n1" {
		t.Errorf("got %+v", v)
	}
	h.want(200, h.root, "GET", "/api/v1/audit/verify?anchor="+v.Head, "")
	h.want(400, h.root, "GET", "/api/v1/audit/verify?anchor=x", "")
	h.want(400, h.root, "GET", "/api/v1/events?after=x", "")
}

func TestInstallation(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	c, ctx := h.client(h.root, client.WithTenant("acme")), t.Context()
	s, err := c.Status(ctx)
	h.must(err)
	if s.NodeID != "n1" || !s.Ready || len(s.Members) != 1 {
		t.Errorf("got %+v", s)
	}
	members, err := c.Members(ctx)
	if err != nil || len(members) != 1 {
		t.Errorf("got %+v, %v", members, err)
	}
	link, err := c.SetupLink(ctx)
	h.must(err)
	if !strings.HasPrefix(link.URL, "http://id.test/setup/") || !link.ExpiresAt.After(time.Now()) {
		t.Errorf("got %+v", link)
	}
	if err := c.Transfer(ctx, ""); client.Status(err) != 403 {
		t.Errorf("got %v", err)
	}
}

func TestCursorWalk(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for i := range 23 {
		h.update(func(tx *fsm.Tx) error {
			_, err := directory.CreateUser(tx, identity.DefaultTenant, directory.User{Username: "w" + string(rune('a'+i))})
			return err
		})
	}
	c := h.client(h.root)
	seen := map[string]bool{}
	for u, err := range client.All(t.Context(), client.List{Limit: 5, Consistent: true}, c.Users.List) {
		h.must(err)
		if seen[u.ID] {
			t.Errorf("%s twice", u.Username)
		}
		seen[u.ID] = true
	}
	if len(seen) != 25 {
		t.Errorf("saw %d users, want 25", len(seen))
	}
	for range client.All(t.Context(), client.List{Limit: 2}, c.Sessions) {
		t.Error("a session out of nothing")
	}
	h.want(400, h.root, "GET", "/api/v1/users?limit=201", "")
	h.want(400, h.root, "GET", "/api/v1/users?limit=0", "")
	h.want(400, h.root, "GET", "/api/v1/users?limit=x", "")
	h.want(400, h.root, "GET", "/api/v1/users?after=!!", "")
}

func TestWrongPathsAndMethods(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.want(404, h.root, "GET", "/api/v1/nothing", "")
	h.want(404, h.root, "GET", "/api/v2/users", "")
	res, _ := h.call(h.root, "PATCH", "/api/v1/users", "{}")
	if res.StatusCode != 405 || res.Header.Get("Allow") != "GET, POST" {
		t.Errorf("got %d, Allow %q", res.StatusCode, res.Header.Get("Allow"))
	}
}

func TestNoLeader(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.log.SetLeader(false)
	if res, _ := h.call(h.root, "POST", "/api/v1/groups", `{"name":"x"}`); res.StatusCode != 503 || res.Header.Get("Retry-After") == "" {
		t.Errorf("got %d %v", res.StatusCode, res.Header)
	}
	h.want(200, h.root, "GET", "/api/v1/cluster/status", "")
	h.log.SetLeader(true)
	h.want(201, h.root, "POST", "/api/v1/groups", `{"name":"x"}`)
}
