package join

import (
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/quis-idp/quis/api/page/pagetest"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/assurance"
	"github.com/quis-idp/quis/identity/credential/passkey/passkeytest"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/pending"
	"github.com/quis-idp/quis/identity/settings"
)

func TestInvitationBecomesAnAccount(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	path := h.invite(pending.Invitation{Email: "grace@example.com", Name: "Grace"})
	b := h.someone(0)
	for range 2 { // looking uses nothing up
		b.Get(path).Want(t, 200, "grace@example.com", `value="Grace"`, `name="username"`, `name="password"`)
	}
	a := b.Post(path, url.Values{"name": {"Grace H."}, "username": {"ada"}, "password": {"a compiler of many words"}})
	a.Want(t, 422, "Somebody else has this already", `value="Grace H."`)
	b.Post(path, url.Values{"name": {"Grace H."}, "username": {"grace"}, "password": {"short"}}).Want(t, 422, `id="password-error"`)
	if u, _ := h.user("grace@example.com"); u != nil {
		t.Fatalf("%+v", u)
	}
	if to := isIn(t, b.Post(path, url.Values{"name": {"Grace H."}, "username": {"grace"}, "password": {"a compiler of many words"}})); to != "/" {
		t.Errorf("led to %s", to)
	}
	u, sessions := h.user("grace@example.com")
	if u == nil || u.Username != "grace" || u.Name != "Grace H." || u.EmailVerified || u.Locale != "en" || len(sessions) != 1 || !assurance.Has(sessions[0].Factors, assurance.Password) {
		t.Errorf("%+v %+v", u, sessions)
	}
	b.Get("/").Want(t, 200, "Grace H.")
	for _, a := range []pagetest.Answer{b.Get(path), b.Post(path, url.Values{"password": {"a compiler of many words"}}), b.Get("/invite/nonsense")} {
		a.Want(t, http.StatusGone, "This invitation no longer works")
	}
}

// TestInvitationWithoutAName: the address is what the person signs in with.
func TestInvitationWithoutAName(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	path := h.invite(pending.Invitation{Email: "grace@example.com", Locale: "de", Mailed: true})
	b := h.someone(0)
	b.Get(path).Want(t, 200, "Ihr Konto anlegen")
	isIn(t, b.Post(path, url.Values{"password": {"ein Compiler aus vielen Wörtern"}}))
	u, sessions := h.user("grace@example.com")
	if u.Username != "grace@example.com" || !u.EmailVerified || u.Locale != "de" || !assurance.Has(sessions[0].Factors, assurance.Mail) {
		t.Errorf("%+v %+v", u, sessions)
	}
}

func TestInvitationByPasskey(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	h.decide(func(s *settings.Authentication) { s.PasswordLogin, s.ForgotPassword = false, false })
	path := h.invite(pending.Invitation{Email: "grace@example.com"})
	b, key := h.someone(0), &passkeytest.Authenticator{Origin: publicURL, UV: true}
	if a := b.Get(path); a.One(t, `formaction="([^"]+)"`) != path+"/passkey" || len(a.Hidden("password")) > 0 {
		t.Errorf("%s", a.Page)
	}
	b.Post(path, url.Values{"password": {"a compiler of many words"}}).Want(t, 422, "not open here")
	a := b.Post(path+"/passkey", url.Values{"name": {"Grace"}, "username": {"grace"}}).Want(t, 200, `data-passkey="create"`)
	if len(a.Hidden("instead")) > 0 {
		t.Error("it leads back to a password, which nobody can have")
	}
	response, err := key.Create([]byte(unescape(a.One(t, `data-options="([^"]+)"`))))
	if err != nil {
		t.Fatal(err)
	}
	form := url.Values{"name": {"Grace"}, "username": {"grace"}, "session": a.Hidden("session"), "response": {string(response)}}
	other := h.invite(pending.Invitation{Email: "eve@example.com"})
	b.Post(other, form).Want(t, 422, "took too long, or was answered before")
	isIn(t, b.Post(path, form))
	u, sessions := h.user("grace@example.com")
	if u == nil || u.Username != "grace" || len(sessions) != 1 || sessions[0].Level() != 2 {
		t.Errorf("%+v %+v", u, sessions)
	}
	b.Post(path, form).Want(t, http.StatusGone)
}

func TestInvitationEnds(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	path, taken := h.invite(pending.Invitation{Email: "grace@example.com"}), h.invite(pending.Invitation{Email: "eve@example.com"})
	h.update(func(tx *fsm.Tx) error { // somebody gets the address otherwise
		_, err := directory.CreateUser(tx, ten, directory.User{Username: "eve", Email: "eve@example.com"})
		return err
	})
	h.someone(0).Post(taken, url.Values{"password": {"a compiler of many words"}}).Want(t, 422, "There is an account with this address already")
	h.log.Advance(2 * time.Hour)
	h.update(func(tx *fsm.Tx) error { return event.Append(tx, event.Event{Type: event.KeyRetired}) })
	h.someone(0).Get(path).Want(t, http.StatusGone, "This invitation no longer works")
	h.someone(0).Post(path+"/passkey", url.Values{}).Want(t, http.StatusGone)
}

// TestInvitationIsAcceptedOnceThroughTwoNodes: whoever races for it, one is let in.
func TestInvitationIsAcceptedOnceThroughTwoNodes(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2)
	for range 20 {
		path := h.invite(pending.Invitation{Email: "grace@example.com"})
		var all sync.WaitGroup
		status := make([]int, 2)
		for n := range status {
			b := h.someone(n)
			all.Go(func() { status[n] = b.Post(path, url.Values{"password": {"a compiler of many words"}}).StatusCode })
		}
		all.Wait()
		if status[0]+status[1] != http.StatusOK+http.StatusGone {
			t.Fatalf("%v", status)
		}
		u, _ := h.user("grace@example.com")
		h.update(func(tx *fsm.Tx) error { return directory.DeleteUser(tx, ten, u.ID, 0) })
	}
}
