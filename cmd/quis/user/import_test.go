package user

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quis-idp/quis/api/client"
)

var fields = map[string]client.Field{
	"username": {Type: "string"}, "email": {Type: "string"}, "admin": {Type: "boolean"}, "groups": {Type: "array"}, "password_hash": {Type: "string"},
}

func TestParse(t *testing.T) {
	t.Parallel()
	want := []map[string]any{
		{"username": "ann", "admin": true, "groups": []string{"a", "b c"}},
		{"username": "bob, the builder", "email": "bob@example.com"},
	}
	got, err := parse([]byte("\ufeffUsername,email,admin,groups,errors\nann,,yes,a| b c|,old\n\"bob, the builder\",bob@example.com,,,\n"), false, fields)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for text, fault := range map[string]string{
		"":                            "first line",
		"username,emial\nx,y\n":       `there is no field "emial"; did you mean "email"?`,
		"username,username\nx,y\n":    "appears twice",
		"username,admin\nx,perhaps\n": `line 2: admin: "perhaps" is neither true nor false; nothing was imported`,
		"username,email\nx\n":         "line 2",
		"username\n\"x\n":             "line 2",
	} {
		if _, err := parse([]byte(text), false, fields); err == nil || !strings.Contains(err.Error(), fault) {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, text := range []string{"", "{}", "[1]", `[{"usernme":"x"}]`} {
		if _, err := parse([]byte(text), true, fields); err == nil {
			t.Errorf("%q passes", text)
		}
	}
}

// FuzzParse: whatever is read can be written, and is read again as the same users.
func FuzzParse(f *testing.F) {
	f.Add("username,email,admin,groups\nann,a@b,yes,x|y\n")
	f.Add("username\n\" \"\n")
	f.Fuzz(func(t *testing.T, text string) {
		users, err := parse([]byte(text), false, fields)
		if err != nil || len(users) == 0 {
			return
		}
		var b bytes.Buffer
		if err := writeCSV(&b, users); err != nil {
			t.Fatal(err)
		}
		again, err := parse(b.Bytes(), false, fields)
		if b.Len() > 0 && err != nil && !strings.Contains(err.Error(), "first line") {
			t.Fatalf("%q: %v", b.String(), err)
		}
		if err == nil && len(again) == len(users) {
			if diff := cmp.Diff(users, again); diff != "" {
				t.Fatal(diff)
			}
		}
	})
}
