package conformance

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quis-idp/quis/e2e/testbed"
)

var update = flag.Bool("update", false, "write RESULTS.md")

const (
	username = "tester"
	password = "correct horse battery"
	adminKey = "quis_pat_0123456789abcdef0123456789abcdef"
	secret   = "0123456789abcdef0123456789abcdef"
	callback = "http://localhost:9999/cb" // nobody listens: the browser stops there
	goodbye  = "http://localhost:9999/bye"
)

const bootstrap = `
groups:
  - {name: eng}
users:
  - {username: tester, email: tester@example.com, email_verified: true, name: Test User, given_name: Test, family_name: User, locale: en, password: "` + password + `", groups: [eng], admin: true}
tokens:
  - {user: tester, token: "` + adminKey + `"}
applications:
  - name: first
    client_id: first
    client_secret: "` + secret + `"
    redirect_uris: ["` + callback + `"]
    post_logout_uris: ["` + goodbye + `"]
    grant_types: [authorization_code, refresh_token, client_credentials]
    allowed_scopes: [openid, profile, email, address, phone, groups, offline_access]
  - name: second
    client_id: second
    client_secret: "` + secret + `"
    redirect_uris: ["` + callback + `"]
    grant_types: [authorization_code, refresh_token]
    allowed_scopes: [openid, profile, email, offline_access]
`

var dev *testbed.Dev

func TestMain(m *testing.M) {
	flag.Parse()
	code, err := withCluster(m.Run)
	testbed.RemoveBinary()
	if err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		code = 1
	}
	os.Exit(code)
}

func withCluster(run func() int) (code int, err error) {
	dir, err := os.MkdirTemp("", "quis-conformance-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "bootstrap.yaml")
	if err := os.WriteFile(file, []byte(bootstrap), 0o600); err != nil {
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
	return run(), dev.Stop()
}

// A plan is a test plan of the OpenID Foundation's suite.
type plan struct {
	name    string
	mode    string // response mode of all its modules; "": the default
	modules []module
	why     string // none of them is done, if set
}

// A module is one test of a plan. One without a check is not done, for the reason given.
type module struct {
	name  string
	check func(c *check)
	why   string
}

// TestPlans runs every module at once, since some wait for a minute, and compares the
// table of what held with RESULTS.md.
func TestPlans(t *testing.T) {
	plans := []plan{
		{name: "oidcc-config-certification-test-plan", modules: configPlan},
		{name: "oidcc-basic-certification-test-plan", modules: basicPlan},
		{name: "oidcc-formpost-basic-certification-test-plan", mode: "form_post", modules: basicPlan},
		{name: "oidcc-dynamic-certification-test-plan", modules: dynamicPlan},
		{name: "oidcc-rp-initiated-logout-certification-test-plan", modules: logoutPlan},
		{name: "oidcc-backchannel-rp-initiated-logout-certification-test-plan", modules: backchannelPlan},
		{name: "oidcc-frontchannel-rp-initiated-logout-certification-test-plan", modules: frontchannelPlan},
		{name: "fapi2-security-profile-final-test-plan", modules: fapiPlan},
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	prepare(t)
	turns := make(chan struct{}, 12) // modules at work at a time, those that wait left out
	rows := make([][]string, len(plans))
	var wg sync.WaitGroup
	for i, p := range plans {
		rows[i] = make([]string, len(p.modules))
		for j, m := range p.modules {
			wg.Go(func() {
				turns <- struct{}{}
				defer func() { <-turns }()
				rows[i][j] = p.run(ctx, t, m, turns)
			})
		}
	}
	wg.Wait()
	compare(t, table(plans, rows))
}

// run returns the row of a module.
func (p plan) run(ctx context.Context, t *testing.T, m module, turns chan struct{}) string {
	if p.why != "" {
		m = module{name: m.name, why: p.why}
	}
	if m.check == nil {
		return fmt.Sprintf("| %s | not done: %s | |", m.name, m.why)
	}
	c := &check{t: t, ctx: ctx, name: p.name + "/" + m.name, mode: p.mode, app: application{"first", secret}, browser: testbed.NewBrowser("http://localhost:9999/"), turns: turns}
	done := make(chan struct{})
	go func() { // it may end by Goexit
		defer close(done)
		m.check(c)
	}()
	<-done
	if len(c.held) == 0 {
		c.held = []string{"those of every sign-in"}
	}
	result := "passed"
	if c.failed {
		result = "FAILED"
	}
	return fmt.Sprintf("| %s | %s | %s |", m.name, result, strings.Join(c.held, "; "))
}

func table(plans []plan, rows [][]string) string {
	var b strings.Builder
	b.WriteString(`# Conformance

What ` + "`go test ./e2e/conformance -update`" + ` found: the modules of the OpenID Foundation's test plans, each with the conditions that
were looked at and held. It is our own reading of them, run against three nodes behind a proxy, with a client that knows no
JavaScript; it is not a certification. The issuer is plain http here, and every request carries PKCE, which quis demands of every
application whatever its type: the Foundation's suite must be told to send it.

In every sign-in of every module these hold: ` + strings.Join(slices.Sorted(maps.Keys(usuals)), "; ") + `.
`)
	for i, p := range plans {
		passed := 0
		for _, row := range rows[i] {
			if strings.Contains(row, "| passed |") {
				passed++
			}
		}
		fmt.Fprintf(&b, "\n## %s\n\n%d of %d modules.\n\n| module | result | conditions |\n|---|---|---|\n%s\n", p.name, passed, len(p.modules), strings.Join(rows[i], "\n"))
	}
	return b.String()
}

func compare(t *testing.T, got string) {
	t.Log("\n" + got)
	if *update {
		if err := os.WriteFile("RESULTS.md", []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile("RESULTS.md")
	if err != nil {
		t.Fatal(err)
	}
	have := strings.Split(got, "\n")
	for i, line := range strings.Split(string(want), "\n") {
		if i >= len(have) || have[i] != line {
			t.Fatalf("RESULTS.md differs in line %d, which says\n%s\nwrite it anew with -update if that is what shall be", i+1, line)
		}
	}
	if string(want) != got {
		t.Error("RESULTS.md lacks lines: write it anew with -update")
	}
}
