package admin_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential"
)

// own gives a user a token.
func (h *house) own(user string, life time.Duration, scopes ...string) (value string) {
	h.t.Helper()
	h.update(func(tx *fsm.Tx) (err error) {
		_, value, err = credential.CreateToken(tx, identity.DefaultTenant, user, "own", "", tx.Now().Add(life), scopes...)
		return err
	})
	return value
}

func TestMe(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	plain := h.own(h.plainUser, time.Hour)
	h.want(403, plain, "GET", "/api/v1/users", "")
	h.want(401, "", "GET", "/api/v1/me", "")
	_, body := h.call(plain, "GET", "/api/v1/me", "")
	if !strings.Contains(body, h.plainUser) {
		t.Errorf("me: %s", body)
	}
	for _, path := range []string{"sessions", "factors", "devices", "tokens", "password-policy"} {
		h.want(200, plain, "GET", "/api/v1/me/"+path, "")
	}
	if _, body = h.call(plain, "GET", "/api/v1/me/password-policy", ""); !strings.Contains(body, `"min_length":15`) || !strings.Contains(body, `"check_breached":true`) {
		t.Errorf("policy of passwords: %s", body)
	}
	h.want(403, plain, "GET", "/api/v1/me?tenant=acme", "")
	theirs := h.own(h.rootUser, time.Hour)
	_, body = h.call(theirs, "GET", "/api/v1/me/tokens", "")
	for _, id := range regexp.MustCompile(`tok_\w+`).FindAllString(body, -1) {
		h.want(404, plain, "DELETE", "/api/v1/me/tokens/"+id, "")
	}
	_, body = h.call(plain, "GET", "/api/v1/me/tokens", "")
	if !strings.Contains(body, "last_used_at") {
		t.Errorf("it is in use: %s", body)
	}
	ids := regexp.MustCompile(`tok_\w+`).FindAllString(body, -1)
	id := ids[len(ids)-1]
	h.want(204, plain, "DELETE", "/api/v1/me/tokens/"+id, "")
	h.want(401, plain, "GET", "/api/v1/me", "")
}

func TestTokensAreHeldToTheirScopes(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for _, c := range []struct {
		scopes                   []string
		me, change, look, create int
	}{
		{nil, 200, 204, 200, 201},
		{[]string{"write"}, 200, 204, 200, 201},
		{[]string{"read"}, 200, 403, 200, 403},
		{[]string{"me"}, 200, 204, 403, 403},
		{[]string{"me", "read"}, 200, 204, 200, 403},
	} {
		token := h.own(h.rootUser, time.Hour, c.scopes...)
		h.want(c.me, token, "GET", "/api/v1/me", "")
		h.want(c.change, token, "DELETE", "/api/v1/me/sessions", "")
		h.want(c.look, token, "GET", "/api/v1/users", "")
		h.want(c.create, token, "POST", "/api/v1/groups", `{"name":"g `+strings.Join(c.scopes, "-")+`"}`)
	}
	all := h.own(h.rootUser, time.Hour)
	h.want(400, all, "POST", "/api/v1/users/"+h.rootUser+"/tokens", `{"name":"x","scopes":["everything"]}`)
	h.mixed.Store(true) // an older release would let it do everything
	h.want(412, all, "POST", "/api/v1/users/"+h.rootUser+"/tokens", `{"name":"x","scopes":["read"]}`)
	h.want(201, all, "POST", "/api/v1/users/"+h.rootUser+"/tokens", `{"name":"x"}`)
}

// A token makes none that is good for more than itself, or for longer.
func TestTokensMakeNoGreaterOnes(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	me := h.own(h.rootUser, time.Hour, "me")
	h.want(403, me, "POST", "/api/v1/me/tokens", `{"name":"x","scopes":["write"]}`)
	later := time.Now().Add(2 * time.Hour).UTC().Format(time.RFC3339)
	h.want(400, me, "POST", "/api/v1/me/tokens", `{"name":"x","expires_at":"`+later+`"}`)
	_, body := h.call(me, "POST", "/api/v1/me/tokens", `{"name":"x"}`)
	made := regexp.MustCompile(`quis_pat_[\w-]+`).FindString(body)
	h.want(200, made, "GET", "/api/v1/me", "")
	h.want(403, made, "GET", "/api/v1/users", "")
	forever := h.own(h.rootUser, 3*maxLife, "write")
	h.want(201, forever, "POST", "/api/v1/me/tokens", `{"name":"x","scopes":["read"]}`)
	h.want(400, forever, "POST", "/api/v1/me/tokens", `{"name":"x","expires_at":"`+time.Now().Add(maxLife+time.Hour).UTC().Format(time.RFC3339)+`"}`)
}

const maxLife = 365 * 24 * time.Hour
