package oidc

import (
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/oidc/family"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/assurance"
	"github.com/quis-idp/quis/identity/authn"
	"github.com/quis-idp/quis/identity/settings"
)

// flow is the sealed sign-in that an authorization response led to.
func (w *world) flow(params url.Values) *authn.Flow {
	w.t.Helper()
	f, err := w.nodes[0].flows.Load(identity.WithTenant(w.t.Context(), tenant), params.Get("flow"), "")
	if err != nil {
		w.t.Fatal(err)
	}
	return f
}

func TestEssentialContextIsKeptToOrRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	essential := func(acr string) func(url.Values) {
		return set("claims", `{"id_token":{"acr":{"essential":true,"values":["`+acr+`"]}}}`)
	}
	if _, params := w.back(w.authorize(essential(assurance.Level(1).ACR()))); params.Get("code") == "" {
		t.Fatalf("what the session has: %v", params)
	}
	w.authorizeError(w.authorize(essential("urn:gold")), "unmet_authentication_requirements")
	w.authorizeError(w.authorize(essential("urn:gold"), set("prompt", "none")), "unmet_authentication_requirements")
	cookie := w.cookie
	w.cookie = nil // nobody needs to sign in to hear that it would not help
	w.authorizeError(w.authorize(essential("urn:gold")), "unmet_authentication_requirements")
	w.cookie = cookie
	// What is only wished for is had where it can be, and else the tokens say what there is.
	for _, f := range []func(url.Values){
		set("acr_values", "urn:gold"), set("acr_values", "urn:gold "+assurance.Level(1).ACR()), set("claims", `{"id_token":{"acr":{"values":["urn:gold"]}}}`), set("claims", `{"id_token":{"acr":{"essential":true}}}`),
	} {
		if got := w.tokens(0, f); claims(t, got.ID)["acr"] != assurance.Level(1).ACR() {
			t.Errorf("acr %v", claims(t, got.ID)["acr"])
		}
	}
	w.authorizeError(w.authorize(set("claims", `{"id_token":{"acr":{"essential":1}}}`)), "invalid_request")
}

// TestStepUp: a session of another context does not do where the password was asked for.
func TestStepUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.signInAs("urn:example:federated")
	if _, params := w.back(w.authorize()); params.Get("code") == "" {
		t.Fatalf("without a wish: %v", params)
	}
	for _, f := range []func(url.Values){set("acr_values", assurance.Level(1).ACR()), set("claims", `{"id_token":{"acr":{"essential":true,"value":"`+assurance.Level(1).ACR()+`"}}}`)} {
		w.signInAs("urn:example:federated")
		w.authorizeError(w.authorize(f, set("prompt", "none")), "login_required")
		rec := w.authorize(f)
		_, params := w.back(rec)
		if need := w.flow(params).Need; !need.Login || len(need.ACR) != 1 || need.ACR[0] != assurance.Level(1).ACR() {
			t.Fatalf("need %+v", need)
		}
		if _, params := w.back(w.get(0, w.passSignIn(0, rec, "tester"), true)); params.Get("code") == "" {
			t.Fatalf("after the step: %v", params)
		}
	}
	w.signInAs("urn:example:federated")
	w.change(func(a *federation.Application) { a.Tokens.DefaultACRs = []string{assurance.Level(1).ACR()} })
	if u, _ := w.back(w.authorize()); u.Path != "/login" {
		t.Fatalf("the default of the application led to %s", u)
	}
}

func TestDefaultMaxAge(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.change(func(a *federation.Application) { a.Tokens.DefaultMaxAge = 60 })
	if _, params := w.back(w.authorize()); params.Get("code") == "" {
		t.Fatalf("young session: %v", params)
	}
	w.cluster.Advance(2 * time.Minute)
	w.change(func(a *federation.Application) { a.Description = "carries the clock into the state" })
	if u, _ := w.back(w.authorize()); u.Path != "/login" {
		t.Fatalf("old session: led to %s", u)
	}
	if _, params := w.back(w.authorize(set("max_age", "3600"))); params.Get("code") == "" {
		t.Fatalf("a max_age of the request: %v", params)
	}
}

func TestSelectAccount(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	keep := func(f func(url.Values)) string {
		t.Helper()
		_, params := w.back(w.authorize(set("prompt", "select_account"), f))
		flow := w.flow(params)
		if _, err := w.nodes[0].flows.Bind(flow, ""); err != nil {
			t.Fatal(err)
		}
		s, err := w.nodes[0].sessions.Find(t.Context(), tenant.ID, w.cookie.Value)
		if err != nil {
			t.Fatal(err)
		}
		back, err := w.nodes[0].flows.Keep(flow, s)
		if err != nil {
			return ""
		}
		return back
	}
	back := keep(set("nonce", "n"))
	if _, params := w.back(w.get(1, back, true)); params.Get("code") == "" {
		t.Fatalf("after the choice: %v", params)
	}
	if u, _ := w.back(w.get(1, back, false)); u.Path != "/login" {
		t.Fatalf("the choice is of use without the session: led to %s", u)
	}
	w.signIn() // another session: the choice was not for it
	if u, _ := w.back(w.get(1, back, true)); u.Path != "/login" {
		t.Fatalf("the choice is of use to another session: led to %s", u)
	}
	// A choice proves nothing: whoever wants proof as well is not content with it.
	if back := keep(set("prompt", "select_account login")); back != "" {
		t.Fatalf("a choice instead of a proof leads to %s", back)
	}
	if back := keep(set("max_age", "0")); back != "" {
		t.Fatalf("a choice instead of a proof leads to %s", back)
	}
}

// TestRefusesAChoiceAsAProof: the ticket of a choice for a request that demands proof is nothing.
func TestRefusesAChoiceAsAProof(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	query := w.request(set("prompt", "login")).Encode()
	sealed, err := w.nodes[0].flows.Begin(identity.WithTenant(t.Context(), tenant), authn.Need{ReturnTo: authorizePath + "?" + query, Select: true})
	if err != nil {
		t.Fatal(err)
	}
	flow := w.flow(url.Values{"flow": {sealed}})
	if _, err := w.nodes[0].flows.Bind(flow, ""); err != nil {
		t.Fatal(err)
	}
	s, err := w.nodes[0].sessions.Find(t.Context(), tenant.ID, w.cookie.Value)
	if err != nil {
		t.Fatal(err)
	}
	back, err := w.nodes[0].flows.Keep(flow, s)
	if err != nil {
		t.Fatal(err)
	}
	if u, _ := w.back(w.get(0, back, true)); u.Path != "/login" {
		t.Fatalf("led to %s", u)
	}
}

func TestSubjectThatIsAskedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	sub := func(id string) func(url.Values) {
		return set("claims", `{"id_token":{"sub":{"value":"`+id+`"}}}`)
	}
	if _, params := w.back(w.authorize(sub(w.user.ID), set("prompt", "none"))); params.Get("code") == "" {
		t.Fatalf("own subject: %v", params)
	}
	w.authorizeError(w.authorize(sub("usr_other"), set("prompt", "none")), "login_required")
	rec := w.authorize(sub("usr_other"))
	w.authorizeError(w.get(0, w.passSignIn(0, rec, "tester"), true), "login_required")
	hint := w.tokens(0).ID
	w.authorizeError(w.authorize(sub("usr_other"), set("id_token_hint", hint)), "invalid_request")
}

// TestPairwiseSubjectThatIsAskedFor: what the application calls the user is compared, and the ID
// that other applications know is nobody.
func TestPairwiseSubjectThatIsAskedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.change(func(a *federation.Application) { a.Subject.Type = federation.SubjectPairwise })
	name := ""
	w.update(0, func(tx *fsm.Tx) (err error) {
		name, err = federation.SubjectOf(tx, w.app, w.user.ID)
		return err
	})
	sub := func(id string) func(url.Values) {
		return set("claims", `{"id_token":{"sub":{"value":"`+id+`"}}}`)
	}
	if _, params := w.back(w.authorize(sub(name), set("prompt", "none"))); params.Get("code") == "" {
		t.Fatalf("own name: %v", params)
	}
	w.authorizeError(w.authorize(sub(w.user.ID), set("prompt", "none")), "login_required")
}

func TestClaimsAreCarriedInTheGrant(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	const asked = `{"userinfo":{"email":{"essential":true}},"id_token":{"name":null},"x":{"y":1}}`
	code, err := family.OpenCode(w.nodes[0].ring, tenant.ID, "web", w.code(0, set("claims", asked)))
	if err != nil || string(code.Claims) != `{"id_token":{"name":null},"userinfo":{"email":{"essential":true}}}` {
		t.Fatalf("%s %v", code.Claims, err)
	}
	if code, err = family.OpenCode(w.nodes[0].ring, tenant.ID, "web", w.code(0)); err != nil || code.Claims != nil {
		t.Fatalf("nothing was asked for: %s %v", code.Claims, err)
	}
}

func TestPromptCreateIsRefusedWhileNobodyCanRegister(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.authorizeError(w.authorize(set("prompt", "create")), "invalid_request")
	if rec := w.authorize(set("display", "popup"), set("ui_locales", "de en")); rec.Code != http.StatusSeeOther {
		t.Errorf("display is ignored, not refused: %d", rec.Code)
	}
}

// TestPromptCreate: where people can register, the request leads there, whoever is signed in,
// and is answered once that was done.
func TestPromptCreate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.update(0, func(tx *fsm.Tx) error {
		s := settings.Default(tenant.ID)
		s.SelfRegistration = true
		return settings.Put(tx, 0, s)
	})
	var doc struct {
		Prompts []string `json:"prompt_values_supported"`
	}
	decode(t, w.get(0, "/.well-known/openid-configuration", false).Body.String(), &doc)
	if !slices.Contains(doc.Prompts, "create") {
		t.Errorf("metadata: %v", doc.Prompts)
	}
	to, params := w.back(w.authorize(set("prompt", "create")))
	if f := w.flow(params); !f.Need.Create || !f.Need.Login {
		t.Errorf("%s: %+v", to, f.Need)
	}
	if _, params := w.back(w.authorize()); params.Get("code") == "" {
		t.Errorf("without: %v", params)
	}
	w.authorizeError(w.authorize(set("prompt", "create none")), "invalid_request")
}
