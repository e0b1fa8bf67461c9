package alarm

import (
	"context"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/quis-idp/quis/api/page/pagetest"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/fsm/fsmtest"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/alarm"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/credential/passkey"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/pending"
	"github.com/quis-idp/quis/identity/regain"
	"github.com/quis-idp/quis/identity/session"
	"github.com/quis-idp/quis/identity/settings"
	"github.com/quis-idp/quis/keys/seal"
	"github.com/quis-idp/quis/keys/seal/sealtest"
)

// A link works once. One that does not says so in the reader's language, and leads to sign-in and recovery.
func TestDeadLinkLeadsOn(t *testing.T) {
	t.Parallel()
	const ten = identity.DefaultTenant
	db := fsmtest.NewCluster(t, 1, slices.Concat(seal.Tables, event.Tables, directory.Tables, settings.Tables, credential.Tables, session.Tables, passkey.Tables, regain.Tables, pending.Tables, alarm.Tables)...).DB[0]
	ring := sealtest.Ring(t, db)
	var u *directory.User
	err := db.Update(t.Context(), func(tx *fsm.Tx) (err error) {
		if err := directory.EnsureDefault(tx); err != nil {
			return err
		}
		u, err = directory.CreateUser(tx, ten, directory.User{Username: "ada"})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	token, err := alarm.Token(ring, db.Now(), ten, u.ID, "evt_1")
	if err != nil {
		t.Fatal(err)
	}
	pages := New(Config{
		DB: db, Ring: ring, Modern: func(context.Context) error { return nil },
		Also: func(*fsm.Tx, string, string) error { return nil },
	})
	send := func(method, token, language string) (int, string) {
		t.Helper()
		r := httptest.NewRequest(method, Path+"?token="+token, strings.NewReader("token="+token))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Accept-Language", language)
		r = r.WithContext(identity.WithTenant(r.Context(), identity.Tenant{ID: ten, Issuer: "https://id.example.com"}))
		w := httptest.NewRecorder()
		do := pages.ask
		if method == "POST" {
			do = pages.raise
		}
		if err := do(w, r); err != nil {
			t.Fatal(err)
		}
		pagetest.Check(t, method, w.Body.String())
		return w.Code, w.Body.String()
	}
	for _, good := range []struct{ method, says string }{{"GET", "Was it not you?"}, {"POST", "<h1>Your account is locked down</h1>"}} {
		if status, body := send(good.method, token, "en"); status != 200 || !strings.Contains(body, good.says) {
			t.Errorf("%s: %d %s", good.method, status, body)
		}
	}
	for _, method := range []string{"GET", "POST"} {
		for _, bad := range []string{token, "x", ""} {
			for language, says := range map[string]string{"en": "This link no longer works", "de": "Dieser Link gilt nicht mehr", "ja": "このリンクは使えなくなりました"} {
				status, body := send(method, bad, language)
				if status != 410 || !strings.Contains(body, "<h1>"+says+"</h1>") || !strings.Contains(body, `href="/login"`) || !strings.Contains(body, `href="/recover"`) || strings.Contains(body, "has been used") != (language == "en") {
					t.Errorf("%s %q in %s: %d %s", method, bad, language, status, body)
				}
			}
		}
	}
}
