package foreign

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/quis-idp/quis/e2e/testbed"
)

const (
	username = "tester"
	password = "correct horse battery"
	adminKey = "quis_pat_0123456789abcdef0123456789abcdef"
	callback = "http://localhost:9999/cb" // nobody listens: the browser stops there
	secret   = "0123456789abcdef0123456789abcdef"
)

const bootstrap = `
groups:
  - {name: eng}
users:
  - {username: tester, email: tester@example.com, email_verified: true, name: Test User, password: "correct horse battery", groups: [eng], admin: true}
tokens:
  - {user: tester, token: "` + adminKey + `"}
applications:
  - name: web
    client_id: web
    client_secret: "` + secret + `"
    redirect_uris: ["` + callback + `"]
    post_logout_uris: ["http://localhost:9999/bye"]
    grant_types: [authorization_code, refresh_token, client_credentials]
    allowed_scopes: [openid, profile, email, groups, offline_access]
  - name: tv
    client_id: tv
    type: spa
    grant_types: ["urn:ietf:params:oauth:grant-type:device_code", refresh_token]
    allowed_scopes: [openid, profile, offline_access]
  - name: spa
    client_id: spa
    type: spa
    redirect_uris: ["` + callback + `"]
    allowed_scopes: [openid, profile, email, groups, offline_access]
`

// dev is the cluster that all tests share: three nodes, and the proxy at dev.Issuer().
var dev *testbed.Dev

func TestMain(m *testing.M) {
	code, err := withCluster(m.Run)
	testbed.RemoveBinary()
	if err != nil {
		fmt.Fprintln(os.Stderr, "foreign:", err)
		code = 1
	}
	os.Exit(code)
}

func withCluster(run func() int) (code int, err error) {
	dir, err := os.MkdirTemp("", "quis-foreign-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "bootstrap.yaml")
	if err := os.WriteFile(file, []byte(bootstrap), 0o600); err != nil {
		return 1, err
	}
	if err := trustLocalhost(dir); err != nil {
		return 1, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	if dev, err = testbed.Start(ctx, 3, filepath.Join(dir, "quis"), file); err != nil {
		return 1, err
	}
	if err := dev.WaitBanner(ctx); err != nil {
		return 1, err
	}
	code = run()
	if code != 0 {
		fmt.Fprintf(os.Stderr, "quis dev said:\n%s", dev.Output())
	}
	return code, dev.Stop()
}

// answers lets the person sign in at an authorization URL, and returns where that led.
func answers(t *testing.T, b *testbed.Browser, authorize string) *testbed.Page {
	t.Helper()
	p, err := b.Reach(t.Context(), authorize, username, password)
	if err != nil {
		t.Fatalf("%s: %v", authorize, err)
	}
	if p.Status != 0 {
		t.Fatalf("%s: stuck at %s with status %d:\n%.3000s", authorize, p.URL, p.Status, p.Body)
	}
	return p
}
