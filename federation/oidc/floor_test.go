package oidc

import (
	"testing"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/oidc/family"
	"github.com/quis-idp/quis/fsm"
)

func TestRevokeFamiliesVoidsAllAtOnce(t *testing.T) {
	t.Parallel()
	for name, user := range map[string]bool{"user": true, "tenant": false} {
		w := newWorld(t, 2)
		bound := w.tokens(0)
		offline := w.tokens(1, set("scope", "openid offline_access"))
		code := w.code(1)
		who := ""
		if user {
			who = w.user.ID
		}
		if n := w.entries(func() {
			w.update(0, func(tx *fsm.Tx) error { return family.RevokeAll(tx, tenant.ID, who, "test") })
		}); n != 1 {
			t.Errorf("%s: cost %d log entries", name, n)
		}
		w.wantError(w.post(1, "/oauth2/token", refreshForm(bound.Refresh)), 400, "invalid_grant")
		w.wantError(w.post(1, "/oauth2/token", refreshForm(offline.Refresh)), 400, "invalid_grant")
		w.wantError(w.post(1, "/oauth2/token", w.codeForm(code)), 400, "invalid_grant")
		w.wantError(w.userinfo(0, offline.Access), 401, "invalid_token")
	}
}

func TestRevokedOnceIsNotRevokedForEver(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.update(0, func(tx *fsm.Tx) error { return family.RevokeAll(tx, tenant.ID, w.user.ID, "test") })
	w.cluster.Advance(1e9)
	w.signIn()
	got := w.tokens(0)
	w.want(w.post(0, "/oauth2/token", refreshForm(got.Refresh)), 200)
}

func TestFamilyOfASessionIsForgottenWithIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.tokens(0)
	w.tokens(0, set("scope", "openid offline_access"))
	err := w.cluster.DB[0].View(t.Context(), func(tx *fsm.Tx) error {
		for f, err := range family.Of(tx, tenant.ID, w.user.ID) {
			if err != nil {
				return err
			}
			days := (f.Expires - f.Created) / (24 * 3600 * 1000)
			if want := int64(0); !f.Offline && days != want {
				t.Errorf("a family of a session of 12 hours is kept for %d days", days)
			}
			if f.Offline && days != 30 {
				t.Errorf("an offline family is kept for %d days, want 30", days)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestRevokeFamilyByID(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	got := w.tokens(0)
	id := claims(t, got.Access)["fid"].(string)
	w.update(0, func(tx *fsm.Tx) error { return family.RevokeByID(tx, tenant.ID, id, "test") })
	w.wantError(w.post(0, "/oauth2/token", refreshForm(got.Refresh)), 400, "invalid_grant")
	err := w.cluster.DB[0].View(t.Context(), func(tx *fsm.Tx) error {
		key := w.nodes[0].ring.CurrentKey()
		if used, err := family.UsesSealingKey(tx, key); err != nil || used {
			t.Errorf("a revoked family holds a sealing key: %v %v", used, err)
		}
		if used, err := federation.UsesSealingKey(tx, key); err != nil || !used {
			t.Errorf("a client secret does not hold its sealing key: %v %v", used, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A code from a node whose clock is ahead is no younger than a revocation after it.
func TestRevocationDoesNotGoByClocks(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	ring := w.nodes[0].ring
	code, err := family.OpenCode(ring, tenant.ID, w.app.ClientID, w.code(0, set("scope", "openid offline_access")))
	if err != nil {
		t.Fatal(err)
	}
	code.Issued += 30_000
	ahead, err := family.SealCode(ring, tenant.ID, w.app.ClientID, code)
	if err != nil {
		t.Fatal(err)
	}
	w.update(0, func(tx *fsm.Tx) error { return family.RevokeAll(tx, tenant.ID, w.user.ID, "test") })
	w.wantError(w.post(0, "/oauth2/token", w.codeForm(ahead)), 400, "invalid_grant")
	w.want(w.post(0, "/oauth2/token", w.codeForm(w.code(0))), 200) // what is given afterwards is good at once
}
