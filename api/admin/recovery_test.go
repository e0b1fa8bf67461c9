package admin_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/quis-idp/quis/api/client"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/credential/certificate/certificatetest"
	"github.com/quis-idp/quis/identity/regain"
)

func TestRecoveryLinks(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	c := h.client(h.root)
	at := "/api/v1/users/" + h.plainUser + "/recovery"
	h.want(404, h.root, "GET", at, "")
	r, err := c.Users.Recover(t.Context(), h.plainUser, 0)
	h.must(err)
	secret, ok := strings.CutPrefix(r.URL, "http://id.test/regain/")
	if !ok || r.State != "open" || r.Kind != "link" || r.CreatedBy.ID != h.rootUser || r.UserID != h.plainUser {
		t.Errorf("%+v", r)
	}
	got := h.said("GET", at, "")
	if got["id"] != r.ID || got["url"] != nil {
		t.Errorf("%v", got)
	}
	p, err := c.Recoveries(t.Context(), client.List{})
	h.must(err)
	if len(p.Data) != 1 || p.Data[0].ID != r.ID || p.Data[0].URL != "" {
		t.Errorf("%+v", p.Data)
	}
	h.update(func(tx *fsm.Tx) error { _, err := regain.Follow(tx, identity.DefaultTenant, secret); return err })
	h.want(403, h.root, "POST", "/api/v1/users/"+h.rootUser+"/recovery", "")
	h.want(404, h.root, "POST", "/api/v1/users/usr_none/recovery", "")
	h.want(400, h.root, "POST", at, `{"expires_in":60}`)
	h.want(403, h.plain, "POST", at, "")
	h.want(404, h.acme, "POST", at, "")
	h.must(c.Users.CancelRecovery(t.Context(), h.plainUser))
	h.want(404, h.root, "DELETE", at, "")
	h.mixed.Store(true)
	h.want(412, h.root, "POST", at, "")
}

// Where the tenant wants two administrators, one does not let anybody in, by whatever means.
func TestTwoAdministratorsRecover(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	other, second := h.person(identity.DefaultTenant, "second", true)
	app, _ := h.equip(identity.DefaultTenant, h.plainUser, "telephone")
	user := "/api/v1/users/" + h.plainUser
	h.said("PUT", user+"/password", `{"password":"open sesame 7 mountains blue"}`)
	authority := func(name string) string {
		pem, err := json.Marshal(certificatetest.New(t, name, nil).PEM())
		h.must(err)
		return `{"name":"` + name + `","certificate":` + string(pem) + `,"rules":["common_name=username"]}`
	}
	there := "/api/v1/certificate-authorities/" + h.said("POST", "/api/v1/certificate-authorities", authority("People"))["id"].(string)
	h.said("PATCH", "/api/v1/settings/authentication", `{"recovery":{"methods":["email"],"two_person":true}}`)
	r := h.said("POST", user+"/recovery", `{"expires_in":3600}`)
	id := r["id"].(string)
	if r["state"] != "unapproved" {
		t.Errorf("%v", r)
	}
	h.want(403, h.root, "POST", user+"/recovery/approve", `{"recovery":"`+id+`"}`)
	h.want(404, second, "POST", user+"/recovery/approve", `{"recovery":"rcv_other"}`)
	got, err := h.client(second).Users.ApproveRecovery(t.Context(), h.plainUser, id)
	h.must(err)
	if got.State != "open" || got.ApprovedBy == nil || got.ApprovedAt == nil || got.URL != "" {
		t.Errorf("%+v", got)
	}
	h.want(403, h.root, "PUT", user+"/password", `{"password":"another horse battery staple"}`)
	h.want(403, h.root, "DELETE", user+"/factors", "")
	h.want(403, h.root, "DELETE", user+"/factors/"+app, "")
	h.said("PUT", "/api/v1/users/"+h.rootUser+"/password", `{"password":"another horse battery staple"}`) // a first one
	for _, what := range []string{"recovery.started", "recovery.approved"} {
		if _, body := h.call(h.root, "GET", "/api/v1/events?type="+what, ""); strings.Count(body, `"evt_`) != 1 {
			t.Errorf("%s: %s", what, body)
		}
	}
	h.want(403, h.root, "POST", "/api/v1/certificate-authorities", authority("Mine"))
	h.want(403, h.root, "PATCH", there, `{"rules":["common_name=username"]}`)
	h.want(403, h.root, "PUT", "/api/v1/settings/mail", `{"host":"mail.evil.example","port":465,"from":"noreply@example.com"}`)
	for _, body := range []string{`{"email":"root@example.com"}`, `{"email":"root@example.com","email_verified":true}`} { // a first one lets in, too
		h.want(403, h.root, "PATCH", user, body)
	}
	h.want(403, h.root, "PATCH", user, `{"username":"root2"}`) // whom a certificate names gets in
	h.said("PATCH", "/api/v1/users/"+h.rootUser, `{"username":"root2"}`)
	h.want(403, h.root, "PUT", "/api/v1/users/"+other+"/password", `{"password":"another horse battery staple"}`) // a first one lets in, too
	for _, body := range []string{`{"allow_impersonation":true}`, `{"quiet_impersonation":true}`, `{"passkey":{"related_origins":["https://root.example"]}}`} {
		h.want(403, h.root, "PATCH", "/api/v1/settings/authentication", body)
	}
	h.said("DELETE", user, "")
	h.update(func(tx *fsm.Tx) error {
		left, _, err := regain.List(tx, identity.DefaultTenant, "", 10)
		if len(left) != 0 {
			t.Errorf("left %+v", left)
		}
		return err
	})
}

// One administrator does not end the rule that there must be two, whatever they send, nor with
// an account that they have made.
func TestTwoAdministratorsEndTheirRule(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	const at = "/api/v1/settings/authentication"
	_, second := h.person(identity.DefaultTenant, "second", true)
	h.want(403, h.root, "POST", at+"/lowering", "")
	h.said("PATCH", at, `{"recovery":{"two_person":true}}`)
	h.want(403, h.root, "PATCH", at, `{"recovery":{"two_person":false}}`)
	h.want(403, h.root, "PUT", at, `{"mfa_policy":"any"}`) // what is not mentioned is as by default: off
	h.want(403, second, "PATCH", at, `{"recovery":{"two_person":false}}`)
	h.want(404, h.root, "GET", at+"/lowering", "")
	made := h.said("POST", "/api/v1/users", `{"username":"puppet","admin":true}`)["id"].(string)
	var puppet string
	h.update(func(tx *fsm.Tx) (err error) { // by whatever way that one signs in
		_, puppet, err = credential.CreateToken(tx, identity.DefaultTenant, made, "test", "", time.Time{})
		return err
	})
	l, err := h.client(h.root).AskLowering(t.Context())
	h.must(err)
	approve := `{"lowering":"` + l.ID + `"}`
	h.want(403, puppet, "POST", at+"/lowering/approve", approve)
	h.want(403, h.root, "POST", at+"/lowering/approve", approve)
	h.want(403, h.plain, "POST", at+"/lowering/approve", approve)
	h.want(404, second, "POST", at+"/lowering/approve", `{"lowering":"low_other"}`)
	if got := h.said("GET", at+"/lowering", ""); got["id"] != l.ID || got["created_by"].(map[string]any)["id"] != h.rootUser {
		t.Errorf("%v", got)
	}
	c := h.client(second)
	h.must(c.CancelLowering(t.Context()))
	h.want(404, second, "POST", at+"/lowering/approve", approve)
	l, err = h.client(h.root).AskLowering(t.Context())
	h.must(err)
	s, err := c.ApproveLowering(t.Context(), l.ID)
	h.must(err)
	if s.Fields["recovery"].(map[string]any)["two_person"] != false || s.ETag == "" {
		t.Errorf("%+v", s)
	}
	h.mixed.Store(true)
	h.want(412, h.root, "POST", at+"/lowering", "")
}
