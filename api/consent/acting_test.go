package consent

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/session"
	"github.com/quis-idp/quis/identity/settings"
)

// Whoever acts as somebody else is told so where an application or a device asks, too, and can end it there.
func TestPagesSayThatSomebodyActs(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	const tenant = identity.DefaultTenant
	var acting *session.Started
	h.update(func(tx *fsm.Tx) error {
		a, _, err := settings.Get(tx, tenant)
		if err != nil {
			return err
		}
		a.AllowImpersonation = true
		if err := settings.Put(tx, 0, *a); err != nil {
			return err
		}
		if _, err := directory.UpdateUser(tx, tenant, h.users[tenant+" grace"], 0, func(u *directory.User) error { u.Admin = true; return nil }); err != nil {
			return err
		}
		by := session.Impersonation{Tenant: tenant, UserID: h.users[tenant+" grace"], Reason: "ticket 4711"}
		acting, err = h.sessions.Impersonate(tx, tenant, h.users[tenant+" ada"], by, time.Hour)
		return err
	})
	value, err := h.sessions.Cookie(acting)
	if err != nil {
		t.Fatal(err)
	}
	cookie := http.Header{"Cookie": {h.pages.cfg.SessionCookie(identity.Tenant{ID: tenant, Issuer: h.url}) + "=" + value}}
	ada, grace := h.enter("ada"), h.someone()
	for _, path := range []string{"/test/ask?scope=openid+profile", "/device", "/device?user_code=BCDF-GHJK", "/account/applications", "/account/approvals"} {
		grace.Send(http.MethodGet, path, nil, cookie).Want(t, 200, "You are acting as this person", `action="/impersonate/end"`)
		if a := ada.Get(path).Want(t, 200); strings.Contains(a.Page, "You are acting") {
			t.Errorf("%s: the person themselves is told that they act as somebody", path)
		}
	}
}
