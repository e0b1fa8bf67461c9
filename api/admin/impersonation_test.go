package admin_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/event"
)

func TestImpersonationIsAskedFor(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	at := "/api/v1/users/" + h.plainUser + "/impersonation"
	const why = `{"reason":"ticket 4711","minutes":10}`
	p := h.want(403, h.root, "POST", at, why)
	if !strings.Contains(p.Detail, "allow_impersonation") {
		t.Errorf("%+v", p)
	}
	h.said("PATCH", "/api/v1/settings/authentication", `{"allow_impersonation":true}`)
	h.want(400, h.root, "POST", at, `{}`)
	h.want(400, h.root, "POST", at, `{"reason":" "}`)
	h.want(400, h.root, "POST", at, `{"reason":"x","minutes":61}`)
	h.want(404, h.root, "POST", "/api/v1/users/usr_none/impersonation", why)
	h.want(403, h.root, "POST", "/api/v1/users/"+h.rootUser+"/impersonation", why)
	h.want(403, h.plain, "POST", at, why)
	h.want(403, h.acme, "POST", at+"?tenant=default", why)
	var reading string
	h.update(func(tx *fsm.Tx) (err error) {
		var owner *credential.Token
		if owner, err = credential.TokenOwner(tx, h.root); err == nil {
			_, reading, err = credential.CreateToken(tx, identity.DefaultTenant, owner.UserID, "r", "", tx.Now().Add(1e12), credential.ScopeRead)
		}
		return err
	})
	h.want(403, reading, "POST", at, why)
	r := httptest.NewRequest("POST", at, strings.NewReader(why))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	h.api.Local().ServeHTTP(w, r)
	if w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "a person with an account") {
		t.Errorf("the operator: %d %s", w.Code, w.Body)
	}

	got := h.said("POST", at, why)
	if !strings.HasPrefix(got["url"].(string), "http://id.test/impersonate/") || got["minutes"] != 10.0 {
		t.Errorf("%v", got)
	}
	rows := h.said("GET", "/api/v1/events?type=impersonation.offered", "")["data"].([]any)
	if len(rows) != 1 || rows[0].(map[string]any)["actor"].(map[string]any)["id"] != h.rootUser {
		t.Errorf("%v", rows)
	}
	h.said("PATCH", "/api/v1/settings/authentication?tenant=acme", `{"allow_impersonation":true}`)
	got = h.said("POST", "/api/v1/users/"+h.acmeUser+"/impersonation?tenant=acme", why)
	if !strings.HasPrefix(got["url"].(string), "http://id.test/t/acme/impersonate/") {
		t.Errorf("%v", got)
	}
	h.mixed.Store(true)
	h.want(412, h.root, "POST", at, why)
}

func TestEventsAndSessionsNameTheImpersonator(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.update(func(tx *fsm.Tx) error {
		return event.Append(tx, event.Event{
			Tenant: identity.DefaultTenant, Type: event.SessionEnded,
			Actor: identity.Actor{Kind: identity.ActorUser, ID: h.plainUser, SessionID: "ses_1", Impersonator: h.rootUser},
		})
	})
	rows := h.said("GET", "/api/v1/events?type=session.ended", "")["data"].([]any)
	if actor := rows[0].(map[string]any)["actor"].(map[string]any); actor["impersonator_id"] != h.rootUser || actor["id"] != h.plainUser {
		t.Errorf("%v", actor)
	}
}
