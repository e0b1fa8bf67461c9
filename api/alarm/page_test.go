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

const ten = identity.DefaultTenant

// house is a store with the page before it.
type house struct {
	t     *testing.T
	db    *fsm.DB
	ring  *seal.Ring
	pages *Pages
	mute  bool // no mail is sent
}

func newHouse(t *testing.T) *house {
	t.Helper()
	db := fsmtest.NewCluster(t, 1, slices.Concat(seal.Tables, event.Tables, directory.Tables, settings.Tables, credential.Tables, session.Tables, passkey.Tables, regain.Tables, pending.Tables, alarm.Tables)...).DB[0]
	h := &house{t: t, db: db, ring: sealtest.Ring(t, db)}
	h.pages = New(Config{
		DB: db, Ring: h.ring, Modern: func(context.Context) error { return nil },
		Also:  func(*fsm.Tx, string, string) error { return nil },
		Mails: func(*fsm.Tx, string) (bool, error) { return !h.mute, nil },
	})
	h.update(directory.EnsureDefault)
	return h
}

func (h *house) update(fn func(tx *fsm.Tx) error) {
	h.t.Helper()
	if err := h.db.Update(h.t.Context(), fn); err != nil {
		h.t.Fatal(err)
	}
}

// token makes a user, who has the password of a hash unless it is "", and returns what a link of theirs holds.
func (h *house) token(u directory.User, hash string) string {
	h.t.Helper()
	var made *directory.User
	h.update(func(tx *fsm.Tx) (err error) {
		if made, err = directory.CreateUser(tx, ten, u); err == nil && hash != "" {
			err = credential.SetPassword(tx, ten, made.ID, hash)
		}
		return err
	})
	token, err := alarm.Token(h.ring, h.db.Now(), ten, made.ID, "evt_1")
	if err != nil {
		h.t.Fatal(err)
	}
	return token
}

// send asks for the page with a token, or posts its form, in a language.
func (h *house) send(method, token, language string) (int, string) {
	h.t.Helper()
	r := httptest.NewRequest(method, Path+"?token="+token, strings.NewReader("token="+token))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept-Language", language)
	r = r.WithContext(identity.WithTenant(r.Context(), identity.Tenant{ID: ten, Issuer: "https://id.example.com"}))
	w := httptest.NewRecorder()
	do := h.pages.ask
	if method == "POST" {
		do = h.pages.raise
	}
	if err := do(w, r); err != nil {
		h.t.Fatal(err)
	}
	pagetest.Check(h.t, method, w.Body.String())
	return w.Code, w.Body.String()
}

// A link works once. One that does not says so in the reader's language, and leads to sign-in and recovery.
func TestDeadLinkLeadsOn(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	token := h.token(directory.User{Username: "ada"}, "")
	for _, good := range []struct{ method, says string }{{"GET", "Was it not you?"}, {"POST", "<h1>Your account is locked down</h1>"}} {
		if status, body := h.send(good.method, token, "en"); status != 200 || !strings.Contains(body, good.says) {
			t.Errorf("%s: %d %s", good.method, status, body)
		}
	}
	for _, method := range []string{"GET", "POST"} {
		for _, bad := range []string{token, "x", ""} {
			for language, says := range map[string]string{"en": "This link no longer works", "de": "Dieser Link gilt nicht mehr", "ja": "このリンクは使えなくなりました"} {
				status, body := h.send(method, bad, language)
				if status != 410 || !strings.Contains(body, "<h1>"+says+"</h1>") || !strings.Contains(body, `href="/login"`) || !strings.Contains(body, `href="/recover"`) || strings.Contains(body, "has been used") != (language == "en") {
					t.Errorf("%s %q in %s: %d %s", method, bad, language, status, body)
				}
			}
		}
	}
}

// The page after the button says what the sign-in will ask for, and leads there.
func TestWayBackIsSaid(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	hash, err := credential.NewPool(credential.Config{Params: credential.Params{Memory: 64, Time: 1, Threads: 1}}, nil).Hash(t.Context(), "correct horse battery")
	if err != nil {
		t.Fatal(err)
	}
	const (
		code      = "The sign-in asks for a code, which is sent to your email address"
		both      = code + ", and then for another password."
		password  = "The sign-in asks for another password."
		forgotten = `href="/recover">Forgotten your password?</a>`
	)
	locked := func(name, email string, proved bool, hash string) string {
		t.Helper()
		status, body := h.send("POST", h.token(directory.User{Username: name, Email: email, EmailVerified: proved}, hash), "en")
		if status != 200 || !strings.Contains(body, `href="/login">Sign in</a>`) || !strings.Contains(body, "ask your administrator") {
			t.Errorf("%s: %d %s", name, status, body)
		}
		return body
	}
	check := func(body string, says map[string]bool) {
		t.Helper()
		for text, want := range says {
			if strings.Contains(body, text) != want {
				t.Errorf("says %q: %v, want %v: %s", text, !want, want, body)
			}
		}
	}
	check(locked("ada", "ada@example.com", true, hash), map[string]bool{both: true, forgotten: true})
	check(locked("typed", "typed@example.com", false, hash), map[string]bool{both: true, forgotten: false})
	check(locked("keys", "keys@example.com", true, ""), map[string]bool{code + ".": true, password: false, forgotten: false})
	check(locked("mute", "", false, hash), map[string]bool{code: false, password: true, forgotten: false})
	check(locked("neither", "", false, ""), map[string]bool{code: false, password: false, forgotten: false})
	h.mute = true
	check(locked("lovelace", "lovelace@example.com", true, hash), map[string]bool{code: false, password: true, forgotten: false})
	h.mute = false
	h.update(func(tx *fsm.Tx) error {
		a := settings.Default(ten)
		a.ForgotPassword = false
		return settings.Put(tx, 0, a)
	})
	check(locked("grace", "grace@example.com", true, hash), map[string]bool{both: true, forgotten: false})
}
