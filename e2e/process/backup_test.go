package process

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/quis-idp/quis/api/client"
	"github.com/quis-idp/quis/e2e/testbed"
)

// quis runs a command of this tree's binary and returns what it printed.
func quis(t *testing.T, args ...string) (string, error) {
	t.Helper()
	bin, err := testbed.Binary()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, bin, args...).CombinedOutput()
	return string(out), err
}

func mustQuis(t *testing.T, args ...string) string {
	t.Helper()
	out, err := quis(t, args...)
	if err != nil {
		t.Fatalf("quis %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func admin(t *testing.T, s *server) *client.Client {
	t.Helper()
	c, err := client.New(s.public(), apiToken)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// A past is what somebody holds from before a restore.
type past struct {
	browser  *testbed.Person // with a session cookie, and no longer the password
	code     *testbed.Authorization
	tokens   *testbed.Tokens
	children []*testbed.Authorization
}

func somePast(t *testing.T, s *server) *past {
	t.Helper()
	p := &past{browser: tester()}
	a, err := p.browser.Authorize(t.Context(), s.public(), web)
	if err == nil {
		p.tokens, err = web.Exchange(t.Context(), s.public(), a)
	}
	if err == nil {
		p.code, err = p.browser.Authorize(t.Context(), s.public(), web)
	}
	if err != nil {
		t.Fatal(err)
	}
	p.children = append(p.children, a) // a code that was used
	p.browser.Password = "not any more"
	return p
}

// isVoid checks on a node that nothing of the past is accepted (invariant 11 of the
// cluster: after a restore, nothing issued before it is).
func (p *past) isVoid(t *testing.T, s *server) {
	t.Helper()
	ctx := t.Context()
	for what, err := range map[string]error{
		"an unused code":     second(web.Exchange(ctx, s.public(), p.code)),
		"a used code":        second(web.Exchange(ctx, s.public(), p.children[0])),
		"the refresh token":  second(web.Refresh(ctx, s.public(), p.tokens.RefreshToken)),
		"the access token":   second(testbed.UserInfo(ctx, s.public(), p.tokens.AccessToken)),
		"the session cookie": second(p.browser.Authorize(ctx, s.public(), wiki)),
	} {
		if err == nil {
			t.Errorf("%s of before the restore is accepted by %s", what, s.keys["node_id"])
		} else if code, _ := status(err); code >= 500 {
			t.Errorf("%s of before the restore: %v", what, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// TestBackupUnderLoadAndRestore backs a cluster of three up while people sign in, and
// restores it into the same cluster and into a new one.
func TestBackupUnderLoadAndRestore(t *testing.T) {
	t.Parallel()
	nodes := threeServers(t, testbed.Issuer)
	startAll(nodes)
	before := somePast(t, nodes[0])
	load, stop := context.WithCancel(t.Context())
	var people sync.WaitGroup
	for _, s := range nodes {
		people.Go(func() {
			for load.Err() == nil {
				a, err := tester().Authorize(load, s.public(), web)
				if err == nil {
					_, err = web.Exchange(load, s.public(), a)
				}
				if err != nil && load.Err() == nil {
					t.Errorf("sign-in during the backup at %s: %v", s.keys["node_id"], err)
					return
				}
			}
		})
	}
	file := filepath.Join(t.TempDir(), "quis.backup")
	key := nodes[0].keys["root_key_file"]
	mustQuis(t, "backup", "--data-dir", nodes[1].data, file, "--root-key-file", key)
	stop()
	people.Wait()
	if _, err := os.Stat(file + ".partial"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("half a file is left: %v", err)
	}

	api := admin(t, nodes[0])
	late, err := api.Users.Create(t.Context(), client.UserFields{Username: new("late")})
	if err != nil {
		t.Fatal(err)
	}
	noSecrets(t, file, nodes)
	if out, err := quis(t, "restore", file, "--data-dir", nodes[2].data); err == nil || !strings.Contains(out, "--yes") {
		t.Errorf("restored without being asked: %v\n%s", err, out)
	}
	mustQuis(t, "restore", file, "--check", "--data-dir", nodes[2].data)
	if _, err := api.Users.Get(t.Context(), late.ID); err != nil {
		t.Errorf("--check changed something: %v", err)
	}
	sealedToAPerson(t, nodes[0])
	after := somePast(t, nodes[1])
	mustQuis(t, "restore", file, "--yes", "--data-dir", nodes[2].data)
	for _, s := range nodes {
		s.waitReady()
		before.isVoid(t, s)
		after.isVoid(t, s)
		s.signIn()
		if _, err := admin(t, s).Users.Get(t.Context(), late.ID); client.Status(err) != 404 {
			t.Errorf("a user made after the backup: %v", err)
		}
	}
	restored(t, nodes[0])
	st, err := api.Status(t.Context())
	if err != nil || len(st.Members) != 3 {
		t.Errorf("members after the restore: %+v, %v", st, err)
	}

	fresh := newServer(t)
	fresh.bootstrap = false
	fresh.keys["public_url"] = testbed.Issuer
	mustQuis(t, "restore", file, "--founding", "--data-dir", fresh.data)
	fresh.start()
	if _, err := os.Stat(filepath.Join(fresh.data, "restore.backup")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("ready before the backup that was left is restored: %v", err)
	}
	before.isVoid(t, fresh)
	after.isVoid(t, fresh)
	fresh.signIn()
	restored(t, fresh)
	// The old cluster goes on, and nothing of one is accepted by the other.
	now := somePast(t, nodes[0])
	now.isVoid(t, fresh)
	for _, s := range append(nodes, fresh) {
		s.stop()
	}
}

// sealedToAPerson makes a backup that only an age identity opens, and checks it with that
// and without; then one by a schedule.
func sealedToAPerson(t *testing.T, s *server) {
	t.Helper()
	me, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file, identity := filepath.Join(dir, "sealed.backup"), filepath.Join(dir, "identity")
	if err := os.WriteFile(identity, []byte("# mine\n"+me.String()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	mustQuis(t, "backup", file, "--data-dir", s.data, "--recipient", me.Recipient().String())
	if out, err := quis(t, "restore", file, "--check", "--data-dir", s.data); err == nil || !strings.Contains(out, "--identity") {
		t.Errorf("opened without the identity: %v\n%s", err, out)
	}
	if out := mustQuis(t, "restore", file, "--check", "--identity", identity, "--data-dir", s.data, "-o", "json"); !strings.Contains(out, `"sealed": "clear"`) && !strings.Contains(out, `"sealed": "age"`) {
		t.Errorf("--check says %s", out)
	}
	target := filepath.Join(dir, "scheduled")
	if err := os.Mkdir(target, 0o700); err != nil {
		t.Fatal(err)
	}
	mustQuis(t, "backup", "schedule", "set", "--every", "24h", "--keep", "2", "--target", "file://"+target, "--data-dir", s.data)
	if out := mustQuis(t, "backup", "now", "-o", "json", "--data-dir", s.data); !strings.Contains(out, `"verified": true`) {
		t.Errorf("run %s", out)
	}
	if out := mustQuis(t, "backup", "runs", "--data-dir", s.data); !strings.Contains(out, "verified") {
		t.Errorf("runs %s", out)
	}
	if out := mustQuis(t, "backup", "schedule", "off", "--data-dir", s.data); !strings.Contains(out, "never") {
		t.Errorf("schedule %s", out)
	}
}

// untilTrue waits for a condition.
func untilTrue(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for !ok() {
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// restored checks that the record of events is intact and tells of the restore.
func restored(t *testing.T, s *server) {
	t.Helper()
	api := admin(t, s)
	untilTrue(t, "the event of the restore", func() bool {
		events, err := api.Events(t.Context(), client.EventFilter{Type: "cluster.restored"})
		return err == nil && len(events.Data) == 1
	})
	v, err := api.VerifyAudit(t.Context())
	if err != nil || !v.Intact {
		t.Errorf("record of events: %+v, %v", v, err)
	}
}

// noSecrets looks for secrets in the log, the store and the backup (invariant 21 of the
// cluster: none holds one in clear).
func noSecrets(t *testing.T, file string, nodes []*server) {
	t.Helper()
	files := []string{file}
	for _, s := range nodes {
		err := filepath.WalkDir(s.data, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() {
				files = append(files, path)
			}
			return nil // files come and go under a running store
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range append(slices.Clone(secrets), apiToken, web.Secret) {
			if bytes.Contains(b, []byte(secret)) {
				t.Errorf("%s holds %.12s… in clear", f, secret)
			}
		}
	}
}
