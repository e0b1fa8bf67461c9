package claim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/directory"
)

func facts() *Facts {
	return &Facts{
		Subject: "usr_1",
		User:    &directory.User{ID: "usr_1", Username: "ann", Email: "ann@example.com", EmailVerified: true, Name: "Ann Lee", GivenName: "Ann", FamilyName: "Lee"},
		Groups:  []string{"app-admins", "staff"},
		Roles: []Role{
			{Kind: KindGroup, Role: "reader", Key: "level"}, {Kind: KindGroup, Role: "author"}, {Kind: KindUser, Role: "writer", Key: "level"},
		},
		App:     App{Tenant: "ten_default", ID: "app_1", ClientID: "web", Name: "Web"},
		Scopes:  []string{"openid", "email"},
		Request: Request{Grant: "authorization_code", IP: "192.0.2.1", ACR: "pwd", AMR: []string{"pwd"}, AuthTime: time.Unix(1000, 0), Time: time.Unix(2000, 0)},
	}
}

func quiet() *Engine { return New(slog.New(slog.DiscardHandler), nil) }

// one applies a single mapping and returns its value, "" if there is none.
func one(t *testing.T, m Mapping, f *Facts) string {
	t.Helper()
	m.Claim = "x"
	out, err := quiet().Plan([]Mapping{m}, f.Scopes, InIDToken).Apply(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	if len(out) == 0 {
		return ""
	}
	return string(out[0].Value)
}

func TestVariables(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		"${email}": `"ann@example.com"`, "${username}": `"ann"`, "${first_name}": `"Ann"`, "${last_name}": `"Lee"`,
		"${name}": `"Ann Lee"`, "${id}": `"usr_1"`, "${groups}": `["app-admins","staff"]`, "${appRoles}": `["author","reader","writer"]`,
		"${level}": `"writer"`, "${nothing}": "", "literal": `"literal"`, "${": `"${"`, "${}": `"${}"`, "$${email}": `"$ann@example.com"`,
		"${first name}": `"${first name}"`, "${first_name} ${last_name}": `"Ann Lee"`, "in ${groups}": `"in app-admins,staff"`,
		"level ${nothing}": "", "${nothing}${email}": `"ann@example.com"`, "${email": `"${email"`, "a<b&c": `"a\u003cb\u0026c"`,
	} {
		if got := one(t, Mapping{Value: value}, facts()); got != want {
			t.Errorf("%s: got %s, want %s", value, got, want)
		}
	}
}

func TestVariablesOfNobody(t *testing.T) {
	t.Parallel()
	f := &Facts{App: App{ClientID: "worker"}}
	for value, want := range map[string]string{"${email}": "", "${groups}": "", "${appRoles}": "", "${id}": "", "fixed": `"fixed"`} {
		if got := one(t, Mapping{Value: value}, f); got != want {
			t.Errorf("%s: got %s, want %s", value, got, want)
		}
	}
	for expression, want := range map[string]string{`user.email`: `""`, `user.email_verified`: `false`, `app.client_id`: `"worker"`, `groups`: `[]`} {
		if got := one(t, Mapping{Expression: expression}, f); got != want {
			t.Errorf("%s: got %s, want %s", expression, got, want)
		}
	}
}

func TestExpressions(t *testing.T) {
	t.Parallel()
	for expression, want := range map[string]string{
		`groups.filter(g, g.startsWith("app-")).map(g, g.substring(4))`:      `["admins"]`,
		`user.email.endsWith("@example.com") ? "staff" : "guest"`:            `"staff"`,
		`{"roles": roles, "default": roles[0], "n": 1, "f": 1.5, "b": true}`: `{"b":true,"default":"author","f":1.5,"n":1,"roles":["author","reader","writer"]}`,
		`"reader" in roles ? null : "x"`:                                     "",
		`request.auth_time`:                                                  `"1970-01-01T00:16:40Z"`,
		`int(request.time)`:                                                  `2000`,
		`user.username.matches("^a")`:                                        `true`,
		`[user.given_name, user.family_name].join("-").lowerAscii()`:         `"ann-lee"`,
		`user.id + "|" + app.id + request.ip + request.grant + string(1u)`:   `"usr_1|app_1192.0.2.1authorization_code1"`,
		`b"ab"`: `"YWI="`,
		`scopes.exists(s, s == "email") && request.amr[0] == request.acr`:       `true`,
		`user.name + user.locale + app.name + app.client_id + user.family_name`: `"Ann LeeWebwebLee"`,
	} {
		if got := one(t, Mapping{Expression: expression}, facts()); got != want {
			t.Errorf("%s: got %s, want %s", expression, got, want)
		}
	}
}

func TestExpressionFaultsHaveAPlace(t *testing.T) {
	t.Parallel()
	for expression, want := range map[string]string{
		`user.emial`:                          "line 1, column 5: undeclared reference to 'user.emial' (did you mean 'user.email'?)",
		"user.email +\n 1":                    "line 1, column 12: found no matching overload for '_+_' applied to '(string, int)'",
		`has(user.email)`:                     "line 1, column 5: undeclared reference to 'user'; there are groups, roles",
		`groups.exists(g, "a".matches(g))`:    "line 1, column 29: the pattern of matches must be a literal text",
		`"a".matches("(")`:                    "line 1, column 13: invalid matches argument",
		`user`:                                "undeclared reference to 'user'",
		`directory.users`:                     "undeclared reference to 'directory'",
		`1 +`:                                 "line 1, column 4: Syntax error",
		`"` + strings.Repeat("a", 1990) + `"`: "",
	} {
		got := compile(expression).fault
		if !strings.Contains(got, want) || (want == "") != (got == "") {
			t.Errorf("%s: got %q, want %q", expression, got, want)
		}
	}
}

func TestCheckNamesThePlace(t *testing.T) {
	t.Parallel()
	long := make([]Mapping, maxMappings+1)
	for want, list := range map[string][]Mapping{
		"":                            {{Claim: "a", Value: "b"}, {Claim: "a", Value: "c", RequiredScope: "api"}, {Claim: "a", Value: "d", In: []string{InUserinfo}}},
		"claim_mappings":              long,
		"claim_mappings/1/claim":      {{Claim: "a", Value: "b"}, {Claim: "a", Value: "c"}},
		"claim_mappings/0/value":      {{Claim: "a"}},
		"claim_mappings/0/expression": {{Claim: "a", Expression: "nonsense("}},
		"claim_mappings/0/in":         {{Claim: "a", Value: "b", In: []string{"cookie"}}},
		"claim_mappings/0/required_scope": {
			{Claim: "a", Value: "b", RequiredScope: "two scopes"}, {Claim: "c", Value: "b"},
		},
	} {
		err := Check(list)
		if want == "" {
			if err != nil {
				t.Error(err)
			}
			continue
		}
		var e *identity.Error
		if !errors.As(err, &e) || e.Field != want || !errors.Is(err, identity.ErrInvalid) {
			t.Errorf("got %v, want a fault of %s", err, want)
		}
	}
}

func TestMappingCannotSetReservedClaim(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"iss", "sub", "aud", "exp", "iat", "nbf", "jti", "azp", "nonce", "at_hash", "c_hash", "acr", "amr", "auth_time", "cnf", "act",
		"scope", "client_id", "sid", "fid", "events", "Sub", "ISS", "eXp", "\u017Fub", "a b", `a"b`, "", "token_introspection",
	} {
		m := []Mapping{{Claim: name, Value: "forged"}}
		if Check(m) == nil {
			t.Errorf("%q can be mapped", name)
		}
		if out, err := quiet().Plan(m, nil, InIDToken).Apply(t.Context(), facts()); Reserved(name) && (len(out) > 0 || err != nil) {
			t.Errorf("%q was issued all the same: %v %v", name, out, err)
		}
	}
	e := quiet()
	e.Script = func(context.Context, *Facts, []Claim) ([]Claim, error) {
		return []Claim{{Name: "Sub"}, {Name: "ok"}}, nil
	}
	out, err := e.Plan([]Mapping{{Claim: "a", Value: "b"}}, nil, InIDToken).Apply(t.Context(), facts())
	if err != nil || len(out) != 1 || out[0].Name != "ok" {
		t.Errorf("a script yielded %v, %v", out, err)
	}
}

func TestMappingStaysWithinItsScopeAndPlace(t *testing.T) {
	t.Parallel()
	m := []Mapping{
		{Claim: "scoped", Value: "secret", RequiredScope: "api"}, {Claim: "info", Value: "v", In: []string{InUserinfo}},
		{Claim: "both", Value: "first"}, {Claim: "both", Value: "second", In: []string{InIDToken}, RequiredScope: "email"},
	}
	got := map[string]string{}
	out, err := quiet().Plan(m, []string{"openid", "email"}, Destinations...).Apply(t.Context(), facts())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range out {
		got[fmt.Sprint(c.Name, c.In)] = string(c.Value)
	}
	want := map[string]string{"info[userinfo]": `"v"`, "both[access_token]": `"first"`, "both[id_token]": `"second"`}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if quiet().Plan(m[:1], []string{"openid"}, Destinations...) != nil {
		t.Error("a mapping without its scope is planned")
	}
}

func TestRequiredMapping(t *testing.T) {
	t.Parallel()
	for _, m := range []Mapping{{Claim: "a", Value: "${nothing}", Required: true}, {Claim: "a", Expression: "groups[7]", Required: true}} {
		if _, err := quiet().Plan([]Mapping{m}, nil, InIDToken).Apply(t.Context(), facts()); !errors.Is(err, ErrRequired) {
			t.Errorf("%v: %v", m, err)
		}
		m.RequiredScope = "api"
		if out, err := quiet().Plan([]Mapping{m}, nil, InIDToken).Apply(t.Context(), facts()); err != nil || len(out) != 0 {
			t.Errorf("%v without its scope: %v", m, err)
		}
	}
}

func TestFailuresAreCountedAndNamedWithoutValues(t *testing.T) {
	t.Parallel()
	var logged strings.Builder
	reg := prometheus.NewRegistry()
	e := New(slog.New(slog.NewTextHandler(&logged, nil)), reg)
	f := facts()
	f.Groups = []string{"a-secret-value"}
	out, err := e.Plan([]Mapping{
		{Claim: "broken", Expression: `int(groups[0])`}, {Claim: "fine", Value: "ok"}, {Claim: "old", Expression: "no such("},
	}, nil, InIDToken).Apply(t.Context(), f)
	if err != nil || len(out) != 1 {
		t.Fatal(out, err)
	}
	if s := logged.String(); strings.Contains(s, "a-secret-value") || !strings.Contains(s, "claim=broken") || !strings.Contains(s, "reason=compile") {
		t.Errorf("logged %s", s)
	}
	if n := testutil.CollectAndCount(reg, "quis_claim_mapping_failures_total"); n != 2 {
		t.Errorf("%d reasons counted", n)
	}
}

func TestNeeds(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		m             Mapping
		groups, roles bool
	}{
		{Mapping{Value: "${email}"}, false, false}, {Mapping{Value: "${groups}"}, true, false}, {Mapping{Value: "${appRoles}"}, false, true},
		{Mapping{Value: "${level}"}, false, true}, {Mapping{Expression: "user.email"}, false, false},
		{Mapping{Expression: "groups.size() + roles.size()"}, true, true},
	} {
		p := quiet().Plan([]Mapping{c.m}, nil, InIDToken)
		if p.NeedsGroups() != c.groups || p.NeedsRoles() != c.roles {
			t.Errorf("%v: %v %v", c.m, p.NeedsGroups(), p.NeedsRoles())
		}
	}
}

func TestProgramsAreForgotten(t *testing.T) {
	t.Parallel()
	for i := range maxRemembers + 50 {
		compiled(fmt.Sprintf("%d", i))
	}
	programs.mu.Lock()
	defer programs.mu.Unlock()
	if n := programs.used.Len(); n != maxRemembers || len(programs.at) != n {
		t.Errorf("%d programs, %d names", n, len(programs.at))
	}
}
