package portal_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/quis-idp/quis/api/page/pagetest"
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
	s.Get("/account/tokens").Want(t, 200, "New token")
	s.Get("/account/tokens/new").Want(t, 200, `type="hidden" name="scope" value="me"`, `value="365"`)
	if a := s.Get("/account/tokens/new"); strings.Contains(a.Page, `value="write"`) {
		t.Error("scopes of administrators are offered to somebody who is none")
	}
	ask := func(name, scope, days string) pagetest.Answer {
		return s.Post("/account/tokens/new", url.Values{"name": {name}, "scope": {scope}, "days": {days}})
	}
	ask("x", "me", "366").Want(t, 400)
	ask("x", "me", "").Want(t, 400)
	ask("x", "write", "7").Want(t, 400)
	ask("x", "", "7").Want(t, 400)
	ask(" ", "me", "7").Want(t, 422, `id="name-error"`)
	s.Send("POST", "/account/tokens/new", url.Values{"name": {""}, "scope": {"me"}, "days": {"7"}}, http.Header{"Accept-Language": {"de"}}).Want(t, 422, "Geben Sie dem Token einen Namen")
	made := ask("back <up>", "me", "7").Want(t, 200, "back &lt;up&gt;", "not shown again")
	value := tokenValue.FindString(made.Page)
	list := s.Get("/account/tokens").Want(t, 200, "back &lt;up&gt;", "Never used", "See and change your own account")
	if value == "" || strings.Contains(list.Page, value) {
		t.Error("the token is shown never, or again")
	}
	id := list.Hidden("token")
	h.view(func(tx *fsm.Tx) error {
		tok, err := credential.TokenOwner(tx, value)
		if err != nil || tok.UserID != h.Users["ada"] || tok.Expires.Sub(tx.Now()) > 7*24*time.Hour || tok.Allows(true, false) || !tok.Allows(false, true) {
			t.Errorf("%+v %v", tok, err)
		}
		return nil
	})
	grace.Post("/account/tokens", url.Values{"token": id}).Want(t, 303)
	s.Get("/account/tokens").Want(t, 200, "back &lt;up&gt;")
	s.done("/account/tokens", url.Values{"token": id}).Want(t, 200, "The token is revoked")
	h.view(func(tx *fsm.Tx) error {
		if _, err := credential.TokenOwner(tx, value); err == nil {
			t.Error("the token still works")
		}
		return nil
	})

	h.Update(func(tx *fsm.Tx) error {
		_, err := directory.UpdateUser(tx, identity.DefaultTenant, h.Users["ada"], 0, func(u *directory.User) error { u.Admin = true; return nil })
		return err
	})
	ask("all", "write", "365").Want(t, 200)
	h.Pass(settings.Default("").Session.SensitiveTime() + time.Second)
	ask("late", "me", "7").Want(t, 303)
	s.Get("/account/tokens/new").Want(t, 303)
	s.Get("/account/tokens").Want(t, 200, "Everything that you may do")
}
