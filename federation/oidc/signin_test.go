package oidc

import (
	"strings"
	"testing"
	"time"

	"github.com/quis-idp/quis/identity"
)

func TestNeedCarriesWhatTheRequestAsksFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	w.cookie = nil
	u, params := w.back(w.authorize(set("login_hint", "tester"), set("max_age", "60"), set("ui_locales", "de fr")))
	if u.Path != "/login" {
		t.Fatalf("led to %s", u)
	}
	f, err := w.nodes[1].flows.Load(identity.WithTenant(t.Context(), tenant), params.Get("flow"), "")
	if err != nil {
		t.Fatal(err)
	}
	n := f.Need
	if n.LoginHint != "tester" || n.Application != "Web" || n.Locales != "de fr" || n.Login || n.MaxAge == nil || *n.MaxAge != time.Minute ||
		!strings.HasPrefix(n.ReturnTo, "/oauth2/authorize?") || !strings.Contains(n.ReturnTo, "state=some-state") {
		t.Fatalf("need %+v", n)
	}
}

func TestRequestTooLongForSignInIsRefusedToTheApplication(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.cookie = nil
	w.authorizeError(w.authorize(set("state", strings.Repeat("s", 5000))), "invalid_request")
	if rec := w.authorize(set("state", strings.Repeat("s", maxQuery))); rec.Code != 400 {
		t.Errorf("over the limit of any request: %d", rec.Code)
	}
}
