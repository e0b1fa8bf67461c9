package bootstrap

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/quis-idp/quis/identity"
)

// issue is the form that the documentation shows.
const issue = `users:        [{username: tester, email: tester@example.com, name: Test User, password: "correct horse battery", groups: [eng], admin: true}]
groups:       [{name: eng}]
applications: [{name: web, type: oidc, client_id: web, client_secret: "0123456789abcdef0123456789abcdef", redirect_uris: ["http://localhost:9999/cb"],
                grant_types: [authorization_code, refresh_token, client_credentials], allowed_scopes: [openid, profile, email, groups, offline_access]}]
tokens:       [{user: tester, token: "quis_pat_0123456789abcdef0123"}]     # admin API bearer token
`

func ptr[T any](v T) *T { return &v }

func TestParse(t *testing.T) {
	t.Parallel()
	f, err := Parse("b.yaml", []byte(issue))
	if err != nil {
		t.Fatal(err)
	}
	want := &File{
		Name: "b.yaml",
		Users: []User{{
			Username: "tester", Email: ptr("tester@example.com"), Name: ptr("Test User"), Password: "correct horse battery",
			Groups: []string{"eng"}, Admin: ptr(true), Line: 1,
		}},
		Groups: []Group{{Name: "eng", Line: 2}},
		Applications: []Application{{
			Name: "web", Type: ptr("oidc"), ClientID: "web", ClientSecret: "0123456789abcdef0123456789abcdef",
			RedirectURIs: []string{"http://localhost:9999/cb"}, Line: 3,
			GrantTypes:    []string{"authorization_code", "refresh_token", "client_credentials"},
			AllowedScopes: []string{"openid", "profile", "email", "groups", "offline_access"},
		}},
		Tokens: []Token{{User: "tester", Token: "quis_pat_0123456789abcdef0123", Line: 5}},
	}
	reveal := cmp.Transformer("reveal", func(s identity.Secret) string { return s.Reveal() })
	if diff := cmp.Diff(want, f, reveal); diff != "" {
		t.Error(diff)
	}
}

func TestParseBlockStyle(t *testing.T) {
	t.Parallel()
	f, err := Parse("b.yaml", []byte("---\n# people\nusers:\n  - username: a\n    password: >-\n      folded\n      text\n  - username: b\ngroups:\n"))
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Users) != 2 || f.Users[0].Password.Reveal() != "folded text" || f.Users[1].Line != 8 {
		t.Errorf("got %+v", f.Users)
	}
	for _, empty := range []string{"", "\n", "# nothing\n", "---\n", "{}\n"} {
		if f, err := Parse("b.yaml", []byte(empty)); err != nil || len(f.Users) != 0 {
			t.Errorf("%q: got %v, %v", empty, f, err)
		}
	}
}

func TestParseFaults(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, text, want string }{
		{"unknown key", "user: []", "b.yaml:1:1: unknown key user; did you mean \"users\"?"},
		{"unknown key inside", "users:\n  - username: a\n    pasword: hunter2hunter2\n", "b.yaml:3:5: unknown key pasword; did you mean \"password\"?"},
		{"unknown key in flow", `users: [{username: a, role: x}]`, "b.yaml:1:23: unknown key role; known here: username, email"},
		{"all at once", "users:\n  - name: 7\n    admin: yes\nfoo: 1\n",
			"b.yaml:2:5: username is missing\nb.yaml:2:11: name must be text; put it in quotes\nb.yaml:3:12: admin must be true or false\nb.yaml:4:1: unknown key foo; known here: users, groups, applications, tokens"},
		{"twice", "groups: []\ngroups: []\n", "b.yaml:2:1: key groups appears twice"},
		{"not a map", "- users\n", "b.yaml:1:1: the file must be a map"},
		{"not a list", "users: {username: a}\n", "b.yaml:1:8: users must be a list"},
		{"not an entry", "users: [a]\n", "b.yaml:1:9: each entry of users must be a map"},
		{"anchors", "users: &a []\ngroups: *a\n", "b.yaml:1:8: anchors"},
		{"tags", "groups: [{name: !!str 7}]\n", "b.yaml:1:17: anchors"},
		{"two documents", "users: []\n---\nusers: []\n", "b.yaml: holds more than one document"},
		{"same user", "users:\n  - username: a\n  - username: A\n", "b.yaml:3: a user of this username is declared in line 2 already"},
		{"short secret", "applications: [{name: w, client_id: w, client_secret: short}]", "b.yaml:1: client_secret has fewer than 32"},
		{"no secret", "applications: [{name: w, client_id: w}]", "b.yaml:1: client_secret is missing"},
		{"public with secret", "applications: [{name: w, client_id: w, type: spa, client_secret: s}]", "b.yaml:1: a public application has no client_secret"},
		{"token form", "tokens: [{user: a, token: pat_0123456789abcdef0123456789}]", "b.yaml:1: token does not begin with quis_pat_"},
		{"token length", "tokens: [{user: a, token: quis_pat_1}]", "b.yaml:1: token has fewer than"},
		{"empty", "groups: [{name: ''}]", "b.yaml:1:17: name is empty"},
		{"not UTF-8", "users: [{username: \xff}]", "b.yaml: is not UTF-8"},
		{"deep", "users: " + strings.Repeat("[", 100000), "is nested too deeply"},
		{"deep dashes", strings.Repeat("- ", 100000), "is nested too deeply"},
		{"too long", strings.Repeat("#", maxFile+1), "is over"},
		{"syntax", "users: [{username: a\n", "not valid YAML"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := Parse("b.yaml", []byte(tt.text))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v\nwant %s", err, tt.want)
			}
			if _, ok := errors.AsType[*FileError](err); !ok {
				t.Errorf("got %T, want *FileError", err)
			}
		})
	}
}

// Whatever is wrong with the file, no error shows a value of it.
func TestFaultsKeepSecrets(t *testing.T) {
	t.Parallel()
	const secret = "hunter2secret"
	for _, text := range []string{
		"users: [{username: a, password: hunter2secret, x: 1}]",
		"users: [{username: a, admin: hunter2secret}]",
		"users: [{username: a, hunter2secret}]",
		"users:\n  - username: a\n    password: b: hunter2secret\n",
		"users:\n  - username: a\n    password: \"hunter2secret\n",
		"users:\n  - username: a\n   password: hunter2secret\n",
		"users:\n  - username: a\n    hunter2secret\n",
		"users:\n  - username: a\n    \"hunter2secret\n",
		"users: [{username: a, password: {hunter2secret: 1}}]",
		"users: [{username: a, password: [hunter2secret]}]",
		"users: hunter2secret",
		"tokens: [{user: a, token: hunter2secret}]",
		"tokens: [{user: a, token: quis_pat_hunter2secret}, {user: b, token: quis_pat_hunter2secret}]",
		"%YAML hunter2secret\n---\n",
		"users: [{username: a, password: @hunter2secret}]",
		"users: [{username: a, password: 'hunter2secret\\q\"}]",
		"users: [{username: a, password: \"hunter2secret\\q\"}]",
		"users: [{username: a, password: *hunter2secret}]",
		"users: [{username: a, password: !hunter2secret x}]",
	} {
		_, err := Parse("b.yaml", []byte(text))
		if err == nil {
			t.Errorf("%q: accepted", text)
		} else if strings.Contains(err.Error(), secret) {
			t.Errorf("%q: error shows it: %v", text, err)
		}
	}
}

func TestLoad(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "quis.yaml")
	if _, err := Load(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want not exist", err)
	}
	if err := os.WriteFile(path, []byte(issue), 0o600); err != nil {
		t.Fatal(err)
	}
	if f, err := Load(path); err != nil || f.Name != "quis.yaml" || len(f.Users) != 1 {
		t.Errorf("got %v, %v", f, err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(issue))
	f.Add([]byte("users:\n- username: a\n  groups:\n  - b\n"))
	f.Add([]byte("a: &x [*x]\n? b\n: |\n  c\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := Parse("f", data)
		if (file == nil) == (err == nil) {
			t.Fatalf("got %v and %v", file, err)
		}
		if err == nil {
			return
		}
		e, ok := errors.AsType[*FileError](err)
		if !ok || len(e.Faults) == 0 || e.Error() == "" {
			t.Fatalf("got %T %v", err, err)
		}
	})
}
