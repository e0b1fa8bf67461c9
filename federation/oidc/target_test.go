package oidc

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/resource"
	"github.com/quis-idp/quis/fsm"
)

const (
	orders = "https://orders.example.com"
	stock  = "https://stock.example.com/v1"
	closed = "https://closed.example.com"
)

// shops registers three resource servers and scopes of two of them. The world's
// application may use all but the last.
func (w *world) shops() {
	w.t.Helper()
	text := resource.Texts{"en": "Do it"}
	api := w.register(federation.Application{
		ClientID: "orders-api", Name: "Orders API", GrantTypes: []string{federation.GrantClientCredentials},
	}, secret)
	w.update(0, func(tx *fsm.Tx) error {
		for _, s := range []resource.Server{
			{Identifier: orders, Name: "Orders", OpenToAll: true, Application: api.ID, TokenExpiry: 7200, SigningAlg: "EdDSA", Details: []resource.DetailType{{
				Name: "order", Texts: text, Members: []resource.Member{
					{Name: "actions", Kind: resource.KindStrings}, {Name: "item", Kind: resource.KindString, Required: true},
				},
			}}},
			{Identifier: stock, Name: "Stock", Allowed: []string{w.app.ID}, TokenExpiry: 300},
			{Identifier: closed, Name: "Closed", Allowed: []string{"app_other"}, Details: []resource.DetailType{{Name: "secret", Texts: text}}},
		} {
			s.Tenant = tenant.ID
			made, err := resource.CreateServer(tx, s)
			if err != nil {
				return err
			}
			if s.Identifier == closed {
				continue
			}
			scope := resource.Scope{Tenant: tenant.ID, Name: strings.ToLower(s.Name) + ":read", Texts: text, Resource: made.ID}
			if _, err := resource.CreateScope(tx, scope); err != nil {
				return err
			}
		}
		_, err := federation.Update(tx, tenant.ID, w.app.ID, 0, func(a *federation.Application) error {
			a.AllowedScopes = append(a.AllowedScopes, "orders:read", "stock:read")
			return nil
		})
		return err
	})
}

func resources(uris ...string) func(url.Values) { return func(q url.Values) { q["resource"] = uris } }

func (w *world) exchange(i int, code string, change ...func(url.Values)) tokenResponse {
	w.t.Helper()
	form := w.codeForm(code)
	for _, f := range change {
		f(form)
	}
	return w.want(w.post(i, "/oauth2/token", form), 200)
}

func (w *world) refused(i int, form url.Values, code string, change ...func(url.Values)) {
	w.t.Helper()
	for _, f := range change {
		f(form)
	}
	w.wantError(w.post(i, "/oauth2/token", form), 400, code)
}

// aud is a token's audience as text, and whether it is an array.
func aud(t *testing.T, token string) string {
	t.Helper()
	return fmt.Sprint(claims(t, token)["aud"])
}

const allScopes = "openid email orders:read stock:read"

func TestTokenIsForTheResourceAskedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	w.shops()
	var code string
	if n := w.entries(func() { code = w.code(0, resources(orders), set("scope", allScopes)) }); n != 0 {
		t.Errorf("authorize cost %d log entries", n)
	}
	got := w.exchange(1, code)
	c := claims(t, got.Access)
	if c["aud"] != orders || got.Scope != "openid email orders:read" || c["scope"] != got.Scope || got.Expires != 7200 {
		t.Errorf("%+v %v", got, c)
	}
	if life := c["exp"].(float64) - c["iat"].(float64); life != 7200 {
		t.Errorf("lives %v seconds", life)
	}
	if id := claims(t, got.ID); id["aud"] != "web" || id["exp"].(float64)-id["iat"].(float64) != 3600 {
		t.Errorf("ID token %v", id)
	}
	if alg := header(t, got.Access)["alg"]; alg != "EdDSA" {
		t.Errorf("access token is signed with %v", alg)
	}
	if alg := header(t, got.ID)["alg"]; alg != "ES256" {
		t.Errorf("ID token is signed with %v", alg)
	}
	next := w.want(w.post(2, "/oauth2/token", refreshForm(got.Refresh)), 200)
	if aud(t, next.Access) != orders || next.Scope != got.Scope || next.Expires != 7200 {
		t.Errorf("after a refresh %+v %s", next, aud(t, next.Access))
	}
}

func header(t *testing.T, token string) (h map[string]any) {
	t.Helper()
	return claims(t, "."+strings.SplitN(token, ".", 2)[0]+".")
}

func TestTokenRequestNarrowsResources(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	w.shops()
	ask := []func(url.Values){resources(stock, issuer), set("scope", allScopes)}
	both := w.exchange(0, w.code(0, ask...))
	if got := aud(t, both.Access); got != fmt.Sprint([]string{stock, issuer}) {
		t.Errorf("audience %s", got)
	}
	if rec := w.userinfo(1, both.Access); rec.Code != 200 {
		t.Errorf("the issuer is in the audience: %d", rec.Code)
	}
	one := w.exchange(0, w.code(0, ask...), resources(stock))
	if aud(t, one.Access) != stock || one.Scope != "openid email stock:read" || one.Expires != 300 {
		t.Errorf("%+v for %s", one, aud(t, one.Access))
	}
	other := refreshForm(one.Refresh)
	resources(issuer)(other)
	if next := w.want(w.post(1, "/oauth2/token", other), 200); aud(t, next.Access) != issuer || next.Scope != allScopes {
		t.Errorf("a refresh for another part: %+v for %s", next, aud(t, next.Access))
	}
}

func TestWithoutResourceTheAudienceIsTheIssuer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.shops()
	got := w.tokens(0, set("scope", allScopes))
	if aud(t, got.Access) != issuer || got.Scope != allScopes || got.Expires != 3600 {
		t.Errorf("%+v for %s", got, aud(t, got.Access))
	}
}

func TestRefusesResourceThatIsNotAllowed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.shops()
	for _, uris := range [][]string{{closed}, {"https://nowhere.example"}, {orders, closed}, {orders + "#x"}, {"orders"}, {""}, {orders + "/"}} {
		w.authorizeError(w.authorize(resources(uris...)), "invalid_target")
		w.wantError(w.post(0, "/oauth2/par", w.request(resources(uris...))), 400, "invalid_target")
		w.refused(0, url.Values{"grant_type": {"client_credentials"}}, "invalid_target", resources(uris...))
	}
	own := url.Values{"grant_type": {"client_credentials"}, "scope": {"api stock:read orders:read"}, "resource": {stock}}
	if n := w.entries(func() {
		got := w.want(w.post(0, "/oauth2/token", own), 200)
		if aud(t, got.Access) != stock || got.Scope != "api stock:read" || got.Expires != 300 {
			t.Errorf("%+v for %s", got, aud(t, got.Access))
		}
	}); n != 0 {
		t.Errorf("client_credentials for a resource cost %d log entries", n)
	}
}

func TestRefusesMoreResourcesAtTheTokenEndpointThanAuthorized(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.shops()
	code := w.code(0, resources(stock))
	for _, uris := range [][]string{{orders}, {stock, orders}, {issuer}, {closed}} {
		w.refused(0, w.codeForm(code), "invalid_target", resources(uris...))
	}
	got := w.exchange(0, code) // none of that used it up
	w.refused(0, refreshForm(got.Refresh), "invalid_target", resources(orders))
	w.want(w.post(0, "/oauth2/token", refreshForm(got.Refresh)), 200)
	w.refused(0, w.codeForm(w.code(0)), "invalid_target", resources(stock)) // nothing but the issuer was authorized
}

func TestRefusesResourceThatWasClosedMeanwhile(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	w.shops()
	code, got := w.code(0, resources(stock)), w.exchange(0, w.code(0, resources(stock)))
	w.cluster.Pause(1)
	w.update(0, func(tx *fsm.Tx) error {
		s, err := resource.ByIdentifier(tx, tenant.ID, stock)
		if err != nil {
			return err
		}
		_, err = resource.UpdateServer(tx, tenant.ID, s.ID, 0, func(s *resource.Server) error { s.Allowed = nil; return nil })
		return err
	})
	w.refused(1, w.codeForm(code), "invalid_target") // the entry decides, not this node's old state
	w.refused(1, refreshForm(got.Refresh), "invalid_target")
	w.cluster.Resume(t, 1)
}

func TestRefusesTokenForAResourceAtUserinfo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.shops()
	got := w.exchange(0, w.code(0, resources(orders)))
	w.wantError(w.userinfo(0, got.Access), 401, "invalid_token")
	if rec := w.post(0, "/oauth2/revoke", url.Values{"token": {got.Access}}); rec.Code != 200 {
		t.Errorf("revoking it: %d", rec.Code)
	}
	w.wantError(w.post(0, "/oauth2/token", refreshForm(got.Refresh)), 400, "invalid_grant")
}

func TestResourceServerIntrospectsWhatIsForIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	w.shops()
	ask := func(token string) (answer map[string]any) {
		r := formRequest(t.Context(), "/oauth2/introspect", url.Values{"token": {token}})
		r.SetBasicAuth("orders-api", secret)
		decode(t, w.nodes[1].do(r).Body.String(), &answer)
		return answer
	}
	got := w.exchange(0, w.code(0, resources(orders), set("scope", allScopes)))
	if n := w.entries(func() {
		if a := ask(got.Access); a["active"] != true || a["aud"] != orders || a["client_id"] != "web" || a["sub"] != w.user.ID {
			t.Errorf("its own: %v", a)
		}
	}); n != 0 {
		t.Errorf("introspection cost %d log entries", n)
	}
	for name, token := range map[string]string{
		"for another": w.exchange(0, w.code(0, resources(stock))).Access, "for the issuer": w.tokens(0).Access, "refresh token": got.Refresh,
	} {
		if d := cmp.Diff(map[string]any{"active": false}, ask(token)); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
	w.post(0, "/oauth2/revoke", url.Values{"token": {got.Refresh}})
	if a := ask(got.Access); a["active"] != false {
		t.Errorf("revoked: %v", a)
	}
}

const anOrder = `[{"type":"order","item":"book","actions":["buy","return"]}]`

func details(text string) func(url.Values) { return set("authorization_details", text) }

type detailed struct {
	tokenResponse
	Details json.RawMessage `json:"authorization_details"`
}

func (w *world) detailed(form url.Values, change ...func(url.Values)) (d detailed) {
	w.t.Helper()
	for _, f := range change {
		f(form)
	}
	rec := w.post(0, "/oauth2/token", form)
	w.want(rec, 200)
	decode(w.t, rec.Body.String(), &d)
	return d
}

func TestAuthorizationDetailsGoIntoTheToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.shops()
	const spelled = `[{"actions":["buy","return"],"item":"book","type":"order"}]`
	for name, code := range map[string]string{
		"query": w.code(0, details(anOrder), resources(orders)),
		"par":   w.codeOf(w.get(0, "/oauth2/authorize?"+w.pushedBack(details(anOrder), resources(orders)).Encode(), true)),
	} {
		got := w.detailed(w.codeForm(code))
		inToken, err := json.Marshal(claims(t, got.Access)["authorization_details"])
		if string(got.Details) != spelled || string(inToken) != spelled || err != nil {
			t.Errorf("%s: answer %s, token %s", name, got.Details, inToken)
		}
		var a struct {
			Details json.RawMessage `json:"authorization_details"`
		}
		decode(t, w.post(0, "/oauth2/introspect", url.Values{"token": {got.Access}}).Body.String(), &a)
		if string(a.Details) != spelled {
			t.Errorf("%s: introspection %s", name, a.Details)
		}
		const less = `[{"type":"order","item":"book","actions":["return"]}]`
		next := w.detailed(refreshForm(got.Refresh), details(less))
		if string(next.Details) != `[{"actions":["return"],"item":"book","type":"order"}]` {
			t.Errorf("%s: narrowed to %s", name, next.Details)
		}
		again := w.detailed(refreshForm(next.Refresh)) // a narrow token does not narrow the grant
		if string(again.Details) != spelled {
			t.Errorf("%s: afterwards %s", name, again.Details)
		}
	}
	// A token for another API says nothing of what does not concern it.
	other := w.detailed(w.codeForm(w.code(0, details(anOrder), resources(orders, stock))), resources(stock))
	if len(other.Details) > 0 || claims(t, other.Access)["authorization_details"] != nil {
		t.Errorf("for another API: %s", other.Details)
	}
}

func (w *world) pushedBack(change ...func(url.Values)) url.Values {
	w.t.Helper()
	var pushed struct {
		URI string `json:"request_uri"`
	}
	decode(w.t, w.post(0, "/oauth2/par", w.request(change...)).Body.String(), &pushed)
	return url.Values{"client_id": {w.app.ClientID}, "request_uri": {pushed.URI}}
}

func TestRefusesAuthorizationDetailsThatAreUnknown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.shops()
	for name, text := range map[string]string{
		"type": `[{"type":"other"}]`, "of a closed API": `[{"type":"secret"}]`, "member": `[{"type":"order","item":"x","price":1}]`,
		"missing": `[{"type":"order"}]`, "no JSON": `{`, "no list": `{"type":"order"}`, "oversized": `[{"type":"order","item":"` + strings.Repeat("x", 4000) + `"}]`,
		"nested": strings.Repeat(`[`, 500), "too long": `[{"type":"order","item":"` + strings.Repeat("x", 300) + `"}]`,
	} {
		t.Run(name, func(t *testing.T) {
			w.authorizeError(w.authorize(details(text)), "invalid_authorization_details")
			w.wantError(w.post(0, "/oauth2/par", w.request(details(text))), 400, "invalid_authorization_details")
			w.refused(0, url.Values{"grant_type": {"client_credentials"}}, "invalid_authorization_details", details(text))
		})
	}
}

func TestRefusesMoreAuthorizationDetailsThanAuthorized(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.shops()
	code := w.code(0, details(anOrder))
	for _, text := range []string{
		`[{"type":"order","item":"car","actions":["buy","return"]}]`, `[{"type":"order","item":"book"}]`,
		`[{"type":"order","item":"book","actions":["buy","steal"]}]`, `[{"type":"order","item":"book","actions":["buy"]},{"type":"order","item":"car"}]`,
	} {
		w.refused(0, w.codeForm(code), "invalid_authorization_details", details(text))
	}
	got := w.exchange(0, code)
	w.refused(0, refreshForm(got.Refresh), "invalid_authorization_details", details(`[{"type":"order","item":"car"}]`))
	w.refused(0, w.codeForm(w.code(0)), "invalid_authorization_details", details(anOrder))
}

func TestEachPaymentIsAskedAbout(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.shops()
	w.foreign(federation.ConsentExplicit)
	ask := []func(url.Values){details(anOrder), set("scope", "openid")}
	for range 2 {
		to := w.allow(0, w.question(w.authorizeAt(0, ask...)))
		w.exchange(0, w.codeOf(w.get(0, to, true)))
	}
	w.wantBack(w.authorizeAt(0, append(ask, set("prompt", "none"))...), "consent_required")
}

func TestMetadataTellsOfTypesThatAreOpen(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	var doc map[string]any
	decode(t, w.get(0, "/.well-known/openid-configuration", false).Body.String(), &doc)
	if doc["authorization_details_types_supported"] != nil {
		t.Errorf("%v", doc)
	}
	w.shops()
	decode(t, w.get(0, "/.well-known/openid-configuration", false).Body.String(), &doc)
	if d := cmp.Diff([]any{"order"}, doc["authorization_details_types_supported"]); d != "" {
		t.Error(d)
	}
}
