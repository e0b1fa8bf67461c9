package process

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quis-idp/quis/api/client"
	"github.com/quis-idp/quis/e2e/testbed"
)

// told is an application's back-channel logout endpoint.
type told struct {
	*httptest.Server

	mu   sync.Mutex
	down bool
	got  []map[string]any // claims, in order
}

func newTold(t *testing.T) *told {
	r := &told{down: true}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		var claims map[string]any
		parts := strings.Split(req.FormValue("logout_token"), ".")
		if len(parts) == 3 {
			if b, err := base64.RawURLEncoding.DecodeString(parts[1]); err == nil && json.Unmarshal(b, &claims) == nil {
				r.mu.Lock()
				r.got = append(r.got, claims)
				r.mu.Unlock()
			}
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.down {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *told) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.got)
}

// TestLogoutIsToldAlthoughTheLeaderDies: a person signs in with `quis test login`, an
// administrator signs them out, the application is down, the leader is killed, and the
// application gets the token all the same once it is up, under the same ID.
func TestLogoutIsToldAlthoughTheLeaderDies(t *testing.T) {
	t.Parallel()
	d := testbed.Run(t, 3, bootstrap)
	ctx := t.Context()
	quis := func(args ...string) string {
		t.Helper()
		out, err := d.Quis(ctx, append(args, "--data-dir", d.Dir)...)
		if err != nil {
			t.Fatalf("quis %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return out
	}
	app := newTold(t)
	secret := filepath.Join(t.TempDir(), "notes.secret")
	// Settings of this release wait until every member is known to read them.
	eventually(t, "the application is made", 20*time.Second, func() bool {
		_, err := d.Quis(ctx, "app", "create", "notes", "redirect_uris=https://notes.example.com/cb",
			"backchannel_logout_uri="+app.URL+"/logout", "--secret-file", secret, "--data-dir", d.Dir)
		return err == nil
	})
	if info, err := os.Stat(secret); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v %v", info, err)
	}

	out := signInByCommand(t, d, "notes", secret)
	for _, want := range []string{"✓  state", "✓  iss of the answer", "✓  code exchange with PKCE", "✓  ID token: signature", "✓  ID token: nonce", "✓  ID token: at_hash", "✓  ID token: sid", "✓  access token: signature"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if strings.Contains(out, "✗") {
		t.Errorf("a check failed:\n%s", out)
	}
	if got := quis("app", "get", "notes"); strings.Contains(got, "127.0.0.1:") && strings.Contains(got, "quis-test") {
		t.Errorf("the redirect URI of the test is still there:\n%s", got)
	}
	sid := regexp.MustCompile(`ID token: sid +(ses_\w+)`).FindStringSubmatch(out)
	if sid == nil {
		t.Fatalf("no sid in\n%s", out)
	}

	admin, err := client.New(d.Public(2), "quis_pat_0123456789abcdef0123456789abcdef")
	if err != nil {
		t.Fatal(err)
	}
	if err := admin.EndSession(ctx, sid[1]); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the first attempt", 20*time.Second, func() bool { return app.count() > 0 })
	leader, err := d.WaitLeader(ctx, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Kill(ctx, leader); err != nil {
		t.Fatal(err)
	}
	app.mu.Lock()
	app.down = false
	before := len(app.got)
	app.mu.Unlock()
	eventually(t, "an attempt of the next leader", 40*time.Second, func() bool { return app.count() > before })
	app.mu.Lock()
	defer app.mu.Unlock()
	for _, claims := range app.got {
		if claims["jti"] != app.got[0]["jti"] || claims["sid"] != sid[1] || claims["iss"] != d.Issuer() || claims["nonce"] != nil {
			t.Errorf("got %v", claims)
		}
	}
}

// signInByCommand runs `quis test login` and plays the person and their browser.
func signInByCommand(t *testing.T, d *testbed.Dev, app, secret string) string {
	t.Helper()
	bin, err := testbed.Binary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), bin, "test", "login", "--app", app, "--secret-file", secret, "--register", "--no-browser", "--data-dir", d.Dir)
	var out strings.Builder
	cmd.Stdout = &out
	said, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	lines := bufio.NewScanner(said)
	for lines.Scan() {
		all.WriteString(lines.Text() + "\n")
		if at := strings.TrimSpace(lines.Text()); strings.HasPrefix(at, d.Issuer()) {
			if _, err := testbed.NewBrowser().Reach(t.Context(), at, "tester", "correct horse battery"); err != nil {
				t.Error(err)
			}
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("quis test login: %v\n%s%s", err, all.String(), out.String())
	}
	return out.String()
}
