package admin_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/quis-idp/quis/cluster"
	"github.com/quis-idp/quis/cluster/form"
	"github.com/quis-idp/quis/fsm"
)

func (oneNode) CreateJoinToken(_ context.Context, q form.TokenRequest) (string, form.TokenInfo, error) {
	if q.TTL == 0 {
		q.TTL = form.DefaultTokenLife
	}
	if q.TTL == 13*time.Second {
		return "", form.TokenInfo{}, fmt.Errorf("there are too many: %w", fsm.ErrRefused)
	}
	now := time.Now()
	return "quis-join-secret", form.TokenInfo{ID: "t1", By: q.By, RootKey: q.RootKey, CreatedAt: now, ExpiresAt: now.Add(q.TTL)}, nil
}

func (oneNode) ListJoinTokens(context.Context) ([]form.TokenInfo, error) {
	now := time.Now()
	return []form.TokenInfo{{ID: "t0", By: "operator", CreatedAt: now, ExpiresAt: now.Add(time.Hour), UsedAt: now, UsedBy: "n2"}}, nil
}

func (oneNode) RevokeJoinToken(_ context.Context, id string) error {
	switch id {
	case "t0":
		return fmt.Errorf("revoke join token: node n2 has used it: %w", fsm.ErrConflict)
	case "t1":
		return nil
	}
	return fmt.Errorf("revoke join token: %w", fsm.ErrNotFound)
}

func (oneNode) AuthorityStatus(context.Context) (cluster.AuthorityStatus, error) {
	return cluster.AuthorityStatus{ClusterID: "c1", Phase: form.Distribute, Since: time.Now(), Fingerprint: "aa", Next: "bb",
		Members: []cluster.AuthorityMember{{ID: "n1", CA: "aa", Waiting: "it sleeps"}}}, nil
}

func (oneNode) RotateAuthority(context.Context) error { return nil }

func TestJoinTokensAndAuthority(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for _, c := range []struct {
		token, method, path, body string
		status                    int
		says                      string
	}{
		{h.root, "POST", "/api/v1/cluster/tokens", "", 201, `"token":"quis-join-secret"`},
		{h.root, "POST", "/api/v1/cluster/tokens", `{"ttl_seconds":60,"without_root_key":true}`, 201, `"root_key":false`},
		{h.root, "POST", "/api/v1/cluster/tokens", `{"ttl_seconds":90000}`, 400, "ttl_seconds"},
		{h.root, "POST", "/api/v1/cluster/tokens", `{"ttl_seconds":13}`, 409, "There are too many"},
		{h.root, "GET", "/api/v1/cluster/tokens", "", 200, `"state":"used"`},
		{h.root, "DELETE", "/api/v1/cluster/tokens/t1", "", 204, ""},
		{h.root, "DELETE", "/api/v1/cluster/tokens/t0", "", 409, "n2 has used it"},
		{h.root, "DELETE", "/api/v1/cluster/tokens/t9", "", 404, ""},
		{h.root, "GET", "/api/v1/cluster/ca", "", 200, `"waiting":"it sleeps"`},
		{h.root, "POST", "/api/v1/cluster/ca/rotate", "", 202, `"phase":"distribute"`},
		{h.acme, "POST", "/api/v1/cluster/tokens", "", 403, ""},
		{h.acme, "POST", "/api/v1/cluster/ca/rotate", "", 403, ""},
		{h.plain, "GET", "/api/v1/cluster/tokens", "", 403, ""},
	} {
		r, body := h.call(c.token, c.method, c.path, c.body)
		if r.StatusCode != c.status || !strings.Contains(string(body), c.says) {
			t.Errorf("%s %s %s: %d %s; want %d with %q", c.method, c.path, c.body, r.StatusCode, body, c.status, c.says)
		}
		if c.method == "GET" && strings.Contains(string(body), "quis-join-") {
			t.Errorf("%s tells a token", c.path)
		}
	}
}
