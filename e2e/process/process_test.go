package process

import (
	"errors"
	"os"
	"sync"
	"testing"

	"github.com/quis-idp/quis/e2e/guide"
	"github.com/quis-idp/quis/e2e/testbed"
)

const bootstrap = `
groups:
  - {name: eng}
users:
  - {username: tester, email: tester@example.com, name: Test User, password: "correct horse battery", groups: [eng], admin: true}
applications:
  - name: web
    type: oidc
    client_id: web
    client_secret: "0123456789abcdef0123456789abcdef-web"
    redirect_uris: ["http://localhost:9999/cb"]
    grant_types: [authorization_code, refresh_token, client_credentials]
    allowed_scopes: [openid, profile, email, groups, offline_access]
  - name: wiki
    type: oidc
    client_id: wiki
    client_secret: "0123456789abcdef0123456789abcdef-wiki"
    redirect_uris: ["http://localhost:9998/cb"]
    grant_types: [authorization_code]
    allowed_scopes: [openid, profile]
tokens:
  - {user: tester, token: "quis_pat_0123456789abcdef0123456789abcdef"}
`

var (
	web = testbed.Application{ClientID: "web", Secret: "0123456789abcdef0123456789abcdef-web",
		RedirectURI: "http://localhost:9999/cb", Scope: "openid profile email groups offline_access"}
	wiki = testbed.Application{ClientID: "wiki", Secret: "0123456789abcdef0123456789abcdef-wiki",
		RedirectURI: "http://localhost:9998/cb", Scope: "openid profile"}
)

func TestMain(m *testing.M) {
	guide.Main()
	code := m.Run()
	removeSeeds()
	removeReleases()
	testbed.RemoveBinary()
	os.Exit(code)
}

func tester() *testbed.Person { return testbed.NewPerson("tester", "correct horse battery") }

// status returns the HTTP status and OAuth error code of err.
func status(err error) (int, string) {
	var e *testbed.StatusError
	if errors.As(err, &e) {
		return e.Status, e.Code
	}
	return 0, ""
}

func TestThreeNodesSignAPersonIn(t *testing.T) {
	t.Parallel()
	d := testbed.Run(t, 3, bootstrap)
	ctx := t.Context()
	p := tester()
	a, err := p.Authorize(ctx, d.Public(1), web)
	if err != nil {
		t.Fatalf("sign in at node 1: %v", err)
	}
	if iss := a.Params.Get("iss"); iss != d.Issuer() {
		t.Errorf("iss = %q, want %q (RFC 9207)", iss, d.Issuer())
	}
	tokens, err := web.Exchange(ctx, d.Public(2), a)
	if err != nil {
		t.Fatalf("exchange at node 2: %v", err)
	}
	claims, err := testbed.UserInfo(ctx, d.Public(3), tokens.AccessToken)
	if err != nil {
		t.Fatalf("userinfo at node 3: %v", err)
	}
	if claims["email"] != "tester@example.com" || claims["preferred_username"] != "tester" {
		t.Errorf("userinfo = %v", claims)
	}
	if n, err := d.Metric(ctx, 1, `quis_audit_events_total{action="session.started"}`); err != nil || n != 1 {
		t.Errorf("node 1 counts %v sessions begun, %v; want 1", n, err)
	}
	if _, err := d.Metric(ctx, 1, "quis_users"); err != nil {
		t.Error(err)
	}
	p.Password = "no longer known" // single sign-on asks for none
	if _, err := p.Authorize(ctx, d.Public(3), wiki); err != nil {
		t.Errorf("single sign-on to a second application at node 3: %v", err)
	}
	if _, err := testbed.NewPerson("tester", "wrong").Authorize(ctx, d.Public(2), web); err == nil {
		t.Error("a wrong password signed in")
	}
	if _, err := web.Exchange(ctx, d.Public(3), a); err == nil {
		t.Error("a code was redeemed twice")
	} else if _, code := status(err); code != "invalid_grant" {
		t.Errorf("replayed code: %v, want invalid_grant", err)
	}
	if _, err := web.Refresh(ctx, d.Public(1), tokens.RefreshToken); err == nil {
		t.Error("the family survived the replay of its code")
	}
}

func TestSixteenRefreshesHaveOneSuccessor(t *testing.T) {
	t.Parallel()
	d := testbed.Run(t, 3, bootstrap)
	ctx := t.Context()
	a, err := tester().Authorize(ctx, d.Public(1), web)
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := web.Exchange(ctx, d.Public(1), a)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	successors := make([]string, 16)
	for i := range successors {
		wg.Go(func() {
			next, err := web.Refresh(ctx, d.Public(1+i%3), tokens.RefreshToken)
			if err != nil {
				t.Errorf("refresh %d: %v", i, err)
				return
			}
			successors[i] = next.RefreshToken
		})
	}
	wg.Wait()
	for i, s := range successors {
		if s != successors[0] || s == tokens.RefreshToken || s == "" {
			t.Errorf("refresh %d: successor %q, the first got %q", i, s, successors[0])
		}
	}
	if _, err := web.Refresh(ctx, d.Public(2), successors[0]); err != nil {
		t.Errorf("the successor is not live: %v", err)
	}
}
