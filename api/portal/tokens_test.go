package portal

import (
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/settings"
)

var tokenValue = regexp.MustCompile(credential.TokenPrefix + `[\w-]+`)

func TestTokens(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s, grace := h.enter("ada"), h.enter("grace")
	s.get("/account/tokens").want(t, 200, "New token")
	s.get("/account/tokens/new").want(t, 200, `value="me" checked`, `value="365"`)
	if a := s.get("/account/tokens/new"); strings.Contains(a.body, `value="write"`) {
		t.Error("scopes of administrators are offered to somebody who is none")
	}
	ask := func(name, scope, days string) answer {
		return s.post("/account/tokens/new", url.Values{"name": {name}, "scope": {scope}, "days": {days}})
	}
	ask("x", "me", "366").want(t, 400)
	ask("x", "me", "").want(t, 400)
	ask("x", "write", "7").want(t, 400)
	ask("x", "", "7").want(t, 400)
	ask(" ", "me", "7").want(t, 422, `id="name-error"`)
	made := ask("back <up>", "me", "7").want(t, 200, "back &lt;up&gt;", "not shown again")
	value := tokenValue.FindString(made.body)
	list := s.get("/account/tokens").want(t, 200, "back &lt;up&gt;", "Never used", "See and change your own account")
	if value == "" || strings.Contains(list.body, value) {
		t.Error("the token is shown never, or again")
	}
	id := list.hidden("token")
	h.view(func(tx *fsm.Tx) error {
		tok, err := credential.TokenOwner(tx, value)
		if err != nil || tok.UserID != h.users["ada"] || tok.Expires.Sub(tx.Now()) > 7*24*time.Hour || tok.Allows(true, false) || !tok.Allows(false, true) {
			t.Errorf("%+v %v", tok, err)
		}
		return nil
	})
	grace.post("/account/tokens", url.Values{"token": id}).want(t, 303)
	s.get("/account/tokens").want(t, 200, "back &lt;up&gt;")
	s.done("/account/tokens", url.Values{"token": id}).want(t, 200, "The token is revoked")
	h.view(func(tx *fsm.Tx) error {
		if _, err := credential.TokenOwner(tx, value); err == nil {
			t.Error("the token still works")
		}
		return nil
	})

	h.update(func(tx *fsm.Tx) error {
		_, err := directory.UpdateUser(tx, identity.DefaultTenant, h.users["ada"], 0, func(u *directory.User) error { u.Admin = true; return nil })
		return err
	})
	ask("all", "write", "365").want(t, 200)
	h.pass(settings.Default("").Session.SensitiveTime() + time.Second)
	ask("late", "me", "7").want(t, 303)
	s.get("/account/tokens/new").want(t, 303)
	s.get("/account/tokens").want(t, 200, "Everything that you may do")
}
