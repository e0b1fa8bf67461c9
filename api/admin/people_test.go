package admin_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/notify"
	"github.com/quis-idp/quis/identity/notify/post"
	"github.com/quis-idp/quis/identity/pending"
)

func TestInvitations(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	made := h.said("POST", "/api/v1/invitations", `{"email":"ann@example.com","name":"Ann"}`)
	link := made["url"].(string)
	secret, ok := strings.CutPrefix(link, "http://id.test/invite/")
	if !ok || made["username"] != "" {
		t.Errorf("%v", made)
	}
	rows := h.said("GET", "/api/v1/invitations", "")["data"].([]any)
	if len(rows) != 1 || rows[0].(map[string]any)["url"] != nil || rows[0].(map[string]any)["email"] != "ann@example.com" {
		t.Errorf("%v", rows)
	}
	h.update(func(tx *fsm.Tx) error {
		_, err := pending.Accept(tx, identity.DefaultTenant, secret, pending.Acceptance{Username: "ann"})
		return err
	})
	h.want(409, h.root, "POST", "/api/v1/invitations", `{"email":"ann@example.com"}`)
	h.want(400, h.root, "POST", "/api/v1/invitations", `{"email":"nobody"}`)
	other := h.said("POST", "/api/v1/invitations?tenant=acme", `{"email":"ann@example.com","expires_in":3600}`)
	if !strings.HasPrefix(other["url"].(string), "http://id.test/t/acme/invite/") {
		t.Errorf("%v", other)
	}
	h.want(404, h.root, "DELETE", "/api/v1/invitations/"+other["id"].(string), "")
	h.said("DELETE", "/api/v1/invitations/"+other["id"].(string)+"?tenant=acme", "")
	h.mixed.Store(true)
	h.want(412, h.root, "POST", "/api/v1/invitations", `{"email":"bob@example.com"}`)
}

// TestInvitationsAreMailed: where mail is sent, the link is shown to nobody.
func TestInvitationsAreMailed(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.want(400, h.root, "POST", "/api/v1/invitations", `{"email":"ann@example.com","mail":true}`)
	h.update(func(tx *fsm.Tx) error {
		_, err := notify.PutSettings(tx, h.ring, notify.Settings{Tenant: identity.DefaultTenant, Host: "mail.example.com", Port: 587, TLS: post.TLSMandatory, From: "noreply@example.com"}, nil, 0)
		return err
	})
	made := h.said("POST", "/api/v1/invitations", `{"email":"ann@example.com","mail":true}`)
	if made["url"] != nil || made["mailed_at"] == nil {
		t.Errorf("%v", made)
	}
	id := made["id"].(string)
	if again := h.said("POST", "/api/v1/invitations/"+id+"/send", ""); again["url"] != nil || again["id"] != id {
		t.Errorf("%v", again)
	}
	h.want(404, h.root, "POST", "/api/v1/invitations/inv_none/send", "")
	h.want(403, h.plain, "POST", "/api/v1/invitations/"+id+"/send", "")
	events := h.said("GET", "/api/v1/events?type=invitation.sent", "")["data"].([]any)
	if len(events) != 1 {
		t.Errorf("%v", events)
	}
}

// TestNothingIsLeftOfADeletedUser: of a change of address, and of what is counted.
func TestNothingIsLeftOfADeletedUser(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.update(func(tx *fsm.Tx) error {
		_, err := pending.BeginEmailChange(tx, identity.DefaultTenant, h.plainUser, "new@example.com")
		return err
	})
	h.said("DELETE", "/api/v1/users/"+h.plainUser, "")
	if events := h.said("GET", "/api/v1/events?type=email_change.cancelled", "")["data"].([]any); len(events) != 1 {
		t.Errorf("%v", events)
	}
}

func TestUsersAreSearched(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.said("POST", "/api/v1/users", `{"username":"u1","name":"Zoë Müller"}`)
	h.said("POST", "/api/v1/users", `{"username":"muller","given_name":"Ann"}`)
	for search, want := range map[string]string{"mul": "muller u1", "M%C3%9CLLER%20zo": "u1", "ann": "muller", "ller": ""} {
		got := ""
		for _, u := range h.said("GET", "/api/v1/users?search="+search, "")["data"].([]any) {
			got += " " + u.(map[string]any)["username"].(string)
		}
		if strings.TrimSpace(got) != want {
			t.Errorf("%s: %s", search, got)
		}
	}
}

func TestImport(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.said("POST", "/api/v1/groups", `{"name":"staff"}`)
	body := `{"users":[{"username":"ann","email":"ann@example.com","groups":["Staff"]},{"email":"bob@example.com"},{"username":"a b","email":"x"},
		{"username":"plain"},{"username":"eve","groups":["none"]},{"username":"ANN"}]%s}`
	outcomes := func(got map[string]any) (out []string) {
		for _, r := range got["rows"].([]any) {
			out = append(out, r.(map[string]any)["outcome"].(string))
		}
		return out
	}
	const want = "[created created refused refused refused refused]"
	dry := h.said("POST", "/api/v1/users/import", fmt.Sprintf(body, `,"dry_run":true`))
	if got := fmt.Sprint(outcomes(dry)); got != want || dry["rows"].([]any)[0].(map[string]any)["id"] != nil {
		t.Errorf("%v", dry)
	}
	h.want(404, h.root, "GET", "/api/v1/users/x", "")
	if rows := h.said("GET", "/api/v1/users?username=ann", "")["data"].([]any); len(rows) != 0 {
		t.Errorf("a dry run made %v", rows)
	}
	got := h.said("POST", "/api/v1/users/import", fmt.Sprintf(body, ""))
	if fmt.Sprint(outcomes(got)) != want || got["created"] != 2.0 || got["refused"] != 4.0 {
		t.Errorf("%v", got)
	}
	for i, there := range []any{nil, nil, nil, true, nil, true} {
		if row := got["rows"].([]any)[i].(map[string]any); row["exists"] != there {
			t.Errorf("row %d: %v", i, row)
		}
	}
	faults := got["rows"].([]any)[2].(map[string]any)["faults"].([]any)
	if len(faults) != 2 || !strings.HasPrefix(faults[0].(string), "email ") {
		t.Errorf("%v", faults)
	}
	id := got["rows"].([]any)[0].(map[string]any)["id"].(string)
	if groups := h.said("GET", "/api/v1/users/"+id+"/groups", "")["data"].([]any); len(groups) != 1 {
		t.Errorf("%v", groups)
	}
	again := h.said("POST", "/api/v1/users/import", fmt.Sprintf(body, `,"skip_existing":true`))
	if got := fmt.Sprint(outcomes(again)); got != "[skipped skipped refused skipped refused skipped]" {
		t.Errorf("%v", again)
	}
	if rows := h.said("GET", "/api/v1/users?username=ann&groups=true", "")["data"].([]any); fmt.Sprint(rows[0].(map[string]any)["groups"]) != "[staff]" {
		t.Errorf("%v", rows)
	}
	if rows := h.said("GET", "/api/v1/users?username=ann", "")["data"].([]any); rows[0].(map[string]any)["groups"] != nil {
		t.Errorf("groups, unasked: %v", rows)
	}
	h.want(403, h.plain, "POST", "/api/v1/users/import", `{"users":[{"username":"x"}]}`)
	h.want(400, h.root, "POST", "/api/v1/users/import", `{"users":[`+strings.Repeat(`{"username":"x"},`, 25)+`{"username":"x"}]}`)
}

// People are in many groups, and a transaction holds so many memberships.
func TestImportIntoGroups(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	var names []string
	for i := range 101 {
		names = append(names, fmt.Sprintf("%03d %s", i, strings.Repeat("x", 196)))
	}
	for part := range slices.Chunk(names, 50) {
		h.update(func(tx *fsm.Tx) error {
			for _, name := range part {
				if _, err := directory.CreateGroup(tx, identity.DefaultTenant, directory.Group{Name: name}); err != nil {
					return err
				}
			}
			return nil
		})
	}
	people := func(users map[string][]string) string {
		var all []map[string]any
		for _, u := range slices.Sorted(maps.Keys(users)) {
			all = append(all, map[string]any{"username": u, "groups": users[u]})
		}
		body, err := json.Marshal(map[string]any{"users": all})
		h.must(err)
		return string(body)
	}
	got := h.said("POST", "/api/v1/users/import", people(map[string][]string{"ann": names[:100], "bob": names[:1], "cat": {}}))
	if got["created"] != 2.0 || !strings.Contains(fmt.Sprint(got["rows"].([]any)[1]), "100, all told") {
		t.Errorf("%v", got)
	}
	if rows := h.said("GET", "/api/v1/users?username=ann&groups=true", "")["data"].([]any); len(rows[0].(map[string]any)["groups"].([]any)) != 100 {
		t.Errorf("%v", rows)
	}
	if got = h.said("POST", "/api/v1/users/import", people(map[string][]string{"bob": names[:1], "dan": names})); got["created"] != 1.0 {
		t.Errorf("%v", got)
	}
}

func TestImportOfHashes(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	const bcrypt = "$2b$04$KIXQ0pR6Yy3p5bqM1dQz0uJtZkYf8aJ8o1QyV9m3cG0f8Q6sQw2uC"
	got := h.said("POST", "/api/v1/users/import", `{"users":[{"username":"ann","password_hash":"`+bcrypt+`"},{"username":"bob","password_hash":"$9$x"}]}`)
	rows := got["rows"].([]any)
	if rows[0].(map[string]any)["outcome"] != "created" || rows[1].(map[string]any)["outcome"] != "refused" {
		t.Fatalf("%v", got)
	}
	if b := fmt.Sprint(got); strings.Contains(b, "$9$x") {
		t.Errorf("a hash is told: %s", b)
	}
	h.update(func(tx *fsm.Tx) error {
		set, err := credential.PasswordSet(tx, identity.DefaultTenant, rows[0].(map[string]any)["id"].(string))
		if set.IsZero() {
			t.Error("no password is set")
		}
		return err
	})
}

func TestTemporaryPassword(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for _, must := range []bool{true, false} {
		h.said("PUT", "/api/v1/users/"+h.plainUser+"/password", fmt.Sprintf(`{"password":"open sesame 7 mountains %v","must_change":%v}`, must, must))
		h.update(func(tx *fsm.Tx) error {
			why, err := credential.Expired(tx, identity.DefaultTenant, h.plainUser)
			if (why == credential.Requested) != must {
				t.Errorf("must change: %v, got %q", must, why)
			}
			return err
		})
	}
}
