package oidc

import (
	"context"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/fsm"
)

// TestErrorPagesAreTold: each page that a person is shown instead of going on, at no log entry.
func TestErrorPagesAreTold(t *testing.T) {
	t.Parallel()
	var told []int
	w := newWorld(t, 1, func(c *Config) {
		c.Refused = func(_ context.Context, status int, reason, application string) {
			if reason == "" {
				t.Error("without a reason")
			}
			told = append(told, status)
		}
		c.DeniedPage = func(w http.ResponseWriter, _ *http.Request, _, _ string) { w.WriteHeader(http.StatusForbidden) }
	})
	w.update(0, func(tx *fsm.Tx) error {
		_, err := federation.Update(tx, tenant.ID, w.app.ID, 0, func(a *federation.Application) error {
			a.AccessRestricted = true
			return nil
		})
		return err
	})
	n := w.entries(func() {
		w.get(0, "/oauth2/authorize?client_id=nobody", true)
		w.get(0, "/oauth2/authorize?"+w.request(set("redirect_uri", "https://evil.example.com/")).Encode(), true)
		w.logout(0, "client_id", "nobody", "post_logout_redirect_uri", bye)
		w.get(0, "/oauth2/authorize?"+w.request().Encode(), true)
	})
	if diff := cmp.Diff([]int{400, 400, 400, 403}, told); diff != "" || n != 0 {
		t.Errorf("%d log entries; %s", n, diff)
	}
}
