package user

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/quis-idp/quis/api/client"
)

var fields = map[string]client.Field{
	"username": {Type: "string"}, "email": {Type: "string"}, "admin": {Type: "boolean"}, "groups": {Type: "array"}, "password_hash": {Type: "string"},
}

func TestParse(t *testing.T) {
	t.Parallel()
	want := []record{
		{at: "line 2", user: map[string]any{"username": "ann", "admin": true, "groups": []string{"a", "b c"}}},
		{at: "line 3", user: map[string]any{"username": "bob, the builder", "email": "bob@example.com"}},
	}
	got, err := parse([]byte("\ufeffUsername,email,admin,groups,errors\nann,,yes,a| b c|,old\n\"bob, the builder\",bob@example.com,,,\n"), false, fields)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(record{}), asRead); diff != "" {
		t.Error(diff)
	}
	names := []string{`a|b`, `c\`, `DOMAIN\d`, `\\e`, `f`}
	if diff := cmp.Diff(names, split(joined(names))); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{`DOMAIN\d`, `f|g`}, split(` DOMAIN\d ||f\|g|`)); diff != "" {
		t.Error(diff)
	}
	for text, fault := range map[string]string{
		"username\nann\nJ\xf6rg\n": "line 3 is not UTF-8",
		"":                         "the file is empty",
		" \n":                      "the file is empty",
		"username;email\nx;y\n":    `fields are separated by commas, and not as in "username;email"`,
		"username,emial\nx,y\n":    `there is no field "emial"; did you mean "email"?`,
		"username,username\nx,y\n": "appears twice",
		"username\nann\n\"x\n":     "line 3, column 4: extraneous or missing \" in quoted-field; nothing was imported",
	} {
		if _, err := parse([]byte(text), false, fields); err == nil || !strings.Contains(err.Error(), fault) {
			t.Errorf("%q: %v", text, err)
		}
	}
	for text, fault := range map[string]string{
		"":                                   "the file is empty",
		"{}":                                 "line 1, column 1: found a JSON object",
		"[1]":                                "line 1, column 2: found a JSON number",
		`[{"usernme":"x"}]`:                  `did you mean "username"`,
		"[\n  {\"username\": \"x\"},\n  ]\n": "line 3, column 3: invalid character ']'",
		"[\n{":                               "line 2, column 1: unexpected end of JSON input",
	} {
		if _, err := parse([]byte(text), true, fields); err == nil || !strings.Contains(err.Error(), fault) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// What is wrong with one row is a fault of that row, which keeps what it says.
func TestParseKeepsToTheRow(t *testing.T) {
	t.Parallel()
	got, err := parse([]byte("username,email,admin\nann\n\nbob,bob@example.com,perhaps\neve,eve@example.com,no,Doe\ncarol,,\n"), false, fields)
	if err != nil {
		t.Fatal(err)
	}
	want := []record{
		{at: "line 2", user: map[string]any{"username": "ann"}, faults: []string{"the line is too short: it ends with username, and email is missing"}},
		{at: "line 4", user: map[string]any{"username": "bob", "email": "bob@example.com", "admin": "perhaps"}, faults: []string{`admin: "perhaps" is neither true nor false`}},
		{at: "line 5", user: map[string]any{"username": "eve", "email": "eve@example.com", "admin": false}, faults: []string{`the line is too long: the first line has no field for "Doe"`}},
		{at: "line 6", user: map[string]any{"username": "carol"}},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(record{}), asRead); diff != "" {
		t.Error(diff)
	}
}

// asRead leaves out how the lines of a record were written.
var asRead = cmpopts.IgnoreFields(record{}, "head", "cells")

// What was refused is refused again for the same reasons, however often, and not once it is corrected.
func TestRefusedLinesStayAsTheyAre(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"no reasons yet":        "username,email,admin\nann\nbob,bob@example.com,perhaps\neve,eve@example.com,no,Doe,,x\n\"\"\n\" dan \",,yes please,\n",
		"reasons in last":       "username,email,admin,errors\nann\nbob,bob@example.com,perhaps,old\neve,eve@example.com,no,old,Doe\n",
		"reasons in the middle": "username,errors,email,admin\nann\nann,old\nbob,old,bob@example.com,perhaps\neve,old,eve@example.com,no,Doe\n",
		"reasons first":         "errors,username,email,admin\nold\nold,ann\nold,eve,eve@example.com,no,Doe\n",
	} {
		first := refusedOf(t, text)
		for range 2 {
			var b bytes.Buffer
			if err := writeRefused(&b, first); err != nil {
				t.Fatal(err)
			}
			next := refusedOf(t, b.String())
			if len(next) != len(first) {
				t.Fatalf("%s: became\n%sof\n%s", name, b.String(), text)
			}
			for i := range next {
				if diff := cmp.Diff(first[i].cells, next[i].cells); diff != "" || kinds(first[i]) != kinds(next[i]) {
					t.Errorf("%s, %s: %s %q, was %q", name, first[i].at, diff, next[i].faults, first[i].faults)
				}
			}
			first = next
		}
	}
	if left := refusedOf(t, "errors,username,email,admin\nline 2 is too short,ann,,\nold,eve,eve@example.com,no\n"); len(left) != 0 {
		t.Errorf("corrected, and refused: %+v", left)
	}
}

// kinds are the faults of a record without the line that they were found in.
func kinds(r record) string { return strings.ReplaceAll(strings.Join(r.faults, "; "), r.at, "line") }

func refusedOf(t *testing.T, text string) (refused []record) {
	t.Helper()
	all, err := parse([]byte(text), false, fields)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range all {
		if len(r.faults) > 0 {
			refused = append(refused, r)
		}
	}
	return refused
}

// FuzzParse: whatever is read can be written, and is read again as the same users.
func FuzzParse(f *testing.F) {
	f.Add("username,email,admin,groups\nann,a@b,yes,x|y\n")
	f.Add("username\n\" \"\n")
	f.Fuzz(func(t *testing.T, text string) {
		users, err := usersOf(text)
		if err != nil || len(users) == 0 {
			return
		}
		var b bytes.Buffer
		if err := writeCSV(&b, users); err != nil {
			t.Fatal(err)
		}
		again, err := usersOf(b.String())
		if b.Len() > 0 && err != nil && !strings.Contains(err.Error(), "first line") && !strings.Contains(err.Error(), "empty") {
			t.Fatalf("%q: %v", b.String(), err)
		}
		if err == nil && len(again) == len(users) {
			if diff := cmp.Diff(users, again); diff != "" {
				t.Fatal(diff)
			}
		}
	})
}

// usersOf are the users in a text that nothing is wrong with.
func usersOf(text string) (users []map[string]any, err error) {
	all, err := parse([]byte(text), false, fields)
	for _, r := range all {
		if len(r.faults) == 0 {
			users = append(users, r.user)
		}
	}
	return users, err
}

// One request takes so many users of such a size, and puts them in so many groups: only a user alone may want more.
func TestParts(t *testing.T) {
	t.Parallel()
	in := func(n int) record {
		return record{user: map[string]any{"groups": make([]any, n)}}
	}
	for _, c := range []struct {
		users []record
		want  []int
	}{
		{nil, nil}, {make([]record, 25), []int{25}}, {make([]record, 51), []int{25, 25, 1}},
		{[]record{in(40), in(60), in(1), in(99), in(1)}, []int{2, 2, 1}},
		{[]record{in(400), in(1), in(400)}, []int{1, 1, 1}},
		{slices.Repeat([]record{{user: map[string]any{"name": strings.Repeat("x", 50<<10)}}}, 5), []int{2, 2, 1}},
	} {
		var got []int
		for part := range parts(c.users) {
			got = append(got, len(part))
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%d: %s", len(c.users), diff)
		}
	}
}

// A dry run makes nobody, and so finds by itself who is in two of the parts that the node is sent.
func TestTwiceInTheFile(t *testing.T) {
	t.Parallel()
	person := func(at, username, email string) record {
		return record{at: at, user: map[string]any{"username": username, "email": email}}
	}
	for skip, want := range map[bool][]record{
		false: {
			{at: "line 30", faults: []string{"username: twice in this file, first in line 2", "email: twice in this file, first in line 3"}},
			{at: "line 31", faults: []string{"username: twice in this file, first in line 2"}},
			{at: "line 32"}, {at: "line 33"},
		},
		true: {{at: "line 30", skip: true}, {at: "line 31", skip: true}, {at: "line 32"}, {at: "line 33"}},
	} {
		e := earlier{}
		e.note([]record{person("line 2", "Ann", ""), person("line 3", "bob", "bob@example.com"), person("line 4", "refused", "")},
			[]client.ImportedRow{{Outcome: "created"}, {Outcome: "created"}, {Outcome: "refused"}})
		later := []record{person("line 30", "ANN", "Bob@Example.com "), person("line 31", "ａｎｎ", ""), person("line 32", "refused", ""), person("line 33", "", "")}
		e.mark(later, skip)
		for i := range later {
			later[i].user = nil
		}
		if diff := cmp.Diff(want, later, cmp.AllowUnexported(record{})); diff != "" {
			t.Errorf("skip %v: %s", skip, diff)
		}
	}
}
