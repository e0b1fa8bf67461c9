package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"slices"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/fsm/fsmtest"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/settings"
	"github.com/quis-idp/quis/keys/seal"
	"github.com/quis-idp/quis/keys/seal/sealtest"
)

// house is n nodes that could each apply a file.
func house(t *testing.T, n int) (*fsmtest.Cluster, []Rooms) {
	t.Helper()
	log := fsmtest.NewCluster(t, n, slices.Concat(seal.Tables, event.Tables, directory.Tables, credential.Tables, settings.Tables, federation.Tables)...)
	rings := sealtest.Rings(t, log.DB...)
	var nodes []Rooms
	for i, db := range log.DB {
		pool := credential.NewPool(credential.Config{Params: credential.Params{Memory: 8, Time: 1, Threads: 1}}, nil)
		nodes = append(nodes, Rooms{DB: db, Ring: rings[i], Passwords: pool})
	}
	return log, nodes
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func file(t *testing.T, text string) *File {
	t.Helper()
	f, err := Parse("b.yaml", []byte(text))
	must(t, err)
	return f
}

// check looks at everything that the file of the issue declares.
func check(t *testing.T, r Rooms, password, secret, token string) {
	t.Helper()
	var user *directory.User
	var app *federation.Application
	must(t, r.DB.View(t.Context(), func(tx *fsm.Tx) (err error) {
		if user, err = directory.UserByUsername(tx, tenant, "tester"); err != nil {
			return err
		}
		groups, err := directory.GroupsOf(tx, tenant, user.ID)
		if err != nil || len(groups) != 1 || groups[0].Name != "eng" {
			return fmt.Errorf("groups %v: %w", groups, err)
		}
		if app, err = federation.ByClientID(tx, tenant, "web"); err != nil {
			return err
		}
		owner, err := credential.TokenOwner(tx, token)
		if err != nil || owner.UserID != user.ID {
			return fmt.Errorf("token of %+v: %w", owner, err)
		}
		return nil
	}))
	if user.Email != "tester@example.com" || user.Name != "Test User" || !user.Admin {
		t.Errorf("got %+v", user)
	}
	must(t, credential.CheckPassword(t.Context(), r.DB, r.Passwords, tenant, user.ID, password))
	if ok, err := federation.CheckSecret(r.Ring, app, secret); err != nil || !ok {
		t.Errorf("client secret: %v, %v", ok, err)
	}
	want := []string{"authorization_code", "refresh_token", "client_credentials"}
	if !slices.Equal(app.GrantTypes, want) || app.Type != "oidc" || app.IsPublic {
		t.Errorf("got %+v", app)
	}
}

const (
	secret1 = "0123456789abcdef0123456789abcdef"
	token1  = "quis_pat_0123456789abcdef0123"
)

func TestApply(t *testing.T) {
	t.Parallel()
	log, nodes := house(t, 1)
	f := file(t, issue)
	must(t, f.Apply(t.Context(), nodes[0]))
	check(t, nodes[0], "correct horse battery", secret1, token1)

	// A file that is fulfilled costs no log entry.
	before := log.Entries()
	must(t, f.Apply(t.Context(), nodes[0]))
	if n := log.Entries() - before; n != 0 {
		t.Errorf("second time wrote %d entries", n)
	}

	// What differs is brought back, what is not mentioned is left alone.
	next := strings.NewReplacer("correct horse battery", "another horse battery", secret1, secret1+"0").Replace(issue)
	next = strings.Replace(next, "name: Test User, ", "", 1)
	must(t, file(t, next).Apply(t.Context(), nodes[0]))
	check(t, nodes[0], "another horse battery", secret1+"0", token1)
}

func TestApplyOnManyNodesAtOnce(t *testing.T) {
	t.Parallel()
	_, nodes := house(t, 3)
	f := file(t, issue)
	var wg sync.WaitGroup
	errs := make([]error, 6)
	for i := range errs {
		wg.Go(func() { errs[i] = f.Apply(context.WithoutCancel(t.Context()), nodes[i%3]) })
	}
	wg.Wait()
	must(t, errors.Join(errs...))
	for _, r := range nodes {
		check(t, r, "correct horse battery", secret1, token1)
		must(t, r.DB.View(t.Context(), func(tx *fsm.Tx) error {
			users, _, err := directory.ListUsers(tx, tenant, directory.UserQuery{})
			if len(users) != 1 {
				t.Errorf("got %d users", len(users))
			}
			return err
		}))
	}
}

func TestApplyPublicApplication(t *testing.T) {
	t.Parallel()
	_, nodes := house(t, 1)
	f := &File{Name: "built in", Applications: []Application{{
		Name: "Demo", ClientID: "demo", Type: ptr("spa"), RedirectURIs: []string{"http://localhost:8090/callback"},
	}}}
	must(t, f.Apply(t.Context(), nodes[0]))
	must(t, f.Apply(t.Context(), nodes[0]))
	must(t, nodes[0].DB.View(t.Context(), func(tx *fsm.Tx) error {
		a, err := federation.ByClientID(tx, tenant, "demo")
		if err == nil && !a.IsPublic {
			t.Errorf("got %+v", a)
		}
		return err
	}))
}

func TestApplyErrorsNameTheLine(t *testing.T) {
	t.Parallel()
	_, nodes := house(t, 1)
	must(t, file(t, issue).Apply(t.Context(), nodes[0]))
	tests := []struct {
		name, text, want string
		kind             error
	}{
		{"no such group", "users:\n- username: a\n  groups: [none]\n", `b.yaml:2: user "a": `, fsm.ErrNotFound},
		{"no such user", "tokens:\n- {user: nobody, token: quis_pat_hunter2hunter2hunter2}\n", `b.yaml:2: token of "nobody": `, fsm.ErrNotFound},
		{"bad address", "users: [{username: b, email: nonsense}]", `b.yaml:1: user "b": invalid: email`, identity.ErrInvalid},
		{"taken address", "users: [{username: b, email: tester@example.com}]", `b.yaml:1: user "b": `, fsm.ErrExists},
		{"token of another", "users: [{username: c}]\ntokens: [{user: c, token: " + token1 + "}]", `b.yaml:2: token of "c": `, fsm.ErrExists},
		{"bad redirect", "applications: [{name: x, client_id: x, client_secret: " + secret1 + ", redirect_uris: ['http://evil.example/']}]", `b.yaml:1: application "x": invalid: redirect_uris`, identity.ErrInvalid},
		{"weak secret", "applications: [{name: x, client_id: x, client_secret: hunter2hhhhhhhhhhhhhhhhhhhhhhhhhhhhhh, redirect_uris: ['http://localhost/']}]", `b.yaml:1: application "x": invalid: client_secret`, identity.ErrInvalid},
		{"bad token", "tokens: [{user: tester, token: 'quis_pat_hunter2hunter2 hunter2'}]", `b.yaml:1: token of "tester": `, identity.ErrInvalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := file(t, tt.text).Apply(t.Context(), nodes[0])
			if !errors.Is(err, tt.kind) || !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("got %v\nwant %s… (%v)", err, tt.want, tt.kind)
			}
			if err != nil && (strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), token1) || strings.Contains(err.Error(), secret1)) {
				t.Errorf("error shows a secret: %v", err)
			}
		})
	}
}

// A file that would leave nobody to administer is refused, and names the line.
func TestApplyKeepsAnAdministrator(t *testing.T) {
	t.Parallel()
	_, nodes := house(t, 1)
	must(t, file(t, "users: [{username: boss, admin: true}]").Apply(t.Context(), nodes[0]))
	for _, lost := range []string{"admin: false", "disabled: true"} {
		err := file(t, "users: [{username: boss, "+lost+"}]").Apply(t.Context(), nodes[0])
		if !errors.Is(err, identity.ErrDenied) || !strings.HasPrefix(err.Error(), `b.yaml:1: user "boss": `) {
			t.Errorf("%s: %v", lost, err)
		}
	}
	must(t, file(t, "users: [{username: next, admin: true}, {username: boss, admin: false}]").Apply(t.Context(), nodes[0]))
}

func TestApplyWithoutLeader(t *testing.T) {
	t.Parallel()
	log, nodes := house(t, 1)
	log.SetLeader(false)
	if err := file(t, issue).Apply(t.Context(), nodes[0]); !errors.Is(err, fsm.ErrUnavailable) {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
}
