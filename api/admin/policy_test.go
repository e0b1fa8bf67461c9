package admin_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/assurance"
	"github.com/quis-idp/quis/identity/authn"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/credential/passkey"
	"github.com/quis-idp/quis/identity/credential/passkey/passkeytest"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/settings"
)

// A verdict is what a sign-in comes to, or is said to.
type verdict struct {
	Outcome  string   `json:"outcome"`
	Methods  []string `json:"methods"`
	Optional bool     `json:"optional"`
	Left     int      `json:"left"`
}

// someone makes a user with a password, and a passkey on each of these authenticators.
func (h *house) someone(name string, keys ...*passkeytest.Authenticator) (id string) {
	h.t.Helper()
	id, _ = h.person(identity.DefaultTenant, name, false)
	site := identity.Tenant{ID: identity.DefaultTenant, Issuer: "https://id.example.com"}
	phc, err := newPool(h.t).Hash(h.t.Context(), "right")
	h.must(err)
	h.update(func(tx *fsm.Tx) error { return credential.SetPassword(tx, site.ID, id, phc) })
	for _, a := range keys {
		a.Origin = site.Issuer
		h.update(func(tx *fsm.Tx) error {
			u, _, err := directory.GetUser(tx, site.ID, id)
			if err != nil {
				return err
			}
			options, session, err := passkey.BeginRegistration(tx, site, "A house", settings.Passkey{}, u, true)
			if err != nil {
				return err
			}
			response, err := a.Create(options)
			if err == nil {
				_, err = passkey.Register(tx, site, settings.Passkey{}, id, session, response, "key")
			}
			return err
		})
	}
	return id
}

// entered is what the sign-in of a user by password comes to.
func (h *house) entered(flows *authn.Flows, need authn.Need, name string) (v verdict) {
	h.t.Helper()
	ctx := identity.WithTenant(h.t.Context(), identity.Tenant{ID: identity.DefaultTenant, Issuer: "https://id.example.com"})
	need.ReturnTo = "/"
	sealed, err := flows.Begin(ctx, need)
	h.must(err)
	f, err := flows.Load(ctx, sealed, "")
	h.must(err)
	_, err = flows.Bind(f, "")
	h.must(err)
	r, err := flows.Password(ctx, f, name, "right")
	if errors.Is(err, identity.ErrDenied) {
		return verdict{Outcome: "deny"}
	}
	h.must(err)
	var methods []assurance.Method
	switch {
	case r.Step == authn.StepSecond:
		v.Outcome = "step_up"
		methods, err = flows.Offer(ctx, f)
		h.must(err)
	case r.Enrol != nil:
		v = verdict{Outcome: "enrol", Optional: r.Enrol.Optional, Left: r.Enrol.Left}
		methods = r.Enrol.Methods
	default:
		v.Outcome = "allow"
	}
	for _, m := range methods {
		v.Methods = append(v.Methods, string(m))
	}
	return v
}

// evaluated is what the API says that a sign-in by password would come to.
func (h *house) evaluated(user, app, more string) (v verdict) {
	h.t.Helper()
	_, body := h.call(h.root, "POST", "/api/v1/policies/evaluate", fmt.Sprintf(`{"user_id":%q,"application":%q,"factors":[{"method":"password"}]%s}`, user, app, more))
	h.must(json.Unmarshal([]byte(body), &v))
	if len(v.Methods) == 0 {
		v.Methods = nil
	}
	return v
}

// What the API says of a sign-in is what the sign-in does.
func TestEvaluateAgreesWithSignIn(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool := newPool(t)
	flows := authn.New(authn.Config{DB: h.db, Ring: h.ring, Sessions: h.sessions, CheckPassword: func(ctx context.Context, tenant, user, password string) error {
		return credential.CheckPassword(ctx, h.db, pool, tenant, user, password)
	}})
	synced := func() *passkeytest.Authenticator { return &passkeytest.Authenticator{UV: true, Synced: true} }
	bound := func() *passkeytest.Authenticator { return &passkeytest.Authenticator{UV: true} }
	people := map[string][]*passkeytest.Authenticator{"nothing else": nil, "a synced passkey": {synced()}, "a bound passkey": {bound()}, "both": {synced(), bound()}}
	apps := map[string]string{}
	for _, mfa := range []string{"inherit", "any", "otp", "passkey", "device_bound"} {
		apps[mfa] = h.made(`{"name":"` + mfa + `","redirect_uris":["https://a.example/cb"],"mfa_policy":"` + mfa + `"}`)["id"].(string)
	}
	seen, n := map[string]int{}, 0
	for _, decided := range []string{
		`{}`, `{"mfa_policy":"any","mfa_enforce_enrollment":true,"mfa_enrollment_grace":2}`, `{"mfa_policy":"device_bound","mfa_enforce_enrollment":false}`,
		`{"mfa_allowed_methods":["totp"]}`, `{"mfa_allowed_methods":[]}`,
	} {
		h.said("PUT", "/api/v1/settings/authentication", decided)
		for has, keys := range people {
			n++
			name := fmt.Sprintf("person-%d", n)
			user := h.someone(name, keys...)
			for mfa, app := range apps {
				for acr, more := range map[string]string{"": "", assurance.Level(1).ACR(): `,"acr":"urn:quis:acr:aal1"`, assurance.Level(2).ACR(): `,"acr":"urn:quis:acr:aal2"`, assurance.Level(3).ACR(): `,"acr":"urn:quis:acr:aal3"`} {
					need := authn.Need{MFA: mfa}
					if acr != "" {
						need.ACR = []string{acr}
					}
					said := h.evaluated(user, app, more) // first: a sign-in counts that enrolment was put off
					if diff := cmp.Diff(h.entered(flows, need, name), said); diff != "" {
						t.Errorf("%s, who has %s, at an application with %s, acr %q: %s", decided, has, mfa, acr, diff)
					}
					seen[said.Outcome]++
				}
			}
		}
	}
	for _, outcome := range []string{"allow", "step_up", "enrol", "deny"} {
		if seen[outcome] < 5 {
			t.Errorf("%s: %d times, which tests little", outcome, seen[outcome])
		}
	}
}

// What is absent is as it is; 0 is asked for, and is not absence.
func TestEvaluateTellsNothingFromZero(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.said("PUT", "/api/v1/settings/authentication", `{"mfa_policy":"any","mfa_enforce_enrollment":true,"mfa_enrollment_grace":2}`)
	flows := authn.New(authn.Config{DB: h.db, Ring: h.ring, Sessions: h.sessions, CheckPassword: func(context.Context, string, string, string) error { return nil }})
	user := h.someone("putter")
	h.entered(flows, authn.Need{}, "putter")
	for more, left := range map[string]int{"": 1, `,"skipped":0`: 2, `,"skipped":1`: 1, `,"skipped":9`: 0} {
		if v := h.evaluated(user, "", more); v.Outcome != "enrol" || v.Left != left || v.Optional != (left > 0) {
			t.Errorf("%s: %+v", more, v)
		}
	}
	h.said("PUT", "/api/v1/settings/authentication", `{}`)
	for more, outcome := range map[string]string{"": "allow", `,"max_age":60`: "allow", `,"max_age":30`: "step_up", `,"max_age":0`: "step_up"} {
		var v verdict
		_, body := h.call(h.root, "POST", "/api/v1/policies/evaluate", fmt.Sprintf(`{"user_id":%q,"factors":[{"method":"password","age_seconds":45}]%s}`, user, more))
		h.must(json.Unmarshal([]byte(body), &v))
		if v.Outcome != outcome {
			t.Errorf("%s: %s, not %s", more, v.Outcome, outcome)
		}
	}
}

// Whoever asks about a level hears of it, also where it cannot be reached and a sign-in leaves it out.
func TestEvaluateSaysWhatCannotBeReached(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	people := map[string]string{"nothing else": h.someone("bare"), "a synced passkey": h.someone("synced", &passkeytest.Authenticator{UV: true, Synced: true})}
	for _, c := range []struct {
		has, more, why string
		level          int
	}{
		{"nothing else", ``, "", 1},
		{"nothing else", ``, "it takes a passkey that verifies its user, or a password and something else that they have, and all that this person has comes to level 1;", 2},
		{"nothing else", `,"trusted_device":true`, "all that this person has comes to level 1;", 2}, // nothing is missing that the device would stand for
		{"nothing else", ``, "it takes a passkey or a card that cannot leave its device, and whose maker vouches that hardware protects its key, and all that this person has comes to level 1;", 3},
		{"a synced passkey", ``, "", 2},
		{"a synced passkey", `,"trusted_device":true`, "and all that this person has comes to level 2;", 3},
	} {
		got := h.said("POST", "/api/v1/policies/evaluate", fmt.Sprintf(`{"user_id":%q,"factors":[{"method":"password"}],"acr":%q%s}`, people[c.has], assurance.Level(c.level).ACR(), c.more))
		n := 0
		for _, r := range got["reasons"].([]any) {
			if r := r.(map[string]any); r["rule"] == "acr" {
				n++
				why, _ := r["why"].(string)
				if r["asks"] != fmt.Sprintf("level %d", c.level) || !strings.Contains(why, c.why) || (c.why == "") != (why == "") || why != "" && r["met"] != false {
					t.Errorf("%+v: %v", c, r)
				}
			}
		}
		if n != 1 {
			t.Errorf("%+v: %d rows in %v", c, n, got)
		}
	}
}
