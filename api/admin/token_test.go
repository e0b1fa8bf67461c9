package admin_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/quis-idp/quis/api/client"
)

func TestTokens(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	c, ctx := h.client(h.root), t.Context()
	tok, err := c.Users.CreateToken(ctx, h.rootUser, "ci", time.Now().Add(time.Hour))
	h.must(err)
	mine := h.client(tok.Token)
	if _, err := mine.Users.List(ctx, client.List{}); err != nil {
		t.Errorf("new token: %v", err)
	}
	_, body := h.call(h.root, "GET", "/api/v1/users/"+h.rootUser+"/tokens", "")
	if strings.Contains(body, tok.Token) || !strings.Contains(body, tok.ID) {
		t.Errorf("list: %s", body)
	}
	h.want(400, h.root, "POST", "/api/v1/users/"+h.rootUser+"/tokens", `{"name":"x","expires_at":"2001-01-01T00:00:00Z"}`)
	year := time.Now().AddDate(0, 0, 365)
	if tok, err := c.Users.CreateToken(ctx, h.plainUser, "no end", time.Time{}); err != nil || tok.ExpiresAt == nil || tok.ExpiresAt.Sub(year).Abs() > time.Hour {
		t.Errorf("for which nobody says an end: %+v, %v", tok, err)
	}
	if _, err := c.Users.CreateToken(ctx, h.plainUser, "a year", year); err != nil {
		t.Errorf("for a year: %v", err)
	}
	if _, err := c.Users.CreateToken(ctx, h.plainUser, "two", year.AddDate(1, 0, 0)); client.Status(err) != 400 || !strings.Contains(err.Error(), "A token is good for 365 days at most.") {
		t.Errorf("for two years: %v", err)
	}
	h.want(404, h.root, "DELETE", "/api/v1/users/"+h.plainUser+"/tokens/"+tok.ID, "")
	h.must(c.Users.DeleteToken(ctx, h.rootUser, tok.ID))
	if _, err := mine.Users.List(ctx, client.List{}); client.Status(err) != 401 {
		t.Errorf("ended token: %v", err)
	}
}

func TestTokensOfDisabledPeopleAreDead(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.want(200, h.acme, "GET", "/api/v1/users", "")
	h.want(200, h.root, "PATCH", "/api/v1/users/"+h.acmeUser+"?tenant=acme", `{"disabled":true}`)
	h.want(401, h.acme, "GET", "/api/v1/users", "")
	h.want(200, h.root, "PATCH", "/api/v1/users/"+h.acmeUser+"?tenant=acme", `{"disabled":false}`)
	h.want(200, h.acme, "GET", "/api/v1/users", "")
	h.want(200, h.root, "PATCH", "/api/v1/tenants/"+h.acmeTenant, `{"disabled":true}`)
	h.want(401, h.acme, "GET", "/api/v1/users", "")
}

func TestGuessingTokensIsLimited(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for range 25 {
		res, _ := h.call("quis_pat_"+strings.Repeat("x", 32), "GET", "/api/v1/users", "")
		if res.StatusCode == http.StatusTooManyRequests {
			if res.Header.Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
			h.want(200, h.root, "GET", "/api/v1/users", "") // from the same address
			return
		}
	}
	t.Error("never limited")
}

// A node that cannot tell whether a token still stands lets nobody in.
func TestStaleNodeLetsNobodyIn(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.want(200, h.root, "GET", "/api/v1/users", "")
	h.stale.Store(true)
	h.want(503, h.root, "GET", "/api/v1/users", "")
	h.want(401, "", "GET", "/api/v1/users", "")
}
