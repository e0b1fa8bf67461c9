package oidc

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/claim"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/directory"
)

// infoOf asks the userinfo endpoint and returns the claims.
func (w *world) infoOf(i int, access string) (c map[string]any) {
	w.t.Helper()
	rec := w.userinfo(i, access)
	if rec.Code != 200 {
		w.t.Fatalf("userinfo: %d %s", rec.Code, rec.Body)
	}
	decode(w.t, rec.Body.String(), &c)
	return c
}

// roles gives the user a role in person, and one by a group.
func (w *world) roles() {
	w.t.Helper()
	w.update(0, func(tx *fsm.Tx) error {
		g, err := directory.CreateGroup(tx, tenant.ID, directory.Group{Name: "staff"})
		if err != nil {
			return err
		}
		if err := directory.AddMember(tx, tenant.ID, g.ID, w.user.ID); err != nil {
			return err
		}
		for _, r := range []claim.Role{
			{Kind: claim.KindUser, Target: w.user.ID, Role: "writer", Key: "level"}, {Kind: claim.KindGroup, Target: g.ID, Role: "reader"},
		} {
			if err := claim.Assign(tx, w.app.App(), r); err != nil {
				return err
			}
		}
		return nil
	})
}

func TestMappedClaimsGoWhereTheyBelong(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	w.roles()
	w.change(func(a *federation.Application) {
		a.Claims = []federation.ClaimMapping{
			{Claim: "https://example.com/level", Value: "${level}"},
			{Claim: "teams", Expression: `groups.map(g, g.upperAscii())`, In: []string{claim.InIDToken}},
			{Claim: "contact", Value: "${name} <${email}>", In: []string{claim.InUserinfo}},
			{Claim: "name", Expression: `"Dr " + user.name`, In: []string{claim.InIDToken, claim.InUserinfo}},
			{Claim: "hidden", Value: "secret", RequiredScope: "api"},
			{Claim: "grant", Expression: "request.grant", In: []string{claim.InAccessToken}},
			{Claim: "broken", Expression: "groups[99]"},
		}
	})
	r := w.tokens(1)
	access, id, info := claims(t, r.Access), claims(t, r.ID), w.infoOf(2, r.Access)
	pick := func(c map[string]any) map[string]any {
		out := map[string]any{}
		for _, n := range []string{"https://example.com/level", "teams", "contact", "name", "hidden", "grant", "broken"} {
			if v, ok := c[n]; ok {
				out[n] = v
			}
		}
		return out
	}
	for where, d := range map[string]string{
		"access token": cmp.Diff(map[string]any{"https://example.com/level": "writer", "grant": "authorization_code"}, pick(access)),
		"ID token":     cmp.Diff(map[string]any{"https://example.com/level": "writer", "teams": []any{"STAFF"}, "name": "Dr Test User"}, pick(id)),
		"userinfo":     cmp.Diff(map[string]any{"contact": "Test User <tester@example.com>", "name": "Dr Test User"}, pick(info)),
	} {
		if d != "" {
			t.Errorf("%s: %s", where, d)
		}
	}
	if access["sub"] != w.user.ID || id["nonce"] != "some-nonce" || id["at_hash"] == nil || id["c_hash"] == nil || access["email"] != nil {
		t.Errorf("claims of the protocol suffered: %v %v", access, id)
	}
	r = w.want(w.post(2, "/oauth2/token", refreshForm(r.Refresh)), 200)
	if c := claims(t, r.Access); c["grant"] != "refresh_token" || c["https://example.com/level"] != "writer" {
		t.Errorf("after a refresh: %v", c)
	}
}

// TestMappingDoesNotLeakWithoutItsScope: not from any grant, and not for an application that may have the scope.
func TestMappingDoesNotLeakWithoutItsScope(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.change(func(a *federation.Application) {
		a.Claims = []federation.ClaimMapping{{Claim: "hidden", Value: "secret", RequiredScope: "api", In: claim.Destinations}}
	})
	r := w.tokens(0)
	with := w.tokens(0, set("scope", "openid api offline_access"))
	for name, c := range map[string]map[string]any{"access": claims(t, r.Access), "id": claims(t, r.ID), "userinfo": w.infoOf(0, r.Access)} {
		if c["hidden"] != nil {
			t.Errorf("%s: %v", name, c)
		}
	}
	for name, c := range map[string]map[string]any{"access": claims(t, with.Access), "id": claims(t, with.ID), "userinfo": w.infoOf(0, with.Access)} {
		if c["hidden"] != "secret" {
			t.Errorf("%s with the scope: %v", name, c)
		}
	}
	narrow := refreshForm(with.Refresh)
	narrow.Set("scope", "openid")
	if c := claims(t, w.want(w.post(0, "/oauth2/token", narrow), 200).Access); c["hidden"] != nil {
		t.Errorf("after narrowing: %v", c)
	}
	own := url.Values{"grant_type": {"client_credentials"}}
	if c := claims(t, w.want(w.post(0, "/oauth2/token", own), 200).Access); c["hidden"] != nil {
		t.Errorf("client_credentials without the scope: %v", c)
	}
	own.Set("scope", "api")
	if c := claims(t, w.want(w.post(0, "/oauth2/token", own), 200).Access); c["hidden"] != "secret" {
		t.Errorf("client_credentials with it: %v", c)
	}
}

func TestRequiredMappingThatFailsIsNoToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.change(func(a *federation.Application) {
		a.Claims = []federation.ClaimMapping{{Claim: "department", Value: "${department}", Required: true}}
	})
	w.wantError(w.post(0, "/oauth2/token", w.codeForm(w.code(0))), 500, codeServerError)
}

// TestEveryProtocolClaimIsReserved: what our own tokens say of themselves can never be mapped.
func TestEveryProtocolClaimIsReserved(t *testing.T) {
	t.Parallel()
	for _, v := range []any{accessToken{}, idToken{}, introspectedJWT{}} {
		for i := range reflect.TypeOf(v).NumField() {
			f := reflect.TypeOf(v).Field(i)
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if name != "" && name != "roles" && !claim.Reserved(name) {
				t.Errorf("%T: %s can be mapped", v, name)
			}
		}
	}
}

func TestRolesScope(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.roles()
	w.change(func(a *federation.Application) { a.AllowedScopes = append(a.AllowedScopes, federation.ScopeRoles) })
	r := w.tokens(0, set("scope", "openid roles"))
	for name, c := range map[string]map[string]any{"access": claims(t, r.Access), "id": claims(t, r.ID), "userinfo": w.infoOf(0, r.Access)} {
		if d := cmp.Diff([]any{"reader", "writer"}, c["roles"]); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
	if r = w.tokens(0); claims(t, r.Access)["roles"] != nil || claims(t, r.ID)["roles"] != nil {
		t.Error("roles are told without their scope")
	}
}

// TestRequestedClaims: by name, each in its place, and only what the application may ask for.
func TestRequestedClaims(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.change(func(a *federation.Application) { a.AllowedScopes = []string{"openid", "profile", "email"} })
	ask := `{"id_token":{"email":{"essential":true},"groups":null},"userinfo":{"name":null,"picture":null}}`
	r := w.tokens(0, set("scope", "openid"), set("claims", ask))
	id, info := claims(t, r.ID), w.infoOf(0, r.Access)
	if id["email"] != "tester@example.com" || id["name"] != nil || id["groups"] != nil {
		t.Errorf("ID token: %v", id)
	}
	if info["name"] != "Test User" || info["email"] != nil || info["picture"] != nil {
		t.Errorf("userinfo: %v", info)
	}
}

func TestPairwiseSubjectIsTheSameEverywhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	w.change(func(a *federation.Application) {
		a.Subject.Type = federation.SubjectPairwise
		a.Claims = []federation.ClaimMapping{{Claim: "me", Value: "${id}"}, {Claim: "me2", Expression: "user.id"}}
	})
	r := w.tokens(1)
	id := claims(t, r.ID)
	sub := id["sub"].(string)
	if len(sub) != 43 || strings.Contains(r.Access+r.ID, w.user.ID) || id["me"] != sub || id["me2"] != sub {
		t.Fatalf("the user is known: %v", id)
	}
	var about, of struct{ Sub string }
	decode(t, w.post(2, "/oauth2/introspect", url.Values{"token": {r.Access}}).Body.String(), &about)
	decode(t, w.post(0, "/oauth2/introspect", url.Values{"token": {r.Refresh}}).Body.String(), &of)
	for where, got := range map[string]any{"access token": claims(t, r.Access)["sub"], "userinfo": w.infoOf(2, r.Access)["sub"], "introspection": about.Sub, "of the refresh token": of.Sub} {
		if got != sub {
			t.Errorf("%s calls the user %v, the ID token %s", where, got, sub)
		}
	}
	// The hint is understood: of this user, and of another.
	if _, params := w.back(w.get(1, "/oauth2/authorize?"+w.request(set("prompt", "none"), set("id_token_hint", r.ID)).Encode(), true)); params.Get("code") == "" {
		t.Errorf("with a hint: %v", params)
	}
	ask := `{"id_token":{"sub":{"value":"` + w.user.ID + `"}}}`
	if _, params := w.back(w.get(1, "/oauth2/authorize?"+w.request(set("prompt", "none"), set("claims", ask)).Encode(), true)); params.Get("error") != codeLoginRequired {
		t.Errorf("the user's ID is taken for their subject: %v", params)
	}
	// And signing out goes by it.
	if rec := w.get(2, "/oauth2/logout?"+url.Values{"id_token_hint": {r.ID}}.Encode(), true); rec.Code != 303 {
		t.Fatal(rec.Code, rec.Body)
	}
	if rec := w.userinfo(1, r.Access); rec.Code != 401 {
		t.Errorf("userinfo after signing out: %d", rec.Code)
	}
}

// keyPair returns a key to encrypt to, as a JWK set.
func keyPair(t *testing.T, key any, public any, alg string) []byte {
	t.Helper()
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: public, KeyID: "enc", Use: "enc", Algorithm: alg}}})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// open decrypts a JWE.
func open(t *testing.T, text, alg string, key any) (payload string, h jose.Header) {
	t.Helper()
	box, err := jose.ParseEncryptedCompact(text, []jose.KeyAlgorithm{jose.KeyAlgorithm(alg)}, []jose.ContentEncryption{jose.A128CBC_HS256, jose.A256GCM})
	if err != nil {
		t.Fatalf("%.80s: %v", text, err)
	}
	plain, err := box.Decrypt(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(plain), box.Header
}

func TestEncryptedIDTokenAndUserinfo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	w.change(func(a *federation.Application) {
		a.Auth.JWKS = keyPair(t, key, key.Public(), "ECDH-ES")
		a.Tokens.IDToken = federation.Encryption{Alg: "ECDH-ES"}
		a.Tokens.Userinfo = federation.Encryption{Alg: "ECDH-ES", Enc: "A256GCM"}
		a.Tokens.UserinfoAlg = "EdDSA"
	})
	r := w.tokens(0)
	plain, h := open(t, r.ID, "ECDH-ES", key)
	if c := claims(t, plain); c["sub"] != w.user.ID || c["aud"] != "web" || h.ExtraHeaders["cty"] != "JWT" || h.KeyID != "enc" {
		t.Errorf("ID token: %v, header %v", c, h)
	}
	rec := w.userinfo(0, r.Access)
	if ct := rec.Header().Get("Content-Type"); ct != "application/jwt" {
		t.Errorf("userinfo is %s", ct)
	}
	plain, _ = open(t, rec.Body.String(), "ECDH-ES", key)
	if c := claims(t, plain); c["sub"] != w.user.ID || c["iss"] != issuer || c["aud"] != "web" || c["email"] != "tester@example.com" {
		t.Errorf("userinfo: %v", c)
	}
}

// TestNothingIsEncryptedToAWeakKey: and nothing goes out in the clear instead.
func TestNothingIsEncryptedToAWeakKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	jwks := keyPair(t, weak, weak.Public(), "RSA-OAEP-256")
	err = w.cluster.DB[0].Update(t.Context(), func(tx *fsm.Tx) error {
		_, err := federation.Update(tx, tenant.ID, w.app.ID, 0, func(a *federation.Application) error {
			a.Auth.JWKS, a.Tokens.IDToken.Alg = jwks, "RSA-OAEP-256"
			return nil
		})
		return err
	})
	if err == nil {
		t.Error("a weak key was registered")
	}
	app := *w.app
	app.Auth.JWKS = jwks
	for _, alg := range []string{"RSA-OAEP-256", "RSA1_5", "dir", "none"} {
		out, err := w.nodes[0].provider.encryptTo(identity.WithTenant(t.Context(), tenant), &app, federation.Encryption{Alg: alg}, "secret", "", "")
		if err == nil || out != "" {
			t.Errorf("%s: %q went out", alg, out)
		}
	}
}

func TestSignedUserinfo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.change(func(a *federation.Application) { a.Tokens.UserinfoAlg = "RS256" })
	r := w.tokens(0)
	rec := w.userinfo(0, r.Access)
	c := claims(t, rec.Body.String())
	if rec.Header().Get("Content-Type") != "application/jwt" || c["sub"] != w.user.ID || c["iss"] != issuer || c["aud"] != "web" {
		t.Fatalf("%v %v", rec.Header(), c)
	}
	if _, _, err := w.nodes[0].keys.Verify(t.Context(), tenant.ID, rec.Body.String(), typUserinfo); err != nil {
		t.Error(err)
	}
	// What signs people in with one answer must not be a token with another.
	if again := w.userinfo(0, rec.Body.String()); again.Code != 401 {
		t.Errorf("a userinfo answer was taken for an access token: %d", again.Code)
	}
	if hint, err := w.nodes[0].provider.readHint(identity.WithTenant(t.Context(), tenant), rec.Body.String()); hint != nil || err != nil {
		t.Errorf("a userinfo answer was taken for an ID token: %v, %v", hint, err)
	}
}

// introspectJWT asks for a signed answer.
func (w *world) introspectJWT(token string) *httptest.ResponseRecorder {
	r := formRequest(w.t.Context(), "/oauth2/introspect", url.Values{"token": {token}})
	r.SetBasicAuth(w.app.ClientID, secret)
	r.Header.Set("Accept", "text/html, application/token-introspection+jwt;q=0.9")
	return w.nodes[0].do(r)
}

func TestSignedIntrospection(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	r := w.tokens(0)
	rec := w.introspectJWT(r.Access)
	if rec.Code != 200 || rec.Header().Get("Content-Type") != "application/token-introspection+jwt" {
		t.Fatal(rec.Code, rec.Header())
	}
	payload, _, err := w.nodes[0].keys.Verify(t.Context(), tenant.ID, rec.Body.String(), typIntrospection)
	if err != nil {
		t.Fatal(err)
	}
	var c map[string]any
	decode(t, string(payload), &c)
	about, _ := c["token_introspection"].(map[string]any)
	if c["iss"] != issuer || c["aud"] != "web" || c["iat"] == nil || c["sub"] != nil || c["exp"] != nil || about["active"] != true || about["sub"] != w.user.ID {
		t.Errorf("%v", c)
	}
	decode(t, string(payload), &c)
	if dead := claims(t, w.introspectJWT("garbage").Body.String()); cmp.Diff(map[string]any{"active": false}, dead["token_introspection"]) != "" {
		t.Errorf("of garbage: %v", dead)
	}
	if n := w.entries(func() { w.introspectJWT(r.Access); w.userinfo(0, r.Access) }); n != 0 {
		t.Errorf("looking cost %d entries", n)
	}
}

// TestRefusesTokenOfAnotherKind: each of our JWTs where another one belongs (RFC 8725, section 3.11).
func TestRefusesTokenOfAnotherKind(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.change(func(a *federation.Application) { a.Tokens.UserinfoAlg = "ES256" })
	r := w.tokens(0)
	ctx := identity.WithTenant(t.Context(), tenant)
	p := w.nodes[0].provider
	notice, err := p.signPlain(ctx, "ES256", "logout+jwt", map[string]any{
		"iss": issuer, "sub": w.user.ID, "aud": "web", "sid": w.session, "events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": struct{}{}},
	})
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]string{
		"access token": r.Access, "ID token": r.ID, "userinfo": w.userinfo(0, r.Access).Body.String(),
		"introspection": w.introspectJWT(r.Access).Body.String(), "logout token": notice,
	}
	for name, token := range kinds {
		if code := w.userinfo(0, token).Code; (code == 200) != (name == "access token") {
			t.Errorf("%s as access token: %d", name, code)
		}
		var about struct{ Active bool }
		decode(t, w.post(0, "/oauth2/introspect", url.Values{"token": {token}}).Body.String(), &about)
		if about.Active != (name == "access token") {
			t.Errorf("%s is active at introspection: %v", name, about.Active)
		}
		hint, err := p.readHint(ctx, token)
		if err != nil || (hint != nil) != (name == "ID token") {
			t.Errorf("%s as ID token: %v, %v", name, hint, err)
		}
	}
}
